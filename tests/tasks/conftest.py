"""A tiny run carried out step by step, once for all tests that look at its parts."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.bench import Bench
from tests.toy import WORDS, toy_rows, write_csv


@dataclass(frozen=True)
class Toy:
    """Records of the first steps, and what later steps are made from. What a test makes here, others reuse."""

    bench: Bench
    folder: Path
    base: Path
    data: object
    teacher: object
    view: object
    labels: object
    prepared: object
    student: object
    training: object

    def small(self, step, seed=0, **changes):
        """A step that trains something small; `changes` replace its fields."""
        from tasks.shared.recipe_learning import Term
        from tasks.train_student import TrainStudent

        fields = {name: getattr(self, name) for name in ("data", "prepared", "student", "training")}
        if issubclass(step, TrainStudent):
            fields |= {"labels": self.labels, "objective": (Term(term="soft", temperature=2.0),)}
        elif step.role == "twin":
            fields["matched"] = True
        return step(**fields | changes, seed=seed)

    def evaluate(self, model, data=None, **changes):
        """An Evaluate step of a model; of a student or twin with its teacher's scorecard."""
        from tasks.disturb import Disturb
        from tasks.evaluate import Evaluate
        from tests.settled import Robustness

        data = data or self.data
        options = Robustness(texts=20, noises=["drop", "case"], strengths=[0.2], adversary=5, candidates=8)
        step = Evaluate(data, model, self.bench(Disturb(data, options)), options)
        if model.role != "teacher":
            step = replace(step, teachers=(self.bench(self.evaluate(self.teacher, data)),), fused=self.labels)
        return replace(step, **changes)

    def reordered(self, folder) -> Path:
        """Saves the teacher with its classes as (sport, food, money): it says the same in another order."""
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        order = [2, 0, 1]
        model = AutoModelForSequenceClassification.from_pretrained(self.teacher.path)
        for weights in (model.classifier.weight, model.classifier.bias):
            weights.data = weights.data[order]
        names = [self.data.classes[number] for number in order]
        model.config.id2label = dict(enumerate(names))
        model.config.label2id = {name: number for number, name in enumerate(names)}
        model.save_pretrained(folder)
        AutoTokenizer.from_pretrained(self.teacher.path).save_pretrained(folder)
        return folder


@pytest.fixture(scope="session")
def tokenizer():
    """Like BERT's, trained on the toy texts."""
    from tests.tiny import wordpiece_tokenizer

    return wordpiece_tokenizer([text for text, _ in toy_rows(300, seed=0)])


@pytest.fixture(scope="session")
def toy(tmp_path_factory, tokenizer) -> Toy:
    """Data of 40 gold labels a class, a fine-tuned tiny BERT, its labels, and the beginnings of students."""
    from tasks.fuse import Fuse
    from tasks.label import Label
    from tasks.load_data import LoadData
    from tasks.prepare_student import PrepareStudent
    from tasks.shared.recipe_data import Data
    from tasks.shared.recipe_teaching import Fuse as FuseOptions
    from tasks.shared.workspace import Workspace
    from tasks.train_teacher import TrainTeacher
    from tests.settled import Labelling, Student, Teacher, Training
    from tests.tiny import tiny_bert

    folder = tmp_path_factory.mktemp("toy")
    files = {
        "train": write_csv(folder / "train.csv", toy_rows(240, seed=0)),
        "test": write_csv(folder / "test.csv", toy_rows(60, seed=1)),
    }
    base = tiny_bert(folder / "base", tokenizer)
    bench = Bench(Workspace(folder / "home"))
    data = bench(LoadData(Data(**files, labels_per_class=40)))
    options = Teacher(model=str(base), epochs=10, learning_rate=3e-3, batch_size=8, max_length=16)
    teacher = bench(TrainTeacher(data, options, 0))
    assert teacher.dev_accuracy > teacher.majority + 0.3, "the toy task is easy"
    student = Student(embedding_size=8, hidden_size=8)
    view = bench(Label(data, teacher, Labelling(), 0))
    return Toy(
        bench=bench,
        folder=folder,
        base=base,
        data=data,
        teacher=teacher,
        view=view,
        labels=bench(Fuse(data, (teacher,), (view,), FuseOptions())),
        prepared=bench(PrepareStudent(data, teacher, student)),
        student=student,
        training=Training(epochs=2, batch_size=16, learning_rate=1e-2, evaluations=2),
    )


@pytest.fixture(scope="session")
def classes():
    """The toy classes in the data's order."""
    return sorted(WORDS)
