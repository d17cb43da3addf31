"""What a run refuses before anything expensive starts: one line that says what, where and what to do.

The ids of the cases are the list of what is refused; the readers' own tests go deeper into each.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from flows.preflight import check_inputs
from tasks import load_data
from tasks.shared.errors import StillhouseError
from tasks.shared.recipe_file import validate_recipe
from tests.toy import toy_rows, write_csv

CLASSES = ["food", "money", "sport"]
GOOD = {"data": {"train": "train.csv", "test": "test.csv"}, "teachers": [{"model": "teacher", "epochs": 0}]}


@pytest.fixture(autouse=True)
def folder(folder: Path) -> Path:
    """The folder to stand in, with good data and a good classifier."""
    write_csv(folder / "train.csv", toy_rows(60, seed=0))
    write_csv(folder / "test.csv", toy_rows(9, seed=1))
    write_teacher("teacher", CLASSES)
    return folder


def write_teacher(name: str, classes: list[str] | None) -> Path:
    """A folder that looks like a classifier from outside, which is all that is looked at."""
    folder = Path(name)
    folder.mkdir()
    names = {} if classes is None else {"id2label": dict(enumerate(classes))}
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", **names}), encoding="utf-8")
    save_file({"classifier.weight": np.zeros((3, 4), np.float32)}, folder / "model.safetensors")
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n", encoding="utf-8")
    return folder


def check(**changes: object) -> None:
    """Checks the good recipe with changes, each of a section's setting."""
    document: dict = json.loads(json.dumps(GOOD))
    for name, value in changes.items():
        (document["teachers"][0] if name in ("model", "epochs") else document["data"])[name] = value
    check_inputs(validate_recipe(document, "recipe"))


def refused(**changes: object) -> str:
    with pytest.raises(StillhouseError) as caught:
        check(**changes)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 600
    return message


def rows(*lines: str) -> str:
    """A file of good rows and these lines."""
    Path("bad.csv").write_text(Path("train.csv").read_text(encoding="utf-8") + "".join(line + "\n" for line in lines))
    return "bad.csv"


def content(name: str, data: bytes) -> str:
    Path(name).write_bytes(data)
    return name


def parquet(name: str, keep: float = 1.0, **columns: object) -> str:
    pq.write_table(pa.table(columns), name)
    whole = Path(name).read_bytes()
    return content(name, whole[: int(len(whole) * keep)])


def damaged(name: str, file: str, data: bytes | None) -> str:
    """A teacher one of whose files is another one, or gone."""
    path = write_teacher(name, CLASSES) / file
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)
    return name


def pickled(name: str) -> str:
    (Path(damaged(name, "model.safetensors", None)) / "pytorch_model.bin").write_bytes(b"\x80\x02}.")
    return name


def index(name: str, shard: str) -> str:
    weights = json.dumps({"weight_map": {"classifier.weight": shard}}).encode()
    (Path(damaged(name, "model.safetensors", None)) / "model.safetensors.index.json").write_bytes(weights)
    return name


def settings(name: str, **changes: object) -> str:
    """A teacher with changes to its configuration."""
    file = write_teacher(name, CLASSES) / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    return name


def jsonl(*lines: str) -> str:
    return content("bad.jsonl", "".join(line + "\n" for line in lines).encode())


def test_a_good_recipe_passes_in_silence(capfd: pytest.CaptureFixture[str], folder: Path) -> None:
    write_teacher("no-names", None)
    before = sorted(folder.rglob("*"))
    for teacher, epochs in (("teacher", 0), ("teacher", 3), ("no-names", 0)):
        check(model=teacher, epochs=epochs)
    assert capfd.readouterr() == ("", "")
    assert sorted(folder.rglob("*")) == before


DATA = {
    "missing file": (lambda: {"train": "trian.csv"}, "data.train: no file trian.csv; "),
    "missing file of more text": (lambda: {"unlabelled": ["a.txt"]}, "data.unlabelled.0: no file a.txt; "),
    "empty file": (lambda: {"test": content("a.csv", b"")}, "data.test: a.csv: has no rows; "),
    "a folder": (lambda: {"train": "teacher"}, "data.train: teacher is a folder; "),
    "a device": (lambda: {"train": "/dev/zero"}, "data.train: /dev/zero is a device or a pipe; "),
    "truncated Parquet": (
        lambda: {"train": parquet("a.parquet", 0.5, text=["a"] * 99, label=["x"] * 99)},
        "data.train: a.parquet: broken or cut off, or not Parquet ",
    ),
    "ragged CSV": (lambda: {"train": rows("a,food,c")}, "data.train: bad.csv line 62: 3 columns where "),
    "open quotation mark": (lambda: {"train": rows('"a,food')}, "data.train: bad.csv line 62: broken quoting "),
    "broken JSON line": (
        lambda: {"train": jsonl('{"text": "a", "label": "x"}', "{")},
        "data.train: bad.jsonl line 2: ",
    ),
    "a list for a JSON line": (lambda: {"train": jsonl("[]")}, "data.train: bad.jsonl line 1: a list, not an object; "),
    "wrong encoding": (
        lambda: {"train": content("a.csv", "text,label\ncafé,food\n".encode("latin-1"))},
        "data.train: a.csv line 2: not utf-8 text (byte 0xe9); set data.encoding ",
    ),
    "unknown encoding": (lambda: {"encoding": "utf-9"}, "data.encoding: 'utf-9' is not a known encoding; "),
    "lone surrogate": (
        lambda: {"train": jsonl('{"text": "\\ud800", "label": "x"}')},
        "data.train: bad.jsonl line 1: a \\u escape is half of a surrogate pair, ",
    ),
    "NUL byte": (lambda: {"train": rows("a\0,food")}, "data.train: bad.csv line 62: holds a NUL byte; "),
    "missing column": (lambda: {"text": "txet"}, "data.train: train.csv: no column 'txet' (data.text); "),
    "column of the wrong kind": (
        lambda: {"train": parquet("a.parquet", text=[1, 2], label=["x", "y"])},
        "data.train: a.parquet: column 'text' holds 'int64', not text; ",
    ),
    "label that is a fraction": (
        lambda: {"train": parquet("a.parquet", text=["a", "b"], label=[0.5, 1.0])},
        "data.train: a.parquet row 1: the label is 0.5; ",
    ),
    "text beyond the limit": (
        lambda: {"train": rows("x" * 1_048_577 + ",food")},
        "data.train: bad.csv line 62: a text of 1,048,577 bytes, more than 1,048,576; ",
    ),
    "unlabelled rows in test": (lambda: {"test": rows("a,")}, "bad.csv line 62 has no label; "),
    "one class": (
        lambda: {"train": content("a.csv", b"text,label\na,x\nb,x\n")},
        "data.train: a.csv has one class only, 'x'; ",
    ),
    "a test class that train lacks": (
        lambda: {"test": rows("a,weather")},
        "bad.csv line 62 has label 'weather', not in",
    ),
    "a label that data.classes lacks": (
        lambda: {"classes": ["food", "money"]},
        "train.csv line 2 has label 'sport', not in data.classes ('food', 'money');",
    ),
    "a class that vanished": (
        lambda: {"classes": [*CLASSES, "weather"]},
        "data.train: class 'weather' has no usable row",
    ),
    "too few rows": (lambda: {"minimum_rows": 61}, "data.train: train.csv has 60 rows with a text, fewer than "),
    "a hub that cannot be reached": (lambda: {"train": "hub:a/b"}, "data.train: hub:a/b: the hub cannot be reached "),
    "a hub name that leads out": (lambda: {"train": "hub:a/.."}, "data.train: 'hub:a/..' is not hub:NAMESPACE/NAME:"),
    "a sample that is not there": (lambda: {"train": "sample:../r8"}, "data.train: no sample data 'sample:../r8'; "),
    "path of 10,000 characters": (lambda: {"train": "x" * 10_000}, "data.train: xxx"),
    "path with a line break": (lambda: {"train": "a\nb.csv"}, r"data.train: no file 'a\nb.csv'; "),
    "path with an escape": (lambda: {"train": "\x1b]0;x\x07.csv"}, r"data.train: no file '\x1b]0;x\x07.csv'; "),
    "path with a NUL": (lambda: {"train": "a\0.csv"}, r"data.train: no file 'a\x00.csv'; "),
}
TEACHERS = {
    "missing folder": (lambda: "nowhere", "'nowhere' is neither a folder, sample:NAME, nor a hub id NAMESPACE/NAME"),
    "a file": (lambda: "train.csv", "train.csv is a file; give the folder that it is in"),
    "no weights": (lambda: damaged("t", "model.safetensors", None), "t has no .safetensors weights; "),
    "pickled weights only": (lambda: pickled("t"), "t has no .safetensors weights; convert it (pickled ones are "),
    "truncated weights": (
        lambda: damaged("t", "model.safetensors", b"\x10" + b"\0" * 9),
        "the weights t/model.safetensors",
    ),
    "a pointer for weights": (
        lambda: damaged("t", "model.safetensors", b"version https://git-lfs.github.com/spec/v1\n"),
        "the weights t/model.safetensors are missing or cut off ",
    ),
    "missing shard": (lambda: index("t", "model-1.safetensors"), "the weights t/model-1.safetensors are missing or "),
    "shard outside": (
        lambda: index("t", "../teacher/model.safetensors"),
        "t/model.safetensors.index.json names weights",
    ),
    "no configuration": (lambda: damaged("t", "config.json", None), "t is not a model folder, it has no config.json"),
    "broken configuration": (lambda: damaged("t", "config.json", b"{"), "t/config.json is broken ("),
    "other classes": (
        lambda: str(write_teacher("t", ["food", "money", "weather"])),
        "cannot use t: its classes are food, money, weather, the data's are food, money, sport",
    ),
    "several classes a text": (
        lambda: settings("t", problem_type="multi_label_classification"),
        "cannot use t: its config.json says problem_type: multi_label_classification, and only classifiers that give ",
    ),
    "a single output": (
        lambda: settings("t", id2label={"0": "LABEL_0"}),
        "cannot use t: it has a single output, and only classifiers that give a text one of several classes can be",
    ),
    "a hub that cannot be reached": (lambda: "a/b", "a/b is no folder here, and the hub cannot be reached; "),
    "a hub name that leads out": (lambda: "a/../b", "'a/../b' is neither a folder, sample:NAME, nor a hub id "),
    "a hub name that can be none": (lambda: "a/b..c", "a/b..c can be no name on the hub "),
    "name of 10,000 characters": (lambda: "x" * 10_000, "xxx"),
    "home of nobody": (lambda: "~nobody-of-that-name/x", "~nobody-of-that-name/x can be no folder: "),
    "name with an escape": (lambda: "\x1b]0;owned\x07", r"'\x1b]0;owned\x07' is neither a folder"),
    "name with a NUL": (lambda: "a\0b", r"'a\x00b' is neither a folder"),
    "device name": (lambda: "CON", "'CON' is neither a folder"),
}


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("case", DATA)
def test_data_that_is_refused(case: str) -> None:
    make, said = DATA[case]
    assert refused(**make()).startswith(said)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("case", TEACHERS)
def test_teachers_that_are_refused(case: str) -> None:
    make, said = TEACHERS[case]
    assert refused(model=make()).startswith(f"teachers.0.model: {said}")


def test_of_large_files_the_beginning_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    late = rows(*[f"text {number},food" for number in range(200)], "a,b,c")
    assert refused(train=late).startswith("data.train: bad.csv line 262: 3 columns")
    monkeypatch.setattr(load_data, "CHECKED_WHOLE", 100)
    check(train=late)
    assert refused(text="txet").startswith("data.train: train.csv: no column 'txet'")
    assert refused(test=content("a.csv", b"")).startswith("data.test: a.csv: has no rows")
    check(model=str(write_teacher("t", ["a", "b", "c"])))
    assert "its classes are a, b, c" in refused(model="t", classes=CLASSES), "the recipe says which they are"


def test_a_mistyped_alias_is_told_before_anything_is_read_of_it(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("PREFECT_HOME", "to be put back")  # settings of Prefect and MLflow come before their import
    monkeypatch.setenv("PREFECT_API_KEY", "")
    assert "teachers.0.model: no models:/news@champoin in the registry at " in refused(model="models:/news@champoin")
    assert not home.exists()


def test_of_a_model_on_the_hub_only_the_names_of_its_files_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def answer(*files: str) -> None:
        found = SimpleNamespace(siblings=[SimpleNamespace(rfilename=file) for file in files])
        monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda self, name, **options: found)

    answer("config.json", "model.safetensors")
    check(model="acme/teacher")
    answer("config.json", "pytorch_model.bin")
    assert "acme/teacher on the hub has no .safetensors weights; convert it" in refused(model="acme/teacher")
    answer("model.safetensors")
    assert "acme/teacher on the hub is no model for transformers" in refused(model="acme/teacher")

    def gone(*_: object, **__: object) -> None:
        response = SimpleNamespace(headers={}, request=None)
        raise huggingface_hub.errors.RepositoryNotFoundError("404", response=response)

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", gone)
    assert "acme/teacher is not on the hub, or not without a login" in refused(model="acme/teacher")


def test_it_is_quick_and_imports_nothing_heavy() -> None:
    write_csv(Path("train.csv"), toy_rows(50_000, seed=0))
    assert Path("train.csv").stat().st_size < load_data.CHECKED_WHOLE, "it is read whole"
    code = (
        "import sys, time\n"
        "from flows.preflight import check_inputs\n"
        "from tasks.shared.recipe_file import validate_recipe\n"
        f"recipe, began = validate_recipe({GOOD!r}, ''), time.perf_counter()\n"
        "check_inputs(recipe)\n"
        "heavy = {'torch', 'transformers', 'mlflow', 'prefect', 'datasets'} & set(sys.modules)\n"
        "print(time.perf_counter() - began, *heavy)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(root)}, capture_output=True, text=True
    )
    assert done.stderr == ""
    seconds, *heavy = done.stdout.split()
    assert heavy == []
    assert float(seconds) < 5, "half a second where nothing else runs"


def test_a_file_of_misspellings_is_read_before_anything_is_trained() -> None:
    """Found by a reviewer: it was looked at when all models had been trained."""
    recipe = {**GOOD, "robustness": {"misspellings": "none.txt"}}
    with pytest.raises(StillhouseError, match=r"robustness\.misspellings: none\.txt cannot be read: No such file"):
        check_inputs(validate_recipe(recipe, "recipe"))


TRANSFORMER = {"family": "transformer", "heads": 2, "hidden_size": 8}


@pytest.mark.parametrize(
    ("student", "objective", "complaint"),
    [
        ({"teacher_layers": [0, 12]}, [], r"student.teacher_layers: layers \[0, 12\]: it has 12, numbered from 0"),
        ({"teacher_layers": [0], "max_length": 600}, [], "student.max_length: the teacher's layers read 512 tokens"),
        ({}, [{"term": "hidden", "layers": [12]}], "objective: hidden cannot look into teacher 0: it has 12 layers"),
        (TRANSFORMER, [{"term": "relation", "layers": [12]}], "objective: relation cannot look into teacher 0: layer"),
    ],
)
def test_what_is_not_inside_a_teacher_is_told_before_it_is_trained(
    student: dict, objective: list, complaint: str
) -> None:
    if "teacher_layers" in student:
        student = {"family": "transformer", **student}
    document = {**GOOD, "student": student, "objective": [{"term": "soft"}, *objective]}
    with pytest.raises(StillhouseError, match=complaint):
        check_inputs(validate_recipe(document, "recipe"))


def test_what_is_inside_a_teacher_passes() -> None:
    hidden, relation = {"term": "hidden", "layers": [0, -1]}, {"term": "relation"}
    document = {**GOOD, "student": TRANSFORMER, "objective": [{"term": "soft"}, hidden, relation]}
    check_inputs(validate_recipe(document, "recipe"))
    layers = {"family": "transformer", "teacher_layers": [11, 0]}
    check_inputs(validate_recipe({**GOOD, "student": layers}, "recipe"))


def test_a_teacher_with_few_positions_is_read_no_further_by_a_student_with_its_layers() -> None:
    """Nobody said how much to read: not what `effort` allows, if the teacher reads less."""
    configuration = json.loads(Path("teacher/config.json").read_text(encoding="utf-8"))
    content("teacher/config.json", json.dumps({**configuration, "max_position_embeddings": 48}).encode())
    table = {"bert.embeddings.position_embeddings.weight": np.zeros((48, 4), np.float32)}
    save_file({"classifier.weight": np.zeros((3, 4), np.float32), **table}, Path("teacher/model.safetensors"))
    layers = {"family": "transformer", "teacher_layers": [0]}
    check_inputs(validate_recipe({**GOOD, "student": layers}, "recipe"))


def refused_recipe(**sections: object) -> str:
    with pytest.raises(StillhouseError) as caught:
        check_inputs(validate_recipe({**GOOD, **sections}, "recipe"))
    return str(caught.value)


def test_word_vectors_of_another_width_are_told_before_anything_is_trained() -> None:
    narrow, uneven = content("narrow.txt", b"the 1 2\na 3 4\n"), content("uneven.txt", b"the 1 2 3\na 1 2 3\nof 1 2\n")
    assert refused_recipe(student={"embeddings": narrow, "embedding_size": 3}) == (
        "student.embeddings: narrow.txt has 2 numbers a word, but student.embedding_size is 3; set that to 2"
    )
    assert refused_recipe(student={"embeddings": uneven, "embedding_size": 3}) == (
        "student.embeddings: uneven.txt, line 3 has 2 numbers, not 3"
    )
    for copies in ({"copies": 1}, {}):  # left out, there may be some, of twins' gold texts at least
        augment = {**copies, "neighbours": 0.1, "vectors": uneven}
        assert refused_recipe(augment=augment) == "augment.vectors: uneven.txt, line 3 has 2 numbers, not 3"


def test_a_term_that_two_classes_give_nothing_to_learn_is_told_before_anything_is_trained() -> None:
    rows = [(text, name) for text, name in toy_rows(60, seed=0) if name != "sport"]
    write_csv(Path("two.csv"), rows[2:])
    write_csv(Path("few.csv"), rows[:2])
    objective = [{"term": "standardised"}]
    check_inputs(validate_recipe({**GOOD, "objective": objective}, "recipe"))
    write_teacher("two", ["food", "money"])
    refused = refused_recipe(
        data={"train": "two.csv", "test": "few.csv"}, teachers=[{"model": "two", "epochs": 0}], objective=objective
    )
    assert refused.startswith("objective.standardised: of two classes only the order is left")


def test_terms_that_do_not_fit_the_students_shape_are_told_before_anything_is_trained() -> None:
    """Found by a reviewer: after the teacher had been trained, and had answered."""
    relation = [{"term": "soft"}, {"term": "relation"}]
    shape = {"family": "transformer", "heads": 5, "hidden_size": 10}
    assert "5 relation heads do not share out a width of 768" in refused_recipe(student=shape, objective=relation)
    encoder = {"model_type": "bert", "hidden_size": 10, "num_hidden_layers": 1, "num_attention_heads": 5}
    file = content("encoder.json", json.dumps(encoder | {"intermediate_size": 8}).encode())
    own = {"family": "transformer", "configuration": file}
    assert "5 relation heads do not share out a width of 768" in refused_recipe(student=own, objective=relation)
    shared = {"model_type": "llama", "hidden_size": 48, "num_hidden_layers": 1, "num_attention_heads": 8}
    content("encoder.json", json.dumps(shared | {"num_key_value_heads": 2, "intermediate_size": 8}).encode())
    assert "8 relation heads do not share out a width of 12" in refused_recipe(student=own, objective=relation)
    content("encoder.json", json.dumps({"model_type": "gpt2", "n_embd": 8, "n_layer": 1, "n_head": 2}).encode())
    assert "has no attention with queries" in refused_recipe(student=own, objective=relation)
    content("encoder.json", json.dumps(encoder | {"intermediate_size": 8}).encode())
    hidden = [{"term": "soft"}, {"term": "hidden", "layers": [1, 2, 3]}]
    assert refused_recipe(student=own, objective=hidden) == (
        "objective.hidden: 3 layers of the teacher are named, but student.configuration has 2 to match, its token "
        "vectors counted"
    )
