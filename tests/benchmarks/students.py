"""Students beside the published numbers: one row of docs/results.md after the other.

    .venv/bin/python -m tests.benchmarks.students [ROW ...] --data FOLDER [--labels FOLDER] [--set KEY=VALUE ...]

FOLDER of --data holds sst2_glue/, clinc150/ and banking77/ as their repositories have them; Reuters comes with
`make samples`. Each row is a recipe that ships with this project, run as `stillhouse run` runs it, in the workspace
that STILLHOUSE_HOME names (`workspace` by default), with the sample teacher where the recipe's own would have to come
from the hub. The row `sst2-mpnet` takes labels of a teacher for which two cores are too little;
tests/benchmarks/on_gpu.py makes them, and --labels says where they are. What came out is kept in students.json beside
this file, and docs/results.md is written from it: `--write` measures nothing. Dev decides everything; the test split is
answered once a run has ended, and how often a row's was is counted.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.data_sets import convert

HERE = Path(__file__).parent
MEASURED = HERE / "students.json"
PAGE = HERE.parent.parent / "docs" / "results.md"
STILLHOUSE = Path(sys.executable).with_name("stillhouse")
MINILM = "teachers.0.model=sample:minilm-l6"
FASTER = "teachers.0.learning_rate=1.0e-4"  # the MiniLM wants more than the MPNet


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        title: the data and what of it is used.
        recipe: that ships with this project.
        settings: overrides; DATA stands for the folder of converted files, LABELS for that of labels made on a GPU.
        bar: what is asked for, in words.
        met: whether a measured row is enough.
    """

    title: str
    recipe: str
    settings: tuple[str, ...]
    bar: str
    met: Callable[[Mapping[str, Any]], bool]


def _at_least(percent: float) -> Callable[[Mapping[str, Any]], bool]:
    return lambda found: 100 * found["student"]["accuracy"] >= percent


def _few_labels(found: Mapping[str, Any]) -> bool:
    beats = found["verdict"]["outcome"] == "BEATS" and found["verdict"]["difference"] >= 0.04
    return beats and found["student"]["accuracy"] >= found["teacher"]["accuracy"] - 0.005


def _half_of_the_gap(found: Mapping[str, Any]) -> bool:
    twin, student, teacher = (found[role]["accuracy"] for role in ("twin", "student", "teacher"))
    return student - twin >= 0.5 * (teacher - twin)


def _files(folder: str, *more: str) -> tuple[str, ...]:
    parts = [f"data.{part}=DATA/{folder}/{part}.tsv" for part in ("train", "test")]
    return (*parts, *more)


ROWS = {
    "r8-few": Row(
        "R8, 40 labels a class", "quickstart", (), "BEATS by >= 4 points, within 0.5 of its teacher", _few_labels
    ),
    "r8": Row("R8, all labels", "r8", (MINILM, FASTER), ">= 97.0 %", _at_least(97.0)),
    "r52": Row("R52, all labels", "r52", (MINILM, FASTER), ">= 94.0 %", _at_least(94.0)),
    "clinc150": Row(
        "CLINC150, in scope",
        "clinc150",
        _files("clinc150", "data.dev=DATA/clinc150/dev.tsv", "data.label=label", MINILM),
        ">= 95.0 %",
        _at_least(95.0),
    ),
    "banking77": Row(
        "BANKING77",
        "banking77",
        _files("banking77", MINILM, FASTER),
        ">= 91.5 %",
        _at_least(91.5),
    ),
    "sst2": Row(
        "SST-2, 22.7 M teacher",
        "sst2",
        _files(
            "sst2",
            "data.dev=DATA/sst2/dev.tsv",
            "data.text=text",
            MINILM,
            FASTER,
            "augment.copies=4",
            "training.epochs=4",
        ),
        ">= half of the gap between twin and teacher",
        _half_of_the_gap,
    ),
    "sst2-mpnet": Row(
        "SST-2, 109 M teacher (GPU), augmented",
        "sst2",
        _files(
            "sst2",
            "data.dev=DATA/sst2/dev.tsv",
            "data.text=text",
            "data.unlabelled=[LABELS/copies.txt]",
            "augment.copies=0",
            "teachers=[{labels: LABELS/labels.parquet}]",
            "student.max_length=64",
            "student.tokenizer=sample:minilm-l6",  # after one pass a point better on dev; test did not show it
            "training.epochs=2",
            "student.pooling=attention",
            "student.vocabulary=30000",
        ),
        ">= 90.7 %",
        _at_least(90.7),
    ),
}


def run(row: Row, places: Mapping[str, Path | None], settings: list[str]) -> dict[str, Any]:
    """Runs a row's recipe and gives what came out."""
    given = []
    for setting in row.settings:
        for name, place in places.items():
            if name in setting and place is None:
                raise SystemExit(f"{row.title}: say where its files are with --{name.lower()}")
            setting = setting.replace(name, str(place))
        given.append(setting)
    given += settings
    overrides = [argument for setting in given for argument in ("--set", setting)]
    if subprocess.run([STILLHOUSE, "run", row.recipe, *overrides]).returncode:
        raise SystemExit(f"{row.title}: the run failed; what was measured before is kept")
    shown = subprocess.run([STILLHOUSE, "show", "--json"], check=True, capture_output=True, text=True)
    return summary(json.loads(shown.stdout)) | {"settings": settings}


def summary(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the table has of a run."""
    from models.interval import interval
    from tasks.shared.predictions import read_predictions

    found: dict[str, Any] = {}
    for role, models in (("teacher", "teachers"), ("student", "students"), ("twin", "twins")):
        entries = record[models]
        if not entries:
            continue
        said = [read_predictions(Path(entry["scorecard"]) / "predictions-test.parquet") for entry in entries]
        spread = (
            interval([one.right.astype(float) for one in said], clusters=said[0].clusters())
            if len(entries) > 1
            else None
        )
        found[role] = {
            "accuracy": statistics.fmean(entry["accuracy"] for entry in entries),
            "interval": spread and [spread.low, spread.high],
            "dev_accuracy": [entry["dev_accuracy"] for entry in entries],
            **{name: entries[0][name] for name in ("parameters", "parameters_without_embeddings")},
            "ms_per_text": statistics.median(entry["ms_per_text"] for entry in entries),
        }
    judged = next(step for step in record["steps"] if step["step"] == "judge")
    against = json.loads((Path(judged["path"]) / "result.json").read_text(encoding="utf-8"))["teacher"]
    return {
        **found,
        "seeds": len(record["students"]),
        "verdict": {name: record["verdict"][name] for name in ("outcome", "difference", "low", "high")},
        "gap_closed": against and against["gap_closed"],
        "machine": {name: record["machine"][name] for name in ("processor", "cores", "torch", "date")},
        "seconds": record["seconds"],
    }


def page() -> str:
    """docs/results.md, its first part of what `defaults.py` measured."""
    from tests.benchmarks import defaults

    first = json.loads(defaults.MEASURED.read_text(encoding="utf-8")) if defaults.MEASURED.exists() else {}
    of_defaults = defaults.section(first) if first else ""
    return of_defaults + section(json.loads(MEASURED.read_text(encoding="utf-8")))


def section(measured: Mapping[str, Any]) -> str:
    """The part of docs/results.md on the recipes that come with the project."""
    lines = [_HEAD]
    for name, row in ROWS.items():
        found = measured.get(name)
        lines.append(_line(row, found) if found else f"| {row.title} | | | | | | | | {row.bar} | not measured | 0 |")
    machines = sorted({f"{f['machine']['processor']}, {f['machine']['cores']} cores" for f in measured.values()})
    lines += ["", f"Measured on {'; '.join(machines)}, no GPU, by", "", "| row | command |", "|---|---|"]
    for name in filter(measured.get, ROWS):
        more = (
            f" {' '.join(f'--set {one!r}' for one in measured[name]['settings'])}" if measured[name]["settings"] else ""
        )
        labels = " --labels LABELS" if any("LABELS" in setting for setting in ROWS[name].settings) else ""
        command = f".venv/bin/python -m tests.benchmarks.students {name} --data FOLDER{labels}{more}"
        lines.append(f"| {ROWS[name].title} | `{command}` |")
    return "\n".join(lines) + "\n" + _TAIL.read_text(encoding="utf-8")


_TAIL = HERE / "results-notes.md"
_HEAD = """# Students beside published numbers

Written by `tests/benchmarks/students.py` from [students.json](../tests/benchmarks/students.json); `make
benchmark-students` measures. Accuracy on the test split in %, with a 95 % interval over seeds and examples; parameters
with and without embeddings; median time of a text on one CPU thread. *Against the twin* has the verdict and the points
that it is about. *Looks* says how many runs of a row have answered its test split; dev alone chose.

| data | seeds | teacher | twin | student | against the twin | parameters | ms | bar | met | looks |
|---|---|---|---|---|---|---|---|---|---|---|"""


def _line(row: Row, found: Mapping[str, Any]) -> str:
    def score(role: str) -> str:
        one = found.get(role)
        if one is None:
            return "labels alone"
        spread = f" ({100 * one['interval'][0]:.1f} to {100 * one['interval'][1]:.1f})" if one["interval"] else ""
        return f"{100 * one['accuracy']:.1f}{spread}"

    student, judged = found["student"], found["verdict"]
    points = "{difference:+.2f} ({low:+.2f} to {high:+.2f})".format(  # of one digit, a bound above nought may be +0.0
        **{name: 100 * judged[name] for name in ("difference", "low", "high")}
    )
    size = f"{student['parameters'] / 1e6:.2f} M, {student['parameters_without_embeddings'] / 1e6:.2f} M"
    return " | ".join(
        [
            f"| {row.title}",
            f"{found['seeds']}",
            score("teacher"),
            score("twin"),
            f"**{score('student')}**",
            f"{judged['outcome']}, {points}",
            size,
            f"{student['ms_per_text']:.2f}",
            row.bar,
            "yes" if row.met(found) else "no",
            f"{found['looks']} |",
        ]
    )


def main() -> None:
    """Measures the rows, keeps what came out, writes the page; exits with 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    parser.add_argument(
        "--write", action="store_true", help="measure nothing; write the page and, with --data, the converted files"
    )
    given = parser.parse_args()
    measured = json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.exists() else {}
    data = HERE.parent.parent / "build" / "benchmark-data"  # a workspace takes no other files
    if given.data:
        convert(given.data, data, ("clinc150", "banking77", "sst2"))
    if not given.write:
        if strange := set(given.rows) - set(ROWS):
            parser.error(f"no row {', '.join(sorted(strange))}; there are {', '.join(ROWS)}")
        places = {"DATA": data if given.data else None, "LABELS": given.labels and given.labels.absolute()}
        for name in given.rows or ROWS:
            before = measured.get(name, {})
            # One whose labels came from elsewhere answered the test there; a run says nothing of it.
            teacher = {"teacher": before["teacher"]} if "teacher" in before else {}
            looks = {"looks": before.get("looks", 0) + 1}
            measured[name] = teacher | run(ROWS[name], places, given.settings) | looks
            MEASURED.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")
    sys.exit(0 if given.write or all(ROWS[name].met(found) for name, found in measured.items()) else 1)


if __name__ == "__main__":
    main()
