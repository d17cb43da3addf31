"""The label store: joined by key whatever the parts, and refused when in doubt."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.shared.dataset import KEY, PartWriter, read_chunks, read_keys
from tasks.shared.errors import StillhouseError
from tasks.shared.label_files import FolderFiles
from tasks.shared.label_plan import missing
from tasks.shared.label_store import LabelStore, Part, all_stores
from tasks.shared.label_view import all_there, digest_of, read_view, view_of
from tasks.shared.labeller import Labeller
from tasks.shared.recipe_data import Data
from tasks.shared.scan import read_texts
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


def place_of(number):
    return f"{number:016x}-000000"


def folder_of(store):
    return Path(store.place)


def file_of(store, number=0):
    """The only part that was written at a place."""
    [file] = (folder_of(store) / "parts").glob(f"{place_of(number)}-*.parquet")
    return file


def keys_of(numbers):
    """A 32-byte key for each number; many end in zeros, as some hashes do."""
    return np.array([number.to_bytes(4, "big").ljust(32, b"\0") for number in numbers], KEY)


def logits_of(numbers, writer=0):
    """Three logits that name the text, and who wrote them."""
    return np.array([[number, number + 0.5, writer] for number in numbers], np.float32).reshape(-1, 3)


@pytest.fixture
def store(tmp_path):
    return LabelStore(FolderFiles(tmp_path / "labels"), LABELLER)


def labels(store, keys):
    """What a store says of keys."""
    return read_view(store, view_of(store, keys), keys)


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
    store = LabelStore(FolderFiles(root), LABELLER)
    writing = list(enumerate(parts))
    order.shuffle(writing)
    for place, part in writing:
        store.write(place_of(place), keys_of(part), logits_of(part, writer=place))
    # The part whose name sorts first wins, whoever wrote first.
    winner = {number: place for place, part in reversed(list(enumerate(parts))) for number in part}
    wanted = order.sample(sorted(winner), order.randint(1, len(winner)))
    expected = np.concatenate([logits_of([number], winner[number]) for number in wanted])
    view = view_of(store, keys_of(wanted))
    np.testing.assert_array_equal(read_view(store, view, keys_of(wanted)), expected)

    other = LabelStore(FolderFiles(root / "other"), LABELLER)
    other.write(place_of(0), keys_of(sorted(wanted)), expected[np.argsort(keys_of(wanted))])
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
    known = {key: text for key, text, *_ in read_texts(sources)}
    assert list(known.values()) == list(dict.fromkeys(filter(None, map(normalise, texts))))
    writer = PartWriter(folder / "part.parquet")
    for key, text in known.items():
        writer.add(key, text, None, 0)
    writer.close()
    assert [text for chunk in read_chunks(folder / "part.parquet") for text in chunk.texts] == list(known.values())
    keys, store = read_keys(folder / "part.parquet"), LabelStore(FolderFiles(folder / "labels"), LABELLER)
    store.write(place_of(0), keys, logits_of(range(len(keys))))
    np.testing.assert_array_equal(labels(store, keys[::-1]), logits_of(range(len(keys)))[::-1])


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
    store.write(place_of(0), keys_of([1, 2, 3]), logits_of([1, 2, 3]))
    message = complaint(view_of, store, keys_of([3, 4, 2, 5, 1]))
    assert "2 of 5 texts have no soft label" in message
    assert "one has key 0000000400000000..." in message
    assert "--force label" in message
    assert view_of(store, keys_of([]))["rows"] == 0


def test_another_labellers_labels_are_refused(store, tmp_path):
    store.write(place_of(0), keys_of([1]), logits_of([1]))
    other = LabelStore(FolderFiles(tmp_path / "labels"), replace(LABELLER, classes=("money", "food", "sport")))
    shutil.copytree(folder_of(store) / "parts", folder_of(other) / "parts")
    assert f"{file_of(store).name} are of another teacher or class order" in complaint(view_of, other, keys_of([1]))


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
        {"stored": "float16"},
    ],
)
def test_whatever_the_logits_depend_on_makes_another_store(change):
    assert replace(LABELLER, **change).id != LABELLER.id
    assert replace(LABELLER).id == LABELLER.id


def damaged(store, how):
    """The same store with its second part damaged."""
    for number in range(3):
        store.write(place_of(number), keys_of([number]), logits_of([number]))
    view = view_of(store, keys_of([0, 1, 2]))
    how(file_of(store, 1))
    return view


def rewrite(path, rows=None, metadata=None):
    """Writes a part anew, with so many of its rows and other metadata."""
    table = pq.read_table(path)
    table = table.take(rows) if rows is not None else table
    changed = {name.encode(): value.encode() for name, value in (metadata or {}).items()}
    pq.write_table(table.replace_schema_metadata(table.schema.metadata | changed), path)
    return path


def vouch(path, rows=1):
    """Makes name and sidecar agree with the file, as somebody would who writes into the store by hand."""
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".json").unlink()
    path = path.rename(path.with_name(f"{path.stem.rpartition('-')[0]}-{sha256[:16]}.parquet"))
    path.with_suffix(".json").write_text(json.dumps({"rows": rows, "sha256": sha256}))
    return path


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
    name, keys = view["parts"][1]["name"], keys_of([0, 1, 2])
    for reading in ((read_view, store, view, keys), (view_of, store, keys), (missing, store, keys)):
        message = complaint(*reading)
        assert f"{name}.parquet are {state}" in message
        assert f"delete them with {name}.json, and run with --force label" in message


@pytest.mark.parametrize(
    ("rows", "metadata", "said"),
    [
        ([0, 0], {}, "have 2 rows, but 1 were written"),
        (None, {"stillhouse.format": "3"}, "have format '3', this Stillhouse knows 2: update it"),
        (None, {"stillhouse.labeller": "0" * 32}, "are of another teacher or class order; delete them with"),
        (None, {"stillhouse.classes": '["money", "food", "sport"]'}, "are of another teacher or class order"),
    ],
    ids=["an extra row", "a newer format", "another teacher", "another class order"],
)
def test_a_part_that_a_sidecar_vouches_for_is_still_held_to_this_labeller(store, rows, metadata, said):
    store.write(place_of(0), keys_of([1]), logits_of([1]))
    file = vouch(rewrite(file_of(store), rows, metadata))
    message = complaint(view_of, store, keys_of([1]))
    assert message.startswith(f"soft labels {file} ")
    assert said in message


def test_a_part_that_lost_its_sidecar_is_not_there_and_made_again_by_the_labelling(store):
    """It is as good as half-written: nobody says that it is whole."""
    keys = keys_of([0, 1, 2])
    view = damaged(store, lambda path: path.with_suffix(".json").unlink())
    assert not all_there(store, view)
    assert "1 of 3 texts have no soft label" in complaint(view_of, store, keys)
    assert missing(store, keys).tolist() == keys_of([1]).tolist()
    store.write(place_of(1), keys_of([1]), logits_of([1], writer=5))
    np.testing.assert_array_equal(labels(store, keys)[1], logits_of([1], writer=5)[0])
    assert all_there(store, view_of(store, keys))


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
    store.write(place_of(0), keys_of([1]), logits_of([1]))
    identity = folder_of(store) / "labeller.json"
    content = json.loads(identity.read_text())
    identity.write_text(json.dumps(content | {"format": 3}))
    said = f"soft labels {store.place} have format 3, this Stillhouse knows 2: update it"
    assert complaint(LabelStore, FolderFiles(tmp_path / "labels"), LABELLER) == said
    identity.write_text(json.dumps(content | {"format": 1}))
    assert "have an older format, 1; delete them" in complaint(LabelStore, FolderFiles(tmp_path / "labels"), LABELLER)
    identity.write_text("{")
    assert f"{identity} is damaged" in complaint(LabelStore, FolderFiles(tmp_path / "labels"), LABELLER)
    identity.unlink()
    assert LabelStore(FolderFiles(tmp_path / "labels"), LABELLER).parts() == store.parts()


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", '{"rows": 1}', '{"rows": "many", "sha256": ""}', '{"rows": 1e999, "sha256": "SHA"}'),
        *('{"rows": -1, "sha256": "SHA"}', '{"rows": true, "sha256": "SHA"}', '{"rows": 1.0, "sha256": "SHA"}'),
    ],
)
def test_a_broken_sidecar_is_refused_by_name(store, content):
    store.write(place_of(0), keys_of([1]), logits_of([1]))
    sidecar = file_of(store).with_suffix(".json")
    sidecar.write_text(content.replace("SHA", store.parts()[0].sha256))
    assert f"{sidecar.name} is damaged" in complaint(store.parts)


def test_the_advice_for_a_damaged_part_works(store):
    damaged(store, flip)
    file = file_of(store, 1)
    for path in (file, file.with_suffix(".json")):
        path.unlink()
    keys = missing(store, keys_of([0, 1, 2]))
    assert keys.tolist() == keys_of([1]).tolist()
    store.write(place_of(4), keys, logits_of([1]))
    assert view_of(store, keys_of([0, 1, 2]))["digest"] == digest_of(keys_of([0, 1, 2]), logits_of([0, 1, 2]))


def test_labels_that_changed_since_the_view_are_refused(store):
    store.write(place_of(0), keys_of([1]), logits_of([1]))
    view = view_of(store, keys_of([1]))
    assert "changed since they were made" in complaint(read_view, store, view | {"digest": "0" * 64}, keys_of([1]))
    store.write(place_of(1), keys_of([1, 2]), logits_of([1, 2], writer=7))
    np.testing.assert_array_equal(read_view(store, view, keys_of([1])), logits_of([1]))
    assert "no soft label" in complaint(read_view, store, view, keys_of([2])), "a view has no more than its parts"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_refused(store, bad):
    logits = logits_of([1, 2, 3])
    logits[1, 2] = bad
    assert "the teacher gives 1 of 3 texts logits that are not finite" in complaint(
        store.write, place_of(0), keys_of([1, 2, 3]), logits
    )
    assert store.parts() == []


def test_a_half_written_part_is_not_there(store):
    store.write(place_of(0), keys_of([1]), logits_of([1]))
    [part] = store.parts()
    parts, content = folder_of(store) / "parts", file_of(store).read_bytes()
    (parts / f"{place_of(1)}-{'0' * 16}.parquet").write_bytes(content)
    (parts / f".{place_of(2)}.1234.partial").write_bytes(content)
    (parts / "notes.json").write_text("{}")
    assert store.parts() == [part]
    assert missing(store, keys_of([1, 2])).tolist() == keys_of([2]).tolist()


def test_a_part_is_never_changed(store):
    store.write(place_of(0), keys_of([1]), logits_of([1]))
    content, before = file_of(store).read_bytes(), store.parts()
    assert store.write(place_of(0), keys_of([1]), logits_of([1])) == before[0], "the same rows are the same part"
    store.write(place_of(0), keys_of([1]), logits_of([1], writer=9))
    assert set(before) < set(store.parts())
    assert (folder_of(store) / "parts" / f"{before[0].name}.parquet").read_bytes() == content


def test_half_the_precision_is_told_by_the_store_and_too_large_logits_are_refused(tmp_path):
    store = LabelStore(FolderFiles(tmp_path), replace(LABELLER, stored="float16"))
    logits = np.array([[1 / 3, -12.3456, 65504]], np.float32)
    store.write(place_of(0), keys_of([1]), logits)
    np.testing.assert_array_equal(labels(store, keys_of([1])), logits.astype(np.float16).astype(np.float32))
    assert str(pq.read_schema(file_of(store)).field("logits").type) == "fixed_size_list<element: halffloat>[3]"
    assert "too large for labelling.stored: float16" in complaint(store.write, place_of(1), keys_of([1]), logits * 2)
    assert len(store.parts()) == 1


def test_all_stores_are_found_by_what_they_say_of_themselves(tmp_path):
    files = FolderFiles(tmp_path)
    labellers = [replace(LABELLER, teacher=letter * 64) for letter in "ab"]
    for labeller in labellers:
        LabelStore(files, labeller).write(place_of(0), keys_of([1]), logits_of([1]))
    (tmp_path / "notes").mkdir()
    (tmp_path / ("0" * 32)).mkdir()
    assert {store.labeller for store in all_stores(files, pytest.fail)} == set(labellers)
    shutil.copytree(tmp_path / labellers[0].id, tmp_path / ("f" * 32))
    (tmp_path / ("e" * 32)).mkdir()
    (tmp_path / ("e" * 32) / "labeller.json").write_text("[]")
    refused = []
    assert {store.labeller for store in all_stores(files, refused.append)} == set(labellers)
    assert ["labeller.json is damaged" in str(refused[0]), len(refused)] == [True, 2]
    assert "is not what its folder is named for" in str(refused[1])


@pytest.mark.parametrize(
    "change",
    [
        {"max_length": 1.5},
        {"max_length": "16"},
        {"classes": "abc"},
        {"classes": [1]},
        {"precision": "fp7"},
        {"engine": []},
    ],
)
def test_a_labeller_that_is_not_one_is_refused_by_name(store, change):
    store.write(place_of(0), keys_of([1]), logits_of([1]))
    file = folder_of(store) / "labeller.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    assert "labeller.json is damaged" in complaint(LabelStore, FolderFiles(folder_of(store).parent), LABELLER)


def test_logits_that_somebody_wrote_by_hand_are_finite(store):
    store.write(place_of(0), keys_of([1]), logits_of([1]))
    table = pq.read_table(file_of(store))
    broken = pa.FixedSizeListArray.from_arrays(pa.array([1.0, np.nan, 2.0], pa.float32()), 3)
    pq.write_table(pa.table([table.column("key"), broken], schema=table.schema), file_of(store))
    vouch(file_of(store))
    assert "hold logits that are not finite" in complaint(view_of, store, keys_of([1]))


def test_a_file_where_the_store_should_be_is_told(tmp_path):
    (tmp_path / "labels").write_text("")
    assert "is a file; name a folder" in complaint(FolderFiles(tmp_path / "labels").folders)


@pytest.mark.parametrize("rows", [2**20 + 1, 2**62, -1])
def test_a_sidecar_that_claims_too_much_is_refused(store, rows):
    store.write(place_of(0), keys_of([1]), logits_of([1]))
    [part] = store.parts()
    assert "have 1 rows" in complaint(store.read, Part(part.name, rows, part.sha256))


def test_the_files_say_what_they_are(store):
    store.write(place_of(0), keys_of([1, 2]), logits_of([1, 2]))
    file = file_of(store)
    frame = pd.read_parquet(file)
    assert frame["key"].tolist() == [bytes(key).ljust(32, b"\0") for key in keys_of([1, 2])]
    assert np.stack(frame["logits"]).tolist() == logits_of([1, 2]).tolist()
    schema = pq.read_schema(file)
    assert str(schema.field("logits").type) == "fixed_size_list<element: float>[3]"
    assert schema.metadata[b"stillhouse.teacher"].decode() == LABELLER.teacher
    assert json.loads(schema.metadata[b"stillhouse.classes"]) == list(LABELLER.classes)
    assert schema.metadata[b"stillhouse.problem_type"] == b"single-label"
    assert schema.metadata[b"stillhouse.format"] == b"2"
    known = json.loads((folder_of(store) / "labeller.json").read_text())
    assert known["teacher"] == LABELLER.teacher
    assert known["max_length"] == 16
