"""Which device models run on."""

from tasks.shared.errors import StillhouseError


def check_device(wanted: str) -> None:
    """Refuses a device that is not there; `auto` and `cpu` always are, and cost no import of torch."""
    if wanted not in ("auto", "cpu"):
        pick_device(wanted)


def pick_device(wanted: str) -> str:
    """`cpu`, `cuda` or `mps`; `auto` takes the first GPU if there is one.

    Raises:
        StillhouseError: the wanted device is not there.
    """
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(device for device, found in there.items() if found)
    if not there[wanted]:
        raise StillhouseError(f"device: this machine has no {wanted}; use auto or cpu")
    return wanted
