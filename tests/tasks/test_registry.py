"""The registry by itself: names that lead to a folder, and names that do not; teachers taken from it."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from mlflow.tracking import MlflowClient
from transformers import AutoModelForSequenceClassification, GPT2Config, XLNetConfig

from tasks.shared.bases import check_base, check_classifier
from tasks.shared.errors import StillhouseError
from tasks.shared.mlflow_model import save_model
from tasks.shared.outputs import hash_folder
from tasks.shared.registry import Registry
from tasks.shared.registry_files import UnusableVersionError, VersionGoneError
from tasks.shared.tracking import Tracker, open_client
from tasks.shared.workspace import Workspace, open_workspace
from tasks.train_teacher import TrainTeacher
from tests.settled import Teacher
from tests.tiny import bpe_tokenizer
from tests.toy import toy_rows

TEXTS = [text for text, _ in toy_rows(12, seed=0)]


@pytest.fixture
def registry(toy, bench):
    """A registry with the toy's teacher in it, twice."""
    run = Tracker(bench.workspace, "toy").start("register", {})
    registry = Registry(bench.workspace)
    for number, alias in ((1, "previous"), (2, "champion")):
        tags = {"digest": f"digest {number}", "sha256": hash_folder(toy.teacher.path)}
        scratch = bench.workspace.root / "scratch"
        registry.point(alias, registry.add("news", toy.teacher.path, False, run, tags, scratch))
        assert not scratch.exists()
    return registry


def test_a_version_is_found_by_alias_number_and_digest(toy, registry):
    for address, number in (("models:/news@champion", 2), ("models:/news@previous", 1), ("models:/news/1", 1)):
        assert registry.find(address, "here").number == number
    assert [version.address for version in registry.with_digest("news", "digest 1")] == ["models:/news/1"]
    assert [version.number for version in registry.versions()] == [2, 1]
    folder = registry.folder(registry.find("models:/news/1", "here"))
    assert (folder / "model.safetensors").read_bytes() == (toy.teacher.path / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (
            "models:/news@champoin",
            "here: no models:/news@champoin in the registry at .*; there is models:/news@champion",
        ),
        ("models:/news/3", "there is models:/news@champion, models:/news@previous, models:/news/2, models:/news/1"),
        ("models:/nwes@champion", "there is models:/news/2, models:/news/1"),
        ("models:/news", "'models:/news' is not models:/NAME@ALIAS or models:/NAME/VERSION"),
        ("models:/../../etc@x", "is not models:/NAME@ALIAS"),
        ("models:/x'; drop@y", "no models:/x'; drop@y in the registry"),
        ("models:/a:b/1", "cannot contain"),
    ],
)
def test_what_is_not_there_is_told_in_a_line(registry, address, message):
    with pytest.raises(StillhouseError, match=message):
        registry.find(address, "here")


def test_the_files_of_a_version_have_minutes_to_arrive(toy, bench, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    monkeypatch.setattr("tasks.shared.registry.save_model", lambda scratch, *_: scratch.mkdir())
    upload, found = MlflowClient.log_artifacts, []

    def noted(*args):
        found.append(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"])
        upload(*args)

    monkeypatch.setattr(MlflowClient, "log_artifacts", noted)
    run = Tracker(bench.workspace, "toy").start("register", {})
    Registry(bench.workspace).add("news", toy.teacher.path, False, run, {"digest": "d"}, bench.workspace.root / "new")
    assert found == ["600"]
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "20"


def test_looking_makes_nothing(tmp_path, monkeypatch):
    nowhere = Registry(Workspace(tmp_path / "nowhere"))
    assert nowhere.versions() == []
    assert nowhere.with_alias("news", "champion") is None
    with pytest.raises(StillhouseError, match="nothing is registered there yet"):
        nowhere.find("models:/news@champion", "here")
    assert not (tmp_path / "nowhere").exists()


def test_a_server_that_does_not_answer_is_told_at_once(bench, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    with pytest.raises(StillhouseError, match="no MLflow server answers at http://") as caught:
        Registry(bench.workspace).versions()
    assert "secret" not in str(caught.value)


def test_a_model_of_others_is_neither_listed_nor_loaded(bench, registry):
    client = open_client(bench.workspace)
    client.create_registered_model("theirs")
    client.create_model_version("theirs", "file:///somewhere")
    assert {version.name for version in registry.versions()} == {"news"}
    with pytest.raises(UnusableVersionError, match="models:/theirs/1 was not registered by Stillhouse"):
        registry.folder(registry.find("models:/theirs/1", "here"))


def test_files_that_are_gone_are_told(registry):
    version = registry.find("models:/news@champion", "here")
    folder = registry.folder(version)
    folder.rename(folder.with_name("moved"))
    with pytest.raises(VersionGoneError, match="the files of models:/news/2 are gone"):
        registry.folder(version)


def test_a_registered_teacher_teaches_again(toy, bench, registry):
    options = Teacher(model="models:/news@champion", epochs=0, max_length=16)
    step = TrainTeacher(toy.data, options, 0)
    assert bench(step).dev_accuracy == toy.teacher.dev_accuracy
    output = bench.output(step)
    assert output.digest == toy.teacher.digest, "the same model, so the same version when it is registered"
    assert output.facts["base"] == "models:/news/2", "which version the alias meant is recorded"
    assert "models:/news/2" in step.consumed()
    registry.point("champion", registry.find("models:/news/1", "here"))
    assert TrainTeacher(toy.data, options, 0).key == step.key, "the same bytes under another version"
    assert replace(step, teacher=options.model_copy(update={"model": str(toy.teacher.path)})).key == step.key
    with pytest.raises(StillhouseError, match=r"teachers.0.model: no models:/news@nope in the registry"):
        _ = TrainTeacher(toy.data, options.model_copy(update={"model": "models:/news@nope"}), 0).key


def test_a_server_is_asked_for_the_files_once(toy, bench, registry, monkeypatch):
    """What is not on this machine is copied into the workspace; here a place that MLflow does not call local."""
    version = registry.find("models:/news@champion", "here")
    source = Path(registry.folder(version)).parent.parent
    client = open_client(bench.workspace)
    monkeypatch.setattr("mlflow.utils.uri.is_local_uri", lambda uri, **_: False)
    copy = registry.folder(version)
    assert copy.is_relative_to(bench.workspace.registry)
    assert sorted(path.name for path in bench.workspace.registry.iterdir()) == [copy.name]
    killed = copy.with_name(f".{copy.name}.0123")
    killed.mkdir()
    (source / "artifacts" / "model" / "config.json").unlink()
    assert registry.folder(version) == copy, "it is not fetched twice"
    assert not killed.exists(), "what a killed fetch left goes with the next"
    (copy / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UnusableVersionError):
        registry.folder(version)
    assert client.get_model_version("news", "2")


def test_models_are_tracked_and_registered_whatever_the_path_holds(toy, tmp_path, monkeypatch):
    # Each of these alone was tried too; `find_workspace` refuses what does not work.
    odd = tmp_path / "50% #&;:@='\"`$HOME!*(x)[x]{x}<x>|\\~^,+ é日本\n\t\x01\x7f "
    monkeypatch.setenv("STILLHOUSE_HOME", str(odd))
    workspace = open_workspace()
    tracker = Tracker(workspace, "toy")
    run = tracker.start("register", {})
    tracker.artifact(run, toy.teacher.path / "config.json")
    registry = Registry(workspace)
    tags = {"digest": "d", "sha256": hash_folder(toy.teacher.path)}
    version = registry.add("news", toy.teacher.path, False, run, tags, workspace.root / "scratch")
    assert registry.folder(version).is_relative_to(odd)
    assert [path.name for path in tmp_path.iterdir() if path != odd and path.suffix == ".db"] == []


def test_a_moved_workspace_finds_and_adds_models_where_it_is_now(toy, registry, bench, tmp_path, monkeypatch):
    moved = tmp_path / "moved"
    bench.workspace.root.rename(moved)
    monkeypatch.setenv("STILLHOUSE_HOME", str(moved))
    workspace = open_workspace()
    there = Registry(workspace)
    assert there.folder(there.find("models:/news@champion", "here")).is_relative_to(moved)
    run = Tracker(workspace, "toy").start("register", {})
    tags = {"digest": "digest 3", "sha256": hash_folder(toy.teacher.path)}
    added = there.add("news", toy.teacher.path, False, run, tags, moved / "scratch")
    assert there.folder(added).is_relative_to(moved)
    assert not bench.workspace.root.exists()


def test_a_registered_model_of_another_kind_is_refused_before_a_run(toy, bench, registry, tmp_path, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_HOME", str(bench.workspace.root))
    several = tmp_path / "several"
    shutil.copytree(toy.teacher.path, several)
    config = json.loads((several / "config.json").read_text())
    (several / "config.json").write_text(json.dumps(config | {"problem_type": "multi_label_classification"}))
    run = Tracker(bench.workspace, "toy").start("register", {})
    tags = {"digest": "another", "sha256": hash_folder(several)}
    registry.add("topics", several, False, run, tags, bench.workspace.root / "scratch")
    for name in ("news", "topics"):
        address = f"models:/{name}/1"
        folder = check_base(address, "teachers.0.model")
        assert folder.path == registry.folder(registry.find(address, "here"))
        if name == "news":
            check_classifier(folder, Teacher(model=address, epochs=0), "teachers.0.model", toy.data.classes)
    with pytest.raises(StillhouseError, match=r"^teachers.0.model: cannot use models:/topics/1: .* multi_label_class"):
        check_classifier(folder, Teacher(model=address, epochs=0), "teachers.0.model", None)


def test_a_registered_decoder_is_served_as_it_reads_a_text_alone(toy, bench, tmp_path):
    """Of GPT-2 with two padding tokens, and of XLNet, which pads on the left."""
    gpt2, texts = bpe_tokenizer(TEXTS), TEXTS
    gpt2.add_special_tokens({"pad_token": "<pad>"})
    shapes = {
        "gpt2": (
            GPT2Config(n_embd=8, n_layer=1, n_head=2, initializer_range=0.5, pad_token_id=gpt2.eos_token_id),
            gpt2,
        ),
        "xlnet": (XLNetConfig(d_model=8, n_layer=1, n_head=2, d_inner=8, initializer_range=0.5), gpt2),
    }
    for name, (config, tokenizer) in shapes.items():
        torch.manual_seed(0)
        config.vocab_size = len(tokenizer)
        AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
        save_model(tmp_path / f"{name}-saved", tmp_path / name, False)
        served = mlflow.pyfunc.load_model(str(tmp_path / f"{name}-saved"))
        together = served.predict(pd.DataFrame({"text": texts}))["probability_LABEL_0"]
        alone = [served.predict(pd.DataFrame({"text": [text]}))["probability_LABEL_0"][0] for text in texts]
        np.testing.assert_allclose(together, alone, atol=1e-5)
        assert np.ptp(together) > 1e-2


def test_a_moved_database_is_followed_however_its_address_is_spelt(toy, registry, bench, tmp_path, monkeypatch):
    moved = tmp_path / "moved"
    bench.workspace.root.rename(moved)
    monkeypatch.setenv("STILLHOUSE_HOME", str(moved))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{moved}/../moved/mlflow/mlflow.db")
    there = Registry(open_workspace())
    assert there.folder(there.find("models:/news@champion", "here")).is_relative_to(moved)
