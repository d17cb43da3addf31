"""Tells, a minute into a training, that it will take more than an hour, what makes it so and what would halve it."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import psutil
import torch

from models.encoding import Ints
from models.training import Advance
from tasks.shared.defaults.precision import has_bf16
from tasks.shared.pace.words import about
from tasks.shared.side_by_side import RUN_PROCESS
from tasks.shared.steps import Context

LOOK_AFTER_SECONDS = 60.0
LONG_SECONDS = 3600.0
_WORTH_TELLING = 1.15
"""Times as fast; what gains less is not told."""
_BUSY = 0.15
"""Of all cores; what other processes take up to here is not told."""
_MANY_SEEDS = 3
_MOST_FIT = 0.95


@dataclass(frozen=True)
class Load:
    """What decides how long a training takes.

    Attributes:
        where: the recipe's path of the settings `epochs` and `precision`, such as `teachers.0`.
        length_setting: the recipe's path of `max_length`.
        rows: that are gone through in an epoch; a twin goes through its few texts as often as that takes.
        lengths: tokens read of each text, [texts].
        max_length: how many may be read.
        epochs: passes over the rows.
        steps: optimiser steps.
        precision: `fp32` or `bf16`.
        parameters: of the model.
        one_thread: whether it has one, whatever threads there are.
    """

    where: str
    length_setting: str
    rows: int
    lengths: Ints
    max_length: int
    epochs: int
    steps: int
    precision: str
    parameters: int
    one_thread: bool = False


class Remedy(NamedTuple):
    """A setting that makes a training faster, and how many times."""

    setting: str
    times: float


class ForewarnedAdvance:
    """Passes on what a training advances; after a minute it warns, once, if the rest will take more than an hour."""

    def __init__(self, advance: Advance, context: Context, title: str, load: Load) -> None:
        """`context.ahead` says how many trainings like this one follow; without it nothing is said."""
        self._advance, self._context, self._title, self._load = advance, context, title, load
        self._done = 0
        self._first: _Moment | None = None
        self._over = context.ahead is None

    def __call__(self, count: int) -> None:
        """So many steps more are done; where it is none, the training may not have begun."""
        self._advance(count)
        self._done += count
        if self._over or not count:
            return
        # What comes first may have been done before, by a training that now goes on from its checkpoint.
        if self._first is None:
            self._first = _Moment.now(self._done)
        elif time.monotonic() - self._first.time >= LOOK_AFTER_SECONDS:
            self._over = True
            self._look(self._first, _Moment.now(self._done))

    def _look(self, first: "_Moment", now: "_Moment") -> None:
        ahead = self._context.ahead
        steps = self._load.steps
        each = (now.time - first.time) / (now.steps - first.steps)
        seconds = each * (steps - now.steps + steps * (ahead.trainings if ahead else 0))
        if ahead is None or seconds <= LONG_SECONDS:
            return
        others = others_share(first, now) if self._context.device == "cpu" else 0.0
        what = self._title + (f" and {_up_to(ahead.trainings)} like it will" if ahead.trainings else " will")
        faster = [f"{setting}, {_times(times)}" for setting, times in remedies(self._load, self._context)]
        self._context.warn(
            f"{what} take about {about(seconds)} more: {'; '.join(_reasons(self._load, self._context, others))}. "
            f"Faster by: {'; '.join(faster) or 'a smaller model'}"
        )


class _Moment(NamedTuple):
    """How far things were: steps, clock, and seconds of processor time of this process and its children, and of all."""

    steps: int
    time: float
    ours: float
    all: float

    @classmethod
    def now(cls, steps: int) -> "_Moment":
        return cls(steps, time.monotonic(), sum(_processor_seconds()), _busy_seconds())


def _processor_seconds() -> Iterator[float]:
    with suppress(psutil.Error):  # the run has ended
        run = psutil.Process(int(os.environ.get(RUN_PROCESS, os.getpid())))
        for process in (run, *run.children(recursive=True)):
            with suppress(psutil.Error):  # it ended
                spent = process.cpu_times()
                yield spent.user + spent.system


def _busy_seconds() -> float:
    spent = psutil.cpu_times()
    idle: float = spent.idle + getattr(spent, "iowait", 0.0)
    # Guests' time is in that of users, and so would be counted twice.
    return float(sum(spent)) - idle - getattr(spent, "guest", 0.0) - getattr(spent, "guest_nice", 0.0)


def others_share(first: _Moment, now: _Moment) -> float:
    """Share of all cores that other processes had between two moments; 0 where not all cores were busy."""
    cores = psutil.cpu_count() or 1
    every = (now.time - first.time) * cores
    busy, ours = (now.all - first.all) / every, (now.ours - first.ours) / every
    return float(np.clip(busy - ours, 0, 1)) if busy > 1 - _BUSY else 0.0


def _our_cores(logical: bool) -> int:
    """How many cores this process may use; it may be held to some of the machine's."""
    cores = psutil.cpu_count(logical=logical) or 1
    return min(cores, len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else cores


def _reasons(load: Load, context: Context, others: float) -> Iterator[str]:
    """What the time goes into."""
    yield (
        f"{load.rows:,} rows x {load.epochs} epoch{'s' if load.epochs > 1 else ''} x "
        f"{load.lengths.mean():.0f} tokens a text, {load.parameters / 1e6:.1f} M parameters"
    )
    if context.device != "cpu":
        return
    threads, cores = torch.get_num_threads(), _our_cores(logical=True)
    yield f"{threads} thread{'s' if threads > 1 else ''} on {cores} core{'s' if cores > 1 else ''}"
    if others > _BUSY:
        yield f"other processes take {others:.0%} of the cores"


def remedies(load: Load, context: Context) -> list[Remedy]:
    """The settings that make a training at least a little faster, and by how much, the surest first."""
    found = [shorter(load)]
    if load.epochs > 1:
        found.append(Remedy(f"{load.where}.epochs={load.epochs // 2}", load.epochs / (load.epochs // 2)))
    if load.precision == "fp32" and has_bf16(context.device):
        found.append(Remedy(f"{load.where}.precision=bf16", 2.0))
    if context.ahead and context.ahead.seeds > _MANY_SEEDS:
        seeds = context.ahead.seeds
        found.append(Remedy(f"{_MANY_SEEDS} seeds instead of {seeds}", seeds / _MANY_SEEDS))
    threads, cores = torch.get_num_threads(), _our_cores(logical=False)
    if context.device == "cpu" and threads < cores and not load.one_thread:
        found.append(Remedy(f"OMP_NUM_THREADS={cores}", cores / threads))
    return [remedy for remedy in found if remedy.times >= _WORTH_TELLING]


def shorter(load: Load) -> Remedy:
    """The length that most texts need; where that gains little, half of the length, and how many texts it cuts."""
    for length in (int(np.quantile(load.lengths, _MOST_FIT, method="lower")), load.max_length // 2):
        times = load.lengths.sum() / np.minimum(load.lengths, length).sum()
        if times >= _WORTH_TELLING:
            break
    cut = float((load.lengths > length).mean())
    return Remedy(f"{load.length_setting}={length} (cuts {cut:.0%} of the texts)", float(times))


def _up_to(trainings: int) -> str:
    """Some may turn out to be there, or be stopped early."""
    return f"up to {trainings} training{'s' if trainings > 1 else ''}"


def _times(factor: float) -> str:
    return f"up to {factor:.2g} times"
