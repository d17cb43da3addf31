"""Commands that end with the process that started them, however that one ends, and take along all they started.

`python -m tasks.shared.child COMMAND...` is the guard that stands between the two: it holds the pipe from its parent,
which closes when the parent lets go of it or dies, and knows the processes that the command has started. Prefect's
worker starts each run in a session of its own, where no signal to a group would find it.
"""

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import psutil

_LOOK_SECONDS = 0.5
_CHECK_SECONDS = 0.05
_GRACE_SECONDS = 10.0
_FORCE_SECONDS = 3.0
PATIENCE_SECONDS = 2 * (_GRACE_SECONDS + _FORCE_SECONDS)
"""How long a guard may need to end its command."""


def start_child(
    command: Sequence[str], log: Path, environment: Mapping[str, str], folder: Path
) -> "subprocess.Popen[bytes]":
    """Starts a command under a guard; closing the guard's standard input ends both.

    Args:
        command: what to run.
        log: the file its output is appended to.
        environment: all of its environment.
        folder: where it runs.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - this very module
            [sys.executable, "-P", "-m", "tasks.shared.child", *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=dict(environment),
            cwd=folder,
            start_new_session=True,  # Ctrl-C is for the parent, which ends its children in order
        )


def stop_child(guard: "subprocess.Popen[bytes]") -> None:
    """Ends a command and its guard, and waits until they have ended."""
    if guard.stdin:
        guard.stdin.close()
    try:
        guard.wait(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        guard.kill()
        guard.wait()


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
    for stop, seconds in ((psutil.Process.terminate, _GRACE_SECONDS), (psutil.Process.kill, _FORCE_SECONDS)):
        _note_family(child, family)
        for processes in (family, {child}):
            for process in still_running(processes):
                with contextlib.suppress(psutil.Error):
                    stop(process)
            still_running(processes, seconds)


if __name__ == "__main__":
    sys.exit(_guard(sys.argv[1:]))
