"""The label store: joined by key whatever the parts, refused when in doubt, resumed to the byte."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.shared import label_store
from tasks.shared.dataset import KEY
from tasks.shared.errors import StillhouseError
from tasks.shared.label_store import Labeller, LabelStore, digest_of, join, read_view, view_of

LABELLER = Labeller(
    teacher="a" * 64,
    classes=("food", "money", "sport"),
    max_length=16,
    precision="fp32",
    engine="torch",
    normalisation=1,
    problem_type="single-label",
)


def name_of(number):
    return f"{number:016x}-000000"


def keys_of(numbers):
    """A 32-byte key for each number; many end in zeros, as some hashes do."""
    return np.array([number.to_bytes(4, "big").ljust(32, b"\0") for number in numbers], KEY)


def logits_of(numbers, writer=0):
    """Three logits that name the text, and who wrote them."""
    return np.array([[number, number + 0.5, writer] for number in numbers], np.float32).reshape(-1, 3)


@pytest.fixture
def store(tmp_path):
    return LabelStore(tmp_path / "labels", LABELLER)


def complaint(function, *arguments):
    with pytest.raises(StillhouseError) as caught:
        function(*arguments)
    assert str(caught.value).isprintable()
    return str(caught.value)


numbers = st.integers(0, 2**32 - 1)


@settings(max_examples=40, deadline=None)
@given(
    parts=st.lists(st.lists(numbers, min_size=1, max_size=8, unique=True), min_size=1, max_size=5),
    order=st.randoms(use_true_random=False),
)
def test_any_order_sharding_and_duplication_join_the_same(parts, order, tmp_path_factory):
    root = tmp_path_factory.mktemp("labels")
    store = LabelStore(root, LABELLER)
    writing = list(enumerate(parts))
    order.shuffle(writing)
    for place, part in writing:
        store.write(name_of(place), keys_of(part), logits_of(part, writer=place))
    # The part whose name sorts first wins, whoever wrote first.
    winner = {number: place for place, part in reversed(list(enumerate(parts))) for number in part}
    wanted = order.sample(sorted(winner), order.randint(1, len(winner)))
    expected = np.concatenate([logits_of([number], winner[number]) for number in wanted])
    np.testing.assert_array_equal(join(store, store.parts(), keys_of(wanted))[0], expected)
    view = view_of(store, keys_of(wanted))
    np.testing.assert_array_equal(read_view(store, view, keys_of(wanted)), expected)

    other = LabelStore(root / "other", LABELLER)
    other.write(name_of(0), keys_of(sorted(wanted)), expected[np.argsort(keys_of(wanted))])
    again = view_of(other, keys_of(wanted))
    assert again["digest"] == view["digest"] == digest_of(keys_of(wanted), expected)
    assert again["rows"] == view["rows"] == len(wanted)


def test_the_digest_is_of_keys_and_logits():
    keys, logits = keys_of([1, 2]), logits_of([1, 2])
    digest = digest_of(keys, logits)
    assert digest == digest_of(keys[::-1], logits[::-1])
    assert digest != digest_of(keys, logits[::-1])
    assert digest != digest_of(keys[:1], logits[:1])
    assert digest != digest_of(keys_of([1, 3]), logits)
    assert digest != digest_of(keys, np.nextafter(logits, np.float32(np.inf)))


def test_a_label_that_is_missing_is_refused_and_counted(store):
    assert "2 of 2 texts have no soft label" in complaint(view_of, store, keys_of([1, 2]))
    store.write(name_of(0), keys_of([1, 2, 3]), logits_of([1, 2, 3]))
    message = complaint(view_of, store, keys_of([3, 4, 2, 5, 1]))
    assert "2 of 5 texts have no soft label" in message
    assert "one has key 0000000400000000..." in message
    assert "--force label" in message
    assert view_of(store, keys_of([]))["rows"] == 0


def test_another_labellers_labels_are_refused(store, tmp_path):
    store.write(name_of(0), keys_of([1]), logits_of([1]))
    other = LabelStore(tmp_path / "labels", replace(LABELLER, classes=("money", "food", "sport")))
    for path in (store.folder / "parts").iterdir():
        (other.folder / "parts" / path.name).write_bytes(path.read_bytes())
    assert f"{name_of(0)}.parquet are of another teacher, class order or format" in complaint(
        view_of, other, keys_of([1])
    )


@pytest.mark.parametrize(
    "change",
    [
        {"teacher": "b" * 64},
        {"classes": ("money", "food", "sport")},
        {"classes": ("food", "money")},
        {"max_length": 17},
        {"precision": "fp16"},
        {"engine": "onnx"},
        {"normalisation": 2},
        {"problem_type": "multi-label"},
    ],
)
def test_whatever_the_logits_depend_on_makes_another_store(change):
    assert replace(LABELLER, **change).id != LABELLER.id
    assert replace(LABELLER).id == LABELLER.id


def damaged(store, how):
    """The same store with its second part damaged."""
    for number in range(3):
        store.write(name_of(number), keys_of([number]), logits_of([number]))
    view = view_of(store, keys_of([0, 1, 2]))
    how(store.folder / "parts" / f"{name_of(1)}.parquet")
    return view


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("how", "state"),
    [
        (flip, "damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "damaged"),
        (lambda path: path.write_bytes(b""), "damaged"),
        (lambda path: path.unlink(), "missing"),
    ],
    ids=["flipped bit", "cut short", "empty", "gone"],
)
def test_a_part_that_is_not_what_it_was_is_refused_by_name(store, how, state):
    view = damaged(store, how)
    keys = keys_of([0, 1, 2])
    for reading in ((read_view, store, view, keys), (view_of, store, keys), (store.plan, "next", iter([keys]))):
        message = complaint(*reading)
        assert f"{name_of(1)}.parquet are {state}" in message
        assert f"delete them with {name_of(1)}.json, and run with --force label" in message


@pytest.mark.parametrize("content", ["", "{", "[]", '{"rows": 1}', '{"rows": "many", "sha256": ""}'])
def test_a_broken_sidecar_is_refused_by_name(store, content):
    store.write(name_of(0), keys_of([1]), logits_of([1]))
    (store.folder / "parts" / f"{name_of(0)}.json").write_text(content)
    assert f"{name_of(0)}.json is damaged" in complaint(store.parts)


def test_the_advice_for_a_damaged_part_works(store):
    damaged(store, flip)
    for suffix in (".parquet", ".json"):
        (store.folder / "parts" / f"{name_of(1)}{suffix}").unlink()
    plan = store.plan("next", iter([keys_of([0, 1, 2])]))
    assert plan.keys.tolist() == keys_of([1]).tolist()
    for name, keys in plan.parts():
        store.write(name, keys, logits_of([1]))
    assert view_of(store, keys_of([0, 1, 2]))["digest"] == digest_of(keys_of([0, 1, 2]), logits_of([0, 1, 2]))


def test_labels_that_changed_since_the_view_are_refused(store):
    store.write(name_of(0), keys_of([1]), logits_of([1]))
    view = view_of(store, keys_of([1]))
    assert "changed since they were made" in complaint(read_view, store, view | {"digest": "0" * 64}, keys_of([1]))
    store.write(name_of(1), keys_of([1, 2]), logits_of([1, 2], writer=7))
    np.testing.assert_array_equal(read_view(store, view, keys_of([1])), logits_of([1]))
    assert "no soft label" in complaint(read_view, store, view, keys_of([2])), "a view has no more than its parts"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_refused(store, bad):
    logits = logits_of([1, 2, 3])
    logits[1, 2] = bad
    assert "the teacher gives 1 of 3 texts logits that are not finite" in complaint(
        store.write, name_of(0), keys_of([1, 2, 3]), logits
    )
    assert store.parts() == []


def test_a_half_written_part_is_not_there(store):
    store.write(name_of(0), keys_of([1]), logits_of([1]))
    parts = store.folder / "parts"
    (parts / f"{name_of(1)}.parquet").write_bytes((parts / f"{name_of(0)}.parquet").read_bytes())
    (parts / f"{name_of(2)}.1234.partial").write_bytes(b"PAR1")
    (parts / "notes.json").write_text("{}")
    assert [part.name for part in store.parts()] == [name_of(0)]
    assert not store.holds(name_of(1))
    assert store.plan("next", iter([keys_of([1, 2])])).keys.tolist() == keys_of([2]).tolist()


def test_a_part_is_never_written_over(store):
    store.write(name_of(0), keys_of([1]), logits_of([1]))
    before = store.parts()
    store.write(name_of(0), keys_of([1]), logits_of([1], writer=9))
    assert store.parts() == before
    np.testing.assert_array_equal(join(store, before, keys_of([1]))[0], logits_of([1]))


def test_the_files_say_what_they_are(store):
    store.write(name_of(0), keys_of([1, 2]), logits_of([1, 2]))
    [file] = (store.folder / "parts").glob("*.parquet")
    frame = pd.read_parquet(file)
    assert frame["key"].tolist() == [bytes(key).ljust(32, b"\0") for key in keys_of([1, 2])]
    assert np.stack(frame["logits"]).tolist() == logits_of([1, 2]).tolist()
    schema = pq.read_schema(file)
    assert str(schema.field("logits").type) == "fixed_size_list<element: float>[3]"
    assert schema.metadata[b"stillhouse.teacher"].decode() == LABELLER.teacher
    assert json.loads(schema.metadata[b"stillhouse.classes"]) == list(LABELLER.classes)
    assert schema.metadata[b"stillhouse.problem_type"] == b"single-label"
    assert schema.metadata[b"stillhouse.format"] == b"1"
    known = json.loads((store.folder / "labeller.json").read_text())
    assert known["teacher"] == LABELLER.teacher
    assert known["max_length"] == 16


# Plans

WANTED = list(range(100, 0, -1))


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(label_store, "ROWS_IN_PART", 16)


def wanted(count=100):
    """Keys of the first texts, some at a time, as they are read from a file."""
    return iter([keys_of(WANTED[start : min(start + 30, count)]) for start in range(0, count, 30)])


def carry_out(plan, store, parts=None):
    """Labels what a plan lacks, as a teacher would whose logits depend on batch mates; stops after some parts."""
    done = 0
    for name, keys in plan.parts():
        if store.holds(name):
            continue
        if done == parts:
            return
        texts = [int.from_bytes(key.ljust(32, b"\0")[:4], "big") for key in keys.tolist()]
        store.write(name, keys, logits_of(texts) + np.float32(1e-5) * len(texts) * texts[0])
        done += 1


def files_of(store):
    return {path.name: path.read_bytes() for path in (store.folder / "parts").iterdir()}


@pytest.mark.parametrize("parts", [0, 1, 5])
def test_a_killed_labelling_goes_on_with_its_plan_and_ends_equal_to_the_byte(tmp_path, parts):
    undisturbed, killed = (LabelStore(tmp_path / name, LABELLER) for name in ("undisturbed", "killed"))
    whole = undisturbed.plan("step", wanted())
    carry_out(whole, undisturbed)
    carry_out(killed.plan("step", wanted()), killed, parts)
    # What happens meanwhile must not change the plan: somebody labels some of the same texts.
    killed.write("0" * 16 + "-000000", keys_of(WANTED[50:60]), logits_of(WANTED[50:60], writer=1))
    resumed = LabelStore(tmp_path / "killed", LABELLER).plan("step", wanted())
    np.testing.assert_array_equal(resumed.keys, whole.keys)
    carry_out(resumed, killed)
    found = files_of(killed)
    assert files_of(undisturbed).items() <= found.items()
    assert len(found) == len(files_of(undisturbed)) + 2


def test_a_plan_is_there_before_the_first_part_and_gone_after_the_last(store):
    plan = store.plan("step", wanted())
    assert [path.name for path in (store.folder / "plans").iterdir()] == ["step.npy"]
    carry_out(plan, store)
    store.finish("step")
    store.finish("step")
    assert list((store.folder / "plans").iterdir()) == []
    assert len(store.plan("other", wanted()).keys) == 0
    assert list((store.folder / "plans").iterdir()) == [], "nothing to do needs no plan"


def test_only_what_is_new_is_planned_in_the_order_it_was_asked_for(store):
    first = store.plan("first", wanted(40))
    carry_out(first, store)
    second = store.plan("second", wanted())
    assert second.keys.tolist() == keys_of(WANTED[40:]).tolist()
    assert second.id != first.id
    assert not {name for name, _ in first.parts()} & {name for name, _ in second.parts()}
    assert [len(keys) for _, keys in second.parts()] == [16, 16, 16, 12]


def test_the_names_of_parts_follow_from_the_keys(store):
    names = [name for name, _ in store.plan("a", wanted()).parts()]
    assert names == [name for name, _ in store.plan("b", wanted()).parts()]
    assert names == sorted(names)
    assert names != [name for name, _ in label_store.Plan(keys_of(sorted(WANTED))).parts()]


WRITE = """
import sys
from pathlib import Path
from tests.tasks.test_label_store import LABELLER, carry_out, wanted
from tasks.shared import label_store
label_store.ROWS_IN_PART = 16
store = label_store.LabelStore(Path(sys.argv[1]), LABELLER)
plan = store.plan(sys.argv[2], wanted())
print("ready", flush=True)
sys.stdin.readline()
carry_out(plan, store)
"""


def test_two_writers_of_the_same_texts_leave_whole_parts(tmp_path):
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE, tmp_path, name],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    store = LabelStore(tmp_path, LABELLER)
    assert view_of(store, np.concatenate(list(wanted())))["rows"] == 100
    assert {path.suffix for path in (store.folder / "parts").iterdir()} == {".parquet", ".json"}
