"""Step label: what a teacher believes about each transfer text, written to the label store part by part."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tasks.shared.dataset import DataRecord, read_chunks, read_keys
from tasks.shared.label_store import Keys, Labeller, LabelStore, Plan
from tasks.shared.label_view import view_of
from tasks.shared.outputs import Json, Output, write_json
from tasks.shared.recipe import Labelling
from tasks.shared.steps import Context, Step
from tasks.shared.texts import NORMALISATION
from tasks.train_teacher import TeacherRecord


@dataclass(frozen=True)
class LabelRecord:
    """A label view: what one run reads from the store.

    Attributes:
        path: folder of the view; `store` has the labels themselves.
        store: the labeller's folder in the label store.
        digest: of the joined rows.
        labeller: whose labels.
        view: the parts and the number of rows.
        new: texts that this step labelled; the others had been labelled before.
        truncated: of the new texts, how many the teacher saw only the beginning of.
    """

    path: Path
    store: str
    digest: str
    labeller: Labeller
    view: Mapping[str, Any]
    new: int
    truncated: int


@dataclass(frozen=True)
class Label(Step[LabelRecord]):
    """Labels those transfer texts that the store does not hold yet."""

    name: ClassVar[str] = "label"
    data: DataRecord
    teacher: TeacherRecord
    labelling: Labelling
    number: int

    @property
    def title(self) -> str:
        """Whose labels."""
        return f"{self.name} by teacher {self.number}"

    @property
    def labeller(self) -> Labeller:
        """The identity of the labels."""
        return Labeller(
            teacher=self.teacher.digest,
            classes=self.data.classes,
            max_length=self.teacher.max_length,
            precision=self.labelling.precision,
            engine="torch",
            normalisation=NORMALISATION,
            problem_type="single-label",
        )

    def inputs(self) -> Mapping[str, Json]:
        """The labeller and the transfer texts."""
        return {"labeller": self.labeller.id, "transfer": self.data.digests["transfer"]}

    def make(self, folder: Path, context: Context) -> Mapping[str, Json]:
        """Labels what is missing and writes the view."""
        store = LabelStore(context.workspace.labels, self.labeller)
        transfer = self.data.file("transfer")
        plan = store.plan(self.key[:32], (chunk.keys for chunk in read_chunks(transfer)))
        truncated = self._carry_out(plan, store, transfer, context) if len(plan.keys) else 0
        store.finish(self.key[:32])
        view = view_of(store, read_keys(transfer))
        write_json(folder / "view.json", view)
        if truncated > len(plan.keys) / 2:
            context.warn(
                f"the teacher saw only the first {self.teacher.max_length} tokens of {truncated:,} of "
                f"{len(plan.keys):,} texts; teachers.{self.number}.max_length says how many it reads"
            )
        return {"store": store.folder.name, "view": view, "new": len(plan.keys), "truncated": truncated}

    def _carry_out(self, plan: Plan, store: LabelStore, transfer: Path, context: Context) -> int:
        from models.encoding import encode
        from models.inference import predict_logits
        from models.teacher import load_classifier

        model, tokenizer = load_classifier(self.teacher.path, context.device)
        truncated = 0
        with context.progress(len(plan.keys), "texts") as advance:
            for name, keys, texts, pairs in _texts_of(plan, transfer):
                encoded = encode(tokenizer, texts, pairs, self.teacher.max_length)
                truncated += encoded.truncated
                if store.holds(name):
                    advance(len(keys))
                    continue
                logits = predict_logits(model, encoded, self.labelling.batch_size, advance)
                store.write(name, keys, np.ascontiguousarray(logits[:, list(self.teacher.columns)]))
        return truncated

    def read(self, output: Output) -> LabelRecord:
        """The record of the view."""
        facts = output.facts
        return LabelRecord(
            path=output.path,
            store=facts["store"],
            digest=facts["view"]["digest"],
            labeller=self.labeller,
            view=facts["view"],
            new=facts["new"],
            truncated=facts["truncated"],
        )

    def consumed(self) -> Mapping[str, tuple[str, Path]]:
        """The transfer texts."""
        return {"transfer": (self.data.digests["transfer"], self.data.file("transfer"))}

    def summary(self, record: LabelRecord) -> str:
        """Texts, and how many of them were new."""
        return f"{record.view['rows']:,} texts, {record.new:,} of them labelled by this step"


def _texts_of(plan: Plan, transfer: Path) -> Iterator[tuple[str, Keys, list[str], list[str] | None]]:
    """The plan's parts with their texts, read in one pass: a plan follows the order of the transfer set."""
    rows = _rows_in_order(plan.keys, transfer)
    for name, keys in plan.parts():
        found = [next(rows) for _ in range(len(keys))]
        pairs = [pair for _, pair in found]
        yield name, keys, [text for text, _ in found], None if pairs[0] is None else [pair or "" for pair in pairs]


def _rows_in_order(keys: Keys, transfer: Path) -> Iterator[tuple[str, str | None]]:
    place = 0
    for chunk in read_chunks(transfer):
        for row, key in enumerate(chunk.keys):
            if place < len(keys) and key == keys[place]:
                place += 1
                yield chunk.texts[row], chunk.pairs[row] if chunk.pairs else None
    if place != len(keys):
        raise RuntimeError(f"the labelling plan has {len(keys) - place} texts that the transfer set lacks")
