"""Labelling plans: what is new is planned once, a killed plan goes on to the byte, writers get along."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tasks.shared import label_plan
from tasks.shared.errors import StillhouseError
from tasks.shared.label_files import FolderFiles
from tasks.shared.label_plan import Plan, begun_plan, new_plan
from tasks.shared.label_store import LabelStore
from tasks.shared.label_view import view_of
from tests.tasks.test_label_store import LABELLER, keys_of, logits_of

WANTED = list(range(100, 0, -1))
ALL = keys_of(WANTED)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(label_plan, "ROWS_IN_PART", 16)


@pytest.fixture
def store(tmp_path):
    return LabelStore(FolderFiles(tmp_path / "labels"), LABELLER)


def carry_out(plan, store, parts=None):
    """Labels what a plan lacks, as a teacher would whose logits depend on batch mates; stops after some parts."""
    held = {part.place for part in store.parts()}
    for place, keys in [part for part in plan.parts() if part[0] not in held][:parts]:
        texts = [int.from_bytes(key.ljust(32, b"\0")[:4], "big") for key in keys.tolist()]
        store.write(place, keys, logits_of(texts) + np.float32(1e-5) * len(texts) * texts[0])


def files_of(store):
    return {path.name: path.read_bytes() for path in (Path(store.place) / "parts").glob("*")}


@pytest.mark.parametrize("parts", [0, 1, 5])
def test_a_killed_labelling_goes_on_with_its_plan_and_ends_equal_to_the_byte(tmp_path, parts):
    undisturbed, killed = (LabelStore(FolderFiles(tmp_path / name), LABELLER) for name in ("undisturbed", "killed"))
    whole = new_plan(tmp_path / "one.npy", undisturbed, ALL)
    carry_out(whole, undisturbed)
    carry_out(new_plan(tmp_path / "two.npy", killed, ALL), killed, parts)
    # What happens meanwhile must not change the plan: somebody labels some of the same texts.
    killed.write("0" * 16 + "-000000", keys_of(WANTED[50:60]), logits_of(WANTED[50:60], writer=1))
    resumed = begun_plan(tmp_path / "two.npy")
    np.testing.assert_array_equal(resumed.keys, whole.keys)
    carry_out(resumed, killed)
    found = files_of(killed)
    assert files_of(undisturbed).items() <= found.items()
    assert len(found) == len(files_of(undisturbed)) + 2


def test_a_plan_is_there_before_the_first_part_and_nothing_to_do_needs_none(store, tmp_path):
    file = tmp_path / "plans" / "step.npy"
    assert begun_plan(file) is None
    carry_out(new_plan(file, store, ALL), store)
    assert [path.name for path in file.parent.iterdir()] == ["step.npy"]
    file.unlink()
    assert len(new_plan(file, store, ALL).keys) == 0
    assert list(file.parent.iterdir()) == []


def test_a_damaged_plan_is_refused(tmp_path):
    (tmp_path / "step.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(StillhouseError, match=r"step\.npy is damaged; delete it"):
        begun_plan(tmp_path / "step.npy")


def test_only_what_is_new_is_planned_in_the_order_it_was_asked_for(store, tmp_path):
    first = new_plan(tmp_path / "first.npy", store, ALL[:40])
    carry_out(first, store)
    second = new_plan(tmp_path / "second.npy", store, ALL)
    assert second.keys.tolist() == ALL[40:].tolist()
    assert second.id != first.id
    assert not {place for place, _ in first.parts()} & {place for place, _ in second.parts()}
    assert [len(keys) for _, keys in second.parts()] == [16, 16, 16, 12]


def test_the_places_of_parts_follow_from_the_keys():
    places = [place for place, _ in Plan(ALL).parts()]
    assert places == [place for place, _ in Plan(ALL.copy()).parts()]
    assert places == sorted(places)
    assert places != [place for place, _ in Plan(ALL[::-1]).parts()]


WRITE = """
import sys
from pathlib import Path
import numpy as np
from tests.tasks.test_label_plan import ALL, carry_out, label_plan
from tests.tasks.test_label_store import LABELLER
from tasks.shared.label_files import FolderFiles
from tasks.shared.label_store import LabelStore
label_plan.ROWS_IN_PART = 3
store = LabelStore(FolderFiles(Path(sys.argv[1])), LABELLER)
mine = np.random.default_rng(int(sys.argv[2])).permutation(ALL)[:60]
plan = label_plan.new_plan(Path(sys.argv[1]) / f"{sys.argv[2]}.npy", store, mine)
print("ready", flush=True)
sys.stdin.readline()
carry_out(plan, store)
"""


def test_eight_writers_of_overlapping_texts_leave_whole_parts_and_lose_none(tmp_path):
    command = [sys.executable, "-c", WRITE, tmp_path]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    # Two have the very same texts in the same order, and so the same plan.
    seeds = [0, 0, 1, 2, 3, 4, 5, 6]
    writers = [subprocess.Popen([*command, str(seed)], cwd=Path(__file__).parents[2], **pipes) for seed in seeds]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    store = LabelStore(FolderFiles(tmp_path), LABELLER)
    labelled = np.unique(np.concatenate([np.random.default_rng(seed).permutation(ALL)[:60] for seed in seeds]))
    assert view_of(store, labelled)["rows"] == len(labelled)
    assert len(store.parts()) == 7 * 20
    assert {path.suffix for path in (Path(store.place) / "parts").iterdir()} == {".parquet", ".json"}
