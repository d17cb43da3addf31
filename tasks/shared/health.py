"""Whether a server answers; imports nothing heavy, so that it can be asked before a run."""

import urllib.error
import urllib.request


def trouble(url: str, patience: float) -> Exception | None:
    """Asks a server one question.

    Args:
        url: an address that a healthy server answers; it comes from our own settings.
        patience: seconds to wait for the answer.

    Returns:
        None if it answers well. `urllib.error.HTTPError` if it answers with a refusal, `OSError` if it does not
        answer, `ValueError` if that is no address.
    """
    try:
        with urllib.request.urlopen(url, timeout=patience):  # noqa: S310 - from our own settings
            return None
    except (OSError, ValueError) as error:
        return error


def why(error: Exception) -> str:
    """The part of such a trouble that tells a person something."""
    return str(getattr(error, "reason", None) or error)
