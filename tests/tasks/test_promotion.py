"""What keeps a student, however it compares with the champion, from taking that alias by itself."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tasks.evaluate import ScoreRecord
from tasks.judge import ResultRecord
from tasks.load_data import LoadData
from tasks.register import Register
from tasks.shared.dataset import read_labels
from tasks.shared.gate_rows import GateRows
from tasks.shared.outputs import hash_folder, hash_of
from tasks.shared.recipe_data import Data
from tasks.shared.recipe_promotion import Promotion
from tasks.shared.registry import Registry
from tasks.shared.tracking import Tracker, open_client
from tasks.train_student import TrainStudent
from tests.toy import toy_rows, write_csv


@pytest.fixture
def registry(bench):
    return Registry(bench.workspace)


@pytest.fixture
def student(toy):
    """A real student; a test gives it another score on dev, and with that another digest."""
    return toy.bench(toy.small(TrainStudent))


@pytest.fixture
def step(toy, bench, student):
    """The step that registers a student and the toy's teacher, each time as another run."""
    tracker = Tracker(bench.workspace, "toy")

    def made(
        score=0.8, gain=0.01, outcome="INCONCLUSIVE", data=None, known=True, twins=(), ms=1.0, model=None, **bounds
    ):
        bench.run = tracker.start("register", {})
        model = model or replace(student, dev_accuracy=score, digest=f"student that gets {score}")
        others = [replace(student, role="twin", seed=seed, dev_accuracy=twin) for seed, twin in enumerate(twins)]
        right = 1.0 if known else None
        scores = tuple(
            ScoreRecord(Path("card"), "0", each, right, right, {"ms_per_text": ms})
            for each in (model, toy.teacher, *others)
        )
        result = ResultRecord(Path("result"), "0", {"outcome": outcome, "difference": gain}, "", {}, scores)
        return Register(data or toy.data, result, "toy-student", "toy-teacher", Promotion(**bounds))

    return made


@pytest.fixture
def register(bench, step):
    """What became of the student."""
    return lambda *arguments, **options: bench(step(*arguments, **options)).models[0]


def champion(registry, name="toy-student"):
    found = registry.with_alias(name, "champion")
    return found and found.number


def test_a_student_that_lost_to_its_twin_takes_no_alias_whatever_the_verdict(register, registry):
    """One 26 points below its twin became champion: with two seeds the verdict is INCONCLUSIVE."""
    model = register(0.7, gain=-0.26)
    assert not model.champion
    assert model.reason == "students measured 26 points less accurate than their twins on test"
    assert champion(registry) is None, "not as the first of its name either"
    assert registry.get("toy-student", 1).tags["promoted"] == "no"
    register(0.8)
    assert not register(0.9, gain=-1e-4).champion, "nor with more of dev right than the champion"
    assert champion(registry) == 2
    assert register(0.95, gain=0.0).champion, "as good as its twin is no loss"
    assert champion(registry, "toy-teacher") == 1, "there is no twin of a teacher"


def test_a_gain_that_other_twins_turn_is_decided_anew(register, registry):
    """The same student, and an INCONCLUSIVE verdict before and after."""
    assert not register(0.8, gain=-0.01).champion
    model = register(0.8, gain=0.01)
    assert (model.version, model.champion) == (1, True)


def test_where_test_has_no_labels_the_twins_on_dev_are_looked_at(step, bench, register, registry):
    blank = {"known": False, "gain": 0.0}
    model = register(0.7, twins=(0.8, 0.9), **blank)
    assert not model.champion
    assert model.reason == "students measured 15 points less accurate than their twins on dev"
    assert register(0.71, twins=(0.6, 0.8), **blank).champion
    assert step(0.71, twins=(0.9, 0.8), **blank).key != step(0.71, twins=(0.6, 0.8), **blank).key
    assert register(0.15 + 0.6, twins=(0.7, 0.8), **blank).champion, "a rounding is no loss"


@pytest.mark.parametrize("rows", [0, 1])
def test_a_student_no_better_than_the_commonest_class_takes_no_alias(toy, register, registry, rows):
    labels = read_labels(toy.data.file("dev"))
    trivial = int(np.bincount(labels).max())
    model = register((trivial + rows) / len(labels), outcome="BEATS")
    assert model.champion == (rows == 1)
    if not rows:
        assert (
            model.reason == f"{trivial / len(labels):.2%} of dev right, no more than the 33.33% of always saying 'food'"
        )
        assert champion(registry) is None


@pytest.fixture
def skewed(toy, bench, tmp_path):
    """Data whose gate file is of one class for the most part."""
    rows = toy_rows(120, seed=7)
    gate = [row for row in rows if row[1] == "sport"] + [row for row in rows if row[1] != "sport"][:16]
    source = Data(
        train=str(toy.folder / "train.csv"),
        test=str(toy.folder / "test.csv"),
        gate=write_csv(tmp_path / "gate.csv", gate),
        labels_per_class=40,
    )
    return bench(LoadData(source))


def monotonous(folder, path, name):
    """A copy of a model that always says one class."""
    shutil.copytree(folder, path)
    weights = load_file(path / "model.safetensors")
    [bias] = [key for key, value in weights.items() if key.endswith("bias") and value.shape == (3,)]
    weights[bias] = torch.full((3,), -1e4).index_fill(0, torch.tensor(["food", "money", "sport"].index(name)), 1e4)
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
    return path


def test_nor_does_a_model_that_only_ever_says_the_commonest_class_of_the_gate_rows(
    toy, bench, student, skewed, step, registry, tmp_path
):
    """A student 68.7 % accurate with a macro-F1 of 41.9 became champion. On dev this one looks good."""
    path = monotonous(student.path, tmp_path / "student", "sport")
    model = replace(student, path=path, digest="monotonous", dev_accuracy=0.9)
    teacher = replace(
        toy.teacher, path=monotonous(toy.teacher.path, tmp_path / "teacher", "sport"), digest="monotonous too"
    )
    one = step(model=model, data=skewed)
    scores = tuple(replace(score, model=each) for score, each in zip(one.result.scores, (model, teacher), strict=True))
    said = "71.43% of gate right, no more than the 71.43% of always saying 'sport'"
    for found in bench(replace(one, result=replace(one.result, scores=scores))).models:
        assert (found.champion, found.reason) == (False, said)
    assert champion(registry) is champion(registry, "toy-teacher") is None


def test_an_alias_that_a_person_gives_such_a_student_stays_with_it(bench, step, register, registry):
    register(0.7, gain=-0.26)
    registry.point("champion", registry.get("toy-student", 1))
    [model, _] = bench(step(0.7, gain=-0.26)).models
    assert model.champion
    assert model.reason.endswith("on test; the alias has moved since")
    bench.make(step(0.7, gain=-0.26))
    assert champion(registry) == 1
    assert register(0.71).champion, "it is compared with, as any champion"


# Bounds


@pytest.fixture
def large(toy):
    """A student several times as large."""
    shape = toy.student.model_copy(update={"hidden_size": 64})
    return replace(toy.bench(toy.small(TrainStudent, student=shape)), dev_accuracy=0.99, digest="large")


def megabytes(model):
    return sum(file.stat().st_size for file in model.path.glob("*.safetensors")) / 1e6


def test_a_student_much_larger_than_the_champion_takes_its_place_only_where_that_is_asked_for(
    student, large, register, registry
):
    """One of 36.6 MB replaced one of 7.5 MB unasked."""
    times = megabytes(large) / megabytes(student)
    assert times > 3
    register(0.8)
    model = register(model=large)
    assert not model.champion
    sizes = f"its {megabytes(large):.3g} MB of weights are {times:.1f} times the {megabytes(student):.3g} MB"
    told = f"{sizes} of the champion, version 1, more than promotion.max_growth, 2"
    assert model.reason == f"99.00% of dev right, but {told}"
    assert not register(model=large, max_growth=times - 0.01).champion
    assert register(model=large, max_growth=times + 0.01).champion, "another bound is decided anew"
    assert champion(registry) == 2
    assert register(0.995, max_growth=1).champion, "a smaller one may always"


def test_where_no_growth_is_too_much_it_takes_it(large, register):
    register(0.8)
    assert register(model=large, max_growth=None).champion


def test_the_first_of_its_name_grows_from_nothing(large, register):
    assert register(model=large).champion


@pytest.mark.parametrize("written", ["", "0", "-5", "many", "9" * 30, "²"])
def test_a_size_that_a_person_changed_or_that_nobody_wrote_is_measured(bench, large, register, registry, written):
    register(0.8)
    client = open_client(bench.workspace)
    client.delete_model_version_tag("toy-student", "1", "stillhouse.bytes")
    if written:
        client.set_model_version_tag("toy-student", "1", "stillhouse.bytes", written)
    assert not register(model=large).champion
    champion_now = registry.with_alias("toy-student", "champion")
    folder = registry.folder(champion_now)
    assert int(champion_now.tags["bytes"]) == (folder / "model.safetensors").stat().st_size


def test_a_student_larger_than_allowed(large, register, registry):
    size = megabytes(large)
    model = register(model=large, max_megabytes=size - 1e-3)
    assert (model.champion, champion(registry)) == (False, None)
    assert model.reason == f"{size:.3g} MB of weights, more than promotion.max_megabytes, {size - 1e-3:g}"
    assert register(model=large, max_megabytes=size).champion


def test_a_student_slower_than_allowed_and_one_that_is_measured_anew(register, registry):
    model = register(0.8, ms=2.0, max_ms_per_text=1.5)
    assert (model.champion, champion(registry)) == (False, None)
    assert model.reason == "2.00 ms a text, more than promotion.max_ms_per_text, 1.5"
    assert not register(0.8, ms=1.9, max_ms_per_text=1.5).champion
    assert register(0.8, ms=1.4, max_ms_per_text=1.5).champion, "on another machine it is fast enough"


def test_how_fast_it_is_decides_nothing_where_nobody_asks(step):
    assert step(ms=1.0).key == step(ms=9.0).key
    assert step(ms=1.0, max_ms_per_text=1.5).key == step(ms=1.1, max_ms_per_text=1.5).key
    assert step(ms=1.0, max_ms_per_text=1.5).key != step(ms=9.0, max_ms_per_text=1.5).key


def test_macro_f1_is_compared_on_the_rows_that_decide(toy, student, register, registry, tmp_path):
    """By its score on dev it may be champion; of dev's classes it knows one."""
    register(0.5)
    one_class = replace(
        student, path=monotonous(student.path, tmp_path / "one", "sport"), digest="one class", dev_accuracy=1.0
    )
    model = register(model=one_class, max_macro_f1_loss=0.05)
    assert not model.champion
    assert model.reason.startswith("100.00% of dev right, but macro-F1 falls from the ")
    assert model.reason.endswith(" of the champion, version 1, to 16.7, by more than promotion.max_macro_f1_loss, 0.05")
    assert registry.get("toy-student", 1).tags["gate_score"] == "0.5", "what was written of it stays"
    other = replace(toy.data, digests={**toy.data.digests, "dev": "other rows"})
    register(model=one_class, max_macro_f1_loss=0.05, data=other)
    tags = registry.get("toy-student", 1).tags
    assert tags["gate_macro_f1_rows"] == tags["gate_rows"] == GateRows(other).digest, (
        "what was measured of other rows is no answer"
    )
    assert register(model=one_class, max_macro_f1_loss=1.0).champion


def test_a_recipe_that_bounds_nothing_decides_by_what_it_did_before(toy, step):
    """What was decided, and made, by an older Stillhouse stays so: no alias moves on an update."""
    one = step(0.8, gain=0.01, outcome="BEATS")
    assert set(one.inputs()) == {"models", "gate", "verdict"}
    assert one.inputs()["verdict"] == ["BEATS", 0.01]
    rows = hash_of([toy.data.digests["dev"], toy.data.classes])
    assert one.inputs()["gate"] == rows
    assert one._gate.facts("student") == hash_of([rows, "BEATS"])
    assert one._gate.facts("teacher") == hash_of([rows, None])
    assert step(0.8, max_growth=3.0).key != step(0.8).key
    assert step(0.8, max_growth=3.0)._gate.facts("teacher") == one._gate.facts("teacher")


def test_a_run_says_why_a_version_is_not_champion(bench, step):
    bench(step(0.8))
    record = bench(step(0.7))
    assert record.sentence == (
        "toy-student version 2, not champion: 70.00% of dev right, below the 80.00% of the champion, version 1; "
        "toy-teacher version 1, champion"
    )
    assert hash_folder(record.path)
