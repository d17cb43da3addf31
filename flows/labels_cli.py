"""`stillhouse labels ...`: the commands around the label store."""

from pathlib import Path

import click

from flows import completion
from flows.guard import one_clear_line
from flows.request import Request


@click.group()
def labels() -> None:
    """List, verify, export and import soft labels.

    `stillhouse label RECIPE` makes them; they belong to texts, and every run finds them again.
    """


@labels.command()
@click.option("--store", metavar="URL", help="Where they are, such as s3://bucket/labels; the workspace without it.")
@click.option("--json", "as_json", is_flag=True, help="All that is known of each labeller, for programs.")
@one_clear_line
def ls(store: str | None, as_json: bool) -> None:
    """List whose soft labels there are, and of how many texts."""
    from flows.labels import list_labels

    list_labels(store, as_json)


@labels.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--sample", default=64, show_default=True, type=click.IntRange(0), help="How many to compute again.")
@click.option("--seed", type=click.IntRange(0), help="Seed of that sample; without it, another one each time.")
@click.option("--store", metavar="URL", help="Where they are, such as s3://bucket/labels; the workspace without it.")
@one_clear_line
def verify(names: tuple[str, ...], sample: int, seed: int | None, store: str | None) -> None:
    """Check every file, and compute a random sample again with the teacher; exit code 1 if anything is wrong.

    NAME is a name from `stillhouse labels ls`, or its beginning; without one, all are verified. Texts and teachers are
    looked for in the workspace.
    """
    from flows.labels_verify import verify_labels

    verify_labels(names, sample, seed, store)


@labels.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("recipe", shell_complete=completion.recipes)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="PATH=VALUE",
    help="Override a value of the recipe, e.g. data.text=body; repeatable.",
)
@one_clear_line
def import_(file: Path, recipe: str, overrides: tuple[str, ...]) -> None:
    """Bring labels made elsewhere, FILE, into the label store, for the texts and classes of RECIPE.

    FILE is .csv, .tsv, .jsonl or .parquet, with the recipe's text column (or `text`) and, for each class, a column
    called probability_CLASS, logit_CLASS or CLASS; or what `stillhouse predict` wrote; or only the chosen class in the
    recipe's label column. It is checked against the texts, and measured on dev if it has dev's texts too. Rows without
    a label are skipped and counted. A recipe uses it as a teacher: `teachers: [{labels: FILE}]`, with
    `student: {tokenizer: MODEL}` where no other teacher has one.

    \b
    Example:
      stillhouse labels import hosted.jsonl my-recipe.yaml
    """
    from flows.commands import import_labels

    import_labels(file, Request(recipe, overrides))


@labels.command()
@click.argument("output", type=click.Path(path_type=Path))
@click.option(
    "--run", "run_id", metavar="RUN", shell_complete=completion.runs, help="Whose soft labels; `latest` by default."
)
@click.option("--teacher", type=click.IntRange(0), help="One teacher's, by position; else what students learn from.")
@click.option(
    "--draw",
    default=0,
    show_default=True,
    type=click.IntRange(0),
    help="Of which draw of labels, where a recipe has several `draws`; texts and teachers are that draw's.",
)
@click.option(
    "--temperature",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0, 1000, min_open=True),
    help="T of the softmax.",
)
@one_clear_line
def export(output: Path, run_id: str | None, teacher: int | None, draw: int, temperature: float) -> None:
    """Write a run's soft labels to OUTPUT, one plain .parquet or .csv.

    Columns: the text (and pair), the class that the teacher names, and a probability for each class.

    \b
    Examples:
      stillhouse labels export soft-labels.parquet
      stillhouse labels export soft-labels.csv --temperature 2
    """
    from flows.labels_export import export_labels

    export_labels(output, run_id, teacher, draw, temperature)
