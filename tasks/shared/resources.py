"""What each step needs: the one table that tags, tag limits and a cluster's options are derived from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Resource:
    """A kind of place to run on.

    Attributes:
        tag: what tasks and the orchestrator's limits call it.
        limit: how many tasks of a server may hold it at once; None for no limit.
        gpus: accelerators of one task.
        cpus: processor cores of one task.
    """

    tag: str
    limit: int | None
    gpus: int
    cpus: int


GPU = Resource(tag="gpu", limit=1, gpus=1, cpus=1)
CPU = Resource(tag="cpu", limit=None, gpus=0, cpus=1)
RAY = Resource(tag="ray", limit=None, gpus=1, cpus=1)
"""A share on a Ray cluster, which counts its GPUs itself; where it has none, a share takes a processor core alone."""

STEPS: dict[str, Resource] = {
    "load_data": CPU,
    "import_labels": CPU,
    "train_teacher": GPU,
    "augment": CPU,
    "label_shard": GPU,
    "label": GPU,
    "fuse": CPU,
    "embed": GPU,
    "prepare_student": CPU,
    "augment_gold": CPU,
    "race": GPU,
    "train_student": GPU,
    "train_twin": GPU,
    "prepare_scratch": CPU,
    "train_scratch": GPU,
    "train_unaugmented": GPU,
    "measure": CPU,
    "disturb": CPU,
    "evaluate": CPU,
    "judge": CPU,
    "explain": CPU,
    "register": CPU,
    "report": CPU,
    "fold_gold": CPU,
    "doubt": CPU,
}
"""The steps in order, and where each runs. `gpu` is taken on a machine without one too: one training at a time."""
