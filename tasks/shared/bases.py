"""Where a teacher's model comes from: a folder, a sample, or the hub; always ends as a local folder."""

import re
from pathlib import Path

from tasks.shared.errors import StillhouseError
from tasks.shared.samples import verify_sample_model

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_HUB_FILES = ["*.safetensors", "*.json", "*.txt", "*.model"]
"""What is fetched from the hub: no pickled weights, no code."""


def find_base(model: str, where: str) -> Path:
    """The local folder of a model.

    Args:
        model: a folder, `sample:NAME`, or a hub id.
        where: the recipe's path of this setting, for messages.

    Raises:
        StillhouseError: there is no such model, or it has no safetensors weights.
    """
    if model.startswith("sample:"):
        return verify_sample_model(model)
    folder = Path(model).expanduser()
    if not folder.is_dir():
        folder = _from_hub(model, where)
    if not (folder / "config.json").is_file():
        raise StillhouseError(f"{where}: {folder} is not a model folder, it has no config.json")
    if not any(folder.glob("*.safetensors")):
        advice = "convert it (pickled ones are never read)"
        raise StillhouseError(f"{where}: {folder} has no .safetensors weights; {advice}")
    return folder.absolute()


def _from_hub(model: str, where: str) -> Path:
    if not _HUB_NAME.fullmatch(model):
        raise StillhouseError(f"{where}: {model[:200]!r} is neither a folder, sample:NAME, nor a hub id NAMESPACE/NAME")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(model, allow_patterns=_HUB_FILES))
    except RepositoryNotFoundError:
        raise StillhouseError(f"{where}: the hub has no model {model}, and there is no such folder") from None
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError):
        raise StillhouseError(
            f"{where}: {model} is no folder here, and the hub cannot be reached; give a folder or sample:NAME"
        ) from None
