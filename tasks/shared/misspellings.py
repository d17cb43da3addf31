"""Files of common misspellings: a word and its wrong forms on each line."""

from pathlib import Path

from tasks.shared.errors import StillhouseError, brief, one_line


def read_misspellings(file: str) -> dict[str, list[str]]:
    """The wrong forms of each word, in lower case; between words there is white space or a comma.

    Raises:
        StillhouseError: it is not there, not UTF-8, or a line has no wrong form.
    """
    where = f"robustness.misspellings: {file}"
    try:
        lines = Path(file).expanduser().read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise StillhouseError(f"{where} cannot be read: not UTF-8") from None
    except (OSError, RuntimeError, ValueError) as error:  # ~ of nobody, a name that can be none
        why = getattr(error, "strerror", None) or one_line(error)
        raise StillhouseError(f"{where} cannot be read: {why}") from None
    found: dict[str, list[str]] = {}
    for number, line in enumerate(lines, start=1):
        words = line.lower().replace(",", " ").split()
        if not words or words[0].startswith("#"):
            continue
        wrong = [word for word in words[1:] if word != words[0]]
        if not wrong:
            raise StillhouseError(f"{where}, line {number}: {brief(line)} is not a word and its wrong forms")
        found[words[0]] = list(dict.fromkeys([*found.get(words[0], []), *wrong]))
    if not found:
        raise StillhouseError(f"{where} holds no word")
    return found
