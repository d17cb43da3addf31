"""A command under guard ends with the process that started it, and takes along what it has started."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tasks.shared.child import end_marked, marked, start_child, still_running, stop_child, with_mark

# Starts a process in a session of its own, as Prefect's worker does, and waits.
FAMILY = "import subprocess, time; subprocess.Popen(['sleep', '300'], start_new_session=True); time.sleep(300)"


def family_of(guard: int) -> list[psutil.Process]:
    """The command and the process that it starts, once both are there and the guard has had the time to see them."""
    deadline = time.monotonic() + 30
    while len(found := psutil.Process(guard).children(recursive=True)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1.0)
    return found


def test_stopping_ends_all_of_it(tmp_path: Path) -> None:
    child = start_child([sys.executable, "-c", FAMILY], tmp_path / "log", os.environ, tmp_path)
    family = family_of(child.guard.pid)
    stop_child(child)
    assert not still_running(family)


def test_stopping_ends_what_a_killed_guard_left_alive(tmp_path: Path) -> None:
    child = start_child([sys.executable, "-c", FAMILY], tmp_path / "log", os.environ, tmp_path)
    family = family_of(child.guard.pid)
    child.guard.kill()
    child.guard.wait()
    assert len(still_running(family)) == 2
    stop_child(child)
    assert not still_running(family)


def test_whoever_comes_next_finds_what_is_marked_and_nothing_else(tmp_path: Path) -> None:
    ours, other = (marked(os.environ, mark) for mark in ("ours", "ours-too"))
    child, stranger = (
        start_child([sys.executable, "-c", FAMILY], tmp_path / "log", env, tmp_path) for env in (ours, other)
    )
    family, strangers = family_of(child.guard.pid), family_of(stranger.guard.pid)
    try:
        child.guard.kill()
        assert {process.pid for process in with_mark("ours")} >= {process.pid for process in family}
        assert end_marked("ours") >= 2
        assert not still_running(family)
        assert len(still_running(strangers)) == 2
        assert end_marked("ours") == 0
    finally:
        stop_child(child)
        stop_child(stranger)


def test_what_a_command_leaves_behind_is_ended_too(tmp_path: Path) -> None:
    guard = start_child([sys.executable, "-c", FAMILY], tmp_path / "log", os.environ, tmp_path).guard
    family = family_of(guard.pid)
    psutil.Process(guard.pid).children()[0].kill()
    assert guard.wait(timeout=20) != 0
    assert not still_running(family)


def test_a_killed_parent_leaves_no_orphans(tmp_path: Path) -> None:
    code = (
        "import os, sys, time; from pathlib import Path; from tasks.shared.child import start_child\n"
        f"child = start_child([sys.executable, '-c', {FAMILY!r}], Path('log'), os.environ, Path('.'))\n"
        "print(child.guard.pid, flush=True)\n"
        "time.sleep(300)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    guard = int(parent.stdout.readline())
    family = [*family_of(guard), psutil.Process(guard)]
    parent.kill()
    parent.communicate()
    assert not still_running(family, 20)


@pytest.mark.slow
def test_one_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(300)"
    )
    child = start_child([sys.executable, "-c", deaf], tmp_path / "log", os.environ, tmp_path)
    while "deaf" not in (tmp_path / "log").read_text(encoding="utf-8"):
        time.sleep(0.05)
    family = psutil.Process(child.guard.pid).children()
    stop_child(child)
    assert not still_running(family)


def test_a_command_that_ends_by_itself_gives_its_code_and_its_log(tmp_path: Path) -> None:
    code = "import sys; print('so long'); sys.exit(7)"
    guard = start_child([sys.executable, "-c", code], tmp_path / "logs" / "log", os.environ, tmp_path).guard
    assert guard.wait(timeout=20) == 7
    assert (tmp_path / "logs" / "log").read_text(encoding="utf-8") == "so long\n"
