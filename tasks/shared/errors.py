"""The one exception that people are meant to read."""


class StillhouseError(Exception):
    """Something a person can mend; the message is one line: what is wrong, where, what to do.

    The command line prints the message without a traceback and exits with code 2.
    """


def one_line(error: BaseException) -> str:
    """A library's message as part of one line: white space folded, control characters shown, cut to 300 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)[:300]
