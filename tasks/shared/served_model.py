"""A registered model as MLflow loads it: this file and copies of the few modules it needs travel with the weights.

MLflow runs it as a script (a "model from code"): nothing is pickled, and this project need not be installed.
"""

import json
import sys
import uuid
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class ServedModel(PythonModel):
    """Takes a column `text` (and `text_pair`), gives `label` and the probability of each class; no text, no label.

    No text is an empty one, and whatever is none: None, NaN, pandas.NA. Its row holds None, which in JSON is null.
    """

    _classifier: Any
    _normalise: Any

    def load_context(self, context: PythonModelContext) -> None:
        """Loads code, weights and tokenizer from the registered folder."""
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        folder, code = Path(context.artifacts["model"]), _import_folder(Path(context.artifacts["code"]))
        students = import_module(f"{code}.families").MODELS
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
        loader: Any = students.get(kind, AutoModelForSequenceClassification)
        model = loader.from_pretrained(folder, use_safetensors=True, trust_remote_code=False, dtype="float32")
        # With the configuration at hand the tokenizer does not look for one of a kind that transformers knows.
        tokenizer = AutoTokenizer.from_pretrained(folder, config=model.config, trust_remote_code=False)
        import_module(f"{code}.padding").settle_padding(model, tokenizer)
        self._classifier = import_module(f"{code}.classifier").TextClassifier(model, tokenizer)
        self._normalise = import_module(f"{code}.texts").normalise

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """A row a row of the input, in its order."""
        texts, pairs = (
            [self._normalise(text if isinstance(text, str) else "") for text in model_input[name]]
            if name in model_input
            else []
            for name in ("text", "text_pair")
        )
        rows = [row for row, text in enumerate(texts) if text]
        scores = np.full((len(texts), len(self._classifier.classes)), np.nan)
        if rows:
            scores[rows] = self._classifier.probabilities(
                [texts[row] for row in rows], [pairs[row] for row in rows] if pairs else None
            )
        labels = np.full(len(texts), None, dtype=object)
        labels[rows] = np.array(self._classifier.classes, dtype=object)[scores[rows].argmax(-1)]
        # Only where there is something to leave out: a column of objects is slower, and of no declared type.
        answers: Any = scores
        if not np.isfinite(scores).all():
            answers = scores.astype(object)
            answers[~np.isfinite(scores)] = None
        columns = {f"probability_{name}": answers[:, place] for place, name in enumerate(self._classifier.classes)}
        # Of objects: among texts pandas would make NaN of None.
        named = pd.Series(labels, index=model_input.index, dtype=object)
        return pd.DataFrame({"label": named, **columns}, index=model_input.index)


def _import_folder(folder: Path) -> str:
    """Imports a folder as a package of its own under a name that nothing else has, and gives that name."""
    name = f"stillhouse_{uuid.uuid4().hex}"
    package = ModuleType(name)
    package.__path__ = [str(folder)]
    sys.modules[name] = package
    return name


mlflow.models.set_model(ServedModel())
