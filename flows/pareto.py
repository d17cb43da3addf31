"""What a sweep found, as people see it: the front of accuracy against time and size, a table and a picture."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.shared.report.figures import plain_log
from tasks.shared.report.words import file_size

PICTURE = "pareto.png"
COLUMNS = ("trial", "dev accuracy %", "ms a text", "params", "weights", "changes")
_COSTS = ("ms_per_text", "bytes")
_AXES = {"ms_per_text": ("ms a text, one thread", 1.0), "bytes": ("weights, MB", 1e-6)}
_WIDELY = 5.0
"""How many times as much the dearest costs as the cheapest before an axis is one of powers."""
_FAMILY = "student.family"
NOTE = "* no other trial is as accurate, as fast and as small. Dev chose; test had no part in it."

Trials = Sequence[Mapping[str, Any]]


def front(done: Trials) -> list[int]:
    """Numbers of the trials than which no other is better: as accurate, as fast and as small, and one of it more."""
    return [one["trial"] for one in done if not any(_beats(other, one) for other in done)]


def _beats(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    ours, theirs = ((trial["dev_accuracy"], *(-trial[cost] for cost in _COSTS)) for trial in (one, other))
    return ours != theirs and all(a >= b for a, b in zip(ours, theirs, strict=True))


def cells(trial: Mapping[str, Any], chosen: bool, ahead: bool) -> list[str]:
    """A row of the table, a cell as in COLUMNS; a star marks those on the front."""
    changes = said(trial["changes"])
    if trial["state"] != "done":
        return [str(trial["trial"]), "stopped", "", "", "", changes]
    return [
        f"{trial['trial']}{' (best)' if chosen else ''}{' *' if ahead else ''}",
        f"{100 * trial['dev_accuracy']:.1f}",
        f"{trial['ms_per_text']:.2f}",
        f"{trial['parameters'] / 1e6:.2f} M",
        file_size(trial["bytes"]),
        changes,
    ]


def said(changes: Mapping[str, Any]) -> str:
    """Changes in a few words: paths by their last name, where that says which."""
    last = [path.rpartition(".")[2] for path in changes]
    return ", ".join(
        f"{name if last.count(name) == 1 and not name.isdecimal() else path}={_short(value)}"
        for (path, value), name in zip(changes.items(), last, strict=True)
    )


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def in_order(trials: Trials) -> list[Mapping[str, Any]]:
    """The most accurate first; what was stopped comes last."""
    return sorted(trials, key=lambda trial: (-trial.get("dev_accuracy", -1.0), trial["trial"]))


def table(trials: Trials, ahead: Sequence[int], best: int) -> str:
    """All trials as Markdown, those on the front with a star."""
    lines = [COLUMNS, ["---:"] * (len(COLUMNS) - 1) + ["---"]]
    for trial in in_order(trials):
        row = cells(trial, trial["trial"] == best, trial["trial"] in ahead)
        lines.append([cell.replace("*", r"\*") for cell in row])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + f"\n\n\\{NOTE}\n"


def picture(done: Trials) -> bytes:
    """Accuracy on dev against time and against size as PNG: a mark and a number a trial, a line along the front."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.6, 3.4), dpi=150, layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    families = list(dict.fromkeys(str(trial["changes"].get(_FAMILY, "student")) for trial in done))
    for axis, (cost, (label, scale)) in zip(axes, _AXES.items(), strict=True):
        for number, family in enumerate(families):
            some = [trial for trial in done if str(trial["changes"].get(_FAMILY, "student")) == family]
            xs, ys = [scale * trial[cost] for trial in some], [100 * trial["dev_accuracy"] for trial in some]
            axis.scatter(xs, ys, s=36, color=f"C{number}", marker="os^Dv<"[number % 6], label=family, alpha=0.85)
            for trial, x, y in zip(some, xs, ys, strict=True):
                axis.annotate(str(trial["trial"]), (x, y), (4, 3), textcoords="offset points", fontsize=7)
        steps = _staircase(done, cost)
        axis.plot([scale * x for x, _ in steps], [100 * y for _, y in steps], color="0.5", linewidth=1, zorder=0)
        axis.set_xlabel(label)
        axis.grid(color="0.9")
        axis.set_axisbelow(True)
        axis.margins(x=0.15, y=0.12)
        costs = [trial[cost] for trial in done]
        if max(costs) > _WIDELY * min(costs):
            axis.set_xscale("log")
            plain_log(axis.xaxis)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("accuracy on dev, %")
    if len(families) > 1:
        axes[0].legend(frameon=False)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def _staircase(done: Trials, cost: str) -> list[tuple[float, float]]:
    """The best accuracy to be had for a cost, as corners of a line."""
    corners: list[tuple[float, float]] = []
    for trial in sorted(done, key=lambda trial: (trial[cost], -trial["dev_accuracy"])):
        if not corners or trial["dev_accuracy"] > corners[-1][1]:
            if corners:
                corners.append((trial[cost], corners[-1][1]))
            corners.append((trial[cost], trial["dev_accuracy"]))
    return corners
