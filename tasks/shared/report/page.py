"""What a report says, section by section, as plain texts and tables that become HTML or Markdown."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Any

import yaml

from tasks.shared.recipe_file import GIVEN
from tasks.shared.report.advice import advise, standing
from tasks.shared.report.choices import choices
from tasks.shared.report.classes import by_class
from tasks.shared.report.closing import closing, verdicts
from tasks.shared.report.comparisons import comparisons, models, tests
from tasks.shared.report.content import Content
from tasks.shared.report.gains import gains
from tasks.shared.report.noise import robustness
from tasks.shared.report.parts import Section
from tasks.shared.report.trust import probabilities
from tasks.shared.report.words import count_of_seeds, file_size, interval, percent, points, short, times

_BESIDE = f"{GIVEN}, the recipe as given, lies in the run's folder; call these where the run was called, with its path."
CAPTIONS = {
    "trade-off": "Accuracy on test against the size of the weights and the time of a single text; a mark a model.",
    "classes": "What share of each class the students and the twins find, mean over seeds.",
    "robustness": "Accuracy on the same test texts with more and more mistakes; bands: 95 % interval of the cost.",
    "reliability": "How often a model is right, by how sure it is; on the dotted line it is right as often as it says. "
    "Bins of ten rows and more, each as large as its share of test.",
    "training": "Accuracy on dev and loss by optimiser step; a line a seed.",
}


@dataclass(frozen=True)
class Page:
    """The whole report but for the pictures.

    Attributes:
        name: of the recipe.
        outcome: of the verdict.
        meaning: the rest of its sentence.
        scope: what it does not reach beyond.
        about: what was distilled into what.
        facts: what belongs beside the verdict.
        headlines: name, value and remark of what matters most.
        sections: the rest.
        recipe: the recipe as YAML.
        foot: what measured.
    """

    name: str
    outcome: str
    meaning: str
    scope: str
    about: str
    facts: Sequence[str]
    headlines: Sequence[tuple[str, str, str]]
    sections: Sequence[Section]
    recipe: str
    foot: str
    captions: Mapping[str, str] = field(default_factory=lambda: CAPTIONS)


def write_page(content: Content) -> Page:
    """The page of a run."""
    verdict, method = content.result["verdict"], content.result["draws"]
    outcome = str((method or verdict)["outcome"])
    (sentence, scope), *first = verdicts(verdict, method)
    meaning = sentence.replace(f"{outcome}: ", "", 1)
    makers: list[Callable[[Content], Section | None]] = [
        models,
        comparisons,
        by_class,
        gains,
        robustness,
        tests,
        probabilities,
        choices,
        _next,
        _training,
        _data,
        _registered,
    ]
    machine = content.cards[0].cost.machine
    where = f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}"
    return Page(
        name=str(content.recipe["name"]),
        outcome=outcome,
        meaning=_said(meaning),
        scope=scope,
        about=_about(content),
        facts=[
            *(f"{said}. {more}" for said, more in first),
            *(_said(f"{one.name}: {one.text}") for one in closing(content)),
        ],
        headlines=list(_headlines(content)),
        sections=[section for section in (make(content) for make in makers) if section],
        recipe=yaml.safe_dump(dict(content.recipe), sort_keys=False, allow_unicode=True, width=110),
        foot=f"Times and memory: {where}, Python {machine['python']}, PyTorch {machine['torch']}. All else follows "
        "from data, recipe and models. Nothing here was chosen on test: the best weights, temperatures, thresholds and "
        "the student that is registered come from dev. (NO BETTER, or a loss where a gain was hoped for, keeps that "
        "student from becoming champion; it chooses no other.)",
    )


def _next(content: Content) -> Section | None:
    """What to try next, and how."""
    found = advise(standing(content))
    again = {one: f"run {GIVEN} --set {shlex.quote(one.change)}" if one.change else one.command for one in found}
    commands = [(_said(one.why).removesuffix("."), f"stillhouse {again[one]}" if again[one] else "") for one in found]
    return Section("What to try next", [_BESIDE] if any(again.values()) else [], commands=commands) if found else None


def _said(text: str) -> str:
    """Words as a sentence."""
    return f"{text[:1].upper()}{text[1:]}."


def _about(content: Content) -> str:
    """Teachers and students in a line or two."""
    named = [str(teacher["labels"] or teacher["model"]) for teacher in content.recipe["teachers"]]
    cards, student = content.of("teacher"), content.shipped
    size = f" ({short(cards[0].cost.parameters)} parameters)" if len(cards) == len(named) == 1 else ""
    family, seeds = content.recipe["student"]["family"], len(content.of("student"))
    count = count_of_seeds(seeds)
    return (
        f"Teacher: {', '.join(named)}{size}. Students: {family}, {short(student.cost.parameters)} parameters, {count}. "
        "Twins: the same networks, trained on the gold labels alone"
        f"{', as dev chose' if any(race['role'] == 'twin' for race in content.races) else ''}."
    )


def _headlines(content: Content) -> Iterator[tuple[str, str, str]]:
    verdict, against = content.result["verdict"], content.result["teacher"]
    if verdict["examples"]:
        yield "gain over the twin", f"{points(verdict['difference'])} points", interval(verdict)
    if against and against["retention"]:
        kept = against["retention"]
        yield "the teacher's accuracy kept", f"{percent(kept['value'])} %", _ends(kept, verdict)
    if against:
        closed = against["gap_closed"]
        said = (
            (f"{percent(closed['value'], 0)} %", _ends(closed, verdict, 0))
            if closed
            else ("none", "the twin is no worse")
        )
        yield "gap from twin to teacher closed", *said
    loyal = [card.quality.loyalty.label for card in content.of("student") if card.quality.loyalty]
    if loyal:
        yield "agrees with its teacher", f"{percent(fmean(loyal))} %", "on test, right or wrong"
    teachers, student = content.of("teacher"), content.of("student")[0].cost
    if teachers:
        teacher = max((card.cost for card in teachers), key=lambda cost: cost.bytes)
        yield "smaller", times(teacher.bytes / student.bytes), f"{file_size(student.bytes)} of weights"
        ours = median(card.cost.ms_per_text for card in content.of("student"))
        yield "faster, text by text", times(teacher.ms_per_text / ours), f"{ours:.2f} ms on one thread"


def _training(content: Content) -> Section | None:
    if not any(card.history for card in content.cards):
        return None
    return Section("How the trainings went", figures=["training"])


def _data(content: Content) -> Section:
    counts = ", ".join(f"{rows:,} {part}" for part, rows in content.rows.items())
    texts = [f"{len(content.classes)} classes; rows: {counts}."]
    if content.augmented:
        texts.append(f"{content.augmented:,} of the transfer texts are augmented copies.")
    if not content.warnings:
        texts.append("No text is shared by parts that must not share one.")
    return Section("The data", texts, points=list(content.warnings))


def _registered(content: Content) -> Section | None:
    """What became of the models in the registry when this run registered them."""
    if not content.registered:
        return None
    lines = [
        f"{one['name']} version {one['version']} {'became champion' if one['champion'] else 'is not champion'}: "
        f"{one['reason']}."
        for one in content.registered
    ]
    return Section("The registry", points=lines)


def _ends(found: Mapping[str, Any], verdict: Mapping[str, Any], digits: int = 1) -> str:
    """The interval of a share; it is open where what it is a share of may be nothing."""
    if min(verdict["seeds"], verdict["examples"]) == 1:
        return f"no interval of one {'seed' if verdict['seeds'] == 1 else verdict['example']}"
    low, high = (None if found[end] is None else percent(found[end], digits) for end in ("low", "high"))
    if low is None and high is None:
        return "no interval: it may be a share of nothing"
    return f"95 % interval {low or 'unbounded'} to {high or 'unbounded'}"
