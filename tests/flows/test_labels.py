"""`stillhouse labels`: what there is, whether it still holds, and out into a plain file."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from tasks.shared.label_files import FolderFiles
from tasks.shared.label_store import LabelStore, all_stores
from tests.flows.conftest import World, toy_recipe
from tests.toy import toy_rows


@pytest.fixture
def labelled(world: World, tmp_path: Path) -> World:
    """A copy of the world that may be damaged."""
    copy = replace(world, folder=tmp_path)
    for part in ("labels", "outputs"):
        shutil.copytree(world.workspace / part, copy.workspace / part)
    shutil.copy(world.workspace / "stillhouse.json", copy.workspace)
    return copy


def store_of(world: World) -> LabelStore:
    """The largest store: other tests of the session label with other teachers too."""
    stores = all_stores(FolderFiles(world.workspace / "labels"), pytest.fail)
    return max(stores, key=lambda store: sum(part.rows for part in store.parts()))


def test_labels_are_listed(world: World) -> None:
    store = store_of(world)
    printed = world.done("labels", "ls")
    [line] = [line for line in printed.splitlines() if line.startswith(store.name[:12])]
    assert f"{sum(part.rows for part in store.parts()):,}" in line
    assert "fp32 torch" in line


def test_good_labels_are_verified(world: World) -> None:
    printed = world.done("labels", "verify", store_of(world).name[:8], "--sample", "20", "--seed", "1")
    assert printed.startswith("good")
    assert "20 of 20 drawn computed again" in printed


def test_a_changed_label_and_a_damaged_file_are_told_and_exit_with_1(labelled: World) -> None:
    store = store_of(labelled)
    part = max(store.parts(), key=lambda part: part.rows)
    keys, logits = store.read(part)
    changed = logits.copy()
    changed[:, 0] += 1.0
    file = Path(store.place) / "parts" / f"{part.name}.parquet"
    file.unlink()
    file.with_suffix(".json").unlink()
    new = store.write(part.place, keys, changed)
    result = labelled.run("labels", "verify", store.name, "--sample", "100")
    assert result.returncode == 1, result.stdout + result.stderr
    lines = result.stdout.splitlines()
    assert len([line for line in lines if "it holds" in line and "the teacher says" in line]) > 50
    assert lines[-1].startswith("wrong")
    file = file.with_name(f"{new.name}.parquet")
    file.write_bytes(file.read_bytes()[:-1])
    result = labelled.run("labels", "verify", store.name)
    assert result.returncode == 1
    assert f"{file.name} are damaged" in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_exported_labels_are_the_teachers_probabilities_by_text(world: World, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"labels.{suffix}"
    record = world.record()
    world.done("labels", "export", str(file), "--temperature", "2", "--run", record["run"])
    frame = pd.read_csv(file) if suffix == "csv" else pd.read_parquet(file)
    paths = {step["step"]: Path(step["path"]) for step in record["steps"]}
    columns = [name for name in frame if name.startswith("probability_")]
    assert columns == [f"probability_{name}" for name in ("food", "money", "sport")]
    assert (frame[columns].idxmax(axis=1) == "probability_" + frame["label"]).all()
    assert frame["text"].tolist() == pd.read_parquet(paths["load_data"] / "transfer.parquet")["text"].tolist()
    expected = np.exp(np.stack(pd.read_parquet(paths["fuse"] / "soft-labels.parquet")["logits"]) / 2)
    np.testing.assert_allclose(frame[columns], expected / expected.sum(axis=1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["export", "labels.xlsx"], "write to a .csv or a .parquet file"),
        (["export", "labels.csv", "--run", "nope"], "no run 'nope'"),
        (["export", "labels.csv", "--teacher", "1"], "has no labels of teacher 1; it has those of 0"),
        (["export", "no/such/folder/labels.csv"], "No such file or directory"),
        (["export", "."], "write to a .csv"),
        (["verify", "zzz"], "have a name that begins with 'zzz'"),
        (["ls", "--store", "nowhere://x"], "is no place for files"),
    ],
)
def test_mistakes_are_one_line(world: World, arguments: list[str], said: str) -> None:
    result = world.run("labels", *arguments)
    assert result.returncode == 2, result.stdout + result.stderr
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_shards_label_what_the_whole_then_finds_done(world: World) -> None:
    texts = "\n".join(text for text, _ in toy_rows(40, seed=77))
    (world.folder / "shards.txt").write_text(texts, encoding="utf-8")
    arguments = ["toy.yaml", "--set", "data.unlabelled=[shards.txt]"]
    printed = [world.done("label", *arguments, "--shard", f"{number}/2") for number in (0, 1)]
    new = [int(re.search(r"([\d,]+) of them labelled by this step", each)[1]) for each in printed]
    assert sum(new) == 40
    assert min(new) > 5
    assert "reused  label_shard 1/2 by teacher 0" in world.done("label", *arguments, "--shard", "1/2")
    assert "316 texts, 0 of them labelled by this step" in world.done("label", *arguments)
    result = world.run("label", *arguments, "--shard", "2/2")
    assert result.returncode == 2
    assert "--shard '2/2': write I/N" in result.stderr


def test_labels_go_out_into_a_file_and_come_in_as_a_second_teacher(world: World) -> None:
    world.done("label", "toy.yaml")
    world.done("labels", "export", "out.parquet")
    transfer = pd.read_parquet(world.folder / "out.parquet")
    transfer.to_json(world.folder / "hosted.jsonl", orient="records", lines=True)
    printed = world.done("labels", "import", "hosted.jsonl", "toy.yaml")
    assert f"{len(transfer)} texts of the transfer set, not measured: it does not cover dev" in printed
    assert "teachers: [{labels: hosted.jsonl}]" in printed
    recipe = toy_recipe() | {"seeds": [0]}
    recipe["teachers"] = [*recipe["teachers"], {"labels": "hosted.jsonl"}]
    (world.folder / "two.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    printed = world.done("run", "two.yaml")
    assert re.search(rf"done +fuse .*{len(transfer)} texts of 2 teachers", printed)
    assert "student" in printed.split("reused  register")[0]
    states = world.states()
    assert states["import_labels 1"] == "reused"
    assert states["label by teacher 0"] == "reused"
    assert "import" in world.done("labels", "ls")
    verified = world.done("labels", "verify")
    assert "its teacher is not in this workspace" in verified


def test_only_imported_labels_need_a_tokenizer_of_their_own(world: World) -> None:
    world.done("label", "toy.yaml")
    world.done("labels", "export", "alone.csv")
    unanswered = pd.read_csv(world.folder / "alone.csv")
    unanswered.loc[:2, unanswered.columns != "text"] = None
    unanswered.to_csv(world.folder / "alone.csv", index=False)
    recipe = toy_recipe() | {"seeds": [0], "teachers": [{"labels": "alone.csv"}]}
    (world.folder / "alone.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    result = world.run("run", "alone.yaml")
    assert result.returncode == 2
    assert (
        "student.tokenizer is 0, but teachers.0 is a file of labels, which have none; set it to a model"
        in result.stderr
    )
    printed = world.done("run", "alone.yaml", "--set", "student.tokenizer=base")
    assert "teacher" not in {line.split()[0] for line in printed.splitlines() if line.strip()}
    assert re.search(r"student +\d", printed)
    plan = world.done("plan", "alone.yaml", "--set", "student.tokenizer=base")
    assert "0 to run" in plan
    printed = world.done("labels", "export", "again.parquet")
    assert f"{len(unanswered)} texts (3 of them without an answer), 3 classes" in printed
    pd.testing.assert_frame_equal(pd.read_parquet(world.folder / "again.parquet"), unanswered)
