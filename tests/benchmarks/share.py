"""What a Ray worker does in the benchmark: a share of the labelling, without Prefect and MLflow around it."""

from pathlib import Path

from tasks.label_shard import LabelShard
from tasks.shared.dataset import DataRecord
from tasks.shared.shards import Shard
from tasks.shared.workspace import Workspace
from tasks.train_teacher import TeacherRecord
from tests.bench import Bench
from tests.settled import Labelling


def label_share(data: DataRecord, teacher: TeacherRecord, number: int, count: int, home: Path) -> int:
    """Labels share `number` of `count` on one thread; gives its number of texts."""
    import torch

    torch.set_num_threads(1)
    rows: int = Bench(Workspace(home))(LabelShard(data, teacher, Labelling(), 0, Shard(number, count))).rows
    return rows
