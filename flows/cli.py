"""The command line. Heavy libraries are imported by the commands that need them, so that help answers at once."""

import io
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path

import click

from flows import completion
from flows.doubts_cli import doubts
from flows.guard import one_clear_line
from flows.labels_cli import labels
from flows.request import Request

OPENMP_SPINS = ("GOMP_SPINCOUNT", "2000")
"""OpenMP's threads wait for each other in a loop, for so many turns: 300,000 of them without this, in which they starve
one another where anything else wants a core (docs/decisions.md). torch reads it when it is imported."""


def _of_a_recipe(command: Callable[..., None]) -> Callable[..., None]:
    """A command that takes a recipe: its argument and options, which it gets as one `Request`."""

    @wraps(command)
    def with_request(
        recipe: str,
        overrides: tuple[str, ...],
        force: tuple[str, ...],
        device: str | None,
        effort: str | None,
        quiet: bool = False,
        as_json: bool = False,
        **others: object,
    ) -> None:
        named = {"device": device, "effort": effort}
        changes = [*overrides, *(f"{name}={value}" for name, value in named.items() if value)]
        command(Request(recipe, changes, force, quiet, as_json), **others)

    options = [
        click.option("--json", "as_json", is_flag=True, help="Print the result for programs; all else is said aside."),
        click.option(
            "--effort",
            type=click.Choice(["quick", "standard", "thorough"]),
            help="How much work what the recipe leaves out may make.",
        ),
        click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), help="Where models run."),
        click.option(
            "--force",
            multiple=True,
            metavar="STEP",
            shell_complete=completion.steps,
            help="Make this step's outputs anew, e.g. train_student; repeatable.",
        ),
        click.option(
            "--set",
            "overrides",
            multiple=True,
            metavar="PATH=VALUE",
            help="Override a value of the recipe, e.g. student.hidden_size=128 or teachers.0.epochs=1; repeatable.",
        ),
        click.argument("recipe", shell_complete=completion.recipes),
    ]
    for option in options:
        with_request = option(with_request)
    return with_request


def _carries_out(command: Callable[..., None]) -> Callable[..., None]:
    """The options of every command that carries out a recipe's steps."""
    quiet = click.option("-q", "--quiet", is_flag=True, help="Say nothing but the result and warnings.")
    dry = click.option("--dry-run", is_flag=True, hidden=True, expose_value=False, callback=_no_dry_run)
    return quiet(dry(command))


def _no_dry_run(context: click.Context, parameter: click.Parameter, given: bool) -> None:
    if given:
        raise click.UsageError("there is no --dry-run; `stillhouse plan RECIPE` says what a run would do", context)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="stillhouse", message="%(prog)s %(version)s")
def main() -> None:
    """Distil a language model into one small enough to ship, and say honestly whether that was worth it.

    \b
    Start here:
      stillhouse run quickstart          a BERT into an LSTM on real news, in minutes, on a CPU
      stillhouse show                    the result again
      stillhouse recipes csv             a commented recipe for your own data

    Everything goes into ./workspace; STILLHOUSE_HOME names another folder. What is there already is reused.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a sign shows a question mark
    os.environ.setdefault(*OPENMP_SPINS)


@main.command()
@_carries_out
@_of_a_recipe
@one_clear_line
def run(request: Request) -> None:
    """Run RECIPE, a shipped recipe's name or a YAML file, and print the result.

    Steps whose inputs have not changed are reused. A run that was stopped goes on with the same command.

    \b
    Examples:
      stillhouse run quickstart
      stillhouse run quickstart --set training.epochs=10 --set "seeds=[0, 1, 2]"
      stillhouse run my-recipe.yaml --force train_student
    """
    from flows.commands import run_recipe

    run_recipe(request)


@main.command()
@_carries_out
@_of_a_recipe
@one_clear_line
def sweep(request: Request) -> None:
    """Try the students that RECIPE's sweep describes, on one set of soft labels.

    Dev chooses; test has no part in it. A sweep that was stopped goes on with the same command, and one with more
    trials goes on from those there are.

    \b
    Examples:
      stillhouse sweep sweep
      stillhouse sweep my-recipe.yaml --set sweep.trials=50
    """
    from flows.commands import sweep_recipe

    sweep_recipe(request)


@main.command()
@_carries_out
@_of_a_recipe
@click.option("--shard", metavar="I/N", help="Label share number I of N alone, counted from 0: one of N machines.")
@one_clear_line
def label(request: Request, shard: str | None) -> None:
    """Only label: run RECIPE as far as the soft labels of texts that have none yet.

    \b
    Examples:
      stillhouse label quickstart
      stillhouse label quickstart --shard 0/2     on one machine
      stillhouse label quickstart --shard 1/2     on another, with the same STILLHOUSE_HOME on a shared disk
    """
    from flows.commands import label_recipe

    label_recipe(request, shard)


@main.command()
@_of_a_recipe
@one_clear_line
def plan(request: Request) -> None:
    """Say what `run` would do, what it would reuse, and how long that takes."""
    from flows.commands import plan_recipe

    plan_recipe(request)


@main.command()
@click.argument("student", shell_complete=completion.students)
@click.argument("texts", nargs=-1)
@click.option("--input", "source", type=click.Path(path_type=Path), help="File of texts: .txt, .csv, .tsv, .jsonl, ...")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="File to write: .jsonl, or .csv (commas, UTF-8) or .parquet with the columns of --input. Without it, "
    "standard output.",
)
@click.option("--top", type=click.IntRange(1), help="How many classes to tell of a text, the most probable first.")
@click.option("--column", default="text", show_default=True, help="Column of the texts in --input.")
@click.option("--pair-column", help="Column of the second texts in --input, for students of pairs.")
@click.option("--encoding", help="Character encoding of --input; without it, UTF-16 if it shows that, else UTF-8.")
@click.option("--separator", help="Column separator of --input; without it, the one that its first line shows.")
@click.option("--header/--no-header", default=True, help="Whether --input begins with column names.")
@one_clear_line
def predict(
    student: str,
    texts: tuple[str, ...],
    source: Path | None,
    output: Path | None,
    top: int | None,
    column: str,
    pair_column: str | None,
    encoding: str | None,
    separator: str | None,
    header: bool,
) -> None:
    """Classify TEXTS with STUDENT: a student's folder, a run, `latest`, or a registered model.

    Without texts and --input, standard input is read, a text a line. Files and standard input give JSON lines with the
    probabilities of all classes, or of the --top best. A .csv or .parquet gets the columns `predicted` and
    `probability` beside those of --input; for further classes `predicted_2`, `probability_2` and so on.

    \b
    Examples:
      stillhouse predict latest "oil prices rose as the cartel cut its output"
      cat texts.txt | stillhouse predict latest > labels.jsonl
      stillhouse predict latest --input texts.csv --output predicted.csv --top 3
      stillhouse predict models:/quickstart-student@champion "corn and wheat exports"
    """
    from flows.predict import Table, predict_texts

    table = Table(source, column, pair_column, encoding, separator, header) if source else None
    predict_texts(student, texts, table, output, top)


@main.command("models")
@click.option("--json", "as_json", is_flag=True, help="Everything that is known of each version, for programs.")
@one_clear_line
def registered_models(as_json: bool) -> None:
    """List the registered models: versions, aliases, scores, and why one is the champion.

    The registry is that of MLFLOW_TRACKING_URI, else the workspace's own.
    """
    from flows.registry import list_models

    list_models(as_json)


@main.command()
@click.argument("run_id", metavar="[RUN]", required=False, shell_complete=completion.runs)
@click.option("--json", "as_json", is_flag=True, help="The whole record, for programs.")
@one_clear_line
def show(run_id: str | None, as_json: bool) -> None:
    """Show the result of RUN, the latest by default; of a run that failed or crashed, why, with exit code 1."""
    from flows.commands import show_run

    show_run(run_id, as_json)


@main.command()
@click.argument("run_id", metavar="[RUN]", required=False, shell_complete=completion.runs)
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), help="Folder; without it, the run's own.")
@one_clear_line
def report(run_id: str | None, output: Path | None) -> None:
    """Write the report of RUN anew, the latest by default: one HTML page, the same in Markdown, and the figures.

    It is made of the files in the workspace alone; the same files give the same bytes.
    """
    from flows.report import rebuild_report

    rebuild_report(run_id, output)


@main.command()
@click.option(
    "--sort",
    default="accuracy",
    show_default=True,
    help="accuracy, gain, retention, robustness, size, latency or newest.",
)
@click.option("--most", default=20, show_default=True, type=click.IntRange(1), help="How many to show.")
@click.option("--json", "as_json", is_flag=True, help="All tags and metrics, for programs.")
@one_clear_line
def runs(sort: str, most: int, as_json: bool) -> None:
    """List the finished runs and how their students did, the best first, and the runs that failed or crashed, and why.

    Finished ones are those of MLFLOW_TRACKING_URI, else the workspace's own.
    """
    from flows.leaderboard import list_runs

    list_runs(sort, most, as_json)


@main.command()
@click.argument("run", shell_complete=completion.runs)
@click.argument("other", required=False, shell_complete=completion.runs)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@one_clear_line
def compare(run: str, other: str | None, as_json: bool) -> None:
    """Judge the students of RUN against those of OTHER, over the same test rows, and say how their recipes differ.

    Runs are named by their ids or the beginnings of them, or `latest`; `stillhouse runs` lists them. Without OTHER,
    it is the finished run before RUN that was tested on the same data.

    \b
    Examples:
      stillhouse compare latest
      stillhouse compare quickstart-20261101 quickstart-20261024
    """
    from flows.compare import compare_runs

    compare_runs(run, other, as_json)


@main.command()
@click.argument("name", required=False, shell_complete=completion.recipes)
@one_clear_line
def recipes(name: str | None) -> None:
    """List the shipped recipes; with NAME, print one, to start your own from.

    \b
    Example:
      stillhouse recipes csv > my-recipe.yaml
    """
    from flows.commands import list_recipes

    list_recipes(name)


@main.command()
@click.option("--prefect-port", default=4200, show_default=True, help="Port of the Prefect server; 0 for a free one.")
@click.option("--mlflow-port", default=5000, show_default=True, help="Port of the MLflow server; 0 for a free one.")
@click.option("--check", is_flag=True, help="Start nothing; say what listens where, and try whether it is guarded.")
@one_clear_line
def up(prefect_port: int, mlflow_port: int, check: bool) -> None:
    """Run a Prefect server, an MLflow server and a worker until Ctrl-C, on 127.0.0.1 alone.

    Their state is in the workspace, and MLflow shows what was tracked without it too. `stillhouse deploy` gives the
    worker something to do. The servers want a key, which is in the workspace for its owner alone: this command and
    --check print addresses that sign a browser in, other commands find it, and no page of others gets through.
    """
    from flows.servers import up as bring_up
    from flows.servers_check import check_servers

    if check:
        check_servers()
    else:
        bring_up(prefect_port, mlflow_port)


@main.command()
@click.argument("recipe", required=False, shell_complete=completion.recipes)
@click.option(
    "--timezone", metavar="NAME", help="Timezone of the schedules, e.g. Europe/Paris; without it, as before, or UTC."
)
@click.option(
    "--notify",
    metavar="URL",
    help="Webhook to tell of failed, crashed and late runs, NO BETTER and a replaced champion; - asks for it.",
)
@one_clear_line
def deploy(recipe: str | None, timezone: str | None, notify: str | None) -> None:
    """Give the Prefect server the deployments of RECIPE: nightly, hourly and on demand; again after every change.

    RECIPE is a shipped recipe's name or a YAML file; without it, it is what deployments/prefect.yaml names. It is
    checked as `plan` does, in the folder this is called in: its runs work there, so paths in it start there. The
    deployments are named after the recipe (`quickstart-nightly`), and those of several live side by side; what is
    replaced is told. The server is that of PREFECT_API_URL, else that of `stillhouse up`.

    \b
    Examples:
      stillhouse deploy
      stillhouse deploy my-recipe.yaml --timezone Europe/Paris
      stillhouse deploy my-recipe.yaml --notify -
    """
    from flows.deploy import deploy as deploy_flows

    deploy_flows(recipe, timezone, notify)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Bytes of each part, for programs.")
@one_clear_line
def du(as_json: bool) -> None:
    """Say what takes the space in the workspace."""
    from flows.housekeeping import disk_usage

    disk_usage(as_json)


@main.command()
@one_clear_line
def verify() -> None:
    """Check that all in the workspace is what was written, byte by byte; exit code 1 if anything is not.

    Outputs, soft labels and registered models are read whole. Commands check what they use by themselves, once for each
    file, and again when it has changed. `stillhouse labels verify` also asks the teachers again.
    """
    from flows.verify import verify_workspace

    verify_workspace()


@main.command()
@click.option("--keep", default=10, show_default=True, type=click.IntRange(1), help="How many finished runs to keep.")
@click.option("--delete", is_flag=True, help="Delete; without it, only say what would go.")
@one_clear_line
def gc(keep: int, delete: bool) -> None:
    """Remove what no kept run needs; only says what would go unless --delete is given."""
    from flows.housekeeping import collect_garbage

    collect_garbage(keep, delete)


@main.command("completion")
@click.argument("shell", type=click.Choice(completion.SHELLS))
@one_clear_line
def complete(shell: str) -> None:
    """Print what makes SHELL complete commands, options, recipes and runs at Tab.

    \b
    Put into the file that the shell reads at its start:
      eval "$(stillhouse completion bash)"     ~/.bashrc
      eval "$(stillhouse completion zsh)"      ~/.zshrc, below compinit
      stillhouse completion fish | source      ~/.config/fish/config.fish
    """
    click.echo(completion.script(main, shell))


main.add_command(labels)
main.add_command(doubts)
