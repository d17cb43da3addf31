"""The student families, a file each; a new one is a file more, and its name here and in the recipe."""

from typing import Any

from transformers import AutoConfig, AutoModelForSequenceClassification

from ..student import Student, StudentConfig
from . import bag, cnn, recurrent, transformer

MODULES: tuple[Any, ...] = (recurrent, transformer, cnn, bag)
CONFIGS: dict[str, type[StudentConfig]] = {name: module.CONFIG for module in MODULES for name in module.CONFIG.families}
MODELS: dict[str, type[Student]] = {module.CONFIG.model_type: module.MODEL for module in MODULES}
"""By `model_type`, the name in config.json."""


def new_student(family: str, **settings: Any) -> Student:  # noqa: ANN401 - what the family's configuration takes
    """A student with fresh weights, from torch's random state.

    Raises:
        KeyError: an unknown family.
        ValueError: a shape that cannot be.
    """
    config = CONFIGS[family](family=family, **settings)
    return MODELS[config.model_type](config)


def register() -> None:
    """Lets transformers' Auto classes load students."""
    for module in MODULES:
        AutoConfig.register(module.CONFIG.model_type, module.CONFIG, exist_ok=True)
        AutoModelForSequenceClassification.register(module.CONFIG, module.MODEL, exist_ok=True)
