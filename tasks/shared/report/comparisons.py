"""Sections on how models compare: side by side, by verdict, on which rows, under noise, on further tests."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from tasks.shared.conditions import ADVERSARY, POOLED
from tasks.shared.report.content import Content
from tasks.shared.report.parts import Head, Section, Table, groups, mean_of, numbers
from tasks.shared.report.words import interval, megabytes, percent, points, short


def models(content: Content) -> Section:
    """The tables of all models, and accuracy against size and time."""
    quality, cost = [], []
    for role, cards in groups(content):
        first = cards[0].cost
        trained = [card.cost.training for card in cards]
        steps = [1000 * one.seconds / one.steps for one in trained if one and one.steps]
        quality.append(
            [
                role,
                mean_of(cards, lambda card: card.quality.accuracy),
                mean_of(cards, lambda card: card.quality.macro_f1),
                mean_of(cards, lambda card: card.quality.mcc, scale=1, digits=3),
                short(first.parameters),
                short(first.parameters_without_embeddings),
                megabytes(first.bytes),
            ]
        )
        cost.append(
            [
                role,
                f"{median(card.cost.ms_per_text for card in cards):.2f}",
                f"{median(card.cost.ms_per_text_p95 for card in cards):.2f}",
                f"{median(card.cost.texts_per_second for card in cards):,.0f}",
                f"{first.flops_per_text / 1e6:,.1f}",
                megabytes(median(card.cost.peak_memory_bytes for card in cards)),
                f"{median(steps):.1f}" if steps else "taken as it is",
            ]
        )
    heads = (
        ["", "accuracy %", "macro-F1 %", "MCC", "parameters", "without embeddings", "weights"],
        ["", "ms a text, median", "95th percentile", "texts a second", "MFLOP a text", "memory", "ms a training step"],
    )
    notes = (
        "Mean ± standard deviation over seeds, on test.",
        "Single texts on one thread, and batches of 32 on all, from text to logits; memory: weights and the "
        "tensors of a batch of 32.",
    )
    tables = [numbers(head, rows, note) for head, rows, note in zip(heads, (quality, cost), notes, strict=True)]
    return Section("The models", figures=["trade-off"], tables=tables)


def comparisons(content: Content) -> Section | None:
    """The verdicts on the students, against whatever there is; None without gold labels."""
    against, draws = content.result["against"], content.result["draws"]
    if not against:
        return None
    rows = [_verdict_row(f"student against {verdict['other']}", verdict) for verdict in against.values()]
    texts = [verdict["sentence"] + "." for name, verdict in against.items() if name != "twin"]
    teacher = content.result["teacher"]
    if teacher:
        rows.append(["student against its teacher", "", *_gain_cells(teacher["difference"], "mean"), ""])
    if draws:
        rows.append(_verdict_row(f"method, over {draws['seeds']} draws of labels", draws))
        texts.append(f"Over draws of labels: {draws['sentence']}. {draws['scope']}")
    head = ["", "verdict", "gain, points", "95 % interval", "would settle it"]
    if not any(row[-1] for row in rows):
        head, rows = head[:-1], [row[:-1] for row in rows]
    words = ("", "verdict", "would settle it")
    table = Table([Head(name, "text" if name in words else "") for name in head], rows)
    return Section("How it compares", texts, tables=[table])


def _verdict_row(name: str, verdict: Mapping[str, Any]) -> list[str]:
    needed = verdict["needed"] or {}
    ways = [
        f"{needed[what]:,} {word}"
        for what, word in (("seeds", f"{verdict['unit']}s"), ("examples", "examples"))
        if needed.get(what)
    ]
    return [name, verdict["outcome"], *_gain_cells(verdict, "difference"), " or ".join(ways)]


def _gain_cells(found: Mapping[str, Any], mean: str) -> list[str]:
    return [points(found[mean]), interval(found, bare=True)]


def robustness(content: Content) -> Section | None:
    """What mistakes in texts cost each model; None where that was not measured."""
    found = content.result["robustness"]
    if not found:
        return None
    single = [one for one in found if one["noise"] not in (ADVERSARY, POOLED)]
    sample = max(one["rows"] for one in found)
    texts = [
        f"{sample:,} test texts, drawn by hash, each with every kind of mistake; what it costs each model in points of "
        "accuracy, and how much less it costs the student than its twin.",
        _more_robust(single),
    ]
    attacked = [one["rows"] for one in found if one["noise"] == ADVERSARY]
    if attacked:
        texts.append(
            f"The adversary tries edits of single characters in {attacked[0]:,} of them and keeps those that hurt the "
            "model at hand most, so each model is attacked with its own."
        )
    note = "Strength: share of the words changed. The interval of a single model is over texts alone."
    first = [one for one in found if one not in single]
    tables = [_noise_table(some, content.roles) for some in (first, single) if some]
    return Section("When texts have mistakes", texts, ["robustness"], [*tables[:-1], replace(tables[-1], note=note)])


def _noise_table(found: Sequence[Mapping[str, Any]], roles: Sequence[str]) -> Table:
    head = ["", "strength", *(f"{role} loses" for role in roles), "student is spared", "95 % interval"]
    rows = [
        [
            one["noise"],
            _strength(one),
            *(f"{points(one['drop'][role]['mean'])} ({interval(one['drop'][role], bare=True)})" for role in roles),
            points(one["spared"]["mean"], sign=True),
            interval(one["spared"], bare=True),
        ]
        for one in found
    ]
    return numbers(head, rows)


def _strength(one: Mapping[str, Any]) -> str:
    if one["noise"] != ADVERSARY:
        return f"{percent(one['strength'], 0)} %"
    return "1 edit" if one["strength"] == 1 else f"{one['strength']:g} edits"


def _more_robust(found: Sequence[Mapping[str, Any]]) -> str:
    """In how many single kinds and strengths one is better; of many at 95 % some are so by chance."""
    better = [one for one in found if one["spared"]["low"] > 0]
    worse = [one for one in found if one["spared"]["high"] < 0]
    return (
        f"In {len(better)} of {len(found)} single kinds and strengths the student clearly loses less than its twin, in "
        f"{len(worse)} it clearly loses more, in the others the intervals hold zero; about one in forty would be clear "
        "either way by chance."
    )


def tests(content: Content) -> Section | None:
    """The recipe's further test files; None without one."""
    found = content.result["tests"]
    if not found:
        return None
    roles = content.roles
    head = ["", "rows", *(f"{role} %" for role in roles), "student loses", "twin loses", "student against twin"]
    rows = [
        [
            one["name"],
            f"{one['rows']:,}",
            *(percent(one["accuracy"][role]) for role in roles),
            *(_lost(one["drop"].get(role)) for role in ("student", "twin")),
            f"{one['verdict']['outcome']}: {points(one['verdict']['difference'], sign=True)} "
            f"({interval(one['verdict'], bare=True)})",
        ]
        for one in found
    ]
    note = "Accuracy; what is lost is the difference to test in points, with its 95 % interval."
    return Section("Further test files", tables=[numbers(head, rows, note)])


def _lost(drop: Mapping[str, Any] | None) -> str:
    return "" if drop is None else f"{points(drop['mean'])} ({interval(drop, bare=True)})"
