"""The whole flow, run as a user runs it: real Prefect server, real MLflow, a tiny real BERT."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml
from mlflow.tracking import MlflowClient

from tasks.shared.recipe_file import load_recipe
from tests.flows.conftest import STILLHOUSE, World, toy_recipe
from tests.toy import toy_rows, write_csv

STEPS = [
    "load_data",
    "train_teacher 0",
    "label by teacher 0",
    "fuse",
    "prepare_student",
    "train_student seed 0",
    "train_student seed 1",
    "train_twin seed 0",
    "train_twin seed 1",
    "disturb",
    "evaluate teacher 0",
    "evaluate student seed 0",
    "evaluate student seed 1",
    "evaluate twin seed 0",
    "evaluate twin seed 1",
    "judge",
    "explain",
    "register",
    "report",
]


@pytest.fixture(scope="module")
def first(world: World) -> dict:
    """The record of the world's first run."""
    return world.records()[0]


def test_a_run_makes_every_step_in_order_and_a_verdict(first: dict) -> None:
    assert [step["title"] for step in first["steps"]] == STEPS
    assert {step["state"] for step in first["steps"]} == {"done"}
    assert first["verdict"]["outcome"] in ("BEATS", "NO BETTER", "INCONCLUSIVE")
    assert [len(first[role]) for role in ("teachers", "students", "twins")] == [1, 2, 2]
    for model in first["teachers"] + first["students"] + first["twins"]:
        assert 0 <= model["accuracy"] <= 1
        assert 0 <= model["macro_f1"] <= 1
        assert model["parameters"] > 0
        assert (Path(model["path"]) / "model.safetensors").stat().st_size == model["bytes"]
        assert len(model["digest"]) == 64
    assert first["teachers"][0]["accuracy"] > 0.8, "the toy task is easy for the teacher"
    assert first["students"][0]["digest"] != first["twins"][0]["digest"]


def test_the_recipe_is_kept_as_it_was_given_and_whole(world: World, first: dict) -> None:
    given, whole = (load_recipe(Path(first["path"]) / name) for name in ("given.yaml", "recipe.yaml"))
    assert given == load_recipe(world.folder / "toy.yaml")
    assert (given.student.vocabulary, whole.student.vocabulary) == (None, 30_000)


def test_the_same_command_again_reuses_everything(world: World, first: dict) -> None:
    output = world.done("run", "toy.yaml")
    assert set(world.states().values()) == {"reused"}
    assert len(re.findall("^reused ", output, flags=re.MULTILINE)) == len(STEPS)
    client = MlflowClient(first["mlflow"]["uri"])
    experiment = client.get_run(first["mlflow"]["run"]).info.experiment_id
    made = client.search_runs([experiment], "tags.`stillhouse.state` = 'done'", max_results=500)
    reused = client.search_runs([experiment], "tags.`stillhouse.state` = 'reused'", max_results=500)
    with sqlite3.connect(world.workspace / "prefect" / "prefect.db") as database:
        states = {state for (state,) in database.execute("select distinct state_name from task_run")}
    assert states == {"Completed", "Reused"}
    assert {run.data.tags["stillhouse.made_by"] for run in reused} <= {run.info.run_id for run in made}
    assert [model["digest"] for model in world.record()["students"]] == [model["digest"] for model in first["students"]]


def test_another_student_reuses_teacher_and_labels(world: World) -> None:
    world.done("run", "toy.yaml", "--set", "student.hidden_size=8", "--set", "seeds=[0]")
    states = world.states()
    assert {states[step] for step in STEPS[:4]} == {"reused"}
    assert states["evaluate teacher 0"] == "reused"
    assert states["train_student seed 0"] == states["train_twin seed 0"] == "done"
    assert world.record()["verdict"]["outcome"] == "INCONCLUSIVE", "one seed settles nothing"


def test_new_unlabelled_text_keeps_the_teacher_and_labels_only_what_is_new(world: World) -> None:
    new = [text for text, _ in toy_rows(20, seed=7)]
    (world.folder / "more.txt").write_text("\n".join([*new, new[0]]) + "\n", encoding="utf-8")
    world.done("run", "toy.yaml", "--set", "data.unlabelled=[more.txt]", "--set", "seeds=[0]")
    states = world.states()
    assert states["train_teacher 0"] == "reused"
    assert states["label by teacher 0"] == "done"
    label = next(step for step in world.record()["steps"] if step["step"] == "label")
    facts = json.loads((Path(label["path"]) / "manifest.json").read_text(encoding="utf-8"))["facts"]
    assert facts["new"] == 20


def test_force_makes_a_step_anew_and_the_rest_follows_from_the_digests(world: World) -> None:
    world.done("run", "toy.yaml", "--force", "train_teacher")
    states = world.states()
    assert states.pop("train_teacher 0") == states.pop("report") == "done", "the report tells how long training took"
    assert set(states.values()) == {"reused"}, "training is equal to the bit, so nothing behind it changes"


def test_labels_are_readable_with_pandas_and_hold_no_probabilities(world: World, first: dict) -> None:
    frame = pd.concat(pd.read_parquet(part) for part in Path(first["labels"][0]).glob("parts/*.parquet"))
    logits = frame["logits"].iloc[0]
    assert len(logits) == 3
    assert abs(sum(logits) - 1) > 1e-3


def test_tracked_runs_form_a_tree_tied_to_prefect(world: World, first: dict) -> None:
    client = MlflowClient(first["mlflow"]["uri"])
    parent = client.get_run(first["mlflow"]["run"])
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["prefect.flow_run_id"] == first["prefect"]["flow_run"]
    assert parent.data.params["student.hidden_size"] == "16"
    assert "student_accuracy" in parent.data.metrics
    experiment = parent.info.experiment_id
    children = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    by_name = {child.info.run_name: child for child in children}
    assert sorted(by_name) == sorted(STEPS)
    student = by_name["train_student seed 0"]
    assert len(client.get_metric_history(student.info.run_id, "dev_accuracy")) == 2
    assert {entry.dataset.name for entry in student.inputs.dataset_inputs} == {"gold", "dev", "transfer", "soft labels"}
    assert "model/config.json" in {file.path for file in client.list_artifacts(student.info.run_id, "model")}


def test_prefect_shows_names_tags_and_reused_steps(world: World, first: dict) -> None:
    with sqlite3.connect(world.workspace / "prefect" / "prefect.db") as database:
        rows = database.execute(
            "select t.name, t.tags, t.state_name from task_run t"
            " join flow_run f on f.id = t.flow_run_id where f.name = ?",
            (first["run"],),
        ).fetchall()
    tags = {name: json.loads(tags) for name, tags, _ in rows}
    assert sorted(tags) == sorted(STEPS)
    assert tags["train_student seed 0"] == ["gpu"]
    assert tags["load_data"] == ["cpu"]


def test_the_student_needs_only_this_package_to_load(world: World, first: dict) -> None:
    code = (
        "import models; from transformers import AutoModelForSequenceClassification as A, AutoTokenizer as T;"
        f"p = {first['best']['path']!r}; m = A.from_pretrained(p); t = T.from_pretrained(p);"
        "print(m.config.id2label[int(m(**t('goal coach league', return_tensors='pt')).logits.argmax())])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=world.environment, cwd=Path.cwd()
    )
    assert result.stdout.strip() in ("sport", "money", "food"), result.stderr


def test_predict_from_arguments_standard_input_and_files(world: World) -> None:
    shown = world.done("predict", "latest", "goal match coach league")
    assert shown.startswith("sport")
    write_csv(world.folder / "in.csv", [("bank shares profit", ""), ("soup 面包 🍞", "")])
    world.done("predict", "latest", "--input", "in.csv", "--output", "out.jsonl")
    lines = [json.loads(line) for line in (world.folder / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["text"] for line in lines] == ["bank shares profit", "soup 面包 🍞"]
    assert all(abs(sum(line["probabilities"].values()) - 1) < 1e-4 for line in lines)
    piped = subprocess.run(
        ["sh", "-c", "printf 'goal\\n\\nbank\\n' | stillhouse predict latest"],
        capture_output=True,
        text=True,
        cwd=world.folder,
        env=world.environment | {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"},
    )
    assert [json.loads(line)["label"] is None for line in piped.stdout.splitlines()] == [False, True, False]


def test_predict_refuses_a_model_that_gives_a_text_several_classes(world: World, first: dict, tmp_path: Path) -> None:
    folder = shutil.copytree(first["teachers"][0]["path"], tmp_path / "several")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"problem_type": "multi_label_classification"}))
    result = world.run("predict", str(folder), "the soup")
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert f"cannot use {folder}: its config.json says problem_type: multi_label_classification" in result.stderr


def test_predict_writes_to_a_pipe_and_never_replaces_it(world: World) -> None:
    """Found by a user: `--output /dev/stdout` became a regular file."""
    write_csv(world.folder / "in.csv", [("bank shares profit", "")])
    os.mkfifo(world.folder / "pipe")
    with subprocess.Popen(["cat", world.folder / "pipe"], stdout=subprocess.PIPE, text=True) as reader:
        world.done("predict", "latest", "--input", "in.csv", "--output", "pipe")
        assert json.loads(reader.communicate(timeout=30)[0])["text"] == "bank shares profit"
    assert (world.folder / "pipe").is_fifo()


def test_names_of_classes_cannot_reach_the_terminal_raw(world: World, first: dict) -> None:
    evil = world.folder / "evil"
    shutil.copytree(first["best"]["path"], evil)
    config = json.loads((evil / "config.json").read_text(encoding="utf-8"))
    config["id2label"]["0"] = "\x1b[31mred\nx\x1b]0;owned\x07"
    (evil / "config.json").write_text(json.dumps(config), encoding="utf-8")
    shown = world.done("predict", "evil", "goal match coach league")
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert shown.count("\n") == 1


def test_a_damaged_record_does_not_hide_the_other_runs(world: World) -> None:
    for name, content in (("a", "{"), ("b", '{"schema": 1}'), ("c", "[]")):
        broken = world.workspace / "runs" / f"broken-{name}" / "run.json"
        broken.parent.mkdir()
        broken.write_text(content, encoding="utf-8")
    result = world.run("show")
    shutil.rmtree(broken.parent)
    shutil.rmtree(broken.parent.with_name("broken-a"))
    shutil.rmtree(broken.parent.with_name("broken-b"))
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("warning") == 3


def test_plan_tells_what_would_run_and_makes_nothing(world: World) -> None:
    before = sorted(path for path in world.workspace.rglob("*") if "outputs" in path.parts)
    plan = world.done("plan", "toy.yaml", "--set", "training.learning_rate=0.001")
    states = [line.split(maxsplit=1) for line in plan.splitlines() if line.startswith(("reuse", "run"))]
    assert ("reuse", True) in [(state, step.startswith("train_teacher 0")) for state, step in states]
    assert ("run", True) in [(state, step.startswith("train_student seed 0")) for state, step in states]
    assert sorted(path for path in world.workspace.rglob("*") if "outputs" in path.parts) == before


def test_a_teacher_below_its_floor_stops_the_run_with_one_line(world: World) -> None:
    result = world.run("run", "toy.yaml", "--set", "teachers.0.epochs=1", "--set", "teachers.0.floor=0.999")
    assert result.returncode == 2
    assert "below its floor of 99.9%" in result.stderr
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stdout + result.stderr


def test_du_and_gc_keep_what_the_latest_runs_need(world: World) -> None:
    assert "outputs/train_teacher" in world.done("du")
    before = world.record()
    dry = world.done("gc", "--keep", "1")
    assert "would go" in dry
    assert Path(before["best"]["path"]).exists()
    world.done("run", "toy.yaml")
    world.done("gc", "--keep", "1", "--delete")
    assert len(list((world.workspace / "runs").iterdir())) == 1
    world.done("run", "toy.yaml")
    assert set(world.states().values()) == {"reused"}, "garbage collection kept all that the run needs"


def test_a_recipe_made_of_the_template_is_valid(world: World) -> None:
    """So is each line of it that is commented out."""
    template = world.done("recipes", "csv")
    keys = "objective|training|twin|race|augment|robustness: {texts|fuse|labelling|- "
    written = yaml.safe_load(re.sub(rf"^# (?={keys})", "", template, flags=re.MULTILINE))
    assert set(written) >= set(toy_recipe())
    (world.folder / "template.yaml").write_text(yaml.safe_dump(written), encoding="utf-8")
    assert load_recipe(world.folder / "template.yaml").race == 1


def test_only_labelling_stops_there_and_a_run_goes_on_from_it(world: World) -> None:
    texts = "\n".join(text for text, _ in toy_rows(20, seed=9))
    (world.folder / "more.txt").write_text(texts, encoding="utf-8")
    arguments = ["toy.yaml", "--set", "data.unlabelled=[more.txt]"]
    printed = world.done("label", *arguments)
    assert "296 texts, 20 of them labelled" in printed
    assert "train_student" not in printed
    plan = world.done("plan", *arguments)
    assert re.search("reuse +label by teacher 0", plan)
    assert world.record()["verdict"], "the latest result is still the one of a whole run"


def test_a_killed_run_leaves_no_server_blocks_nothing_and_is_closed(world: World) -> None:
    arguments = ["run", "toy.yaml", "--set", "training.learning_rate=0.02", "--set", "seeds=[0]"]
    with subprocess.Popen(
        [STILLHOUSE, *arguments],
        cwd=world.folder,
        env=world.environment | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert any(line.startswith("running train_student") for line in process.stdout), "it holds the gpu slot now"
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    gone, alive = psutil.wait_procs(children, timeout=20)
    assert gone, "the run had a server"
    assert not alive
    (killed,) = [found for found in world.still_open() if (world.workspace / "runs" / found).is_dir()][:1]
    world.done(*arguments)
    assert world.still_open() == []
    assert json.loads(world.done("show", killed, "--json"))["state"] == "killed"
    states = world.states()
    assert states["prepare_student"] == "reused"
    assert states["train_student seed 0"] == "done"
