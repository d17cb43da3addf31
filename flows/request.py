"""What a person asks of a recipe on the command line; imports nothing heavy."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """A recipe and how to carry it out.

    Attributes:
        recipe: name of a shipped recipe, or the path of a file.
        overrides: `PATH=VALUE`, later ones win.
        force: names of steps to make anew.
        quiet: say nothing but the result and warnings.
        as_json: print the result as JSON; what is said on the way goes to standard error.
    """

    recipe: str
    overrides: Sequence[str]
    force: Sequence[str] = ()
    quiet: bool = False
    as_json: bool = False
