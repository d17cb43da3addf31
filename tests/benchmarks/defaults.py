"""The default recipe on public data sets: nothing but the data, the teacher's model and three seeds is said.

    .venv/bin/python -m tests.benchmarks.defaults [ROW ...] --data FOLDER [--set KEY=VALUE] [--write]

Each row is a run of this project's command line. What came out is kept in defaults.json beside this file, from which
docs/results.md has its first table: `--write` measures nothing. `time` measures the default recipe against the one that
was the default before values were derived, each in a workspace of its own. Dev decides everything; how often a row's
test split was answered is counted, but for the two times that `time` does.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.shared.outputs import write_json
from tests.benchmarks.data_sets import convert
from tests.benchmarks.students import PAGE, STILLHOUSE, page, summary

HERE = Path(__file__).parent
MEASURED = HERE / "defaults.json"
FEW = "data.labels_per_class=20"
NOTABLE_GAP = 0.02
BEFORE = (
    "teachers.0.epochs=3",
    "teachers.0.learning_rate=5.0e-5",
    "teachers.0.batch_size=16",
    "teachers.0.max_length=128",
    "teachers.0.precision=fp32",
    "labelling.precision=fp32",
    "student.embedding_size=64",
    "student.hidden_size=64",
    "student.dropout=0.1",
    "student.vocabulary=0",
    "objective=[{term: soft, temperature: 2.0}]",
    "training={epochs: 6, batch_size: 32, learning_rate: 3.0e-3, evaluations: 6, precision: fp32}",
    "augment.copies=0",
    "twin.epochs=matched",
    "race=1",
    "robustness.texts=200",
)
"""What recipes that left it out had before values were derived."""


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        title: the data, and how many labels.
        folder: of the converted data set; of a sample that comes with the project its name.
        settings: besides.
    """

    title: str
    folder: str
    settings: tuple[str, ...] = ()

    def data(self, converted: Path) -> list[str]:
        """Where the recipe finds the data."""
        if self.folder.startswith("sample:"):
            return [f"data.{part}={self.folder}/{part}" for part in ("train", "test")]
        parts = [part for part in ("train", "dev", "test") if (converted / self.folder / f"{part}.tsv").exists()]
        return [f"data.{part}={converted / self.folder / part}.tsv" for part in parts]


ROWS = {
    "sst2-8000": Row("SST-2, 8,000 sentences", "sst2-8000"),
    "r8": Row("R8", "sample:r8"),
    "r52": Row("R52", "sample:r52"),
    "clinc150": Row("CLINC150, in scope", "clinc150"),
    "banking77": Row("BANKING77", "banking77"),
    "snips": Row("SNIPS intents", "snips"),
    "goemotions": Row("GoEmotions, texts of one label", "goemotions"),
    "goemotions-100": Row("GoEmotions, 100 labels a class", "goemotions", ("data.labels_per_class=100",)),
    "r8-20": Row("R8, 20 labels a class", "sample:r8", (FEW,)),
    "clinc150-20": Row("CLINC150, 20 labels a class", "clinc150", (FEW,)),
    "banking77-20": Row("BANKING77, 20 labels a class", "banking77", (FEW,)),
}
TIME = "time"


def recipe(name: str, folder: Path) -> Path:
    """Writes the recipe that says nothing but what it must."""
    file = folder / f"defaults-{name}.yaml"
    lines = [f"name: defaults-{name}", "data: {train: '', test: '', text: text, label: label}"]
    lines += ["teachers: [{model: sample:minilm-l6}]", "seeds: [0, 1, 2]"]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def run(name: str, row: Row, data: Path, settings: Sequence[str]) -> dict[str, Any]:
    """Runs the default recipe on a row's data, and gives the run's record."""
    with tempfile.TemporaryDirectory() as scratch:
        file = recipe(name, Path(scratch))
        given = [*row.data(data), *row.settings, *settings]
        overrides = [argument for setting in given for argument in ("--set", setting)]
        if subprocess.run([STILLHOUSE, "run", file, *overrides]).returncode:
            raise SystemExit(f"{row.title}: the run failed; what was measured before is kept")
    shown = subprocess.run([STILLHOUSE, "show", "--json"], check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(shown.stdout)
    return found


def measure(name: str, data: Path, settings: Sequence[str], looks: int) -> dict[str, Any]:
    """What the table has of a row."""
    record = run(name, ROWS[name], data, settings)
    chosen = record["recipe"]
    return summary(record) | {
        "settings": list(settings),
        "looks": looks,
        "gold": next(step["note"] for step in record["steps"] if step["step"] == "load_data"),
        "chosen": {
            "copies": chosen["augment"]["copies"],
            "epochs": chosen["training"]["epochs"],
            "twin": chosen["twin"],
        },
    }


def compare_times(data: Path) -> dict[str, Any]:
    """Seconds of the default recipe, and of what it was before, on 7,000 sentences or so; each starts from nothing."""
    found: dict[str, Any] = {}
    for arm, settings in (("before", BEFORE), ("now", ())):
        with tempfile.TemporaryDirectory() as home:
            samples = os.environ.get("STILLHOUSE_HOME")
            os.environ["STILLHOUSE_HOME"] = home
            try:
                record = run("sst2-8000", ROWS["sst2-8000"], data, settings)
            finally:
                os.environ.pop("STILLHOUSE_HOME")
                os.environ |= {"STILLHOUSE_HOME": samples} if samples else {}
            found[arm] = {"seconds": record["seconds"], "student": _accuracy(record, "students")}
            found["machine"] = record["machine"]["processor"]
    found["ratio"] = found["now"]["seconds"] / found["before"]["seconds"]
    return found


def _accuracy(record: Mapping[str, Any], models: str) -> float:
    return statistics.fmean(model["accuracy"] for model in record[models])


def gap(found: Mapping[str, Any]) -> float:
    """How far the teacher is above the twins."""
    return float(found["teacher"]["accuracy"] - found["twin"]["accuracy"])


def closed(found: Mapping[str, Any]) -> float:
    """Which share of that the students make up for."""
    return float((found["student"]["accuracy"] - found["twin"]["accuracy"]) / gap(found))


def bars(measured: Mapping[str, Any]) -> list[tuple[str, str, str, bool]]:
    """What is asked for of all rows together: what, bar, value, whether it is met."""
    rows = {name: measured[name] for name in ROWS if name in measured}
    wide = {name: found for name, found in rows.items() if gap(found) >= NOTABLE_GAP}
    worse = [name for name, found in rows.items() if found["verdict"]["high"] < 0]
    found = [("rows where the student is clearly worse than its twin", "0", f"{len(worse)} of {len(rows)}", not worse)]
    if wide:
        share = statistics.fmean(map(closed, wide.values()))
        beaten = sum(found["verdict"]["outcome"] == "BEATS" for found in wide.values())
        found += [
            ("share of a gap of at least 2 points that is closed, mean", ">= 50 %", f"{share:.0%}", share >= 0.5),
            ("rows with such a gap that BEAT", ">= 3 of 4", f"{beaten} of {len(wide)}", beaten >= 0.75 * len(wide)),
        ]
    if "clinc150" in rows:
        accuracy = rows["clinc150"]["student"]["accuracy"]
        found.append(("CLINC150, in scope", ">= 95.0 %", f"{accuracy:.1%}", accuracy >= 0.95))
    if TIME in measured:
        ratio = measured[TIME]["ratio"]
        found.append(("time against the default before, SST-2's sentences", "<= 0.75", f"{ratio:.2f}", ratio <= 0.75))
    return found


def section(measured: Mapping[str, Any]) -> str:
    """The part of docs/results.md on the default recipe."""
    lines = [_HEAD]
    lines += [_line(row, measured[name]) for name, row in ROWS.items() if name in measured]
    if missing := [row.title for name, row in ROWS.items() if name not in measured]:
        lines += ["", f"Not measured yet: {'; '.join(missing)}."]
    lines += ["", "| what | bar | measured | met |", "|---|---|---|---|"]
    lines += [f"| {what} | {bar} | {value} | {'yes' if met else 'no'} |" for what, bar, value, met in bars(measured)]
    machines = sorted({f"{found['machine']['processor']}" for name, found in measured.items() if name in ROWS})
    lines += ["", f"Measured on {'; '.join(machines)}, 2 cores, no GPU."]
    return "\n".join(lines) + "\n\n"


_HEAD = """# The default recipe

Nothing is said but the data, the teacher's model (a MiniLM of 22.7 M parameters) and three seeds; all else follows from
the data, and dev chooses. Written by `tests/benchmarks/defaults.py` from
[defaults.json](../tests/benchmarks/defaults.json); `make benchmark-defaults DATA=FOLDER` measures all rows, with
`ROWS=r8` one. Accuracy on the test split in %, means over seeds. *Closed* is the share of the gap between twin and
teacher that the student closes, or the gap itself where it is less than two points (below 0 where the twin is the
better); *looks* says how many runs of a row have answered its test split.

| data | teacher | twin | student | against the twin | closed | minutes | looks |
|---|---|---|---|---|---|---|---|"""


def _line(row: Row, found: Mapping[str, Any]) -> str:
    accuracy = {role: f"{100 * found[role]['accuracy']:.1f}" for role in ("teacher", "twin", "student")}
    judged = found["verdict"]
    points = "{difference:+.2f} ({low:+.2f} to {high:+.2f})".format(
        **{name: 100 * judged[name] for name in ("difference", "low", "high")}
    )
    share = f"{closed(found):.0%}" if gap(found) >= NOTABLE_GAP else f"of {100 * gap(found):.1f} points"
    return (
        f"| {row.title} | {accuracy['teacher']} | {accuracy['twin']} | **{accuracy['student']}** | "
        f"{judged['outcome']}, {points} | {share} | {found['seconds'] / 60:.0f} | {found['looks']} |"
    )


def main() -> None:
    """Measures the rows, keeps what came out, writes the page; exits with 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join([*ROWS, TIME])}")
    parser.add_argument("--data", type=Path, help="holds a folder for each repository; docs/results.md says which")
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    parser.add_argument("--write", action="store_true", help="measure nothing; write the page")
    given = parser.parse_args()
    if strange := set(given.rows) - {*ROWS, TIME}:
        parser.error(f"no row {', '.join(sorted(strange))}; there are {', '.join([*ROWS, TIME])}")
    measured = json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.exists() else {}
    if not given.write:
        if given.data is None:
            parser.error("say with --data where the data sets are")
        data = HERE.parent.parent / "build" / "benchmark-data"
        convert(given.data, data)
        for name in given.rows or [*ROWS, TIME]:
            looks = measured.get(name, {}).get("looks", 0) + 1
            measured[name] = compare_times(data) if name == TIME else measure(name, data, given.settings, looks)
            write_json(MEASURED, measured)
    PAGE.write_text(page(), encoding="utf-8")
    for what, bar, value, met in bars(measured):
        print(f"{'met' if met else 'missed':<8}{what}: {value} ({bar})")
    sys.exit(0 if given.write or all(met for *_, met in bars(measured)) else 1)


if __name__ == "__main__":
    main()
