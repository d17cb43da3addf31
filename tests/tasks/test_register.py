"""Step register: what is registered, what becomes champion and why, and what a person changed in between."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import StringIO
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow.pyfunc.scoring_server import predictions_to_json

from tasks.evaluate import ScoreRecord
from tasks.register import Register
from tasks.report import ResultRecord
from tasks.shared.dataset import read_chunks
from tasks.shared.mlflow_model import save_model
from tasks.shared.registry import Registry
from tasks.shared.registry_files import UnusableVersionError
from tasks.shared.tracking import Tracker, open_client
from tasks.train_student import TrainStudent
from tests.tiny import tiny_bert


@pytest.fixture
def student(toy):
    """A real student; `digest` and `dev_accuracy` make other ones of it."""
    return toy.bench(toy.small(TrainStudent))


@pytest.fixture
def register(toy, bench, student):
    """Registers a student with some score and the toy's teacher, each time in another tracked run."""
    tracker, run_tags = Tracker(bench.workspace, "toy"), {"stillhouse.run": "toy-1", "mlflow.parentRunId": "p"}

    def step(score, outcome="BEATS", data=toy.data, teacher=toy.teacher, difference=0.01, **changes):
        bench.run = tracker.start("register", run_tags)  # each keeps its own files
        model = replace(student, dev_accuracy=score, digest=f"student that gets {score}", **changes)
        scores = tuple(ScoreRecord(Path("scorecard"), "0", each, 1.0, 1.0, {}) for each in (model, teacher))
        verdict = {"outcome": outcome, "difference": difference}
        return Register(data, ResultRecord(Path("result"), "0", verdict, "", {}, scores), "toy-student", "toy-teacher")

    def carry_out(*arguments, **changes):
        return bench(step(*arguments, **changes)).models[0]

    carry_out.step, carry_out.run_tags = step, run_tags
    return carry_out


@pytest.fixture
def registry(bench):
    return Registry(bench.workspace)


def aliases(registry, name="toy-student"):
    found = {
        alias: version.number for version in registry.versions() if version.name == name for alias in version.aliases
    }
    return found, sum(version.name == name for version in registry.versions())


def test_the_first_version_is_the_champion_and_says_where_it_comes_from(toy, student, register, registry):
    model = register(0.8)
    assert (model.role, model.version, model.champion) == ("student", 1, True)
    assert aliases(registry) == ({"champion": 1}, 1)
    assert aliases(registry, "toy-teacher") == ({"champion": 1}, 1)
    found = registry.with_alias("toy-student", "champion")
    assert (
        found.tags.items()
        >= {
            "digest": "student that gets 0.8",
            "role": "student",
            "gate_score": "0.8",
            "verdict": "BEATS",
            "difference": "0.01",
            "promoted": "yes",
            "reason": "the first champion of this name",
            "run": "toy-1",
            "mlflow_run": "p",
        }.items()
    )
    teacher = registry.with_alias("toy-teacher", "champion").tags
    assert float(teacher["gate_score"]) == toy.teacher.dev_accuracy
    assert "verdict" not in teacher, "a verdict is of the student"
    for file in student.path.iterdir():
        assert (registry.folder(found) / file.name).read_bytes() == file.read_bytes()


def test_nothing_is_pickled_and_nothing_private_goes_along(toy, bench, register, registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("uv.lock", "pyproject.toml"):
        (tmp_path / name).write_text("", encoding="utf-8")
    register(0.8)
    root = registry.folder(registry.with_alias("toy-student", "champion")).parent.parent
    files = [path for path in root.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {"", ".json", ".py", ".safetensors", ".txt", ".yaml"}
    assert not [path.name for path in files if path.name in ("uv.lock", "pyproject.toml")]
    texts = [text for part in ("gold", "test") for chunk in read_chunks(toy.data.file(part)) for text in chunk.texts]
    for path in files:
        content = path.read_bytes()
        assert not content.startswith(b"\x80"), f"{path} looks pickled"
        assert str(bench.workspace.root).encode() not in content
        assert not any(text.encode() in content for text in texts)
    saved = mlflow.models.Model.load(root)
    assert saved.signature.inputs.input_names() == ["text"]
    assert saved.signature.outputs.input_names() == ["label", *(f"probability_{name}" for name in toy.data.classes)]
    assert len(mlflow.pyfunc.load_model(str(root)).predict(saved.load_input_example(str(root)))) == 1


def test_a_rerun_makes_no_version(bench, register, registry):
    first = register(0.8)
    assert register(0.8) == first
    assert bench.made == ["register"]
    bench.make(register.step(0.8))
    assert aliases(registry) == ({"champion": 1}, 1), "nor does a step that is forced"


@pytest.mark.parametrize(("score", "champion", "reason"), [
    (0.7, False, "70.00% of dev right, below the 80.00% of the champion, version 1"),
    (0.9, True, "90.00% of dev right, not below the 80.00% of the champion before, version 1"),
])  # fmt: skip
def test_what_is_worse_is_registered_but_not_promoted(register, registry, score, champion, reason):
    register(0.8)
    model = register(score)
    assert (model.version, model.champion, model.reason) == (2, champion, reason)
    tags = registry.get("toy-student", 2).tags
    assert (tags["promoted"], tags["reason"]) == ("yes" if champion else "no", reason)
    assert aliases(registry) == ({"champion": 2, "previous": 1} if champion else {"champion": 1}, 2)


def test_no_better_is_not_promoted_even_where_there_is_no_champion(register, registry):
    model = register(0.9, "NO BETTER")
    assert not model.champion
    assert "NO BETTER" in model.reason
    assert aliases(registry) == ({}, 1)
    assert aliases(registry, "toy-teacher") == ({"champion": 1}, 1), "no verdict applies to a teacher"


def test_on_other_rows_the_champion_is_scored_again(toy, register, registry, student):
    register(0.4)
    other = replace(toy.data, digests={**toy.data.digests, "dev": "other rows"})
    model = register(0.41, data=other)
    assert not model.champion, "it does better than the 0.4 on the rows of old, but not on these"
    tags = registry.with_alias("toy-student", "champion").tags
    assert float(tags["gate_score"]) == student.dev_accuracy
    assert tags["gate_rows"] == registry.get("toy-student", 2).tags["gate_rows"]


def test_a_champion_of_other_classes_can_still_be_compared(toy, register, registry, tokenizer, tmp_path):
    """Of three classes it knows one, under another name of its own."""
    old = tiny_bert(tmp_path / "old", tokenizer, ["sport", "weather"])
    register(0.8, path=old)
    other = replace(toy.data, digests={**toy.data.digests, "dev": "other rows"})
    model = register(0.5, data=other)
    assert model.champion, model
    assert float(registry.get("toy-student", 1).tags["gate_score"]) <= 0.4, model.reason


def test_an_alias_that_a_person_moved_back_stays_where_it_is(bench, register, registry):
    register(0.8)
    register(0.9)
    registry.point("champion", registry.get("toy-student", 1))
    register(0.9)
    assert aliases(registry)[0]["champion"] == 1
    assert bench.made == ["register", "register"]


@pytest.mark.parametrize("how", ["another address", "output collected", "forced", "files lost"])
def test_no_rerun_undoes_what_a_person_did(bench, register, registry, monkeypatch, how):
    register(0.8)
    register(0.9)
    registry.point("champion", registry.get("toy-student", 1))
    if how == "another address":
        database = bench.workspace.mlflow / ".." / "mlflow" / "mlflow.db"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    if how != "forced":
        shutil.rmtree(bench.output(register.step(0.9)).path)
    if how == "files lost":
        shutil.rmtree(registry.folder(registry.get("toy-student", 2)))
    step = register.step(0.9)
    model = step.read(bench.make(step)).models[0]
    assert aliases(registry)[0]["champion"] == 1
    assert (model.version, model.champion) == (3 if how == "files lost" else 2, False)
    assert model.reason.endswith("; the alias has moved since")


def test_what_a_killed_run_left_is_finished_by_the_next(bench, register, registry):
    register(0.8)
    killed = bench.output(register.step(0.9))
    (killed.path / "manifest.json").unlink()
    open_client(bench.workspace).delete_model_version_tag("toy-student", "2", "stillhouse.promoted")
    registry.point("champion", registry.get("toy-student", 1))
    assert register(0.9).version == 2
    assert aliases(registry) == ({"champion": 2, "previous": 1}, 2)
    assert registry.get("toy-student", 2).tags["promoted"] == "yes"


def test_two_runs_at_once_leave_the_better_one_as_champion(bench, register, registry):
    register(0.5)
    with ThreadPoolExecutor() as pool:
        list(pool.map(bench.make, [register.step(score) for score in (0.9, 0.7, 0.8)]))
    found, versions = aliases(registry)
    assert versions == 4
    assert registry.get("toy-student", found["champion"]).tags["gate_score"] == "0.9"


def test_what_was_deleted_from_the_registry_is_registered_again(bench, register, registry):
    register(0.8)
    open_client(bench.workspace).delete_model_version("toy-student", "1")
    assert register(0.8).version == 2
    assert aliases(registry) == ({"champion": 2}, 1)
    open_client(bench.workspace).delete_registered_model("toy-student")
    assert register(0.8).champion
    assert bench.made == ["register"] * 3


def test_a_champion_whose_files_were_changed_is_refused_and_replaced(toy, bench, register, registry):
    register(0.8)
    champion = registry.with_alias("toy-student", "champion")
    (registry.folder(champion) / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UnusableVersionError, match=r"models:/toy-student/1 .* are not those that were registered"):
        registry.folder(champion)
    other = replace(toy.data, digests={**toy.data.digests, "dev": "other rows"})
    model = register(0.4, data=other)
    assert model.champion
    assert "cannot be compared: the files of models:/toy-student/1" in model.reason
    assert any("so it is replaced" in warning for warning in bench.warnings)
    assert aliases(registry) == ({"champion": 2, "previous": 1}, 2)


@pytest.mark.parametrize("file", ["", "config.json", "model.safetensors"])
def test_lost_files_are_registered_again_and_keep_their_aliases(bench, register, registry, file):
    register(0.8)
    register(0.9)
    for number, alias in ((1, "previous"), (2, "champion")):
        lost = registry.folder(registry.get("toy-student", number)) / file
        shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
        score = 0.8 if number == 1 else 0.9
        model = register(score)
        assert model.version == number + 2
        found = registry.with_alias("toy-student", alias)
        assert (found.number, found.tags["digest"]) == (number + 2, f"student that gets {score}")
        assert registry.folder(found).is_dir()
    assert model.champion
    assert "the same model as the champion before, version 2: " in model.reason
    assert aliases(registry) == ({"champion": 4, "previous": 3}, 4)
    assert bench.made == ["register"] * 4
    bench.make(register.step(0.9))
    assert aliases(registry)[1] == 4


def test_changed_files_are_registered_again_when_the_step_is_made_again(bench, register, registry):
    """Looking whether an output stands reads no files."""
    register(0.8)
    (registry.folder(registry.get("toy-student", 1)) / "config.json").write_text("{}", encoding="utf-8")
    bench.make(register.step(0.8))
    assert aliases(registry) == ({"champion": 2}, 2)
    assert registry.folder(registry.get("toy-student", 2)).is_dir()


def test_a_champion_that_cannot_be_read_here_is_kept_until_a_person_decides(toy, bench, register, registry):
    register(0.8)
    folder = registry.folder(registry.with_alias("toy-student", "champion"))
    folder.rename(folder.with_name("on another machine"))
    other = replace(toy.data, digests={**toy.data.digests, "dev": "other rows"})
    model = register(0.9, data=other)
    assert not model.champion
    assert "cannot be read here: the files of models:/toy-student/1 are gone from" in model.reason
    assert "delete_registered_model_alias('toy-student', 'champion')" in model.reason
    assert any(model.reason in warning for warning in bench.warnings)
    assert aliases(registry) == ({"champion": 1}, 2)
    folder.with_name("on another machine").rename(folder)
    assert not register(0.4, data=other).champion, "where it can be read, it is compared"
    open_client(bench.workspace).delete_registered_model_alias("toy-student", "champion")
    assert register(0.9, data=other).champion, "what was not decided is decided now"
    assert aliases(registry) == ({"champion": 2}, 3)


@pytest.mark.parametrize("written", ["a lot", "nan", "-inf", "1.01", None])
def test_a_score_that_a_person_changed_is_measured_anew(bench, register, registry, student, written):
    register(0.8)
    client = open_client(bench.workspace)
    client.delete_model_version_tag("toy-student", "1", "stillhouse.gate_score")
    if written:
        client.set_model_version_tag("toy-student", "1", "stillhouse.gate_score", written)
    model = register(0.4)
    assert not model.champion
    assert float(registry.get("toy-student", 1).tags["gate_score"]) == student.dev_accuracy


def test_a_version_keeps_the_run_that_made_it(bench, register, registry):
    register(0.8)
    register.run_tags |= {"stillhouse.run": "toy-2", "mlflow.parentRunId": "q"}
    assert register(0.8, difference=0.02).version == 1
    tags = registry.get("toy-student", 1).tags
    assert (tags["run"], tags["mlflow_run"], tags["difference"]) == ("toy-1", "p", "0.02")


def test_the_rows_of_gate_decide_where_there_are_some(toy, bench, register, registry):
    gate = replace(
        toy.data,
        digests={**toy.data.digests, "gate": toy.data.digests["test"]},
        rows={**toy.data.rows, "gate": toy.data.rows["test"]},
    )
    gate = replace(gate, path=_with_gate(toy.data, bench.workspace.root / "data"))
    model = register(0.01, data=gate)
    assert model.gate_score > 0.5
    assert "of gate right" in register(0.02, data=gate).reason


def _with_gate(data, folder):
    folder.mkdir()
    for part in ("gold", "dev", "test", "transfer"):
        (folder / data.file(part).name).symlink_to(data.file(part))
    (folder / "gate.parquet").symlink_to(data.file("test"))
    return folder


def test_a_pair_model_says_that_it_reads_pairs(toy, register, registry):
    register(0.8, data=replace(toy.data, pairs=True))
    root = registry.folder(registry.with_alias("toy-student", "champion")).parent.parent
    served = mlflow.pyfunc.load_model(str(root))
    assert served.metadata.signature.inputs.input_names() == ["text", "text_pair"]
    frame = pd.DataFrame({"text": ["soup", "", "soup"], "text_pair": ["and bread", "", "goal"]})
    found = served.predict(frame)
    assert found["label"].isna().tolist() == [False, True, False]
    assert found["probability_food"][0] != found["probability_food"][2]


@pytest.mark.parametrize("nothing", [None, float("nan"), pd.NA])
def test_a_row_without_a_text_gets_no_label_and_the_others_are_answered(toy, tmp_path, nothing):
    save_model(tmp_path / "saved", toy.teacher.path, False)
    served = mlflow.pyfunc.load_model(str(tmp_path / "saved"))
    found = served.predict(pd.DataFrame({"text": ["soup", nothing, "goal"]}))
    assert found["label"].isna().tolist() == [False, True, False]
    assert found["probability_food"][0] != found["probability_food"][2]
    answer = StringIO()
    predictions_to_json(found, answer)
    assert "NaN" not in answer.getvalue()
    assert json.loads(answer.getvalue())["predictions"][1]["probability_food"] is None
    assert served.predict(pd.DataFrame({"text": [nothing]}, dtype=object))["label"].tolist() == [None]


def test_what_decides(toy, register, monkeypatch):
    key = register.step(0.8).key
    same = replace(toy.data, digests={**toy.data.digests, "test": "0", "transfer": "0"})
    assert register.step(0.8, data=same).key == key
    others = [
        register.step(0.9),
        register.step(0.8, "INCONCLUSIVE"),
        register.step(0.8, difference=0.02),
        register.step(0.8, data=replace(toy.data, digests={**toy.data.digests, "dev": "0"})),
        register.step(0.8, data=replace(toy.data, classes=("a", "b", "c"))),
        replace(register.step(0.8), student="another"),
    ]
    assert len({key, *(step.key for step in others)}) == 7
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert register.step(0.8).key == key, "one registry has several addresses"
