"""What the Hugging Face hub has under a name, asked in one request; nothing is downloaded."""

from typing import Literal

from tasks.shared.errors import StillhouseError, brief_path
from tasks.shared.rows import reason

_PATIENCE_SECONDS = 10


def files_on_hub(name: str, revision: str | None, where: str, kind: Literal["model", "data set"]) -> list[str] | None:
    """Names of the files of a model or data set; None where the hub does not answer.

    Raises:
        StillhouseError: it answers that there is no such thing, or the name can be none.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    ask = HfApi().model_info if kind == "model" else HfApi().dataset_info
    try:
        found = ask(name, revision=revision, timeout=_PATIENCE_SECONDS)
    except RepositoryNotFoundError:
        raise StillhouseError(
            f"{where}: {brief_path(name)} is not on the hub, or not without a login; "
            f"check the name of the {kind}, or run `hf auth login`"
        ) from None
    except RevisionNotFoundError:
        raise StillhouseError(f"{where}: the {kind} has no revision {brief_path(revision)}; check the name") from None
    except HFValidationError as error:
        raise StillhouseError(f"{where}: {brief_path(name)} can be no name on the hub ({reason(error)})") from None
    except Exception:  # the library and its HTTP client have no common base class
        return None
    return [file.rfilename for file in found.siblings or []]
