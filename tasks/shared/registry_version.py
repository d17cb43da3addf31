"""A registered version, as it is read from MLflow and described there."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

SCHEME = "models:/"
PREFIX = "stillhouse."
"""Of the tags that are ours."""


@dataclass(frozen=True)
class Version:
    """A registered version.

    Attributes:
        name: of the registered model.
        number: of the version.
        tags: what was written on it, without the prefix `stillhouse.`; what others wrote is left out.
        aliases: that point to it, in order.
        created: when.
    """

    name: str
    number: int
    tags: Mapping[str, str]
    aliases: tuple[str, ...]
    created: datetime

    @property
    def address(self) -> str:
        """What names it, for MLflow and in a recipe."""
        return f"{SCHEME}{self.name}/{self.number}"

    @property
    def gate_score(self) -> float | None:
        """The share of the gate rows that is written on it; see `written_share`."""
        return written_share(self.tags, "gate_score")


def version_of(found: "ModelVersion", aliases: Mapping[str, int]) -> Version:
    """MLflow's version as ours, with its share of the model's aliases."""
    number = int(found.version)
    return Version(
        name=found.name,
        number=number,
        tags={key.removeprefix(PREFIX): value for key, value in found.tags.items() if key.startswith(PREFIX)},
        aliases=tuple(sorted(alias for alias, aim in aliases.items() if aim == number)),
        created=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC),
    )


def written_share(tags: Mapping[str, str], name: str) -> float | None:
    """The share that a tag tells; None where it tells none, as a person may have changed it."""
    try:
        share = float(tags.get(name, "nan"))
    except ValueError:
        return None
    return share if 0.0 <= share <= 1.0 else None  # nan is neither


def written_bytes(tags: Mapping[str, str]) -> int | None:
    """The size of the weights that the tags tell; None likewise."""
    size = tags.get("bytes", "")
    return int(size) if size.isascii() and size.isdecimal() and len(size) < 20 and int(size) else None


def described(tags: Mapping[str, str]) -> str:
    """What MLflow's pages say of a version: their column of tags is too narrow to be read."""
    score, said = written_share(tags, "gate_score"), []
    if score is not None:
        said.append(f"{score:.1%} of the gate rows right")
    if "verdict" in tags:
        said.append(f"verdict {tags['verdict']}")
    if "promoted" in tags and "reason" in tags:
        said.append(f"{'' if tags['promoted'] == 'yes' else 'not '}promoted: {tags['reason']}")
    return "; ".join(said)
