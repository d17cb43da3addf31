"""The folder in which MLflow keeps a model: the Hugging Face folder, and code to read it; nothing is pickled."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

HUGGING_FACE = "artifacts/model"
"""Where, inside the folder, the Hugging Face folder is."""

_HERE = Path(__file__).parent
_MODELS = _HERE.parent.parent / "models"
_NAMES = ("classifier", "encoding", "inference", "padding", "positions", "student")
_CODE = [*(_MODELS / f"{name}.py" for name in _NAMES), _HERE / "texts.py"]
_FAMILIES = _MODELS / "families"
_PACKAGES = ("mlflow", "numpy", "pandas", "safetensors", "tokenizers", "torch", "transformers")
_EXAMPLE = {"text": "The train to the coast leaves at nine.", "text_pair": "It was late again."}
"""Made up: what is registered shows nobody's data."""

# MLflow would draw progress bars, and copy the uv.lock and pyproject.toml of whatever folder the person stands in.
_SETTINGS = {"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false", "MLFLOW_UV_AUTO_DETECT": "false"}


def save_model(folder: Path, model: Path, pairs: bool) -> None:
    """Writes a model as MLflow's pyfunc flavour, with signature, input example and pinned packages.

    Args:
        folder: where; must not exist.
        model: the Hugging Face folder of a classifier.
        pairs: whether it reads pairs of texts.
    """
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from transformers import AutoConfig

    import models  # noqa: F401 - registers the students

    classes = AutoConfig.from_pretrained(model, trust_remote_code=False).id2label
    columns = ["text", "text_pair"] if pairs else ["text"]
    scores = [ColSpec(DataType.double, f"probability_{classes[number]}") for number in range(len(classes))]
    signature = ModelSignature(
        inputs=Schema([ColSpec(DataType.string, name) for name in columns]),
        outputs=Schema([ColSpec(DataType.string, "label"), *scores]),
    )
    with TemporaryDirectory() as temporary, quiet_mlflow():
        code = Path(temporary) / "code"
        code.mkdir()
        for file in _CODE:
            shutil.copy(file, code)
        shutil.copytree(_FAMILIES, code / _FAMILIES.name, ignore=shutil.ignore_patterns("__pycache__"))
        mlflow.pyfunc.save_model(
            folder,
            python_model=_HERE / "served_model.py",
            artifacts={"model": str(model), "code": str(code)},
            signature=signature,
            input_example=pd.DataFrame([{name: _EXAMPLE[name] for name in columns}]),
            pip_requirements=[f"{name}=={version(name).partition('+')[0]}" for name in _PACKAGES],
        )
    saved = Model.load(folder)
    flavor = saved.flavors["python_function"]
    # Where the files came from on this machine is nobody's business.
    flavor["model_code_path"] = Path(flavor["model_code_path"]).name
    for name, artifact in flavor["artifacts"].items():
        (folder / artifact["path"]).rename(folder / "artifacts" / name)  # what it was called there, too
        artifact["path"] = artifact["uri"] = f"artifacts/{name}"
    saved.save(folder / "MLmodel")


@contextmanager
def quiet_mlflow() -> Iterator[None]:
    """Keeps MLflow from drawing progress bars and from looking into the current folder."""
    before = {name: os.environ.get(name) for name in _SETTINGS}
    os.environ.update(_SETTINGS)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
