"""Bytes that changed behind our back are noticed where they are used, and hashing costs once."""

import os
from pathlib import Path
from unittest.mock import patch

import pytest

from tasks.shared import verified
from tasks.shared.errors import StillhouseError
from tasks.shared.outputs import Output, make_output
from tasks.shared.verified import changed_files, check_model, forget
from tasks.shared.workspace import Workspace, open_workspace

WEIGHTS = "model/model.safetensors"
KEY = "ab" * 16


@pytest.fixture
def workspace() -> Workspace:
    return open_workspace()


@pytest.fixture
def output(workspace: Workspace) -> Output:
    def fill(folder: Path) -> dict[str, int]:
        (folder / WEIGHTS).parent.mkdir()
        (folder / WEIGHTS).write_bytes(b"the weights")
        (folder / "facts.txt").write_text("facts", encoding="utf-8")
        return {}

    return make_output(workspace.outputs / "train" / KEY, KEY, {}, fill)


def hashed(output: Output, workspace: Workspace) -> int:
    """How many files are read to find out that nothing changed."""
    with patch.object(verified, "hash_file", wraps=verified.hash_file) as read:
        assert changed_files(output, workspace) == []
    return read.call_count


def in_place(file: Path) -> None:
    times = file.stat()
    file.write_bytes(b"w" * times.st_size)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def replaced(file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(b"w" * file.stat().st_size)
    os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    other.replace(file)


@pytest.mark.parametrize("change", [in_place, replaced, Path.unlink])
@pytest.mark.parametrize("verified_before", [True, False])
def test_other_weights_of_the_same_size_and_time_are_noticed(workspace, output, change, verified_before) -> None:
    if verified_before:
        assert changed_files(output, workspace) == []
    change(output.path / WEIGHTS)
    assert changed_files(output, workspace) == [WEIGHTS]
    assert changed_files(output, workspace) == [WEIGHTS], "what is wrong is not remembered as good"
    with pytest.raises(StillhouseError, match="run its recipe again"):
        check_model(output.path / "model", workspace)


def test_each_file_is_hashed_once_and_again_where_it_was_touched(workspace, output) -> None:
    assert [hashed(output, workspace) for _ in range(3)] == [2, 0, 0]
    os.utime(output.path / "facts.txt")
    assert [hashed(output, workspace) for _ in range(2)] == [1, 0]
    forget(output.path.name, workspace)
    assert hashed(output, workspace) == 2


def test_a_file_that_came_later_and_may_be_read_with_the_others_is_noticed(workspace, output) -> None:
    (output.path / "model" / ".DS_Store").write_text("of a system", encoding="utf-8")
    assert changed_files(output, workspace) == []
    (output.path / "model" / "special_tokens_map.json").write_text("{}", encoding="utf-8")
    assert changed_files(output, workspace) == ["model/special_tokens_map.json"]


def test_a_damaged_memory_is_no_memory(workspace, output) -> None:
    assert hashed(output, workspace) == 2
    for damage in ("", "[]", '{"a": 1}', '{"model/model.safetensors": 3}'):
        (workspace.verified / f"{output.path.name}.json").write_text(damage, encoding="utf-8")
        assert hashed(output, workspace) == 2


def test_a_model_that_lies_in_no_output_is_nobodys_to_check(workspace, tmp_path) -> None:
    (tmp_path / "theirs").mkdir()
    check_model(tmp_path / "theirs", workspace)
