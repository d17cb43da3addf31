"""Outputs are there whole or not at all, and the lock on one is lost only by its owner."""

import hashlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from tasks.shared.outputs import MANIFEST, find_output, hash_folder, hash_of, locked, make_output, replacing, write_json

ROOT = Path(__file__).parents[2]


def fill_with(**files):
    def fill(folder):
        for name, content in files.items():
            path = folder / name.replace("__", "/")
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)
        return {"count": len(files)}

    return fill


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "outputs" / "step" / "key"


def made(folder, measured=(), **files):
    return make_output(folder, folder.name, {"seed": 0}, fill_with(**files), "run-1", frozenset(measured))


def test_what_was_made_is_found(folder):
    output = made(folder, a="one", sub__b="two")
    assert find_output(folder) == output
    assert (output.path, output.key, output.facts, output.made_by) == (folder, "key", {"count": 2}, "run-1")
    manifest = json.loads((folder / MANIFEST).read_text())
    assert manifest["inputs"] == {"seed": 0}
    assert manifest["schema"] == 1
    sha = {name: hashlib.sha256(content).hexdigest() for name, content in (("a", b"one"), ("sub/b", b"two"))}
    assert manifest["files"] == {name: {"sha256": sha[name], "bytes": 3} for name in sha}
    assert output.digest == hash_of(sha)
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize("problem", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_nothing_behind(folder, problem):
    def fail(temporary):
        (temporary / "half").write_text("...")
        raise problem

    with pytest.raises(problem):
        make_output(folder, "key", {}, fail)
    assert list(folder.parent.iterdir()) == []
    kept = made(folder, a="one")
    with pytest.raises(problem):
        make_output(folder, "key", {}, fail)
    assert find_output(folder) == kept
    assert list(folder.parent.iterdir()) == [folder]


def test_facts_that_are_no_json_leave_nothing_behind(folder):
    for facts in ({"loss": float("nan")}, {"path": Path("x")}):
        with pytest.raises((ValueError, TypeError)):
            make_output(folder, "key", {}, lambda _, facts=facts: facts)
    assert list(folder.parent.iterdir()) == []


def test_while_it_is_being_made_it_is_not_there(folder):
    def look(temporary):
        (temporary / "a").write_text("one")
        assert find_output(folder) is None
        assert find_output(temporary) is None
        return {}

    make_output(folder, "key", {}, look)
    assert find_output(folder)


def drop_key(manifest, key):
    return json.dumps({name: value for name, value in json.loads(manifest).items() if name != key})


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder, manifest: (folder / MANIFEST).unlink(),
        lambda folder, manifest: (folder / MANIFEST).write_text(manifest[: len(manifest) // 2]),
        lambda folder, manifest: (folder / MANIFEST).write_text(""),
        lambda folder, manifest: (folder / MANIFEST).write_text("[]"),
        lambda folder, manifest: (folder / MANIFEST).write_text('{"schema": 1, "files": []}'),
        lambda folder, manifest: (folder / MANIFEST).write_bytes(b"\xff\xfe"),
        lambda folder, manifest: (folder / MANIFEST).write_text(manifest.replace('"schema": 1', '"schema": 2')),
        lambda folder, manifest: (folder / MANIFEST).write_text(drop_key(manifest, "digest")),
        lambda folder, manifest: (folder / "a").unlink(),
        lambda folder, manifest: (folder / "a").write_text("on"),
        lambda folder, manifest: (folder / "sub" / "b").write_text("twooo"),
    ],
)
def test_what_is_not_whole_is_not_there_and_can_be_made_again(folder, damage):
    before = made(folder, a="one", sub__b="two")
    damage(folder, (folder / MANIFEST).read_text())
    assert find_output(folder) is None
    assert made(folder, a="one", sub__b="two") == before
    assert find_output(folder) == before


def test_nothing_is_found_where_nothing_is(folder):
    assert find_output(folder) is None


def test_making_it_again_replaces_all_of_it(folder):
    made(folder, a="one", old="file")
    output = made(folder, a="two")
    assert (folder / "a").read_text() == "two"
    assert not (folder / "old").exists()
    assert find_output(folder) == output


def test_the_digest_is_of_names_and_bytes_but_not_of_what_measures_the_machine(tmp_path):
    def digest(name, measured=(), **files):
        return made(tmp_path / name, measured, **files).digest

    same = digest("one", a="one", b="two")
    assert digest("two", b="two", a="one") == same
    assert digest("three", a="one", c="two") != same
    assert digest("four", a="one", b="other") != same
    assert digest("five", ["cost"], a="one", b="two", cost="3 ms") == same
    assert digest("six", ["cost"], a="one", b="two", cost="9 ms") == same
    assert digest("seven", a="one", b="two", cost="3 ms") != same
    listed = json.loads((tmp_path / "five" / MANIFEST).read_text())["files"]
    assert "cost" in listed, "a measured file is still part of the output"


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), plain, max_size=5), st.randoms())
def test_the_hash_does_not_depend_on_the_order_of_keys(parts, random):
    items = list(parts.items())
    random.shuffle(items)
    assert hash_of(dict(items)) == hash_of(parts)
    assert hash_of(json.loads(json.dumps(parts))) == hash_of(parts)


def test_the_hash_tells_plain_data_apart():
    different = [
        {},
        [],
        None,
        "",
        0,
        "0",
        [0],
        {"a": [1, 2]},
        {"a": [2, 1]},
        {"a": 1, "b": 2},
        {"a": {"b": 2}},
        "é",
        "e",
    ]
    assert len({hash_of(parts) for parts in different}) == len(different)
    assert hash_of((1, 2)) == hash_of([1, 2])
    with pytest.raises(ValueError, match="JSON"):
        hash_of({"a": float("nan")})


def test_the_hash_of_a_folder(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights").write_text("w")
    assert hash_folder(tmp_path / "one") == hash_folder(tmp_path / "two")
    (tmp_path / "one" / "README.md").write_text("words")
    assert hash_folder(tmp_path / "one") != hash_folder(tmp_path / "two")
    assert hash_folder(tmp_path / "one", ignore=frozenset({"README.md"})) == hash_folder(tmp_path / "two")


def test_json_is_written_for_people(tmp_path):
    write_json(tmp_path / "a.json", {"text": "你好"})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "text": "你好"\n}\n'
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"bad": float("inf")})
    assert "你好" in (tmp_path / "a.json").read_text(encoding="utf-8")


def test_two_threads_that_write_the_same_file_do_not_take_each_others(tmp_path):
    path = tmp_path / "record.json"
    with ThreadPoolExecutor(1) as pool, replacing(path) as temporary:
        temporary.write_text("one")
        pool.submit(write_json, path, "other").result()
        assert path.read_text() == '"other"\n'
        assert temporary.read_text() == "one"
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


# Locks, between real processes

HOLD = """
import sys, time
from pathlib import Path
from tasks.shared.outputs import locked
with locked(Path(sys.argv[1]), lambda owner: print("waiting for", owner, flush=True)):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def hold(tmp_path):
    """Starts processes that take the lock and hold it until they are told to go on."""
    started = []

    def start():
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, tmp_path / "locks" / "step-key.lock"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_second_owner_waits_and_is_told_whom_for(hold):
    first = hold()
    assert first.stdout.readline() == "held\n"
    second = hold()
    assert second.stdout.readline().startswith(f"waiting for process {first.pid} on ")
    assert not select.select([second.stdout], [], [], 0.3)[0], "the second must still be waiting"
    first.communicate("go on\n")
    assert second.stdout.readline() == "held\n"


def test_the_lock_of_a_killed_owner_is_taken_over_at_once(hold, tmp_path):
    owner = hold()
    assert owner.stdout.readline() == "held\n"
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    began = time.monotonic()
    with locked(tmp_path / "locks" / "step-key.lock", lambda owner: pytest.fail(f"waited for {owner}")):
        assert time.monotonic() - began < 1


def test_a_waiter_takes_over_when_the_owner_is_killed(hold):
    owner = hold()
    assert owner.stdout.readline() == "held\n"
    waiter = hold()
    assert waiter.stdout.readline().startswith("waiting for")
    owner.kill()
    assert waiter.stdout.readline() == "held\n"


def test_the_lock_is_released_when_the_work_fails(tmp_path):
    lock = tmp_path / "locks" / "a.lock"
    with pytest.raises(ValueError, match="work"), locked(lock, pytest.fail):
        raise ValueError("work")
    with locked(lock, pytest.fail):
        pass


def test_an_output_is_where_its_key_says_and_its_digest_is_that_of_its_files(folder):
    made(folder, a="one")
    other = folder.with_name("another")
    shutil.copytree(folder, other)
    assert find_output(other) is None, "a folder that was put in the place of another"
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"]["a"]["sha256"] = "0" * 64
    (folder / MANIFEST).write_text(json.dumps(manifest))
    assert find_output(folder) is None


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_files_have_the_mode_that_the_persons_umask_gives(tmp_path, umask, mode):
    def fill(folder):
        (folder / "model").mkdir()
        save_file({"w": np.zeros(2, np.float32)}, folder / "model" / "model.safetensors")
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            Path(file.name).rename(folder / "for-its-owner-alone")
        (folder / "plain").touch()
        return {}

    before = os.umask(umask)
    try:
        output = make_output(tmp_path / "key", "key", {}, fill)
    finally:
        os.umask(before)
    assert set(output.files) == {"model/model.safetensors", "for-its-owner-alone", "plain"}
    modes = {path.stat().st_mode & 0o777 for path in output.path.rglob("*") if path.is_file()}
    assert modes == {mode}
