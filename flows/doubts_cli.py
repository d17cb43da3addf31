"""`stillhouse doubts`: which gold labels are probably wrong, as a table to clean."""

from pathlib import Path

import click

from flows import completion
from flows.guard import one_clear_line


@click.command()
@click.argument("run_id", metavar="[RUN]", required=False, shell_complete=completion.runs)
@click.option(
    "--folds",
    default=4,
    show_default=True,
    type=click.IntRange(2, 20),
    help="Teachers that are trained, each on the gold rows without one of so many folds.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Where the table is written to as well."
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but the result and warnings.")
@click.option("--json", "as_json", is_flag=True, help="Print the record for programs; all else is said aside.")
@one_clear_line
def doubts(run_id: str | None, folds: int, output: Path | None, quiet: bool, as_json: bool) -> None:
    """List rows of train, dev and test whose gold label the teacher of RUN, the latest by default, contradicts.

    A teacher seldom contradicts a label that it has learnt, so the rows of train are judged by teachers that are
    trained anew without them: as long as FOLDS trainings take. What is doubted is probably wrong, not certainly: the
    table, the surest first, is for a person to go through.
    """
    from flows.doubts_command import doubt_run

    doubt_run(run_id, folds, output, quiet, as_json)
