"""The label store: joined by key whatever the parts, refused when in doubt, resumed to the byte."""

import hashlib
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
from tasks.shared.dataset import KEY, PartWriter, read_chunks, read_keys
from tasks.shared.draw import read_texts
from tasks.shared.errors import StillhouseError
from tasks.shared.label_store import Labeller, LabelStore
from tasks.shared.label_view import digest_of, join, read_view, view_of
from tasks.shared.recipe import Data
from tasks.shared.sources import open_sources
from tasks.shared.texts import normalise

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


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), min_size=1, max_size=8))
def test_any_text_finds_its_label_from_the_file_to_the_store(texts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    lines = [json.dumps({"text": text, "label": "x"}, ensure_ascii=len(text) % 2 == 0) for text in texts]
    (folder / "train.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
    data = Data(train=str(folder / "train.jsonl"), test="-")
    sources = open_sources(data.train, data, split="train", labelled=True, where="data.train")
    known = {key: text for key, text, _, _ in read_texts(sources)}
    assert list(known.values()) == list(dict.fromkeys(filter(None, map(normalise, texts))))
    writer = PartWriter(folder / "part.parquet")
    for key, text in known.items():
        writer.add(key, text, None, 0)
    writer.close()
    assert [text for chunk in read_chunks(folder / "part.parquet") for text in chunk.texts] == list(known.values())
    keys, store = read_keys(folder / "part.parquet"), LabelStore(folder / "labels", LABELLER)
    store.write(name_of(0), keys, logits_of(range(len(keys))))
    backwards = join(store, store.parts(), keys[::-1])[0]
    np.testing.assert_array_equal(backwards, logits_of(range(len(keys)))[::-1])


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
    assert f"{name_of(0)}.parquet are of another teacher or class order" in complaint(view_of, other, keys_of([1]))


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


def rewrite(path, rows=None, metadata=None):
    """Writes a part anew, with so many of its rows and other metadata."""
    table = pq.read_table(path)
    table = table.take(rows) if rows is not None else table
    changed = {name.encode(): value.encode() for name, value in (metadata or {}).items()}
    pq.write_table(table.replace_schema_metadata(table.schema.metadata | changed), path)


def vouch(path, rows=1):
    """Makes the sidecar agree with the file, as somebody would who writes into the store by hand."""
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".json").write_text(json.dumps({"rows": rows, "sha256": sha256}))


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
        (lambda path: rewrite(path, rows=[0, 0]), "damaged"),
    ],
    ids=["flipped bit", "cut short", "empty", "gone", "an extra row"],
)
def test_a_part_that_is_not_what_it_was_is_refused_by_name(store, how, state):
    view = damaged(store, how)
    keys = keys_of([0, 1, 2])
    for reading in ((read_view, store, view, keys), (view_of, store, keys), (store.plan, "next", iter([keys]))):
        message = complaint(*reading)
        assert f"{name_of(1)}.parquet are {state}" in message
        assert f"delete them with {name_of(1)}.json, and run with --force label" in message


@pytest.mark.parametrize(
    ("rows", "metadata", "said"),
    [
        ([0, 0], {}, "have 2 rows, "),
        (None, {"stillhouse.format": "2"}, "have format '2', this Stillhouse knows 1: update it"),
        (None, {"stillhouse.labeller": "0" * 32}, "are of another teacher or class order; delete them with"),
        (None, {"stillhouse.classes": '["money", "food", "sport"]'}, "are of another teacher or class order"),
    ],
    ids=["an extra row", "a newer format", "another teacher", "another class order"],
)
def test_a_part_that_a_sidecar_vouches_for_is_still_held_to_this_labeller(store, rows, metadata, said):
    store.write(name_of(0), keys_of([1]), logits_of([1]))
    file = store.folder / "parts" / f"{name_of(0)}.parquet"
    rewrite(file, rows, metadata)
    vouch(file)
    message = complaint(view_of, store, keys_of([1]))
    assert message.startswith(f"soft labels {file} ")
    assert said in message


def test_a_part_that_lost_its_sidecar_is_refused_by_the_view_and_made_again_by_the_labelling(store):
    """It is as good as half-written: nobody says that it is whole."""
    keys = keys_of([0, 1, 2])
    view = damaged(store, lambda path: path.with_suffix(".json").unlink())
    file = store.folder / "parts" / f"{name_of(1)}.parquet"
    said = f"soft labels {file} have lost {name_of(1)}.json; run with --force label"
    assert complaint(read_view, store, view, keys) == said
    assert "1 of 3 texts have no soft label" in complaint(view_of, store, keys)
    plan = store.plan("next", iter([keys]))
    assert plan.keys.tolist() == keys_of([1]).tolist()
    store.write(name_of(1), plan.keys, logits_of([1], writer=5))
    np.testing.assert_array_equal(join(store, store.parts(), keys)[0][1], logits_of([1], writer=5)[0])


@pytest.mark.parametrize(
    "part", ["../../secret", "/etc/passwd", "CON", "x" * 10_000, "a\nb", "\x1b[31m"], ids=lambda part: ascii(part[:20])
)
def test_a_view_names_no_file_outside_the_store(store, part):
    view = {"parts": [{"name": part, "rows": 1, "sha256": "0" * 64}], "rows": 1, "digest": "0" * 64}
    message = complaint(read_view, store, view, keys_of([1]))
    assert message.endswith("is no part of soft labels; run with --force label")
    assert len(message) < 200


@pytest.mark.parametrize(
    "view", [{"parts": [{}]}, {"parts": 3}, {"parts": [{"name": "a", "rows": "x", "sha256": ""}]}, {}]
)
def test_a_damaged_view_is_refused(store, view):
    assert "the view of soft labels in" in complaint(read_view, store, view, keys_of([1]))


def test_a_store_of_a_newer_format_is_refused(store, tmp_path):
    identity = store.folder / "labeller.json"
    content = json.loads(identity.read_text())
    identity.write_text(json.dumps(content | {"format": 2}))
    said = f"soft labels {store.folder} have format 2, this Stillhouse knows 1: update it"
    assert complaint(LabelStore, tmp_path / "labels", LABELLER) == said
    identity.write_text("{")
    assert f"{identity} is damaged" in complaint(LabelStore, tmp_path / "labels", LABELLER)
    identity.unlink()
    assert LabelStore(tmp_path / "labels", LABELLER).parts() == []


def test_a_damaged_plan_is_refused(store):
    store.plan("step", wanted())
    (store.folder / "plans" / "step.npy").write_bytes(b"\x93NUMPY")
    assert "step.npy is damaged; delete it" in complaint(store.plan, "step", wanted())


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
