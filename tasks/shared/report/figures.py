"""The figures of a report, as SVG whose colours are variables of the page: they follow light, dark and print."""

import io
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.shared.conditions import ADVERSARY, POOLED
from tasks.shared.report.content import Card, Content
from tasks.shared.report.words import short_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

_MOST_CLASSES = 30
_FEWEST_IN_BIN = 10
"""Rows without which a bin's share of right answers says nothing."""
_WIDE, _PANEL = 6.2, 2.3
"""Inches: so wide that a phone, which shows it at two thirds, can still be read; the height of a panel."""

INK, SOFT, GRID = "#000001", "#000002", "#000003"
TOKENS = {INK: "--ink", SOFT: "--soft", GRID: "--grid"}
COLOURS = {
    "teacher": "#000011",
    "student": "#000012",
    "twin": "#000013",
    "unaugmented": "#000014",
    "scratch": "#000015",
}
"""Stand for variables: what matplotlib writes is replaced. Each role has its colour and its mark everywhere."""
MARKS = {"teacher": "s", "student": "o", "twin": "^", "unaugmented": "D", "scratch": "v"}
TOKENS |= {colour: f"--{role}" for role, colour in COLOURS.items()}

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.titlesize": 9,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "lines.linewidth": 1.5,
}


def draw_all(content: Content) -> dict[str, str]:
    """All figures that there is something to draw of, as SVG by name."""
    drawings: dict[str, Callable[[Content], Figure | None]] = {
        "trade-off": trade_off,
        "classes": classes,
        "robustness": robustness,
        "reliability": reliability,
        "training": training,
    }
    found = {}
    for name, draw in drawings.items():
        with _styled(name):
            figure: Figure | None = draw(content)
            if figure is not None:
                found[name] = _svg(figure)
    return found


def trade_off(content: Content) -> "Figure | None":
    """Accuracy against bytes and against latency, a mark a model."""
    cards = [card for card in content.cards if card.quality.accuracy is not None]
    if not cards:
        return None
    figure, axes = _panels(1, 2)
    for axis, measure, label in (
        (axes[0], _megabytes, "weights, MB"),
        (axes[1], _milliseconds, "ms a text, one thread"),
    ):
        for role in content.roles:
            some = [card for card in cards if card.role == role]
            xs, ys = [measure(card) for card in some], [100 * (card.quality.accuracy or 0.0) for card in some]
            axis.scatter(xs, ys, c=COLOURS[role], marker=MARKS[role], s=30, alpha=0.8, linewidths=0, label=role)
        axis.set_xscale("log")
        axis.set_xlabel(label)
        axis.margins(x=0.2, y=0.15)
        plain_log(axis.xaxis)
    axes[0].set_ylabel("accuracy on test, %")
    axes[0].legend(loc="best")
    return figure


def classes(content: Content) -> "Figure | None":
    """What share of each class student and twin find, those that changed most first."""
    found = [one for one in content.explanation["classes"] if one["rows"]]
    if not found:
        return None
    shown = sorted(found, key=lambda one: -abs(one["student"] - one["twin"]))[:_MOST_CLASSES]
    shown.sort(key=lambda one: one["student"] - one["twin"])
    figure, [axis] = _panels(1, 1, height=0.9 + 0.22 * len(shown))
    places = np.arange(len(shown))
    ends = {role: np.array([100 * one[role] for one in shown]) for role in ("twin", "student")}
    axis.hlines(places, ends["twin"], ends["student"], colors=SOFT, linewidth=1)
    for role, values in ends.items():
        axis.scatter(values, places, c=COLOURS[role], marker=MARKS[role], s=26, linewidths=0, label=role, zorder=3)
    axis.set_ylim(-0.6, len(shown) - 0.4)
    axis.set_yticks(places, [f"{short_name(one['name'])} ({one['rows']:,})" for one in shown])
    axis.set_xlabel("share of the class that is found, % (in brackets: its rows in test)")
    axis.grid(axis="y", visible=False)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return figure


def robustness(content: Content) -> "Figure | None":
    """Accuracy under each noise by its strength, with the interval of what the noise costs."""
    found = content.result["robustness"]
    if not found:
        return None
    noises = list(dict.fromkeys(one["noise"] for one in found))
    roles = {card.title: card.role for card in content.cards}
    columns = min(3, len(noises))
    figure, axes = _panels(-(-len(noises) // columns), columns)
    for axis, noise in zip(axes, noises, strict=False):
        of_noise = sorted((one for one in found if one["noise"] == noise), key=itemgetter("strength"))
        _noise_panel(axis, of_noise, noise, roles)
    _same_scale([axis for axis, noise in zip(axes, noises, strict=False) if noise != ADVERSARY])
    for axis in axes[len(noises) :]:
        axis.set_visible(False)
    for axis in axes[::columns]:
        axis.set_ylabel("accuracy, %")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(found[0]["drop"]))
    return figure


def _same_scale(axes: "Sequence[Axes]") -> None:
    """What differs little would look like much, or like nothing, on a scale of its own."""
    ends = [end for axis in axes for end in axis.get_ylim()]
    for axis in axes:
        axis.set_ylim(min(ends), max(ends))


def _noise_panel(axis: "Axes", found: Sequence[Mapping[str, Any]], noise: str, roles: Mapping[str, str]) -> None:
    edits = noise == ADVERSARY
    strengths = [0.0, *((1 if edits else 100) * one["strength"] for one in found)]
    for role in found[0]["drop"]:
        look = roles.get(role, role)  # of several teachers each is named by itself
        clean = [100 * one["clean"][role] for one in found]
        values = [clean[0], *(100 * one["accuracy"][role] for one in found)]
        axis.plot(strengths, values, color=COLOURS[look], marker=MARKS[look], markersize=4, label=role)
        low, high = (
            [clean[0], *(at - 100 * one["drop"][role][end] for at, one in zip(clean, found, strict=True))]
            for end in ("high", "low")
        )
        axis.fill_between(strengths, np.clip(low, 0, 100), np.clip(high, 0, 100), color=COLOURS[look], alpha=0.12, lw=0)
    axis.set_title(noise, fontweight="bold" if noise == POOLED else "normal")
    axis.set_xlabel("edits of a character" if edits else "words changed, %")
    axis.set_xticks(strengths)


def reliability(content: Content) -> "Figure | None":
    """How often a model is right by how sure it is, as it comes and at the temperature that fits dev."""
    cards = [card for card in paired(content) if card.quality.labelled]
    if not cards:
        return None
    columns = min(2, len(cards))
    figure, axes = _panels(-(-len(cards) // columns), columns, share_y=True)
    for axis in axes[len(cards) :]:
        axis.set_visible(False)
    for axis, card in zip(axes, cards, strict=False):
        axis.plot([0, 100], [0, 100], color=SOFT, linewidth=0.8, linestyle=(0, (2, 3)))
        for part, style, label in (
            (card.quality.calibration, (0, (4, 2)), "as it comes"),
            (card.quality.calibrated, "-", f"at T = {card.quality.calibrated.temperature:.2f}"),
        ):
            bins = [one for one in part.bins if one.rows >= _FEWEST_IN_BIN]
            xs, ys = [100 * (one.confidence or 0) for one in bins], [100 * (one.accuracy or 0) for one in bins]
            sizes = [6 + 90 * one.rows / card.quality.labelled for one in bins]
            label = f"{label}: ECE {100 * (part.ece or 0):.1f} %"
            axis.plot(xs, ys, color=COLOURS[card.role], linestyle=style, label=label)
            axis.scatter(xs, ys, s=sizes, c=COLOURS[card.role], linewidths=0)
        axis.set_title(card.title)
        axis.set_xlabel("probability of the class it names, %")
        axis.set_ylim(-28, 104)  # the legend stands below what can be
        axis.set_yticks(range(0, 101, 20))
        axis.legend(loc="lower right")
    for axis in axes[::columns]:
        axis.set_ylabel("right on test, %")
    return figure


def training(content: Content) -> "Figure | None":
    """Accuracy on dev and the loss of each training, by optimiser step."""
    cards = [card for card in content.cards if card.history and card.role != "teacher"]
    if not cards:
        return None
    figure, axes = _panels(1, 2)
    named = set[str]()
    for card in cards:
        label = None if card.role in named else card.role
        named.add(card.role)
        history = card.history or {}
        for axis, name, scale in ((axes[0], "dev_accuracy", 100), (axes[1], "loss", 1)):
            points = np.array(history[name], float).reshape(-1, 2)
            axis.plot(points[:, 0], scale * points[:, 1], color=COLOURS[card.role], alpha=0.7, lw=1, label=label)
    axes[0].set_ylabel("accuracy on dev, %")
    axes[1].set_ylabel("loss (of different objectives)")
    axes[1].set_yscale("log")
    plain_log(axes[1].yaxis)
    for axis in axes:
        axis.set_xlabel("optimiser step")
    axes[0].legend(loc="best")
    return figure


def paired(content: Content) -> list[Card]:
    """The teacher that does best on dev, the student that ships, and that student's twin: of the same seed."""
    shipped = content.shipped
    teachers = sorted(content.of("teacher"), key=lambda card: -card.dev_accuracy)
    return [*teachers[:1], shipped, *(card for card in content.of("twin") if card.seed == shipped.seed)]


def _panels(rows: int, columns: int, height: float = 0.0, share_y: bool = False) -> "tuple[Figure, Sequence[Axes]]":
    from matplotlib.figure import Figure

    # Not pyplot: it keeps figures, and asks for a screen.
    figure = Figure(figsize=(_WIDE, height or _PANEL * rows + 0.3), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=share_y)
    return figure, axes.ravel().tolist()


def plain_log(axis: "Axis") -> None:
    """Numbers as people write them on an axis of powers."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    low, high = sorted(axis.get_view_interval())
    subs = (1.0, 2.0, 5.0) if high < 1000 * low else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs, numticks=12))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


@contextmanager
def _styled(name: str) -> Iterator[None]:
    """The style of all figures; names inside the picture are salted with its own, so that a page can hold several."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # not what a matplotlibrc of the user's or in this folder says
        matplotlib.rcParams.update({**_STYLE, "svg.hashsalt": name})
        yield


def _svg(figure: "Figure") -> str:
    """The picture, without a date, as an element that scales with the page."""
    file = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # the browser's fonts draw the letters, and have more of them
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    picture = file.getvalue()
    picture = picture[picture.index("<svg") :]
    for colour, variable in TOKENS.items():
        picture = picture.replace(colour, f"var({variable})")
    return picture


def _megabytes(card: Card) -> float:
    return card.cost.bytes / 1e6


def _milliseconds(card: Card) -> float:
    return card.cost.ms_per_text
