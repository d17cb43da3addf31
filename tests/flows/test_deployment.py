"""The deployment file names a flow that is there, and the flow's form is the recipe."""

import importlib
from pathlib import Path

import yaml

FILE = Path(__file__).parent.parent.parent / "deployments" / "prefect.yaml"


def test_the_deployed_flow_exists_and_its_one_parameter_is_the_recipe() -> None:
    deployments = yaml.safe_load(FILE.read_text(encoding="utf-8"))["deployments"]
    assert [deployment["name"] for deployment in deployments] == ["on-demand"]
    path, name = deployments[0]["entrypoint"].split(":")
    flow = getattr(importlib.import_module(path.removesuffix(".py").replace("/", ".")), name)
    schema = flow.parameters.model_dump()
    assert list(schema["properties"]) == ["recipe"]
    recipe = schema["definitions"]["Recipe"]
    assert recipe["required"] == ["data"]
    assert all("description" in schema["definitions"]["Data"]["properties"][key] for key in ("train", "test", "text"))
