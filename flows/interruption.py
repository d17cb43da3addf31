"""Ctrl-C and SIGTERM: told at once, closed in order, and never waited for without end.

Python hears of a signal when native code returns, and a backward pass on a busy machine may take half a minute; so may
a server that does not answer while a run is closed. A thread hears of it at once.
"""

import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import click

_TOLD_AFTER_SECONDS = 1.5
_CLOSED_AFTER_SECONDS = 15.0
_CLOSED = 0


class Interrupted(KeyboardInterrupt):
    """A signal has told the command to end."""

    def __init__(self, number: int) -> None:
        """Takes the signal."""
        super().__init__()
        self.exit_code = 128 + number


class Interruption:
    """What is still to be done where a run cannot be closed in order.

    Attributes:
        last_words: called by another thread, just before the process ends.
    """

    def __init__(self) -> None:
        """Nothing is to be done yet."""
        self.last_words: Callable[[], None] = lambda: None


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Ends what it surrounds when SIGINT or SIGTERM comes, with KeyboardInterrupt or `Interrupted`.

    What is not over fifteen seconds later, or at a second Ctrl-C, is cut off: the process ends.
    """
    interruption = Interruption()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.signal(signal.SIGTERM, interrupt)
    woken_before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    watch = threading.Thread(target=_watch, args=(reading, interruption), name="interruption", daemon=True)
    watch.start()
    try:
        yield interruption
    finally:
        signal.set_wakeup_fd(woken_before)
        signal.signal(signal.SIGTERM, before)
        os.close(writing)
        watch.join()
        os.close(reading)


def interrupt(number: int, frame: FrameType | None) -> None:
    """What a signal is to do."""
    raise Interrupted(number)


def _watch(reading: int, interruption: Interruption) -> None:
    number = _next_signal(reading, {signal.SIGINT, signal.SIGTERM}, None)
    if number == _CLOSED:
        return
    # Prefect sends itself a second SIGTERM when it has closed a flow run.
    again = _next_signal(reading, {signal.SIGINT}, _TOLD_AFTER_SECONDS)
    if again is None:
        click.echo("stillhouse: interrupted; closing the run", err=True)
        again = _next_signal(reading, {signal.SIGINT}, _CLOSED_AFTER_SECONDS)
    if again == _CLOSED:
        return
    # In a thread, as it may wait for a server in its turn.
    last = threading.Thread(target=_say_last_words, args=(interruption,), daemon=True)
    last.start()
    last.join(_TOLD_AFTER_SECONDS)
    click.echo("stillhouse: interrupted; ended at once, and the same command goes on from here", err=True)
    sys.stdout.flush()
    os._exit(128 + (number or signal.SIGINT))


def _say_last_words(interruption: Interruption) -> None:
    with suppress(Exception):  # a server that is gone, a full disk; the next run closes what stays open
        interruption.last_words()


def _next_signal(reading: int, wanted: set[signal.Signals], seconds: float | None) -> int | None:
    """The number of the next signal that is wanted; `_CLOSED` where all is over, None where the time is."""
    while select.select([reading], [], [], seconds)[0]:
        found = os.read(reading, 1)
        if not found:
            return _CLOSED
        if found[0] in wanted:
            return found[0]
    return None
