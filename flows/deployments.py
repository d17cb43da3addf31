"""Writes the generated parts of deployments/prefect.yaml, from the flows and recipes; `make docs` calls it.

A generated part stands between two comments, the first of which names its flow and its recipe. The rest of the file
is written by hand: schedules, limits, comments.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from flows.shipped import find_recipe
from tasks.shared.recipe_file import load_recipe

FILE = Path(__file__).parent.parent / "deployments" / "prefect.yaml"

_PART = re.compile(
    r"^(?P<head>(?P<indent> *)# flow (?P<flow>\w+), recipe (?P<recipe>[\w-]+): written by `make docs`\n)"
    r".*?^(?P<foot> *# end of what is written\n)",
    re.DOTALL | re.MULTILINE,
)


def with_generated_parts(text: str) -> str:
    """The file with its generated parts made anew."""
    return _PART.sub(
        lambda part: f"{part['head']}{_part(part['flow'], part['recipe'], part['indent'])}{part['foot']}", text
    )


def recipe_parameter(file: Path) -> dict[str, dict[str, Any]]:
    """The flow's one parameter as plain data: what the recipe's file says, without the defaults.

    Raises:
        StillhouseError: the file is no recipe.
    """
    return {"recipe": load_recipe(file).model_dump(mode="json", exclude_unset=True)}


def _part(flow: str, recipe: str, indent: str) -> str:
    values = {
        # A module, not a file: it is found whatever folder the runs work in.
        "entrypoint": f"flows.{flow}.{flow}",
        "tags": ["stillhouse"],
        "parameters": recipe_parameter(find_recipe(recipe)),
    }
    lines = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None).splitlines()
    return "".join(f"{indent}{line}\n" for line in lines)


if __name__ == "__main__":
    FILE.write_text(with_generated_parts(FILE.read_text(encoding="utf-8")), encoding="utf-8")
