"""Commands that end with the process that started them, however that one ends, and take along all they started.

`python -m tasks.shared.child COMMAND...` is the guard that stands between the two: it holds the pipe from its parent,
which closes when the parent lets go of it or dies, and knows the processes that the command has started. Prefect's
worker starts each run in a session of its own, where no signal to a group would find it. And as the guard may be killed
too, all of them carry a mark in their environment, by which whoever comes next finds them.
"""

import contextlib
import os
import select
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_MARKS = "STILLHOUSE_MARKS"
_LOOK_SECONDS = 0.5
_CHECK_SECONDS = 0.05
_GRACE_SECONDS = 10.0
_FORCE_SECONDS = 3.0
_ENDINGS = ((psutil.Process.terminate, _GRACE_SECONDS), (psutil.Process.kill, _FORCE_SECONDS))
PATIENCE_SECONDS = 2 * (_GRACE_SECONDS + _FORCE_SECONDS)
"""How long a guard may need to end its command."""


@dataclass(frozen=True)
class Child:
    """A running command.

    Attributes:
        guard: the process that ends it; its exit code is that of the command.
        log: the output of both.
        mark: what the environment of the command, and of all that it starts, is marked with.
    """

    guard: "subprocess.Popen[bytes]"
    log: Path
    mark: str


def start_child(command: Sequence[str], log: Path, environment: Mapping[str, str], folder: Path) -> Child:
    """Starts a command under a guard; closing the guard's standard input ends both.

    Args:
        command: what to run.
        log: the file its output is appended to.
        environment: all of its environment.
        folder: where it runs.
    """
    mark = uuid.uuid4().hex
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        guard = subprocess.Popen(  # noqa: S603 - this very module
            [sys.executable, "-P", "-m", "tasks.shared.child", *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=marked(environment, mark),
            cwd=folder,
            start_new_session=True,  # Ctrl-C is for the parent, which ends its children in order
        )
    return Child(guard, log, mark)


def marked(environment: Mapping[str, str], mark: str) -> dict[str, str]:
    """An environment with one mark more, a word: processes that get it are found by any of their marks."""
    return {**environment, _MARKS: f"{environment.get(_MARKS, '')} {mark}".strip()}


def stop_child(child: Child) -> None:
    """Ends a command and its guard, and waits until they have ended, and all that the command started."""
    if child.guard.stdin:
        child.guard.stdin.close()
    try:
        child.guard.wait(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        child.guard.kill()
        child.guard.wait()
    end_marked(child.mark)


def end_marked(mark: str) -> int:
    """Ends the processes of this machine that carry a mark; gives how many there were.

    There are none where a guard could do its work.
    """
    ended = set[psutil.Process]()
    for stop, seconds in _ENDINGS:
        found = with_mark(mark)
        ended.update(found)
        _ask(found, stop)
        still_running(found, seconds)
    return len(ended)


def with_mark(mark: str) -> list[psutil.Process]:
    """The processes of this machine that carry a mark: we started them, or they started each other.

    What is in the environment of a process its user alone can read and set. This process and those that led to it are
    not among them, whatever they carry.
    """
    here = psutil.Process()
    own = {here.pid, *(process.pid for process in here.parents())}
    return [process for process in psutil.process_iter() if process.pid not in own and _carries(process, mark)]


def _carries(process: psutil.Process, mark: str) -> bool:
    try:
        return mark in process.environ().get(_MARKS, "").split()
    except (psutil.Error, OSError):  # of another user, or just gone
        return False


def still_running(processes: Iterable[psutil.Process], seconds: float = 0.0) -> list[psutil.Process]:
    """The processes that have not ended after some time; one that nobody has asked for its exit code has."""
    deadline = time.monotonic() + seconds
    while True:
        left = [process for process in processes if _runs(process)]
        if not left or time.monotonic() >= deadline:
            return left
        time.sleep(_CHECK_SECONDS)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _guard(command: Sequence[str]) -> int:
    child = psutil.Popen(command, stdin=subprocess.DEVNULL)
    family: set[psutil.Process] = set()
    while child.poll() is None:
        # A process whose parent has died is found no more, so who belongs to whom is noted while all live.
        _note_family(child, family)
        if select.select([sys.stdin], [], [], _LOOK_SECONDS)[0] and not os.read(sys.stdin.fileno(), 1024):
            break
    _end(child, family)
    return int(child.wait())


def _note_family(child: psutil.Popen, family: set[psutil.Process]) -> None:
    with contextlib.suppress(psutil.Error):
        family.update(child.children(recursive=True))
    family.intersection_update(still_running(family))


def _end(child: psutil.Popen, family: set[psutil.Process]) -> None:
    """Asks what the command has started first: a worker that is asked to end kills its runs before they can close."""
    for stop, seconds in _ENDINGS:
        _note_family(child, family)
        for processes in (family, {child}):
            _ask(still_running(processes), stop)
            still_running(processes, seconds)


def _ask(processes: Iterable[psutil.Process], stop: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            stop(process)


if __name__ == "__main__":
    sys.exit(_guard(sys.argv[1:]))
