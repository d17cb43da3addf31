"""How numbers are said in a report."""

import re
from collections.abc import Iterable, Mapping
from statistics import fmean, stdev
from typing import Any

from tasks.shared.plain_yaml import as_yaml

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def visible(text: str) -> str:
    """A text whose control characters, those that turn the direction of writing among them, are shown as such."""
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text)


def short_name(name: str, most: int = 28) -> str:
    """A class's name in one line of at most so many characters."""
    line = visible(" ".join(name.split()))
    return line if len(line) <= most else f"{line[: most - 1]}…"


def percent(share: float | None, digits: int = 1) -> str:
    """A share in percent, without the sign."""
    return "no rows" if share is None else f"{100 * share:.{digits}f}"


def share(of_one: float) -> str:
    """A share as it begins a sentence."""
    return f"{100 * of_one:.0f} %"


def points(fraction: float, sign: bool = False) -> str:
    """A difference of shares in points."""
    value = round(100 * fraction, 1) + 0.0  # no minus before a zero
    return f"{value:+.1f}" if sign else f"{value:.1f}"


def interval(found: Mapping[str, Any], bare: bool = False) -> str:
    """The ends of an interval, in points."""
    if found["low"] <= -1 and found["high"] >= 1:
        return "not known" if bare else "no interval"
    ends = f"{points(found['low'])} to {points(found['high'])}"
    return ends if bare else f"95 % interval {ends}"


def count(values: Iterable[float]) -> str:
    """Mean and standard deviation of some shares, in percent."""
    many = [100 * value for value in values]
    return f"{fmean(many):.1f}" + (f" ± {stdev(many):.1f}" if len(many) > 1 else "")


def short(number: int) -> str:
    """A large count."""
    return f"{number / 1e6:.1f} M" if number >= 1e5 else f"{number / 1e3:.1f} k"


def file_size(size: float) -> str:
    """Bytes, in the unit of which there are not nearly none."""
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:,.1f} kB"


def times(ratio: float) -> str:
    """How many times."""
    return f"{ratio:.1f} x" if ratio < 10 else f"{ratio:,.0f} x"


def changed(changes: Mapping[str, Any]) -> str:
    """What a candidate of a race changes in the recipe."""
    return ", ".join(f"{path}={as_yaml(value)}" for path, value in changes.items()) or "as derived"


def count_of_seeds(seeds: int) -> str:
    """How many seeds: `one seed`, `5 seeds`."""
    return "one seed" if seeds == 1 else f"{seeds} seeds"
