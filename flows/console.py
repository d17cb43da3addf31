"""What a person sees of a run: a line a step, a progress bar for what takes long, warnings they can act on."""

import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from tasks.shared.errors import printable, without_logins

log = logging.getLogger("stillhouse")

_STYLES = {
    "running": "cyan",
    "done": "green",
    "reused": "blue",
    "failed": "red",
    "waiting": "yellow",
    "stopped": "yellow",
    "interrupted": "yellow",
}
_PATIENCE_SECONDS = 2.0
_SILENCE_SECONDS = 30.0
"""For so long at most nothing is said of a step that works."""
_LONGEST_WARNING = 600


class View:
    """Writes to the terminal, and the same to the log."""

    def __init__(self, console: Console | None = None, quiet: bool = False) -> None:
        """Without a console: standard output. A quiet one shows warnings alone."""
        self.console = console or Console(highlight=False)
        self._quiet = quiet
        self._warned: set[str] = set()
        self._work: _Work | None = None
        self._bar_moves = False

    def starting(self, title: str) -> None:
        """A step begins."""
        log.info("running %s", title)
        if self._quiet:
            return
        if not self.console.is_terminal:
            self.console.print(f"running {title}")
        else:
            self.console.print(Text.assemble(("running ", "cyan"), title), end="\r")

    def line(self, state: str, title: str, note: str = "", seconds: float | None = None) -> None:
        """A step and its state."""
        log.info("%s %s %s", state, title, note)
        took = "" if seconds is None else f"{seconds:6.1f} s"
        text = Text.assemble((f"{state + ' ':<8}", _STYLES[state]), f"{title:<26}", f"{took:>9}  ", (note, "dim"))
        if not self._quiet:
            self.console.print(text, soft_wrap=True)

    def warn(self, message: str) -> None:
        """Something the person can act on; said once, though several students may have reason to."""
        if message in self._warned:
            return
        self._warned.add(message)
        log.warning("%s", message)
        self.console.print(Text.assemble(("warning ", "yellow"), printable(message, _LONGEST_WARNING)))

    @contextmanager
    def progress(self, title: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
        """A bar that appears after two seconds, shows rate and time left, and goes when the work is done.

        Without a terminal, `working` says what is advanced here.
        """
        if self._quiet or not self.console.is_terminal:
            work = self._work or _Work(title)
            work.begin(total, unit)
            yield work.advance
            work.begin(None, "")
            return
        bar = Progress(
            TextColumn("[cyan]running[/]"),
            TextColumn(f"{title:<26}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            _Rate(unit),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=self.console,
            transient=True,
            refresh_per_second=4,
        )
        task = bar.add_task(title, total=total)
        began = time.monotonic()

        def advance(count: int) -> None:
            bar.advance(task, count)
            if not bar.live.is_started and time.monotonic() - began > _PATIENCE_SECONDS:
                bar.start()
                self._bar_moves = True

        try:
            yield advance
        finally:
            bar.stop()
            self._bar_moves = False

    @contextmanager
    def working(self, title: str) -> Iterator[None]:
        """Says every half a minute that a step still works, and how far it is; on a terminal a bar says that."""
        self._work = work = _Work(title)
        over = threading.Event()

        def tell() -> None:
            while not over.wait(_SILENCE_SECONDS):
                self._still(work)

        teller = threading.Thread(target=tell, name="still working", daemon=True)
        teller.start()
        try:
            yield
        finally:
            self._work = None
            over.set()
            teller.join()

    def _still(self, work: "_Work") -> None:
        if not self.console.is_terminal:
            self.line("running", work.title, work.note, work.seconds)
        elif not (self._quiet or self._bar_moves):
            self.console.print(Text.assemble(("running ", "cyan"), f"{work.title}{work.seconds:9.0f} s"), end="\r")


class _Work:
    """How far a step is, as its own thread counts and another one tells."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._began = time.monotonic()
        self.begin(None, "")

    def begin(self, total: int | None, unit: str) -> None:
        """A new count, of so many units if that is known; without a unit, none."""
        self._done, self._total, self._unit = 0, total, unit
        self._first: tuple[float, int] | None = None

    def advance(self, count: int) -> None:
        self._done += count
        # What comes first may have been done before: by a training that now goes on from its checkpoint.
        self._first = self._first or (time.monotonic(), self._done)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    @property
    def note(self) -> str:
        if not self._unit:
            return ""
        if not self._total:
            return f"{self._done:,} {self._unit}"
        note = f"{self._done:,} of {self._total:,} {self._unit}"
        if self._first is None or self._done == self._first[1]:
            return note
        seconds_each = (time.monotonic() - self._first[0]) / (self._done - self._first[1])
        left = seconds_each * max(0, self._total - self._done) / 60
        return f"{note}, {f'about {left:.0f} min' if left >= 1 else 'less than a minute'} left"


class _Rate(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed or 0.0
        return Text(f"{speed:,.{0 if speed >= 10 else 1}f} {self._unit}/s")


class _Formatter(logging.Formatter):
    """What libraries say, without the logins of servers and with nothing in it that would steer a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        lines = without_logins(super().format(record)).split("\n")
        return "\n".join(line if line.isprintable() else printable(line, len(line) * 10) for line in lines)


@contextmanager
def logging_to(file: Path) -> Iterator[None]:
    """Sends all that libraries log or warn about to a file, and nothing of it to the terminal."""
    handler = logging.FileHandler(file, encoding="utf-8")
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # a log that cannot be written on a full disk is no reason for a traceback
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        try:
            yield
        finally:
            root.removeHandler(handler)
            handler.close()


def quiet_transformers() -> None:
    """Imports transformers' logging, which makes its handler, and stops it from writing to the terminal."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_default_handler()
    # Where a command has no log, Python would print warnings itself, and what a model's files say with them.
    logging.getLogger("transformers").addHandler(logging.NullHandler())
    transformers_logging.enable_propagation()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def quiet_libraries() -> None:
    """Takes the console handlers from libraries that bring their own; call it when they have been imported."""
    from prefect.logging.configuration import setup_logging

    setup_logging()
    quiet_transformers()
    for name in ["", *logging.Logger.manager.loggerDict]:
        logger = logging.getLogger(name)
        for handler in list(logger.handlers):
            if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
                logger.removeHandler(handler)
        if name.split(".")[0] in ("prefect", "mlflow"):
            logger.propagate = True
