"""Shell completion: the script for a shell, and what arguments complete to.

Imports nothing heavy: it is asked at each Tab.
"""

import click
from click.shell_completion import CompletionItem, get_completion_class

from flows.shipped import shipped
from tasks.shared.errors import StillhouseError
from tasks.shared.workspace import find_workspace

SHELLS = ("bash", "zsh", "fish")
PROGRAM = "stillhouse"
_RECORD, _LATEST = "run.json", "latest"


def script(command: click.Command, shell: str) -> str:
    """What a shell has to read so that it completes the program's commands, options, recipes and runs."""
    found = get_completion_class(shell)
    if found is None:
        raise StillhouseError(f"no completion for {shell}")
    return found(command, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE").source()


def recipes(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Shipped recipes, else files."""
    names = [file.stem for file in shipped() if file.stem.startswith(incomplete)]
    return [CompletionItem(name) for name in names] or [CompletionItem(incomplete, type="file")]


def runs(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """`latest`, and the ids of the workspace's runs."""
    try:
        folders = [file.parent.name for file in find_workspace().runs.glob(f"*/{_RECORD}")]
    except (StillhouseError, OSError):
        folders = []
    return [CompletionItem(name) for name in [_LATEST, *sorted(folders)] if name.startswith(incomplete)]


def students(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Runs, else folders."""
    return runs(context, parameter, incomplete) or [CompletionItem(incomplete, type="dir")]


def steps(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of steps."""
    from tasks.shared.resources import STEPS

    return [CompletionItem(name) for name in STEPS if name.startswith(incomplete)]
