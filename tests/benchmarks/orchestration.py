"""What Prefect and MLflow cost: a whole run against the same steps called as plain functions, in pairs.

    .venv/bin/python -m tests.benchmarks.orchestration [RECIPE] [--pairs N]

Each arm is a process of its own in a fresh workspace. *Steps* is the time from the beginning of the first step to the
end of the last, *start-up* what is left of the process's. The bar: 15 s of start-up more, and 3 % beyond it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from flows.pipeline import distil
from flows.shipped import find_recipe
from tasks.shared.outputs import Output
from tasks.shared.recipe_file import load_recipe
from tasks.shared.side_by_side import side_by_side
from tasks.shared.steps import Fill, Step
from tasks.shared.workspace import open_workspace
from tests.bench import Bench

STILLHOUSE = Path(sys.executable).with_name("stillhouse")
STARTUP_SECONDS, SHARE = 15.0, 0.03
NOT_PLAIN = "register"
"""The step that is nothing but MLflow: only the whole run has it, so it counts as overhead."""


class NotPlainError(Exception):
    """Ends the plain arm where only MLflow goes on."""


class Plain(Bench):
    """Carries out the steps that a plain function can."""

    def make(self, step: Step[Any], fill: Fill | None = None) -> Output:
        """The output of a step.

        Raises:
            NotPlainError: it is the first that is nothing but MLflow.
        """
        if step.name == NOT_PLAIN:
            raise NotPlainError
        return super().make(step, fill)


def plain(recipe: str) -> None:
    """The steps as plain functions, small models side by side as in a run; prints when they began and ended."""
    import models.cost  # noqa: F401 - a run has imported this, too, before its first step

    workspace = open_workspace()
    with side_by_side(workspace, "cpu") as trainers:
        began = time.time()
        with suppress(NotPlainError):
            distil(load_recipe(find_recipe(recipe)), Plain(workspace, begin=trainers.begin))
        print(json.dumps({"began": began, "ended": time.time()}))


def measure(recipe: str) -> dict[str, float]:
    """One pair: seconds of start-up and of steps, of both arms."""
    with TemporaryDirectory() as folder:
        plainly, whole = Path(folder) / "plain", Path(folder) / "whole"
        command = [sys.executable, "-m", "tests.benchmarks.orchestration", recipe, "--plain"]
        plain_total, printed = _timed(command, plainly)
        marks = json.loads(printed.splitlines()[-1])
        plain_steps = marks["ended"] - marks["began"]
        whole_total, _ = _timed([str(STILLHOUSE), "run", recipe], whole)
        (log,) = (whole / "runs").glob("*/log.txt")
        lines = log.read_text(encoding="utf-8").splitlines()
        first = next(_at(line) for line in lines if " stillhouse: running " in line)
        last = next(_at(line) for line in reversed(lines) if " stillhouse: done " in line)
    return {
        "plain start-up": plain_total - plain_steps,
        "plain steps": plain_steps,
        "whole start-up": whole_total - (last - first),
        "whole steps": last - first,
    }


def _timed(command: list[str], workspace: Path) -> tuple[float, str]:
    began = time.time()
    environment = {**os.environ, "STILLHOUSE_HOME": str(workspace)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return time.time() - began, done.stdout


def _at(line: str) -> float:
    return datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f").astimezone().timestamp()


def report(pairs: list[dict[str, float]]) -> bool:
    """Prints each pair and the medians; says whether the bar is met."""
    for pair in pairs:
        print(", ".join(f"{name} {seconds:.1f} s" for name, seconds in pair.items()))
    startup = statistics.median(pair["whole start-up"] - pair["plain start-up"] for pair in pairs)
    share = statistics.median(pair["whole steps"] / pair["plain steps"] - 1 for pair in pairs)
    print(f"median of {len(pairs)} pairs: start-up {startup:+.1f} s (bar {STARTUP_SECONDS:.0f} s)")
    print(f"                    beyond it {share:+.1%} (bar {SHARE:.0%})")
    return startup <= STARTUP_SECONDS and share <= SHARE


def main() -> None:
    """Measures and reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="?", default="quickstart")
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plain:
        plain(options.recipe)
        return
    sys.exit(0 if report([measure(options.recipe) for _ in range(options.pairs)]) else 1)


if __name__ == "__main__":
    main()
