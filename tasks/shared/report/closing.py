"""What a run's end says beside the verdict: which student ships, what is trivial, and where students lose."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from tasks.shared.report.content import Content
from tasks.shared.report.words import interval, percent, short_name
from tasks.shared.truncation import NOTABLE

_MOST_NAMED = 3


@dataclass(frozen=True)
class Fact:
    """A line: a name of a word or two, and what is said.

    Attributes:
        name: what it is about.
        text: without a full stop.
        warns: whether it is bad news.
    """

    name: str
    text: str
    warns: bool = False


def closing(content: Content) -> list[Fact]:
    """The facts that belong beside the verdict, in order; older runs may lack some."""
    parts = (_useless, _shipped, _baseline, _classes, _tests, _cut_off)
    return [fact for part in parts for fact in part(content)]


def verdicts(first: Mapping[str, Any], method: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Sentences, and what they do not reach beyond: on the method first, where several draws of labels tell of it."""
    if not method:
        return [(first["sentence"], _beyond(first))]
    over = f"Over {method['seeds']} draws of labels, {method['sentence']}"
    return [(over, _beyond(method)), (f"The first draw alone, {first['sentence']}", "All else here is of this draw.")]


def _beyond(verdict: Mapping[str, Any]) -> str:
    return " ".join(part for part in (verdict.get("remedy"), verdict["scope"]) if part)  # older runs have no remedy


def _shipped(content: Content) -> Iterator[Fact]:
    card, count = content.shipped, len(content.of("student"))
    best = f", the best of {count} on dev ({percent(card.dev_accuracy)} % right)" if count > 1 else ""
    right = "" if card.quality.accuracy is None else f": {percent(card.quality.accuracy)} % of test right"
    yield Fact("ships", f"the student of seed {card.seed}{best}{right}")


def _useless(content: Content) -> Iterator[Fact]:
    """Says first, and loudly, that a student has learnt nothing; the registry makes no champion of it."""
    quality = content.shipped.quality
    if quality.accuracy is not None and quality.accuracy <= quality.trivial:
        always = f"always saying {_quoted(quality.commonest.name)} gets {percent(quality.trivial)} % of test right"
        yield Fact("USELESS", f"do not ship this student: {always}, and it no more", warns=True)


def _baseline(content: Content) -> Iterator[Fact]:
    quality = content.shipped.quality
    if quality.accuracy is None:
        return
    said = f"always saying {_quoted(quality.commonest.name)} would get {percent(quality.trivial)} % of test right"
    if quality.rarest:
        said += f"; rarest class: {_quoted(quality.rarest.name)}, {_rows(quality.rarest.rows)}"
    yield Fact("baseline", said)


def _classes(content: Content) -> Iterator[Fact]:
    """Classes on which students clearly lose against their twins, the worst first; else the one that lost most."""
    worst = sorted(
        (one for one in content.explanation["classes"] if one["rows"] and one["student"] < one["twin"]),
        key=lambda one: (one["student"] - one["twin"], -one["rows"]),
    )
    least = content.result["verdict"]["worthwhile"]
    clear = [one for one in worst if one.get("lost") and one["twin"] - one["student"] >= least]
    if clear:
        named = "; ".join(map(_found, clear[:_MOST_NAMED]))
        more = f"; and {len(clear) - _MOST_NAMED} more in the report" if len(clear) > _MOST_NAMED else ""
        yield Fact("classes", f"the student is clearly worse than its twin on {named}{more}", warns=True)
    elif worst:
        how = "clear, but little" if worst[0].get("lost") else "that may be chance"
        yield Fact("classes", f"the student lost most against its twin on {_found(worst[0])}; {how}")
    elif content.explanation["classes"]:
        yield Fact("classes", "the student finds no less of any class than its twin")


def _found(one: Mapping[str, Any]) -> str:
    return (
        f"{_quoted(one['name'])} (it finds {percent(one['student'], 0)} % of {_rows(one['rows'])}, the twin "
        f"{percent(one['twin'], 0)} %)"
    )


def _tests(content: Content) -> Iterator[Fact]:
    for one in content.result["tests"]:
        right = ", ".join(f"{role} {percent(share)} %" for role, share in one["accuracy"].items())
        verdict = one["verdict"]
        against = f"{verdict['outcome']}, gain over the twin: {interval(verdict)}"
        yield Fact(f"on {short_name(one['name'])}", f"{right} right; {against}")


def _cut_off(content: Content) -> Iterator[Fact]:
    """Models that see only the beginning of many texts."""
    read = [
        (card.title, "gold texts", f"teachers.{card.title.rpartition(' ')[2]}.max_length", card.cut_off)
        for card in content.of("teacher")
    ]
    read.append(("the student", "transfer texts", "student.max_length", content.shipped.cut_off))
    some = [one for one in read if one[3] >= NOTABLE]
    if some:
        said = ", ".join(
            f"{who} reads only the beginning of {percent(share)} % of the {texts}" for who, texts, _, share in some
        )
        settings = " and ".join(setting for _, _, setting, _ in some)
        yield Fact("texts", f"{said}; raise {settings} to read more")


def mean_accuracy(content: Content, role: str) -> float:
    """Mean accuracy on test over the seeds of a role; test has gold labels."""
    return fmean(card.quality.accuracy or 0.0 for card in content.of(role))


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def _quoted(name: str) -> str:
    return f"'{short_name(name)}'"
