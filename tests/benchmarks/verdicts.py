"""How often a verdict says BEATS where there is no gain: repeated texts and groups, as rows and as examples.

    .venv/bin/python -m tests.benchmarks.verdicts [--runs 4000] [--seeds 3 5]

Student and twin are equally good over all seeds and examples there could be: what moves an answer (how hard a text is
for both, how hard for one, the seed, the rest) is normal, and a text is answered right with a probability of 90 %. A
two-sided interval of 95 % that was exact would say BEATS 2.5 times in a hundred. *rows*: each row is counted as an
example; *examples*: rows of a cluster are counted as one. Prints a table of percentages; exits with 1 where one of
*examples* is above 5.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from models.clusters import Clusters
from models.verdict import Outcome, judge

ACCURACY = 0.9
BAR = 0.05

Sizes = Callable[[np.random.Generator], NDArray[np.intp]]


@dataclass(frozen=True)
class World:
    """Standard deviations of what moves an answer, on a normal scale.

    Attributes:
        difficulty: of an example, for both models.
        own: of an example, for one model.
        seed: of a seed, for one model.
        rest: of a single answer.
    """

    difficulty: float
    own: float
    seed: float
    rest: float = 1.0


WORLDS = {"examples decide": World(0.5, 3.0, 0.02), "seeds too": World(1.5, 0.7, 0.2)}


@dataclass(frozen=True)
class Case:
    """A test set.

    Attributes:
        title: what is in it.
        sizes: rows of each cluster.
        alike: what share of the variance of a text is its cluster's: 1 of identical texts.
    """

    title: str
    sizes: Sizes
    alike: float


CASES = [
    Case("400 distinct rows", lambda rng: np.ones(400, np.intp), 1.0),
    Case("200 texts, each 2 times", lambda rng: np.full(200, 2), 1.0),
    Case("200 texts, each 10 times", lambda rng: np.full(200, 10), 1.0),
    Case("200 texts, 1 to 50 times (geometric)", lambda rng: rng.geometric(0.1, 200), 1.0),
    Case("50 groups of 20", lambda rng: np.full(50, 20), 0.3),
    Case("200 groups of 1 to 50 (geometric)", lambda rng: rng.geometric(0.1, 200), 0.3),
    Case("30 groups of 20", lambda rng: np.full(30, 20), 0.3),
    Case("10 groups of 20", lambda rng: np.full(10, 20), 0.3),
    Case("10 groups of 1 to 50 (geometric)", lambda rng: rng.geometric(0.1, 10), 0.3),
    Case("a group of 500 and 500 rows", lambda rng: np.append(500, np.ones(500, np.intp)), 0.1),
]


def simulate(
    rng: np.random.Generator, seeds: int, clusters: Clusters, alike: float, world: World
) -> list[NDArray[np.bool_]]:
    """What student and twin get right, [seeds, rows] each, with the same probability."""
    from scipy.special import ndtri

    def effects(count: int, size: float) -> NDArray[np.float64]:
        """Of `count` models, [count, rows]; a part of each is that of its cluster."""
        of_cluster = rng.standard_normal((count, len(clusters.sizes)))[:, clusters.numbers]
        if alike == 1:
            return size * of_cluster
        of_row = rng.standard_normal((count, len(clusters.numbers)))
        return size * (sqrt(alike) * of_cluster + sqrt(1 - alike) * of_row)

    scale = sqrt(world.difficulty**2 + world.own**2 + world.seed**2 + world.rest**2)
    both = ndtri(ACCURACY) * scale + effects(1, world.difficulty)
    return [
        both + effects(1, world.own) + world.seed * rng.standard_normal((seeds, 1)) + effects(seeds, world.rest) > 0
        for _ in range(2)
    ]


def false_gains(case: Case, world: World, seeds: int, runs: int) -> tuple[float, float]:
    """Share of runs that say BEATS, counting rows and counting clusters."""
    rng, found = np.random.default_rng(0), np.zeros(2)
    for _ in range(runs):
        sizes = case.sizes(rng)
        clusters = Clusters(np.repeat(np.arange(len(sizes)), sizes))
        answers = simulate(rng, seeds, clusters, case.alike, world)
        found += [judge(*answers, 0.005, clusters=one).outcome is Outcome.BEATS for one in (None, clusters)]
    return float(found[0] / runs), float(found[1] / runs)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=4000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 5])
    given = parser.parse_args()
    columns = [(name, seeds) for name in WORLDS for seeds in given.seeds]
    print("| false BEATS, % |", " | ".join(f"{name}, {seeds} seeds: rows | examples" for name, seeds in columns), "|")
    print("|---" * (1 + 2 * len(columns)) + "|")
    worst = 0.0
    for case in CASES:
        found = [false_gains(case, WORLDS[name], seeds, given.runs) for name, seeds in columns]
        worst = max([worst, *(after for _, after in found)])
        cells = " | ".join(f"{100 * before:.1f} | {100 * after:.1f}" for before, after in found)
        print(f"| {case.title} | {cells} |", flush=True)
    sys.exit(0 if worst <= BAR else 1)


if __name__ == "__main__":
    main()
