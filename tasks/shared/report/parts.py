"""What a page is put together from: sections, tables, and rows of models."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from tasks.shared.report.content import Card, Content


@dataclass(frozen=True)
class Head:
    """A column's heading, and how its cells look: numbers if `css` is empty."""

    name: str
    css: str = ""

    @property
    def text(self) -> bool:
        """Whether its cells are words."""
        return bool(self.css)


@dataclass(frozen=True)
class Table:
    """Rows of cells; the first of each names the row. `css` is how it looks where that is not as others do."""

    head: Sequence[Head]
    rows: Sequence[Sequence[str]]
    note: str = ""
    css: str = ""


@dataclass(frozen=True)
class Case:
    """One example: what is said of it, by whom, and its text; whether it speaks for the student."""

    facts: Sequence[tuple[str, str]]
    text: str
    won: bool


@dataclass(frozen=True)
class Section:
    """A part of the page, in this order."""

    title: str
    texts: Sequence[str] = ()
    figures: Sequence[str] = ()
    tables: Sequence[Table] = ()
    points: Sequence[str] = ()
    commands: Sequence[tuple[str, str]] = ()
    """What to do, and the command that does it, if one does."""
    about_cases: str = ""
    cases: Sequence[Case] = ()


def groups(content: Content) -> Iterator[tuple[str, list[Card]]]:
    """Rows of a table: each teacher, and the seeds of each other role together."""
    teachers = content.of("teacher")
    for card in teachers:
        yield card.title if len(teachers) > 1 else "teacher", [card]
    for role in content.roles:
        if role != "teacher":
            cards = content.of(role)
            yield f"{role} x {len(cards)}" if len(cards) > 1 else role, cards


def mean_of(cards: Sequence[Card], measure: Callable[[Card], float | None], scale: int = 100, digits: int = 1) -> str:
    """A measure of the models of a row, with its spread over seeds."""
    values = [scale * value for value in map(measure, cards) if value is not None]
    if not values:
        return "no gold labels"
    spread = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{fmean(values):.{digits}f}{spread}"


def numbers(head: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> Table:
    """A table of numbers whose first column is words."""
    return Table([Head(name, "text" if place == 0 else "") for place, name in enumerate(head)], rows, note)
