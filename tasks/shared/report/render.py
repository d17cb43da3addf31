"""A report as files: one HTML page that holds all it needs, the same in Markdown, and the figures on their own."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

from tasks.shared.outputs import replacing
from tasks.shared.report.content import Content
from tasks.shared.report.figures import TOKENS, draw_all
from tasks.shared.report.page import Page, write_page
from tasks.shared.report.parts import Section, Table
from tasks.shared.report.words import visible

PAGES = HTML, MARKDOWN, FIGURES = "report.html", "report.md", "figures"
_RUN = {HTML: "<!-- run -->", MARKDOWN: "[//]: # (run)"}
"""Stands, unseen, where the run is named: several runs may share the outputs that a page is of. No text of a user's can
be this, as what it is made of is escaped there."""

# What means something in Markdown (or HTML within it), or would break out of a table's cell.
_MARKS = re.compile(r"([\\`*_{}\[\]<>#|~$&!])")
_LINKS = re.compile(r"(?i)\b(https?|ftp|www)(:|\.)")
"""What is made a link without any sign around it."""
_BEGINNINGS = re.compile(r"^(?:\d{1,9}[.)](?=\s|$)|[-+=](?=[-=\s]|$))")
"""What begins a list, a rule or a heading."""
_LIGHT = {
    "--ink": "#22201c",
    "--soft": "#6f6a61",
    "--grid": "#dcd6cb",
    "--teacher": "#6b7280",
    "--student": "#0b72b9",
    "--twin": "#d1660f",
    "--unaugmented": "#7a4fb5",
    "--scratch": "#8a7a1d",
}
"""Colours of a figure that stands on its own, on white."""


def write_report(folder: Path, content: Content) -> None:
    """Writes report.html, report.md and figures/ into a folder; the same content gives the same bytes."""
    figures = draw_all(content)
    page = write_page(content)
    texts = {HTML: to_html(page, figures), MARKDOWN: to_markdown(page, list(figures))}
    texts |= {f"{FIGURES}/{name}.svg": _alone(picture) for name, picture in figures.items()}
    (folder / FIGURES).mkdir(exist_ok=True)
    for name, text in texts.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def name_run(folder: Path, run: str, began: str) -> None:
    """Writes into the pages of a folder which run they are of, and when that began (ISO 8601)."""
    said = f"Run {run}, {datetime.fromisoformat(began):%Y-%m-%d %H:%M} UTC."
    for name, words in ((HTML, escape(said)), (MARKDOWN, plain(said))):
        page = (folder / name).read_text(encoding="utf-8")
        (folder / name).write_text(page.replace(_RUN[name], words, 1), encoding="utf-8")


def to_html(page: Page, figures: Mapping[str, str]) -> str:
    """The page, with its pictures in it; texts cannot become anything but text."""
    from jinja2 import Environment, StrictUndefined

    template = Path(__file__).with_name("report.html.j2").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=_shown, trim_blocks=True, lstrip_blocks=True
    )
    html = environment.from_string(template).render(page=page, figures=figures, captions=page.captions, run=_RUN[HTML])
    return html.replace(" %", "\N{NO-BREAK SPACE}%") + "\n"


def _shown(value: Any) -> Any:  # noqa: ANN401 - whatever a template shows
    # What is safe already has pictures in it, and is left alone.
    return visible(value) if type(value) is str else value


def to_markdown(page: Page, figures: Sequence[str]) -> str:
    """The page in Markdown, which links to those pictures that it is told of."""
    blocks = [f"# {plain(page.name)}: was distilling worth it?", f"**{page.outcome}**: {plain(page.meaning)}"]
    blocks += [
        plain(page.scope),
        "\n".join(f"- {plain(fact)}" for fact in page.facts),
        plain(page.about),
        _RUN[MARKDOWN],
    ]
    blocks += [_table(["what", "value", "remark"], page.headlines, (True, False, True))]
    for section in page.sections:
        blocks += _section(section, page, figures)
    return "\n\n".join([*blocks, plain(page.foot)]) + "\n"


def _section(section: Section, page: Page, figures: Sequence[str]) -> Iterator[str]:
    yield f"## {plain(section.title)}"
    yield from map(plain, section.texts)
    for name in section.figures:
        if name in figures:
            yield f"![{plain(page.captions[name])}]({FIGURES}/{name}.svg)"
    for table in section.tables:
        yield _table_of(table)
        if table.note:
            yield plain(table.note)
    if section.points:
        yield "\n".join(f"- {plain(point)}" for point in section.points)
    if section.commands:
        yield "\n".join(
            f"- {plain(why)}" + (f": {_code(command)}" if command else "") for why, command in section.commands
        )
    if section.about_cases:
        yield plain(section.about_cases)
    for case in section.cases:
        facts = "; ".join(f"{plain(name)}: **{plain(value)}**" for name, value in case.facts)
        yield f"{'Won' if case.won else 'Lost'}: {facts}\n\n> {plain(case.text)}"


def _table_of(table: Table) -> str:
    return _table([head.name for head in table.head], table.rows, [head.text for head in table.head])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], words: Sequence[bool] = ()) -> str:
    marks = ["---" if place == 0 or (words and words[place]) else "---:" for place in range(len(head))]
    lines = [[plain(cell) for cell in head], marks, *([plain(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _code(text: str) -> str:
    """A text that Markdown shows as code, in one line; nothing in it means anything there but its own fence."""
    line = visible(" ".join(text.split()))
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    return f"{fence} {line} {fence}" if "`" in line else f"`{line}`"


def plain(text: str) -> str:
    """A text that Markdown shows as it is, in one line."""
    line = _MARKS.sub(r"\\\1", visible(" ".join(text.split())))
    line = _LINKS.sub(lambda found: f"{found[1]}\\{found[2]}", line)
    return _BEGINNINGS.sub(lambda found: f"{found[0][:-1]}\\{found[0][-1]}", line)


def _alone(picture: str) -> str:
    for variable in TOKENS.values():
        picture = picture.replace(f"var({variable})", _LIGHT[variable])
    return f'<?xml version="1.0" encoding="utf-8"?>\n{picture}'
