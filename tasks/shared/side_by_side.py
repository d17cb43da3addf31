"""Training small models side by side, each in a process of its own with one thread, while the run waits for the first.

A small model's products are too small to be shared out among threads: two of them in a process each take little longer
than one that has both cores. `python -m tasks.shared.side_by_side SOCKET` is such a process; it ends with the one that
started it, whose end it notices by the socket that both have.
"""

import logging
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import cache, partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import psutil

from tasks.shared.devices import pick_device
from tasks.shared.errors import one_line
from tasks.shared.outputs import Json, temporary_beside
from tasks.shared.serving.environment import bare_environment
from tasks.shared.steps import Advance, Context, Fill, Job, Stopped, one_after_the_other
from tasks.shared.workspace import Workspace

log = logging.getLogger("stillhouse")

RUN_PROCESS = "STILLHOUSE_RUN_PROCESS"
"""Set, in the processes, to the number of the one that carries out the run."""
_FEWEST_STEPS = 2000
"""Optimiser steps of all trainings together below which starting processes takes longer than it spares."""
_MOST = 4
"""Processes at most: a run has few seeds, and each process takes memory."""
_MEMORY = 2**30
"""Bytes that a process and what it trains take, about."""


@dataclass(eq=False)
class _Handed:
    """A training that was handed out.

    Attributes:
        job: what is to be done.
        folder: where what it makes is, until it is asked for.
        said: by the process, not passed on yet.
        ended: its last word.
    """

    job: Job
    folder: Path
    said: list[tuple[Any, ...]] = field(default_factory=list)
    ended: tuple[Any, ...] | None = None


@dataclass
class _Place:
    """A process that trains.

    Attributes:
        process: itself.
        line: to speak with it.
        busy: with what.
    """

    process: "subprocess.Popen[bytes]"
    line: "Connection[Any, Any]"
    busy: _Handed | None = None


class SideBySide:
    """The processes of a run that train small models; there are none before the first are worth it."""

    def __init__(self, workspace: Workspace, device: str) -> None:
        """For trainings on a device, as the recipe says it: only a processor has several places."""
        self._workspace = workspace
        self._device = device
        self._places: list[_Place] = []
        self._handed: list[_Handed] = []
        self._waiting: list[_Handed] = []

    def begin(self, jobs: Sequence[Job]) -> Sequence[Fill]:
        """Has trainings that do not need each other made side by side, if that is worth it; gives what fills each one's
        folder, in order.

        They begin when the first is asked for, which has waited for its turn by then. Those that are not handed to a
        process are made where they are asked for.
        """
        count = self.at_a_time(jobs)
        if count == 1:
            return one_after_the_other(jobs)
        handed = []
        for job in self._forewarned(jobs, count):
            handed.append(_Handed(job, temporary_beside(job.step.folder(self._workspace))))
        self._handed += handed
        start = cache(partial(self._hand_over, handed, count))
        return [self._fill(one, start) for one in handed]

    def at_a_time(self, jobs: Sequence[Job]) -> int:
        """How many of some trainings are made side by side."""
        steps = sum(job.step.work[0] or 0 for job in jobs)
        enough = len(jobs) > 1 and steps >= _FEWEST_STEPS and all(job.step.one_thread for job in jobs)
        return max(1, min(len(jobs), self._most())) if enough else 1

    def _hand_over(self, handed: Sequence[_Handed], count: int) -> None:
        """Begins some trainings in so many processes."""
        while len(self._places) < count:
            self._places.append(self._start())
        self._waiting += handed
        self._hand_out()

    def _forewarned(self, jobs: Sequence[Job], count: int) -> Iterator[Job]:
        """Has the first training alone warn of what is to come, of which so many end at a time."""
        for number, job in enumerate(jobs):
            ahead = job.ahead and replace(job.ahead, trainings=-(-job.ahead.trainings // count))
            yield replace(job, ahead=None if number else ahead)

    def close(self) -> None:
        """Ends the processes, whatever they do."""
        for place in self._places:
            _end(place)
        self._places.clear()
        for handed in list(self._handed):
            self._drop(handed)

    def _most(self) -> int:
        """How many processes this machine has room for, as long as the person leaves this one its threads."""
        import torch

        if pick_device(self._device) != "cpu":
            return 1
        room = len(self._places) + int(psutil.virtual_memory().available // _MEMORY)
        return min(_MOST, torch.get_num_threads(), room)

    def _start(self) -> _Place:
        ours, theirs = socket.socketpair()
        environment = {**bare_environment(), "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        environment[RUN_PROCESS] = str(os.getpid())
        command = [sys.executable, "-P", "-m", "tasks.shared.side_by_side", str(theirs.fileno())]
        with theirs:
            process = subprocess.Popen(  # noqa: S603 - this very module
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for this process, which ends its own
            )
        line: Connection[Any, Any] = Connection(ours.detach())
        line.send(self._workspace.root)
        return _Place(process, line)

    def _hand_out(self) -> None:
        for place in self._places:
            if self._waiting and place.busy is None:
                place.busy = self._waiting.pop(0)
                with suppress(OSError):  # it is dead, which is noticed below
                    place.line.send((place.busy.folder, place.busy.job))

    def _listen(self) -> None:
        """Takes in what processes say next; notices those that are dead."""
        lines = {place.line: place for place in self._places}
        for line in wait(list(lines)):
            place = lines[line]  # type: ignore[index]
            try:
                said = place.line.recv()
            except (EOFError, OSError):
                self._places.remove(place)
                _end(place)
                if place.busy:
                    place.busy.ended = ("died",)
                continue
            if place.busy and said[0] == "ended":
                place.busy.ended, place.busy = said[1:], None
            elif place.busy:
                place.busy.said.append(said)
        self._hand_out()

    def _fill(self, handed: _Handed, start: Callable[[], None]) -> Fill:
        def fill(folder: Path, context: Context) -> Mapping[str, Json]:
            start()
            with context.progress(*handed.job.step.work) as advance:
                told: Mapping[str, Callable[..., None]] = {
                    "advance": advance,
                    "warn": context.warn,
                    "metrics": context.metrics,
                    "looked": context.looked,
                }
                while True:
                    while handed.said:
                        name, *values = handed.said.pop(0)
                        told[name](*values)
                    if handed.ended or not self._places:
                        break
                    self._listen()
            return self._taken(handed, folder, context)

        return fill

    def _taken(self, handed: _Handed, folder: Path, context: Context) -> Mapping[str, Json]:
        """What a process made; made here where none could."""
        how, *found = handed.ended or ("died",)
        if how == "done":
            for path in handed.folder.iterdir():
                path.rename(folder / path.name)
        self._drop(handed)
        if how == "done":
            return dict(found[0])
        if how == "FloatingPointError":
            raise FloatingPointError(found[0])
        if how == "Stopped":
            raise Stopped
        log.warning("%s: its own process did not train it (%s), so this one does", handed.job.step.title, how)
        return handed.job.step.make(folder, context)

    def _drop(self, handed: _Handed) -> None:
        """Forgets a training, and what is left of it."""
        self._handed.remove(handed)
        if handed in self._waiting:
            self._waiting.remove(handed)
        shutil.rmtree(handed.folder, ignore_errors=True)


def _end(place: _Place) -> None:
    place.line.close()
    place.process.kill()  # it holds nothing that it would have to give back
    place.process.wait()


@contextmanager
def side_by_side(workspace: Workspace, device: str) -> Iterator[SideBySide]:
    """What trains small models of a run; the processes end with it."""
    found = SideBySide(workspace, device)
    try:
        yield found
    finally:
        found.close()


class _Worker:
    """One of the processes."""

    def __init__(self, line: "Connection[Any, Any]") -> None:
        self._line = line

    def carry_on(self) -> None:
        """Trains what it is told to until nobody is there who would."""
        workspace = Workspace(self._line.recv())
        while True:
            folder, job = self._line.recv()
            self._line.send(("ended", *self._try(folder, job, workspace)))

    def _try(self, folder: Path, job: Job, workspace: Workspace) -> tuple[Any, ...]:
        context = Context(
            workspace=workspace,
            device="cpu",
            run="",
            progress=self._progress,
            metrics=lambda name, points: self._line.send(("metrics", name, points)),
            warn=lambda said: self._line.send(("warn", said)),
            looked=lambda look, accuracy: self._looked(job, look, accuracy),
            kept=job.kept,
            ahead=job.ahead,
        )
        try:
            facts = job.step.make(folder, context)
        except Stopped:
            return ("Stopped",)
        except FloatingPointError as error:
            return ("FloatingPointError", one_line(error))
        except (BrokenPipeError, ConnectionResetError):
            raise  # nobody is there
        except Exception as error:
            return (f"{type(error).__name__}: {one_line(error)}",)
        return ("done", facts)

    def _progress(self, total: int | None, unit: str) -> AbstractContextManager[Advance]:
        return nullcontext(lambda count: self._line.send(("advance", count)))

    def _looked(self, job: Job, look: int, accuracy: float) -> None:
        self._line.send(("looked", look, accuracy))
        job.looked(look, accuracy)


if __name__ == "__main__":
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        _Worker(Connection(int(sys.argv[1]))).carry_on()
