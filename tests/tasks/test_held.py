"""Files that become others between the hashing for a key and the reading: told in a line, and nothing of it is kept."""

import json
import os
import shutil
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

from tasks.augment import Augment
from tasks.disturb import Disturb
from tasks.import_labels import ImportLabels
from tasks.load_data import LoadData
from tasks.prepare_student import PrepareStudent, origin_of
from tasks.shared.dataset import read_chunks
from tasks.shared.errors import StillhouseError
from tasks.shared.recipe_data import Data
from tasks.shared.recipe_teaching import Teacher as LabelsFile
from tasks.shared.workspace import Workspace
from tasks.train_teacher import TrainTeacher
from tests.bench import Bench
from tests.settled import Augment as AugmentOptions
from tests.settled import Labelling, Robustness, Student, Teacher
from tests.tiny import tiny_bert
from tests.toy import WORDS, toy_rows

CHANGED = "changed while it was being read; run again$"


def put_in_its_place(file: Path, content: bytes) -> None:
    other = file.with_name(f"{file.name}.new")
    other.write_bytes(content)
    other.replace(file)


def written_over(file: Path, content: bytes) -> None:
    """As an editor does that keeps the file; the date is set back, and in most cases the size is the same."""
    before = file.stat()
    with file.open("r+b") as writing:
        writing.write(content)
        writing.truncate()
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


WAYS = [put_in_its_place, written_over]


@dataclass
class Meddled(Bench):
    """Somebody acts once, after so many calls of what advances a progress bar."""

    after: int = 0
    act: Callable[[], None] = field(default=lambda: None)

    @contextmanager
    def _progress(self, total, unit):
        def advance(count):
            self.after -= 1
            if self.after == 0:
                self.act()

        yield advance


def refused(bench: Bench, step, message: str = CHANGED) -> None:
    """The step fails with a line, and leaves nothing that looks like an output."""
    with pytest.raises(StillhouseError, match=message) as caught:
        bench.make(step)
    assert "\n" not in str(caught.value)
    assert step.find(bench.workspace) is None
    assert [path for path in step.folder(bench.workspace).parent.iterdir() if path.is_dir()] == []


def after(bench: Bench, step, file: Path, way, content: bytes) -> None:
    """The step's key is known, the file becomes another, and becomes what it was again."""
    good, key = file.read_bytes(), step.key
    assert content != good
    way(file, content)
    refused(bench, step)
    way(file, good)
    same = replace(step)
    assert same.key == key, "the file is what it was, and its digest with it"
    undisturbed = Bench(replace(bench.workspace, root=bench.workspace.root / "undisturbed"))
    assert bench.output(same).digest == undisturbed.output(replace(step)).digest


# Sources


def others_of(content: bytes) -> bytes:
    """The same size and the same classes, other texts."""
    return content.replace(b"soup", b"soap").replace(b"bank", b"tank").replace(b"goal", b"goat")


def written(path: Path, rows) -> Path:
    frame = pd.DataFrame(rows, columns=["text", "label"])
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".tsv":
        frame.to_csv(path, index=False, sep="\t")
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    elif path.suffix == ".parquet":
        frame.to_parquet(path, compression=None)
    else:
        path.write_text("".join(f"{text}\n" for text in frame["text"]), encoding="utf-8")
    return path


@pytest.fixture
def parts(tmp_path):
    """A file for each part, as the recipe names them."""
    rows = {"train": toy_rows(90, 0), "test": toy_rows(30, 1), "dev": toy_rows(30, 2), "gate": toy_rows(30, 3)}
    found = {name: str(written(tmp_path / f"{name}.csv", some)) for name, some in rows.items()}
    found["unlabelled"] = [str(written(tmp_path / f"unlabelled.{kind}", toy_rows(30, 4))) for kind in ("txt", "csv")]
    found["tests"] = {"far": str(written(tmp_path / "far.csv", toy_rows(30, 5)))}
    return found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["train", "test", "dev", "gate", "far", "unlabelled"])
def test_a_source_that_becomes_another_after_its_hashing(bench, parts, tmp_path, name, way):
    file = tmp_path / f"{name}.csv"
    after(bench, LoadData(Data(**parts)), file, way, others_of(file.read_bytes()))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [".tsv", ".jsonl", ".parquet", ".txt"])
def test_so_does_one_of_any_format(bench, parts, tmp_path, kind, way):
    file = written(tmp_path / f"more{kind}", toy_rows(60, 6))
    step = LoadData(Data(**{**parts, "unlabelled": [str(file)]}))
    after(bench, step, file, way, others_of(file.read_bytes()))


@pytest.mark.parametrize(
    "content", [b"", b"\x00\x01", b"text\n1\n", b'text,label\n"open,food\n', b"text,label\na,fish\n"]
)
def test_what_is_wrong_with_the_new_content_is_no_matter(bench, parts, tmp_path, content):
    file = tmp_path / "train.csv"
    after(bench, LoadData(Data(**parts)), file, put_in_its_place, content)


def test_an_error_of_the_file_that_was_hashed_stays_what_it_is(bench, parts, tmp_path):
    (tmp_path / "train.csv").write_text('text,label\n"open,food\n', encoding="utf-8")
    refused(bench, LoadData(Data(**parts)), "broken quoting")


def test_a_file_that_a_pattern_would_find_only_now_is_not_read(bench, parts, tmp_path):
    (tmp_path / "days").mkdir()
    written(tmp_path / "days" / "1.csv", toy_rows(90, 0))
    step = LoadData(Data(**{**parts, "train": str(tmp_path / "days" / "*.csv")}))
    before = step.key
    written(tmp_path / "days" / "2.csv", toy_rows(90, 7))
    bench.make(step)
    (tmp_path / "days" / "2.csv").unlink()
    undisturbed = Bench(replace(bench.workspace, root=tmp_path / "undisturbed"))
    again = LoadData(step.data)
    assert (again.key, undisturbed.make(again).digest) == (before, bench.output(again).digest)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("calls", [1, 3])
def test_a_source_that_becomes_another_during_either_reading(home, bench, parts, tmp_path, way, calls):
    """Of one that is put in the place of another while that is being read, the rest is not read."""
    many = written(tmp_path / "many.txt", toy_rows(2500, 8))
    content = many.read_bytes()
    other = content.replace(b"today", b"daily").replace(b"bank", b"tank")
    meddled = Meddled(bench.workspace, after=calls, act=lambda: way(many, other))
    step = LoadData(Data(**{**parts, "unlabelled": [str(many)]}))
    if (way, calls) == (put_in_its_place, 3):
        made = meddled.make(step)
        put_in_its_place(many, content)
        assert Bench(replace(bench.workspace, root=tmp_path / "undisturbed")).make(step).digest == made.digest
    else:
        refused(meddled, step)
        way(many, content)
        bench.make(replace(step))


def test_a_label_that_comes_between_the_readings(bench, parts, tmp_path):
    """Found on the way: it had no number, and that was an internal error."""
    many = written(tmp_path / "many.txt", toy_rows(2500, 8))
    train = tmp_path / "train.csv"
    fish = train.read_bytes().replace(b",food", b",fish")
    meddled = Meddled(bench.workspace, after=1, act=lambda: written_over(train, fish))
    refused(meddled, LoadData(Data(**{**parts, "unlabelled": [str(many)]})), f"data.train: .*train.csv: {CHANGED}")


def test_a_hub_data_set_that_becomes_another(folder, bench, parts, monkeypatch):
    datasets = pytest.importorskip("datasets")
    import huggingface_hub.constants

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(folder / "cache"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    file = folder / "acme" / "news" / "train.csv"
    file.parent.mkdir(parents=True)
    written(file, toy_rows(90, 0))
    step = LoadData(Data(**{**parts, "train": "hub:acme/news"}))
    after(bench, step, file, put_in_its_place, others_of(file.read_bytes()))


# Labels made elsewhere


def labels_for(toy, path: Path) -> Path:
    texts = [text for part in ("transfer", "dev") for chunk in read_chunks(toy.data.file(part)) for text in chunk.texts]
    said = np.random.default_rng(0).integers(10, 99, (len(texts), 3))
    frame = pd.DataFrame(said, columns=[f"logit_{name}" for name in WORDS]).assign(text=texts)
    if path.suffix == ".parquet":
        frame.to_parquet(path, compression=None)
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False)
    return path


def wrong_labels(file: Path) -> bytes:
    """The same texts in a file of the same size, but of Parquet; it says the opposite of many."""
    if file.suffix == ".parquet":
        frame = pd.read_parquet(file)
        frame["logit_food"] = 100 - frame["logit_food"]
        frame.to_parquet(file.with_suffix(".wrong"), compression=None)
        return file.with_suffix(".wrong").read_bytes()
    text = file.read_text(encoding="utf-8")
    swapped = text.replace("logit_food", "logit_????").replace("logit_money", "logit_food").replace("????", "money")
    return swapped.encode() + b" " * (len(text.encode()) - len(swapped.encode()))


def imported(toy, file: Path) -> ImportLabels:
    return ImportLabels(toy.data, Data(train="-", test="-"), LabelsFile(labels=str(file)), Labelling(), 0)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [".csv", ".jsonl", ".parquet"])
def test_labels_that_become_others_after_their_hashing(toy, bench, tmp_path, kind, way):
    file = labels_for(toy, tmp_path / f"labels{kind}")
    after(bench, imported(toy, file), file, way, wrong_labels(file))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("calls", [1, 240, 400])
def test_no_label_of_another_file_gets_into_the_store(toy, bench, tmp_path, monkeypatch, way, calls):
    """The store keeps what is in it, so that a later run would find it there. Parts are of 20 rows, of 240 in all."""
    monkeypatch.setattr("tasks.shared.label_plan.ROWS_IN_PART", 20)
    file = labels_for(toy, tmp_path / "labels.csv")
    good, other = file.read_bytes(), wrong_labels(file)
    meddled = Meddled(bench.workspace, after=calls, act=lambda: way(file, other))
    step = imported(toy, file)
    if calls <= 240:
        refused(meddled, step)
    else:
        with suppress(StillhouseError):  # what it has read ahead is still the right file
            meddled.make(step)
    way(file, good)
    record = bench(replace(step))
    undisturbed = Bench(replace(bench.workspace, root=tmp_path / "undisturbed"))
    assert undisturbed(replace(step)).digest == record.digest


# Word vectors, misspellings, an encoder's shape


def vectors(path: Path) -> Path:
    path.write_text("".join(f"{word} 1 0 0.5\n" for words in WORDS.values() for word in words), encoding="utf-8")
    return path


def other_vectors(content: bytes) -> bytes:
    return content.replace(b" 1 0 ", b" 0 1 ", 9)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("other", [other_vectors, lambda content: b"soup 1 0\nno vectors\n"])
def test_word_vectors_that_become_others(toy, bench, tmp_path, way, other):
    file = vectors(tmp_path / "vectors.txt")
    step = PrepareStudent(toy.data, toy.teacher, Student(embedding_size=3, embeddings=str(file)))
    after(bench, step, file, way, other(file.read_bytes()))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("other", [other_vectors, lambda content: b"soup 1 0\nsoup 0 1\n"])
def test_vectors_of_neighbours_that_become_others(toy, bench, tmp_path, way, other):
    file = vectors(tmp_path / "vectors.txt")
    options = AugmentOptions(copies=1, mask=0, same_class=0, n_gram=0, neighbours=0.5, vectors=str(file))
    after(bench, Augment(toy.data, options, str(toy.base)), file, way, other(file.read_bytes()))


def unmoved(bench, step, file: Path, content: bytes) -> None:
    """What is small is read once, so that nobody sees the other file; without one at all it would be the same."""
    good, key = file.read_bytes(), step.key
    file.write_bytes(content)
    made = bench.make(step)
    file.write_bytes(good)
    undisturbed = Bench(replace(bench.workspace, root=bench.workspace.root / "undisturbed"))
    same = replace(step)
    assert (same.key, undisturbed.make(same).digest) == (key, made.digest)
    file.write_bytes(content)
    assert replace(step).key != key


def test_misspellings_are_those_that_were_hashed(toy, bench, tmp_path):
    file = tmp_path / "wrong.txt"
    file.write_text("soup soop\nbank bnak\n", encoding="utf-8")
    options = Robustness(texts=20, noises=["misspelling"], strengths=[0.9], misspellings=str(file))
    unmoved(bench, Disturb(toy.data, options), file, b"soup zuup\nbank pank\n")


def test_an_encoders_shape_is_that_which_was_hashed(toy, bench, tmp_path):
    shape = {"model_type": "bert", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    shape |= {"intermediate_size": 8, "max_position_embeddings": 32}
    file = tmp_path / "config.json"
    file.write_text(json.dumps(shape), encoding="utf-8")
    student = Student(family="transformer", embedding_size=8, configuration=str(file))
    step = PrepareStudent(toy.data, toy.teacher, student)
    unmoved(bench, step, file, json.dumps(shape | {"num_hidden_layers": 2}).encode())


# Models


@pytest.fixture
def base(toy, tmp_path):
    """A copy of the toy's model that is no teacher yet."""
    return Path(shutil.copytree(toy.base, tmp_path / "base"))


def other_weights(base: Path) -> bytes:
    """The same names and shapes, other numbers: a file of the same size."""
    weights = load_file(base / "model.safetensors")
    save_file({name: -value for name, value in weights.items()}, base.with_name("other"), metadata={"format": "pt"})
    return base.with_name("other").read_bytes()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("epochs", [0, 1])
def test_a_base_that_becomes_another_after_its_hashing(toy, bench, tmp_path, tokenizer, base, epochs, way):
    if epochs == 0:
        base = tiny_bert(tmp_path / "taken as it is", tokenizer, sorted(WORDS))
    options = Teacher(model=str(base), epochs=epochs, max_length=16)
    after(bench, TrainTeacher(toy.data, options, 0), base / "model.safetensors", way, other_weights(base))


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_base_of_which_a_file_is_cut_off_after_its_hashing(toy, bench, base, name):
    file = base / name
    step = TrainTeacher(toy.data, Teacher(model=str(base), epochs=1, max_length=16), 0)
    after(bench, step, file, put_in_its_place, file.read_bytes()[:-20])


def test_a_base_that_is_written_over_while_it_is_being_trained(toy, bench, base):
    """Its weights are in memory as a view of the file."""
    file, other = base / "model.safetensors", other_weights(base)
    meddled = Meddled(bench.workspace, after=2, act=lambda: written_over(file, other))
    refused(meddled, TrainTeacher(toy.data, Teacher(model=str(base), epochs=1, max_length=16), 0))


def test_a_model_may_have_our_workspace_among_its_folders(toy, base):
    """What is written there is not read with it."""
    bench = Bench(Workspace(base / "workspace"))
    record = bench(TrainTeacher(toy.data, Teacher(model=str(base), epochs=1, max_length=16), 0))
    assert record.path.is_relative_to(base)


def test_a_file_that_comes_to_a_base_is_a_change_too(toy, bench, base):
    step = TrainTeacher(toy.data, Teacher(model=str(base), epochs=1, max_length=16), 0)
    assert step.key
    (base / "README.md").write_text("of no matter", encoding="utf-8")
    bench.make(step)
    again = replace(step)
    assert again.key == step.key
    (base / "generation_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(StillhouseError, match=CHANGED):
        bench.make(again)


@pytest.mark.parametrize("way", WAYS)
def test_a_model_whose_tokenizer_students_have_that_becomes_another(toy, bench, base, way):
    file = base / "model.safetensors"
    good, other = file.read_bytes(), other_weights(base)
    step = PrepareStudent(toy.data, origin_of(str(base)), Student(embedding_size=8))
    way(file, other)
    refused(bench, step, f"^student.tokenizer: .*base: {CHANGED}")
    way(file, good)
    bench.make(replace(step, teacher=origin_of(str(base))))


@pytest.mark.parametrize("way", WAYS)
def test_a_model_whose_vectors_say_what_is_close_that_becomes_another(toy, bench, base, way):
    options = AugmentOptions(copies=1, mask=0, same_class=0, n_gram=0, neighbours=0.5)
    step = Augment(toy.data, options, str(base))
    after(bench, step, base / "model.safetensors", way, other_weights(base))
