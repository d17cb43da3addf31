"""What a person sees of a run: a line a step, a progress bar for what takes long, warnings they can act on."""

import logging
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
}
_PATIENCE_SECONDS = 2.0
_SILENCE_SECONDS = 60.0
"""For so long at least nothing is said of a step's progress where no bar can move."""
_LONGEST_WARNING = 600


class View:
    """Writes to the terminal, and the same to the log."""

    def __init__(self, console: Console | None = None, quiet: bool = False) -> None:
        """Without a console: standard output. A quiet one shows warnings alone."""
        self.console = console or Console(highlight=False)
        self._quiet = quiet
        self._warned: set[str] = set()

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
        text = Text.assemble((f"{state:<8}", _STYLES[state]), f"{title:<26}", f"{took:>9}  ", (note, "dim"))
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

        Without a terminal, a line after a minute and then with each further tenth, a minute apart at least.
        """
        if self._quiet or not self.console.is_terminal:
            yield self._lines(title, total, unit)
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

        try:
            yield advance
        finally:
            bar.stop()

    def _lines(self, title: str, total: int | None, unit: str) -> Callable[[int], None]:
        began = told = time.monotonic()
        done, due = 0, 0.0

        def advance(count: int) -> None:
            nonlocal told, done, due
            done += count
            now = time.monotonic()
            if now - told < _SILENCE_SECONDS or (total and done < due):
                return
            told, note = now, f"{done:,} {unit}"
            if total:
                due = done + total / 10
                left = (now - began) * max(0, total - done) / max(1, done)
                note = f"{done:,} of {total:,} {unit}, about {left / 60:.0f} min left"
            self.line("running", title, note, now - began)

        return advance


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
