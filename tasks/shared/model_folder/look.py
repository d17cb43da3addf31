"""One look at a model's folder, by whoever is about to use it: before a run, in a step, in `predict`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.shared.errors import StillhouseError, brief, brief_path
from tasks.shared.model_folder.files import (
    CONFIG,
    TOKENIZER,
    Shapes,
    check_files,
    check_tokenizer_files,
    read_json,
    read_shapes,
)
from tasks.shared.model_folder.tokenizer import check_tokenizer

POSITION_TABLES = ("position_embeddings", "position_embedding", "wpe", "embed_positions")
TOKEN_TABLES = ("word_embeddings", "embed_tokens", "wte", "tok_embeddings", "word_embedding", "embed_in", "shared")
COUNTED_FROM_PADDING = (
    "camembert data2vec-text esm ibert layoutlmv3 lilt longformer luke markuplm mpnet roberta roberta-prelayernorm "
    "xlm-roberta xlm-roberta-xl xmod"
)
"""Kinds whose first token has the position after the padding token's id: RoBERTa's 514 rows are 512 positions."""

_COMPUTED = frozenset({"codegen", "gptj"})
"""Kinds whose table of positions is computed when they are made, and so is not among the weights."""

_WIDTHS = ("hidden_size", "d_model", "n_embd", "dim", "emb_dim")
_DEPTHS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers", "decoder_layers")
_POSITIVE = ("num_attention_heads", "n_head", "intermediate_size", "max_position_embeddings")
_DEEPEST, _LARGEST = 1000, 2**24
_LEARNED = ("size", "dim", "layers", "heads", "positions", "embeddings", "n_embd", "n_layer", "n_head", "n_positions")


@dataclass(frozen=True)
class ModelFolder:
    """What a model's files say of it.

    Attributes:
        path: the folder.
        config: config.json.
        shapes: of the weights, by name.
    """

    path: Path
    config: Mapping[str, Any]
    shapes: Shapes

    @property
    def reading(self) -> Mapping[str, Any]:
        """The part of the configuration that texts are read by."""
        inner = self.config.get("text_config")
        return inner if isinstance(inner, dict) else self.config

    @property
    def positions(self) -> int | None:
        """Tokens of a text that it has positions for; None where it counts without a table of them."""
        rows = self._rows(POSITION_TABLES)
        named = self.reading.get("max_position_embeddings", self.reading.get("n_positions"))
        if rows is None:
            computed = self.config.get("model_type") in _COMPUTED and isinstance(named, int)
            return named if computed else None
        if self.config.get("model_type") in COUNTED_FROM_PADDING.split():
            padding = self.config.get("pad_token_id", 1)
            return rows - (padding if isinstance(padding, int) else 1) - 1
        return min(rows, named) if isinstance(named, int) and named > 0 else rows

    @property
    def width(self) -> int | None:
        """Of its hidden states; None where its configuration does not say."""
        found = [self.reading[name] for name in _WIDTHS if isinstance(self.reading.get(name), int)]
        return found[0] if found else None

    @property
    def token_rows(self) -> int | None:
        """Tokens that it has an embedding for; None where no weight is known to hold them."""
        return self._rows(TOKEN_TABLES)

    def _rows(self, tables: tuple[str, ...]) -> int | None:
        found = [
            shape[0]
            for name, shape in self.shapes.items()
            if len(shape) == 2 and name.endswith(".weight") and name.split(".")[-2] in tables
        ]
        return min(found) if found else None


def look_at(folder: Path, where: str = "") -> ModelFolder:
    """Looks at a model's files.

    Args:
        folder: the model's.
        where: what stands before a message, such as `teachers.0.model: `.

    Raises:
        StillhouseError: a file is missing, damaged or no plain file; the sizes in its config.json are absurd; its
            tokenizer names tokens that it has no embedding for, or takes time or memory without end.
    """
    check_files(folder, where)
    found = ModelFolder(folder, read_json(folder / CONFIG, where), read_shapes(folder, where))
    _check_sizes(found, where)
    check_tokenizer_files(folder, where)
    _check_tokens(found, where)
    check_tokenizer(folder, where)
    return found


def check_length(found: ModelFolder, length: int, where: str) -> None:
    """Finds out whether a teacher can read so many tokens of a text.

    Args:
        found: the teacher's model.
        length: as the recipe has it.
        where: the recipe's path of its max_length.

    Raises:
        StillhouseError: it has no positions for so many tokens.
    """
    positions = found.positions
    if positions is not None and length > positions:
        raise StillhouseError(
            f"{where}: {brief_path(found.path)} has positions for {positions} tokens of a text, not for {length}; "
            f"set it to {positions} or less"
        )


def check_names(found: ModelFolder, where: str) -> list[str]:
    """The names of a classifier's classes in the order of its outputs; empty where config.json does not say.

    Raises:
        StillhouseError: they are not numbered from 0 on without gaps, or there are not as many as outputs.
    """
    named = found.config.get("id2label")
    if not isinstance(named, dict) or not named:
        return []
    if named.keys() != {str(number) for number in range(len(named))}:
        keys = ", ".join(str(key)[:20] for key in list(named)[:10])
        raise StillhouseError(
            f"{where}: {brief_path(found.path)} numbers its classes {keys} in the id2label of its config.json; "
            f"number them 0 to {len(named) - 1}, in the order of its outputs"
        )
    outputs = next((shape[0] for name, shape in found.shapes.items() if _is_head(name) and len(shape) == 2), len(named))
    if outputs != len(named):
        raise StillhouseError(
            f"{where}: {brief_path(found.path)} names {len(named)} classes in the id2label of its config.json and has "
            f"{outputs} outputs; name each output once"
        )
    return [str(named[str(number)]) for number in range(len(named))]


def _is_head(name: str) -> bool:
    return name in ("classifier.weight", "score.weight", "classifier.out_proj.weight", "logits_proj.weight")


def _check_sizes(found: ModelFolder, where: str) -> None:
    """Raises StillhouseError where building what config.json describes would take memory or time without end."""
    dimensions = {size for shape in found.shapes.values() for size in shape}
    for name, value in found.reading.items():
        counted = name in ("vocab_size", *_WIDTHS)
        if not isinstance(value, int) or isinstance(value, bool):
            absurd = (counted or name in _DEPTHS) and isinstance(value, str | bool | float)
        else:
            absurd = (
                ((counted or name in _POSITIVE) and value < 1)
                or (name in _DEPTHS and value > _DEEPEST)
                or (name.endswith(_LEARNED) and (value > _LARGEST or value < -1))
                or (name in _WIDTHS and value > _DEEPEST and value not in dimensions)
            )
        if absurd:
            raise StillhouseError(
                f"{where}{brief_path(found.path / CONFIG)} says {name}: {brief(value)}, which its weights do not bear "
                "out; copy it again"
            )


def _check_tokens(found: ModelFolder, where: str) -> None:
    """Raises StillhouseError where the tokenizer has tokens beyond the embeddings: reading one would fail."""
    rows = found.token_rows
    ids = _token_ids(found.path, where)
    if rows is None or not ids or max(ids) < rows:
        return
    last = max(ids)
    raise StillhouseError(
        f"{where}the tokenizer of {brief_path(found.path)} has tokens up to number {last:,} ({brief(ids[last])}), its "
        f"weights hold {rows:,} embeddings; load both, call model.resize_token_embeddings({last + 1}), save both again"
    )


def _token_ids(folder: Path, where: str) -> dict[int, str]:
    """Tokens by number, as tokenizer.json and added_tokens.json have them; what is of another shape is left out."""
    found: dict[int, str] = {}
    if (folder / TOKENIZER).is_file():
        content = read_json(folder / TOKENIZER, where)
        model = content.get("model")
        vocabulary = model.get("vocab") if isinstance(model, dict) else None
        if isinstance(vocabulary, dict):
            found = {number: token for token, number in vocabulary.items() if isinstance(number, int)}
        elif isinstance(vocabulary, list):
            found = {number: str(entry)[:40] for number, entry in enumerate(vocabulary)}
        added = content.get("added_tokens")
        for entry in added if isinstance(added, list) else []:
            if isinstance(entry, dict) and isinstance(entry.get("id"), int):
                found[entry["id"]] = str(entry.get("content"))
    if (folder / "added_tokens.json").is_file():
        added = read_json(folder / "added_tokens.json", where)
        found |= {number: token for token, number in added.items() if isinstance(number, int)}
    return found
