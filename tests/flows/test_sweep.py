"""`stillhouse sweep`: many students of one set of soft labels, chosen on dev, going on where it was stopped."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from mlflow.tracking import MlflowClient

from flows.pareto import front, picture, said, table
from flows.preflight import combinations
from flows.records import find_run, latest_run
from flows.study import Study, study_file
from tasks.shared.errors import StillhouseError
from tasks.shared.recipe import Recipe
from tasks.shared.recipe_file import load_recipe
from tasks.shared.recipe_learning import Training
from tasks.shared.recipe_sweep import Sweep
from tasks.shared.recipe_teaching import Fuse
from tasks.shared.steps import Stopped
from tasks.shared.workspace import Workspace
from tests.bench import Bench
from tests.flows.conftest import World

SPACE = [
    {"student.family": ["lstm", "cnn"], "training.learning_rate": [0.01, 0.02]},
    {"student.family": ["bag"], "student.layers": [1, 2]},
]


@pytest.fixture(scope="module")
def swept(world: World) -> dict:
    """The record of a sweep over all of a small space, in two goes."""
    recipe = yaml.safe_load((world.folder / "toy.yaml").read_text(encoding="utf-8"))
    recipe["sweep"] = {"space": SPACE, "trials": 3, "pruning": False}
    (world.folder / "sweep.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    world.done("sweep", "sweep.yaml")
    shown = world.done("sweep", "sweep.yaml", "--set", "sweep.trials=50")
    [_, latest] = sorted((world.workspace / "runs").glob("*-sweep-*"), key=lambda folder: folder.stat().st_mtime)
    assert "dev accuracy" in world.done("show", latest.name)
    assert world.done("show") == world.done("show", latest.name)
    return {**find_run(Workspace(world.workspace), latest.name), "shown": shown}


def result_of(record: dict) -> dict:
    return json.loads((Path(record["path"]) / "sweep.json").read_text(encoding="utf-8"))


def test_a_sweep_goes_on_and_tries_each_combination_once(world: World, swept: dict) -> None:
    assert "3 trials of 6 asked for" in swept["shown"]
    trials = result_of(swept)["trials"]
    assert [trial["trial"] for trial in trials] == list(range(6))
    tried = [json.dumps(trial["changes"], sort_keys=True) for trial in trials]
    assert len(set(tried)) == 6
    made = [step for step in swept["steps"] if step["step"] == "train_student" and step["state"] == "done"]
    assert len(made) <= 3, "those of the first go are there"
    shared = [step["step"] for step in swept["steps"] if "trial" not in step["title"]]
    assert len(shared) == len(set(shared)), "what trials share is shown once"
    assert {"train_teacher", "label", "fuse", "prepare_student"} <= set(shared)


def test_what_a_sweep_has_not_got_is_said(world: World, swept: dict) -> None:
    for command in (["report", swept["run"]], ["compare", swept["run"], swept["run"]]):
        result = world.run(*command)
        assert (result.returncode, result.stderr.count("\n")) == (2, 1)
        assert "is a sweep" in result.stderr


def test_a_workspace_with_a_sweep_alone_says_what_to_run_next(world: World, swept: dict, tmp_path: Path) -> None:
    (tmp_path / "stillhouse.json").write_bytes((world.workspace / "stillhouse.json").read_bytes())
    folder = tmp_path / "runs" / swept["run"]
    folder.mkdir(parents=True)
    (folder / "run.json").write_bytes((Path(swept["path"]) / "run.json").read_bytes())
    with pytest.raises(StillhouseError, match=r"is a sweep; start one with: stillhouse run .*/best.yaml"):
        latest_run(Workspace(tmp_path))


def test_dev_chooses_and_test_has_no_part_in_it(world: World, swept: dict) -> None:
    found = result_of(swept)
    best = next(trial for trial in found["trials"] if trial["trial"] == found["best"])
    assert best["dev_accuracy"] == max(trial["dev_accuracy"] for trial in found["trials"])
    assert not {"evaluate", "judge", "disturb", "register"} & {step["step"] for step in swept["steps"]}
    assert "accuracy" not in best
    chosen = load_recipe(Path(swept["path"]) / "best.yaml")
    assert chosen.sweep is None
    assert chosen.student.family == best["changes"]["student.family"]
    assert f"run {swept['path']}/best.yaml" in swept["shown"].replace("\n", "")


def test_every_trial_is_under_one_parent_with_what_it_cost(swept: dict) -> None:
    client = MlflowClient(swept["mlflow"]["uri"])
    parent = client.get_run(swept["mlflow"]["run"])
    experiment = parent.info.experiment_id
    query = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}' and tags.`stillhouse.step` = 'trial'"
    children = client.search_runs([experiment], query)
    assert len(children) == 3
    for child in children:
        assert {"dev_accuracy", "ms_per_text", "parameters", "bytes"} <= child.data.metrics.keys()
        assert "student.family" in child.data.params
        assert child.info.status == "FINISHED"
    files = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert {"sweep.json", "sweep.md", "pareto.png", "best.yaml"} <= files


def test_what_a_source_of_transfer_text_gives_is_found_by_leaving_it_out(world: World) -> None:
    alone = replace(world, home="sources")  # other tests look at the labels of the shared workspace
    space = "{augment.copies: [0, 1], augment.mask: [0.2], augment.same_class: [0]}"
    shown = alone.done("sweep", "toy.yaml", "--set", f"sweep={{space: {space}}}", "--set", "seeds=[0]")
    record = alone.record()
    trials = result_of(record)["trials"]
    assert sorted(trial["changes"]["augment.copies"] for trial in trials) == [0, 1], shown
    made = [step["step"] for step in record["steps"] if step["state"] == "done"]
    assert (made.count("train_teacher"), made.count("augment")) == (1, 1)
    assert len({trial["path"] for trial in trials}) == 2


def test_an_impossible_combination_is_told_before_anything_starts(world: World) -> None:
    runs = len(list((world.workspace / "runs").iterdir()))
    for space, complaint in (
        ("{student.family: [lstm, cnn], student.layers: [1, 2]}", "student.family=cnn, student.layers=2"),
        ("{student.embeddings: [gone.txt]}", "student.embeddings: gone.txt cannot be read"),
        ("{student.tokenizer: [nowhere, sample:minilm-l6]}", "student.tokenizer: 'nowhere' is neither a folder"),
        ("{teachers.0.epochs: [1, 2]}", "teachers.0.epochs cannot be tried, as all students share it"),
        ("{student.famly: [lstm]}", "famly"),
        ("{student.hidden_size: {low: 8, high: 4}}", "hidden_size.range: goes from 8 to 4; low must be below high"),
        ("{student.hidden_size: {low: 8, high: 16, step: 4}}", "hidden_size.range.step"),
        ("{student.hidden_size: []}", "hidden_size.values: needs at least 1"),
    ):
        result = world.run("sweep", "toy.yaml", "--set", f"sweep={{space: {space}}}")
        assert result.returncode == 2, result.stdout
        assert complaint in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1
    assert len(list((world.workspace / "runs").iterdir())) == runs
    result = world.run("sweep", "toy.yaml")
    assert "has no sweep" in result.stderr


# The study


def study(file: Path, **options: object) -> Study:
    return Study(file, "x", Sweep.model_validate({"space": SPACE, **options}))


def test_a_trial_that_was_killed_is_tried_again(tmp_path: Path) -> None:
    file = tmp_path / "study.jsonl"
    asked = study(file).ask()
    again = study(file).ask()
    assert again.changes == asked.changes
    assert again.number == asked.number == 0


def carried_out(one: Study, trials: int) -> list[dict]:
    """What a study asks for, one after the other."""
    for _ in range(trials):
        asked = one.ask()
        one.tell(asked, 0.5, {"dev_accuracy": 0.5})
    return [result["changes"] for result in one.results()]


RATES = {"training.learning_rate": {"low": 0.001, "high": 0.1, "log": True}}


def test_a_study_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    def opened(name: str) -> Study:
        return study(tmp_path / name, space=[RATES, SPACE[1]], trials=9)

    whole = carried_out(opened("whole"), 9)
    assert carried_out(opened("parts"), 4) == whole[:4]
    opened("parts").ask()  # and then it was killed
    assert carried_out(opened("parts"), 5) == whole
    rates = [changes["training.learning_rate"] for changes in whole if "training.learning_rate" in changes]
    assert len(set(rates)) == len(rates) > 3


def test_values_and_spaces_that_are_the_same_count_once(tmp_path: Path) -> None:
    twice = [{"student.family": ["bag", "cnn", "bag"]}, {"student.family": ["cnn"]}]
    one = study(tmp_path / "study.jsonl", space=twice, trials=9)
    assert one.trials == 2
    tried = carried_out(one, 2)
    assert sorted(changes["student.family"] for changes in tried) == ["bag", "cnn"]


def test_a_range_of_few_whole_numbers_ends(tmp_path: Path) -> None:
    few = {"student.layers": {"low": 1, "high": 2}}
    assert len(carried_out(study(tmp_path / "study.jsonl", space=few, trials=4), 4)) == 4


def test_what_cannot_be_within_a_range_is_left_out(tmp_path: Path) -> None:
    sizes = {"student.hidden_size": {"low": 8, "high": 12}}
    sweep = Sweep.model_validate({"space": sizes, "trials": 3})
    one = Study(tmp_path / "a", "x", sweep, lambda changes: "odd" if changes["student.hidden_size"] % 2 else None)
    assert {changes["student.hidden_size"] for changes in carried_out(one, 3)} <= {8, 10, 12}
    assert set(one.impossible) <= {"odd"}
    nothing = Study(tmp_path / "b", "x", sweep, lambda changes: "no")
    with pytest.raises(StillhouseError, match="none is possible: no"):
        nothing.ask()


def test_a_trial_is_stopped_by_those_of_its_own_space(tmp_path: Path) -> None:
    options = {"space": {"training.learning_rate": {"low": 0.001, "high": 0.1, "log": True}}, "trials": 20}
    one = Study(tmp_path / "study.jsonl", "x", Sweep.model_validate(options))
    for accuracy in (0.5, 0.6, 0.7, 0.8):
        asked = one.ask()
        for look in (1, 2):
            asked.looked(look, accuracy)
        one.tell(asked, accuracy, {"dev_accuracy": accuracy})
    asked = one.ask()
    asked.looked(1, 0.1)  # too early to tell
    with pytest.raises(Stopped):
        asked.looked(2, 0.64)
    one.tell(asked, None, {})
    better = one.ask()
    better.looked(1, 0.1)
    better.looked(2, 0.66)
    assert [result["state"] for result in one.results()] == ["done"] * 4 + ["stopped"]
    assert 0.001 <= asked.changes["training.learning_rate"] <= 0.1
    calm = Study(tmp_path / "study.jsonl", "x", Sweep.model_validate({**options, "pruning": False})).ask()
    calm.looked(2, 0.0)


def test_a_space_is_every_combination_and_the_ends_of_ranges() -> None:
    data = {"train": "a.csv", "test": "b.csv"}
    ends = {"training.learning_rate": {"low": 0.001, "high": 0.1}, "student.hidden_size": [8, 16]}
    tried = combinations(Recipe(data=data, sweep={"space": ends}))
    assert [(one.training.learning_rate, one.student.hidden_size) for one in tried] == [
        (0.001, 8),
        (0.001, 16),
        (0.1, 8),
        (0.1, 16),
    ]
    assert Sweep(space=ends).size is None
    assert Sweep(space={"student.family": "cnn", "student.hidden_size": [8, 16]}).size == 2
    assert Sweep(space=SPACE).size == 6
    counted = [Sweep(space=space, trials=trials).most_trials for space, trials in ((SPACE, 50), (SPACE, 3), (ends, 50))]
    assert counted == [6, 3, 50], "no student is tried twice"
    with pytest.raises(StillhouseError, match=r"sweep.space: student.dropout=2"):
        combinations(Recipe(data=data, sweep={"space": {"student.dropout": [0.1, 2]}}))


def test_another_way_to_fuse_or_other_soft_labels_is_another_study(bench: Bench) -> None:
    """Found by a reviewer: trials with other soft labels counted as carried out."""
    recipe = Recipe(data={"train": "a.csv", "test": "b.csv"}, sweep={"space": SPACE})
    more = recipe.model_copy(update={"sweep": Sweep(space=SPACE, trials=99)})
    other = recipe.model_copy(update={"fuse": Fuse(method="logits")})
    files = [study_file(bench.workspace, *one) for one in ((recipe, recipe, ["a"]), (more, more, ["a"]))]
    assert files[0] == files[1]
    files += [study_file(bench.workspace, *one) for one in ((recipe, recipe, ["b"]), (other, other, ["a"]))]
    longer = recipe.model_copy(update={"training": Training(epochs=9)})
    files.append(study_file(bench.workspace, recipe, longer, ["a"]))
    assert len(set(files)) == 4, "so is one whose rules derive something else"


# What people see


def trial(number: int, accuracy: float, ms: float, size: int, **changes: object) -> dict:
    costs = {"ms_per_text": ms, "bytes": size, "parameters": size // 4}
    return {"trial": number, "state": "done", "dev_accuracy": accuracy, **costs, "changes": changes}


def test_the_front_is_what_nothing_else_beats() -> None:
    done = [
        trial(0, 0.9, 1.0, 100),
        trial(1, 0.8, 0.5, 100),
        trial(2, 0.8, 0.6, 100),  # slower than 1, and no better
        trial(3, 0.7, 2.0, 50),
        trial(4, 0.9, 1.0, 100),  # the same as 0
    ]
    assert front(done) == [0, 1, 3, 4]
    page = table([*done, {"trial": 5, "state": "stopped", "changes": {}}], front(done), 0)
    assert r"| 0 (best) \* | 90.0 |" in page
    assert "| 2 | 80.0 |" in page
    assert "| 5 | stopped |" in page
    assert picture(done).startswith(b"\x89PNG")


def test_changes_are_said_in_a_few_words() -> None:
    assert (
        said({"student.hidden_size": 8, "training.learning_rate": 0.00123456}) == "hidden_size=8, learning_rate=0.00123"
    )
    assert said({"a.weight": 1, "b.weight": 2}) == "a.weight=1, b.weight=2"
