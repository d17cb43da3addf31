"""Sections on how models compare: side by side, by verdict, on further tests."""

from collections.abc import Mapping
from statistics import median
from typing import Any

from tasks.shared.report.content import Content
from tasks.shared.report.parts import Head, Section, Table, groups, mean_of, numbers
from tasks.shared.report.words import file_size, interval, percent, points, short, times
from tasks.shared.scorecard import busy


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
                file_size(first.bytes),
            ]
        )
        cost.append(
            [
                role,
                f"{median(card.cost.ms_per_text for card in cards):.2f}",
                f"{median(card.cost.ms_per_text_p95 for card in cards):.2f}",
                f"{median(card.cost.texts_per_second for card in cards):,.0f}",
                f"{first.flops_per_text / 1e6:,.1f}",
                file_size(median(card.cost.peak_memory_bytes for card in cards)),
                f"{median(steps):.1f}" if steps else "taken as it is",
            ]
        )
    heads = (
        ["", "accuracy %", "macro-F1 %", "MCC", "parameters", "without embeddings", "weights"],
        ["", "ms a text, median", "95th percentile", "texts a second", "MFLOP a text", "memory", "ms a training step"],
    )
    crowded = busy([card.cost.waited for card in content.cards])
    in_bf16 = content.recipe["labelling"]["precision"] == "bf16"
    as_it_labelled = " Teachers answer in bf16, as they labelled." if in_bf16 else ""
    notes = (
        ("Mean ± standard deviation over seeds, on test." if len(content.of("student")) > 1 else "On test.")
        + (as_it_labelled if content.of("teacher") else ""),
        "Single texts on one thread, and batches of 32 on all, from text to logits; memory: weights and the "
        "tensors of a batch of 32." + (f" Warning: {crowded}." if crowded else ""),
    )
    tables = [numbers(head, rows, note) for head, rows, note in zip(heads, (quality, cost), notes, strict=True)]
    return Section("The models", figures=["trade-off"], tables=tables)


def comparisons(content: Content) -> Section | None:
    """The verdicts on the students, against whatever there is; None without gold labels."""
    against, draws = content.result["against"], content.result["draws"]
    if not against:
        return None
    rows = [_verdict_row(f"student against {verdict['other']}", verdict) for verdict in against.values()]
    teacher = content.result["teacher"]
    if teacher:
        rows.append(["student against its teacher", "", *_gain_cells(teacher["difference"], "mean"), ""])
    if draws:
        rows.append(_verdict_row(f"method, over {draws['seeds']} draws of labels", draws))
    head = ["", "verdict", "gain, points", "95 % interval", "would settle it"]
    if not any(row[-1] for row in rows):
        head, rows = head[:-1], [row[:-1] for row in rows]
    words = ("", "verdict", "would settle it")
    table = Table([Head(name, "text" if name in words else "") for name in head], rows)
    return Section("How it compares", tables=[table])


def _verdict_row(name: str, verdict: Mapping[str, Any]) -> list[str]:
    needed = verdict["needed"] or {}
    ways = [
        f"{needed[what]:,} {word}"
        for what, word in (("seeds", f"{verdict['unit']}s"), ("examples", f"{verdict['example']}s"))
        if needed.get(what)
    ]
    if not ways and needed.get("both"):
        ways.append(f"{times(needed['both'])} both")
    return [name, verdict["outcome"], *_gain_cells(verdict, "difference"), " or ".join(ways)]


def _gain_cells(found: Mapping[str, Any], mean: str) -> list[str]:
    return [points(found[mean]), interval(found, bare=True)]


def tests(content: Content) -> Section | None:
    """The recipe's further test files; None without one."""
    found = content.result["tests"]
    if not found:
        return None
    rows, texts = [], []
    for one in found:
        for role in one["accuracy"]:
            drop = one["drop"].get(role)
            lost = [points(drop["mean"]), interval(drop, bare=True)] if drop else ["", ""]
            rows.append([f"{one['name']}: {role}", percent(one["accuracy"][role]), *lost])
        texts.append(f"{one['name']}: {one['verdict']['sentence']}.")
    head = ["", "accuracy %", "loses, points", "95 % interval"]
    return Section("Further test files", texts, tables=[numbers(head, rows, "Lost: accuracy on test less here.")])
