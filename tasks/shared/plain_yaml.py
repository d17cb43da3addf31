"""YAML as plain data: each key once; no anchors, aliases or tags: recipes do without, and bombs are made of them."""

from collections.abc import Hashable
from typing import Any

import yaml

from tasks.shared.errors import StillhouseError, brief, one_line, printable

Plain = Any
"""Data as YAML gives it: mappings, lists, texts, numbers, Booleans, dates, None."""

LONGEST = 256 * 1024
"""Characters of a document; it is read in seconds at most."""


def plain_yaml(text: str, where: str) -> Plain:
    """What a YAML document says; None if it is empty.

    Args:
        text: the document.
        where: what it is, for messages.

    Raises:
        StillhouseError: it is too long, too deep, not valid, has a key twice, or more than plain data.
    """
    if len(text) > LONGEST:
        raise StillhouseError(f"{where}: longer than {LONGEST:,} characters, so it is no recipe; name another file")
    try:
        return yaml.load(text, Loader=_PlainLoader)  # noqa: S506 - a SafeLoader that refuses even more
    except RecursionError:
        raise StillhouseError(f"{where}: brackets or lists too deep to read; a recipe has three levels") from None
    except (yaml.YAMLError, ValueError) as error:  # a ValueError is a date or number that is none: 2026-02-30
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or one_line(error)
        said = problem if isinstance(error, _NotPlainError) else f"not valid YAML: {printable(problem, 200)}"
        if "alias" in str(getattr(error, "context", None)):
            said = "text that begins with * or & stands in quotation marks"
        raise StillhouseError(f"{where}{line}: {said}") from None


class _NotPlainError(yaml.MarkedYAMLError):
    pass


class _PlainLoader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None) is not None:
            raise _NotPlainError(
                problem=f"an anchor or alias, {brief(event.anchor)}; write the value out, or put text in quotes",
                problem_mark=event.start_mark,
            )
        if getattr(event, "tag", None) is not None:
            raise _NotPlainError(
                problem=f"a tag, {brief(event.tag)}; leave it out, and put text in quotation marks",
                problem_mark=event.start_mark,
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        known = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable):
                if key in known:
                    raise _NotPlainError(
                        problem=f"the key {brief(key)} is there twice; remove one of them",
                        problem_mark=key_node.start_mark,
                    )
                known.add(key)
        return super().construct_mapping(node, deep)


def as_yaml(value: Plain) -> str:
    """A value as a person would write it into a recipe, on one line."""
    return (
        yaml.safe_dump(value, default_flow_style=True, width=float("inf"), sort_keys=False)
        .removesuffix("...\n")
        .strip()
    )
