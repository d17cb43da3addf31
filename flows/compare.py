"""Two runs side by side: what differs in their recipes, and the verdict on one's students against the other's."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.text import Text

from flows.records import all_runs, has_result, named_run, step_folder, what_it_is
from flows.table import models_of, rich_table
from tasks.shared.dataset import NO_LABEL
from tasks.shared.dotted import flatten
from tasks.shared.errors import StillhouseError, brief, brief_path, printable
from tasks.shared.outputs import MANIFEST, read_json
from tasks.shared.verified import whole_output
from tasks.shared.workspace import Workspace, existing_workspace

if TYPE_CHECKING:
    from models.verdict import Verdict
    from tasks.shared.predictions import Predictions

_LONGEST = 120


def compare_runs(first: str, second: str | None, as_json: bool) -> None:
    """Judges the students of the first run against those of the second, over the same test rows.

    Without a second, it is the finished run before the first that was tested on the same.
    """
    workspace = existing_workspace()
    one = named_run(workspace, first)
    records = [one, named_run(workspace, second) if second else _before(one, workspace)]
    for record in records:
        if not has_result(record):
            raise StillhouseError(f"run {record['run']} has no students to compare, it {what_it_is(record)}")
    if records[0]["run"] == records[1]["run"]:
        raise StillhouseError(f"{brief(first)} and {brief(second)} are the same run, {one['run']}; name another")
    verdict = _verdict(*records)
    differences = list(_differences(*(record["recipe"] for record in records)))
    if as_json:
        said = {"sentence": verdict.sentence(), "remedy": verdict.remedy}
        told = {**verdict.to_dict(), **said, "recipe": differences}
        click.echo(json.dumps({"runs": [record["run"] for record in records], **told}, indent=2))
        return
    console = Console(highlight=False)
    for record in records:
        console.print(Text(printable(record["run"], _LONGEST), style="bold"))
        console.print(rich_table(models_of(record), console.width))
        console.print()
    for key, ours, theirs in differences:
        values = " / ".join(printable(str(value), _LONGEST) for value in (ours, theirs))
        console.print(Text(f"{key}: {values}"), soft_wrap=True)
    if not differences:
        console.print(Text("the recipes are the same", style="dim"))
    console.print()
    console.print(Text(verdict.sentence(), style="bold"))
    if verdict.remedy:
        console.print(Text(verdict.remedy))
    console.print(
        Text("Seeds are paired where both runs have them, and both are these teachers' students.", style="dim")
    )


def _before(record: Mapping[str, Any], workspace: Workspace) -> Mapping[str, Any]:
    """The latest of the finished runs before a run that name the same test data."""
    began, tested = (record["began"], record["run"]), _tested_on(record)
    for other in all_runs(workspace):
        if has_result(other) and (other["began"], other["run"]) < began and _tested_on(other) == tested:
            return other
    raise StillhouseError(
        f"no finished run before {record['run']} was tested on rows of {brief_path(tested[0])}; name the other run"
    )


def _tested_on(record: Mapping[str, Any]) -> tuple[Any, ...]:
    """Where a run's test rows come from: a file of their own, or a share of train."""
    data = record["recipe"]["data"]
    return (data["test"],) if data["test"] else (data["train"], data.get("test_share"))


def _verdict(first: Mapping[str, Any], second: Mapping[str, Any]) -> "Verdict":
    import numpy as np

    from models.verdict import judge

    ours, theirs = _students(first), _students(second)
    one, other_one = next(iter(ours.values())), next(iter(theirs.values()))
    rows = [_labelled_rows(record, said) for record, said in ((first, one), (second, other_one))]
    if not np.array_equal(one.keys, other_one.keys) or rows[0] != rows[1]:
        raise StillhouseError(
            f"runs {first['run']} and {second['run']} were tested on different rows, or on other labels of them, so "
            "their students cannot be compared"
        )
    known = one.gold != NO_LABEL
    if not known.any():
        raise StillhouseError("no test row of these runs has a gold label, so their students cannot be compared")
    both = [seed for seed in ours if seed in theirs]
    # Other seeds are paired as they come: they have nothing in common that pairing would take out.
    others = ([seed for seed in seeds if seed not in both] for seeds in (ours, theirs))
    pairs = [*((seed, seed) for seed in both), *zip(*others, strict=False)]
    student = np.stack([ours[seed].right[known] for seed, _ in pairs])
    other = np.stack([theirs[seed].right[known] for _, seed in pairs])
    worthwhile = first["recipe"]["worthwhile"]
    example = other_one.example if one.groups is None else one.example
    return judge(
        student,
        other,
        worthwhile,
        student="the first run's student",
        other="the second's",
        clusters=one.clusters(other_one).among(known),
        example=example,
    )


def _labelled_rows(record: Mapping[str, Any], said: "Predictions") -> list[str | None]:
    """The gold label of each test row, by name: runs may number their classes differently."""
    data = step_folder(record, "load_data")
    if data is None:
        raise StillhouseError(f"run {record['run']} has read no data, so its students cannot be compared")
    classes = read_json(data / MANIFEST)["facts"]["classes"]
    return [None if number == NO_LABEL else classes[number] for number in said.gold.tolist()]


def _students(record: Mapping[str, Any]) -> "dict[int, Predictions]":
    """What a run's students say of test, by seed."""
    from tasks.evaluate import predictions_file
    from tasks.shared.predictions import read_predictions

    found = {}
    for student in record["students"]:
        whole_output(Path(student["scorecard"]), existing_workspace())
        found[student["seed"]] = read_predictions(Path(student["scorecard"]) / predictions_file("test"))
    return found


def _differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Keys of the recipe that differ, with both values."""
    ours, theirs = dict(flatten(first)), dict(flatten(second))
    for key in dict.fromkeys([*ours, *theirs]):
        if ours.get(key) != theirs.get(key):
            yield key, ours.get(key, "none"), theirs.get(key, "none")
