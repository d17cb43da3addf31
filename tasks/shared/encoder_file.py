"""Configurations of encoders that a recipe brings: Hugging Face config.json files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.shared.errors import StillhouseError, brief, brief_path, one_line

if TYPE_CHECKING:
    from models.student import Student

_WHERE = "student.configuration"
_SMALL = 100_000_000
"""Parameters up to which it is tried out, in a second."""
_OTHERS_BUSINESS = ("id2label", "label2id", "architectures", "problem_type", "_name_or_path", "dtype", "auto_map")


def read_encoder(file: str, max_length: int) -> dict[str, Any]:
    """The configuration in a file, or in the config.json of a folder.

    Raises:
        StillhouseError: it cannot be read, is of no kind that transformers knows, or reads fewer tokens.
    """
    path, config = _place(file), encoder_config(file)
    import torch

    from models.families import new_student
    from models.positions import readable_tokens

    try:
        student: Any = empty_student(config)
        if student.num_parameters() < _SMALL:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                student = new_student("transformer", encoder=config, vocab_size=4, embedding_size=2)
            _check_padding(student.eval())
    except Exception as error:  # what a made-up shape leads to, transformers does not promise
        raise StillhouseError(f"{_WHERE}: {brief_path(path)} makes no encoder: {one_line(error)}") from None
    encoder = student.encoder
    positions = readable_tokens(encoder)
    if positions is not None and positions < max_length:
        raise StillhouseError(
            f"{_WHERE}: {brief_path(path)} reads {positions} tokens, the student {max_length}; "
            "raise max_position_embeddings, or lower student.max_length"
        )
    if getattr(encoder.config, "is_encoder_decoder", False):
        raise StillhouseError(f"{_WHERE}: {brief(config['model_type'])} is no encoder alone")
    return config


def encoder_config(file: str) -> dict[str, Any]:
    """What a file says of an encoder's shape, not tried out.

    Raises:
        StillhouseError: it cannot be read, or names no model_type.
    """
    path = _place(file)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise StillhouseError(f"{_WHERE}: {brief_path(path)} cannot be read: {one_line(error)}") from None
    if not isinstance(found, dict) or not isinstance(found.get("model_type"), str):
        raise StillhouseError(f"{_WHERE}: {brief_path(path)} names no model_type")
    return {name: value for name, value in found.items() if name not in _OTHERS_BUSINESS}


def _place(file: str) -> Path:
    """The file itself, or the one in the folder of that name."""
    path = Path(file).expanduser()
    return path / "config.json" if path.is_dir() else path


def empty_student(config: Mapping[str, Any]) -> "Student":
    """A student with an encoder of this configuration, without weights, to look at."""
    import torch

    from models.families import new_student

    with torch.device("meta"):
        return new_student("transformer", encoder=config, vocab_size=4, embedding_size=2)


def _check_padding(student: Any) -> None:  # noqa: ANN401 - a transformer student
    """Raises ValueError where padding changes what an encoder says: a convolution over tokens would read it."""
    import torch

    ids = torch.tensor([[1, 2, 3, 0, 0, 0]])
    with torch.inference_mode():
        alone = student(input_ids=ids[:, :3]).logits
        padded = student(input_ids=ids, attention_mask=(ids > 0).long()).logits
    if not torch.allclose(alone, padded, atol=1e-5):
        raise ValueError("padding changes what it says")
