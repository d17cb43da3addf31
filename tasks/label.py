"""Step label: what a teacher believes about each transfer text, written to the label store part by part."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tasks.shared.dataset import DataRecord, read_keys
from tasks.shared.defaults.resolved import ResolvedLabelling
from tasks.shared.errors import StillhouseError, one_line
from tasks.shared.key_index import Keys
from tasks.shared.label_files import open_files
from tasks.shared.label_plan import begun_plan, missing, new_plan
from tasks.shared.label_store import LabelStore
from tasks.shared.label_view import all_there, view_of
from tasks.shared.labeller import Labeller
from tasks.shared.outputs import Json, Output, write_json
from tasks.shared.steps import Context, Record, Step
from tasks.shared.texts import NORMALISATION
from tasks.shared.truncation import NOTABLE
from tasks.shared.workspace import Workspace
from tasks.train_teacher import TeacherRecord

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from models.engine import Engine


@dataclass(frozen=True)
class LabelRecord:
    """A label view: what one run reads from the store.

    Attributes:
        path: folder of the view; `store` has the labels themselves.
        files: where the label store is; empty for the workspace's.
        store: the labeller's folder in it.
        digest: of the joined rows.
        labeller: whose labels.
        view: the parts and the number of rows.
        new: texts that this step labelled; the others had been labelled before.
        truncated: of the new texts, how many the teacher saw only the beginning of.
        lost: what a lower precision, or a smaller type on disk, changed where it was measured.
    """

    path: Path
    files: str
    store: str
    digest: str
    labeller: Labeller
    view: Mapping[str, Any]
    new: int
    truncated: int
    lost: Mapping[str, float]


@dataclass(frozen=True)
class ByTeacher(Step[Record]):
    """What the steps that label have in common: which texts, by which teacher, how."""

    data: DataRecord
    teacher: TeacherRecord
    labelling: ResolvedLabelling
    number: int

    @property
    def of_teacher(self) -> int:
        """Whose labels."""
        return self.number

    @property
    def work(self) -> tuple[int | None, str]:
        """The transfer texts."""
        return self.data.rows.get("transfer"), "texts"

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
            stored=self.labelling.stored,
        )

    def store(self, workspace: Workspace) -> LabelStore:
        """The labels of this labeller."""
        return LabelStore(open_files(self.labelling.place or workspace.labels), self.labeller)

    def open(self, model: "PreTrainedModel") -> "AbstractContextManager[Engine]":
        """What runs the teacher: an engine that answers with logits, in the teacher's order of classes."""
        from models.engine import open_engine

        return open_engine(model, self.labelling.tokens_per_batch)

    @property
    def columns(self) -> Sequence[int]:
        """Which of the engine's answers stands for each of the labeller's classes."""
        return self.teacher.columns

    def label(self, wanted: Keys, context: Context) -> dict[str, Json]:
        """Labels those of the wanted transfer texts that the store does not hold.

        Returns:
            Facts: `new` texts, `truncated` ones of them, and what precision and the type on disk cost.
        """
        store, transfer = self.store(context.workspace), self.data.file("transfer")
        plan_file = context.workspace.plans / f"{self.key[:32]}.npy"
        plan = begun_plan(plan_file)
        if plan and not len(missing(store, plan.keys)):
            plan_file.unlink()  # others have labelled all of it since it was begun
            plan = None
        plan = plan or new_plan(plan_file, store, wanted)
        if not len(plan.keys):
            return {"new": 0, "truncated": 0}
        from models.engine import to_precision
        from models.teacher import load_classifier
        from tasks.shared.labelling import carry_out, first_texts

        options, length = self.labelling, self.teacher.max_length
        try:
            model, tokenizer = load_classifier(self.teacher.path, context.device)
        except ValueError as error:
            raise StillhouseError(f"teachers.{self.number}: cannot use its model: {one_line(error)}") from None
        sample = first_texts(plan, transfer, tokenizer, length)
        try:
            model, deviation = to_precision(model, options.precision, sample, options.tokens_per_batch)
        except ValueError as error:
            raise StillhouseError(f"labelling.precision: {one_line(error)}") from None
        with self.open(model) as engine, context.progress(len(plan.keys), "texts") as advance:
            done = carry_out(plan, store, transfer, engine, tokenizer, length, self.columns, advance)
        plan_file.unlink(missing_ok=True)
        if done.truncated >= NOTABLE * done.new:
            context.warn(
                f"the teacher saw only the first {length} tokens of {done.truncated:,} of {done.new:,} texts "
                f"({done.truncated / done.new:.1%}); teachers.{self.number}.max_length says how many it reads"
            )
        lost = {f"deviation_{name}": value for name, value in asdict(deviation).items()} if deviation else {}
        if options.stored != "float32":
            lost["rounding_largest"] = done.rounding
        return {"new": done.new, "truncated": done.truncated, **lost}


@dataclass(frozen=True)
class OfAll(ByTeacher[Record]):
    """What the steps have in common that see to all transfer texts and end with a view of the store."""

    @property
    def title(self) -> str:
        """By which teacher."""
        return f"{self.name} by teacher {self.number}"

    def inputs(self) -> Mapping[str, Json]:
        """The labeller, where its labels are, and the transfer texts."""
        place = {"store": self.labelling.place} if self.labelling.place else {}
        return {"labeller": self.labeller.id, "transfer": self.data.digests["transfer"], **place}

    def stands(self, output: Output, workspace: Workspace) -> bool:
        """Whether the store still has the parts of the view."""
        return all_there(self.store(workspace), output.facts["view"])

    def consumed(self) -> Mapping[str, tuple[str, Path]]:
        """The transfer texts."""
        return {"transfer": (self.data.digests["transfer"], self.data.file("transfer"))}


@dataclass(frozen=True)
class Label(OfAll[LabelRecord]):
    """Labels those transfer texts that the store does not hold yet."""

    name: ClassVar[str] = "label"

    def make(self, folder: Path, context: Context) -> Mapping[str, Json]:
        """Labels what is missing and writes the view."""
        keys = read_keys(self.data.file("transfer"))
        labelled = self.label(keys, context)
        store = self.store(context.workspace)
        view = view_of(store, keys)
        write_json(folder / "view.json", view)
        return {"files": self.labelling.place, "store": store.name, "view": view, **labelled}

    def read(self, output: Output) -> LabelRecord:
        """The record of the view."""
        facts = output.facts
        return LabelRecord(
            path=output.path,
            files=facts["files"],
            store=facts["store"],
            digest=facts["view"]["digest"],
            labeller=self.labeller,
            view=facts["view"],
            new=facts["new"],
            truncated=facts["truncated"],
            lost={name: facts[name] for name in facts if name.startswith(("deviation_", "rounding_"))},
        )

    def summary(self, record: LabelRecord) -> str:
        """Texts, how many of them were new, how many cut off, and how often a lower precision named another class."""
        said = f"{record.view['rows']:,} texts, {record.new:,} of them labelled by this step"
        if record.truncated >= NOTABLE * max(1, record.new):
            cut = record.truncated / max(1, record.new)
            said += f", {cut:.1%} of those cut off at {self.teacher.max_length} tokens"
        if "deviation_agreement" in record.lost:
            texts, agreement = record.lost["deviation_texts"], record.lost["deviation_agreement"]
            said += f"; {self.labelling.precision} names the class that fp32 does for {agreement:.1%} of {texts}"
        return said
