"""Step fuse: what several teachers say, joined by text, calibrated on dev, and scored there together."""

from dataclasses import replace

import numpy as np
import pytest

from models.calibration import fit_temperature, log_softmax
from tasks.fuse import Fuse
from tasks.label import Label
from tasks.shared.dataset import gold_of, read_keys, read_labels
from tasks.shared.errors import StillhouseError
from tasks.shared.label_files import FolderFiles
from tasks.shared.label_store import LabelStore
from tasks.shared.label_view import read_view
from tasks.shared.recipe_teaching import Fuse as FuseOptions
from tasks.shared.soft_labels import read_soft_labels
from tasks.train_teacher import TrainTeacher
from tests.settled import Labelling, Teacher


@pytest.fixture(scope="module")
def two(toy, tmp_path_factory):
    """Two teachers of one data set: one names its classes in another order, and reads less."""
    folder = toy.reordered(tmp_path_factory.mktemp("teachers") / "other")
    options = Teacher(model=str(folder), epochs=1, learning_rate=1e-3, batch_size=8, max_length=9, seed=1)
    other = toy.bench(TrainTeacher(toy.data, options, 1))
    return (toy.teacher, other), (toy.view, toy.bench(Label(toy.data, other, Labelling(), 1)))


def dev_logits(teacher):
    return np.load(teacher.dev_logits)


def fuse(toy, two, **options):
    return Fuse(toy.data, *two, FuseOptions(**options))


def alone(toy, view):
    """What one teacher says of the transfer texts."""
    store = LabelStore(FolderFiles(toy.bench.workspace.labels), view.labeller)
    return read_view(store, view.view, read_keys(toy.data.file("transfer")))


def together(toy, step):
    return read_soft_labels(toy.bench(step).file, read_keys(toy.data.file("transfer")))


def test_the_labels_of_one_teacher_are_its_view(toy):
    step = Fuse(toy.data, (toy.teacher,), (toy.view,), FuseOptions())
    np.testing.assert_array_equal(together(toy, step), alone(toy, toy.view))
    assert toy.bench(step).dev_accuracy == toy.teacher.dev_accuracy


def test_two_teachers_are_calibrated_on_dev_and_joined_by_text(toy, two):
    step = fuse(toy, two)
    gold = read_labels(toy.data.file("dev"))
    temperatures = [fit_temperature(dev_logits(teacher), gold) for teacher in two[0]]
    assert temperatures[0] != pytest.approx(temperatures[1], rel=0.01)
    said = [np.exp(log_softmax(alone(toy, view) / t)) for view, t in zip(two[1], temperatures, strict=True)]
    np.testing.assert_allclose(np.exp(together(toy, step)), np.mean(said, axis=0), atol=1e-6)
    record = toy.bench(step)
    on_dev = [np.exp(log_softmax(dev_logits(teacher) / t)) for teacher, t in zip(two[0], temperatures, strict=True)]
    assert record.dev_accuracy == (np.mean(on_dev, axis=0).argmax(-1) == gold).mean()
    assert f"216 texts of 2 teachers; together {record.dev_accuracy:.1%} of dev right, alone" in step.summary(record)
    assert sorted(path.name for path in record.path.iterdir()) == ["manifest.json", "soft-labels.parquet"]


def test_gold_labels_weigh_where_there_are_any(toy, two):
    known = gold_of(toy.data, read_keys(toy.data.file("transfer"))) >= 0
    even, gold = (together(toy, fuse(toy, two, method=method)) for method in ("probabilities", "gold"))
    np.testing.assert_array_equal(even[~known], gold[~known])
    assert not np.allclose(even[known], gold[known], atol=1e-3)


def test_what_decides(toy, two):
    ways = [{"method": method, "calibrate": calibrate} for method in ("logits", "gold") for calibrate in (False, True)]
    assert len({fuse(toy, two, **way).key for way in ways}) == 4
    step = fuse(toy, two)
    assert replace(step, labels=step.labels[::-1], teachers=step.teachers[::-1]).key != step.key
    one, other = (Fuse(toy.data, two[0][:1], two[1][:1], FuseOptions(**way)) for way in (ways[0], ways[-1]))
    assert one.key == other.key, "there is nothing to weigh"
    assert replace(one, teachers=(replace(two[0][0], digest="0"),)).key == one.key, "it says the same"


def test_every_text_finds_its_labels_in_any_order_and_a_missing_one_is_told(toy, two):
    file, keys = toy.bench(fuse(toy, two)).file, read_keys(toy.data.file("transfer"))
    order = np.random.default_rng(0).permutation(len(keys))
    np.testing.assert_array_equal(read_soft_labels(file, keys[order]), read_soft_labels(file, keys)[order])
    strange = np.concatenate([keys[:3], read_keys(toy.data.file("dev"))[:2]])
    with pytest.raises(StillhouseError, match="2 of 5 texts have no soft label"):
        read_soft_labels(file, strange)
