"""How a training went, kept next to the model: its loss and score by step, and how long it took here."""

from pathlib import Path
from typing import TYPE_CHECKING

from tasks.shared.outputs import Json, read_versioned, write_json

if TYPE_CHECKING:
    from models.training import History

HISTORY = "history.json"
VERSION = 1


def write_history(folder: Path, history: "History", steps: int, device: str) -> None:
    """Writes down (step, mean loss) and (step, accuracy on dev), the steps and the time."""
    content = {
        "version": VERSION,
        "steps": steps,
        "seconds": round(history.seconds, 3),
        "device": device,
        "best_step": history.best_step,
        "loss": history.loss,
        "dev_accuracy": history.dev_accuracy,
    }
    write_json(folder / HISTORY, content)


def read_history(folder: Path) -> dict[str, Json] | None:
    """What is written in an output's folder; None of a model that was taken as it is."""
    file = folder / HISTORY
    return read_versioned(file, VERSION) if file.exists() else None
