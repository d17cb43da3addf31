"""Step label_shard: a share of the labelling, for one of several machines; `label` then finds it done."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tasks.label import ByTeacher
from tasks.shared.dataset import read_keys
from tasks.shared.outputs import Json, Output, write_json
from tasks.shared.shards import Shard
from tasks.shared.steps import Context
from tasks.shared.workspace import Workspace

PARTS = "parts.json"


@dataclass(frozen=True)
class ShardRecord:
    """A share that is labelled.

    Attributes:
        path: folder of the output.
        digest: of that folder.
        files: where the label store is; empty for the workspace's.
        store: the labeller's folder in it.
        rows: texts of the share.
        new: those of them that this step labelled.
    """

    path: Path
    digest: str
    files: str
    store: str
    rows: int
    new: int


@dataclass(frozen=True)
class LabelShard(ByTeacher[ShardRecord]):
    """Labels those transfer texts of one share that the store does not hold yet."""

    name: ClassVar[str] = "label_shard"
    shard: Shard

    @property
    def title(self) -> str:
        """Whose labels, and which share."""
        return f"{self.name} {self.shard} by teacher {self.number}"

    def inputs(self) -> Mapping[str, Json]:
        """The labeller, the transfer texts, and which of them."""
        return {
            "labeller": self.labeller.id,
            "store": self.labelling.place,
            "transfer": self.data.digests["transfer"],
            "shard": str(self.shard),
        }

    def make(self, folder: Path, context: Context) -> Mapping[str, Json]:
        """Labels what is missing and writes down which parts there were then."""
        keys = self.shard.of(read_keys(self.data.file("transfer")))
        labelled = self.label(keys, context)
        store = self.store(context.workspace)
        facts = {"files": self.labelling.place, "store": store.name, "rows": len(keys), **labelled}
        write_json(folder / PARTS, {"parts": [part.name for part in store.parts()]})
        return facts

    def stands(self, output: Output, workspace: Workspace) -> bool:
        """Whether the store has lost none of the parts that there were."""
        there = {part.name for part in self.store(workspace).parts()}
        return set(json.loads((output.path / PARTS).read_text(encoding="utf-8"))["parts"]) <= there

    def read(self, output: Output) -> ShardRecord:
        """The record of the share."""
        facts = output.facts
        return ShardRecord(output.path, output.digest, facts["files"], facts["store"], facts["rows"], facts["new"])

    def summary(self, record: ShardRecord) -> str:
        """Texts, and how many of them were new."""
        return f"{record.rows:,} texts, {record.new:,} of them labelled by this step"
