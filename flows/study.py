"""What a sweep tries next: an Optuna study on disk, so that a sweep that was stopped goes on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, simplefilter

from tasks.shared.errors import StillhouseError
from tasks.shared.outputs import hash_of
from tasks.shared.recipe import Recipe
from tasks.shared.recipe_sweep import Range, Sweep, as_key
from tasks.shared.steps import Stopped
from tasks.shared.workspace import Workspace

if TYPE_CHECKING:
    import optuna

_STARTUP = 5
"""Trials drawn at random before the search goes by what it found."""
_FEWEST = 4
"""Trials of a space without which none of it is stopped."""
_AGAIN, _IMPOSSIBLE = "again", "impossible"
_PATIENCE = 20
"""Suggestions of what was tried before that are put up with in a row."""
_MOST_IMPOSSIBLE = 200
"""Suggestions in a row that cannot be, as happens where two ranges must fit each other."""


@dataclass(frozen=True)
class Asked:
    """A trial that is to be carried out.

    Attributes:
        number: of the trial, from 0.
        changes: to the recipe, value by path.
        trial: as Optuna has it.
        others: what earlier trials of the same space had at their looks, by look; empty where none is to be stopped.
            In one space students are alike, so that a small one is not measured by the largest.
    """

    number: int
    changes: Mapping[str, Any]
    trial: "optuna.Trial"
    others: Sequence[Mapping[int, float]]

    def looked(self, look: int, accuracy: float) -> None:
        """Takes note of a look at dev; raises Stopped where most trials of the same space did better at theirs."""
        self.trial.report(accuracy, look)
        if look > 1 and len(self.others) >= _FEWEST:
            theirs = [values[look] for values in self.others if look in values]
            if theirs and median(theirs) > accuracy:
                raise Stopped


Complaint = Callable[[Mapping[str, Any]], str | None]


class Study:
    """Which trials there were, and what to try next."""

    def __init__(self, file: Path, name: str, sweep: Sweep, complaint: Complaint = lambda changes: None) -> None:
        """Opens the study in a file, which need not be there.

        Args:
            file: where it is kept.
            name: of the study.
            sweep: what is searched, and how.
            complaint: what makes changes impossible, if anything: ends of ranges may fit where something between does
                not.
        """
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._sweep = sweep
        file.parent.mkdir(parents=True, exist_ok=True)
        self.trials = sweep.most_trials
        self._study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(file))),
            study_name=name,
            direction="maximize",
            load_if_exists=True,
        )
        self._complaint = complaint
        for left in self._study.get_trials(states=[optuna.trial.TrialState.RUNNING]):  # by a run that was killed
            self._study.tell(left.number, state=optuna.trial.TrialState.FAIL)
            self._study.enqueue_trial(left.params)

    @property
    def ended(self) -> int:
        """Trials that were carried out, or stopped."""
        return len(self.results())

    @property
    def impossible(self) -> list[str]:
        """What made draws within ranges impossible, draw by draw."""
        trials = self._study.get_trials(deepcopy=False)
        return [trial.user_attrs[_IMPOSSIBLE] for trial in trials if _IMPOSSIBLE in trial.user_attrs]

    def ask(self) -> Asked:
        """What to try next: something that was not tried yet, as long as the space has any.

        Raises:
            StillhouseError: hardly anything in the ranges is possible.
        """
        tried = {as_key(result["changes"]): result for result in self.results()}
        repeated = impossible = 0
        while True:
            asked = self._ask()
            complaint = self._complaint(asked.changes)
            before = tried.get(as_key(asked.changes))
            if complaint is not None:
                self._refuse(asked, complaint)
                impossible += 1
                if impossible == _MOST_IMPOSSIBLE:
                    raise StillhouseError(f"sweep.space: of {impossible} draws in a row none is possible: {complaint}")
            elif before is None or (self._sweep.size is None and repeated == _PATIENCE):
                return asked
            else:
                asked.trial.set_user_attr(_AGAIN, before["trial"])
                self._study.tell(asked.trial, before.get("dev_accuracy", 0.0))
                repeated += 1
                if repeated % _PATIENCE == 0:
                    self._enqueue_untried(tried)

    def _refuse(self, asked: Asked, complaint: str) -> None:
        import optuna

        asked.trial.set_user_attr(_IMPOSSIBLE, complaint)
        self._study.tell(asked.trial, state=optuna.trial.TrialState.FAIL)

    def _enqueue_untried(self, tried: Mapping[str, Any]) -> None:
        """Has the search ask next for a combination that was not tried; a sampler may keep to its favourites."""
        if self._sweep.size is None:
            return
        for which, space in enumerate(self._sweep.space):
            lists = {path: found for path, found in space.items() if isinstance(found, list)}
            for places in product(*(range(len(found)) for found in lists.values())):
                chosen = dict(zip(lists, places, strict=True))
                if as_key({path: lists[path][place] for path, place in chosen.items()}) not in tried:
                    named = {f"{which}:{path}": place for path, place in chosen.items()}
                    self._study.enqueue_trial({"space": which, **named})
                    return

    def _ask(self) -> Asked:
        self._study.sampler = self._sampler()
        trial = self._study.ask()
        which = trial.suggest_int("space", 0, len(self._sweep.space) - 1) if len(self._sweep.space) > 1 else 0
        changes = {path: _suggest(trial, f"{which}:{path}", found) for path, found in self._sweep.space[which].items()}
        alike = [
            one.intermediate_values
            for one in self._study.get_trials(deepcopy=False)
            if one.state.is_finished() and one.params.get("space", 0) == which and one.intermediate_values
        ]
        return Asked(self.ended, changes, trial, alike if self._sweep.pruning else [])

    def _sampler(self) -> "optuna.samplers.TPESampler":
        """Made anew for each trial, with a seed of its own: a study that was stopped goes on as if it had not been."""
        import optuna

        ended = [one for one in self._study.get_trials(deepcopy=False) if one.state.is_finished()]
        killed = [one for one in ended if one.state.name == "FAIL" and _IMPOSSIBLE not in one.user_attrs]
        seed = int(hash_of([self._sweep.seed, len(ended) - len(killed)])[:8], 16)
        with catch_warnings():
            simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # of `group`; our Optuna is pinned
            return optuna.samplers.TPESampler(seed=seed, n_startup_trials=_STARTUP, multivariate=True, group=True)

    def tell(self, asked: Asked, accuracy: float | None, facts: Mapping[str, Any]) -> None:
        """Keeps what came of a trial; None for one that was stopped."""
        import optuna

        for name, value in {**facts, "changes": asked.changes}.items():
            asked.trial.set_user_attr(name, value)
        state = optuna.trial.TrialState.PRUNED if accuracy is None else optuna.trial.TrialState.COMPLETE
        self._study.tell(asked.trial, accuracy, state=state)

    def results(self) -> list[dict[str, Any]]:
        """Every trial that ended, in order: `trial`, `state` (done, stopped), `changes`, and what was told of it."""
        states = {"COMPLETE": "done", "PRUNED": "stopped"}
        ended = [trial for trial in self._study.get_trials(deepcopy=False) if trial.state.name in states]
        fresh = [trial for trial in ended if _AGAIN not in trial.user_attrs]
        return [
            {"trial": number, "state": states[trial.state.name], **trial.user_attrs}
            for number, trial in enumerate(fresh)
        ]


def study_file(workspace: Workspace, recipe: Recipe, whole: Recipe, made_of: Sequence[str]) -> Path:
    """The study's file: more trials of the same search are the same study, anything else is another.

    Args:
        workspace: where studies are.
        recipe: of the sweep.
        whole: the same, with what it leaves out.
        made_of: digests of data, teachers and soft labels.
    """
    students = {name: getattr(whole, name) for name in ("student", "training", "augment", "fuse", "sweep")}
    decisive = {name: part and part.model_dump(mode="json", exclude={"trials"}) for name, part in students.items()}
    objective = [term.model_dump(mode="json") for term in whole.objective or []]
    key = hash_of({**decisive, "objective": objective, "seed": recipe.seeds[0], "made_of": list(made_of)})
    return workspace.root / "sweeps" / f"{recipe.name}-{key[:12]}.jsonl"


def _suggest(trial: "optuna.Trial", name: str, found: list[Any] | Range) -> Any:  # noqa: ANN401 - any value
    if isinstance(found, list):
        return found[trial.suggest_categorical(name, range(len(found)))] if len(found) > 1 else found[0]
    if found.whole:
        return trial.suggest_int(name, int(found.low), int(found.high), log=found.log)
    return trial.suggest_float(name, float(found.low), float(found.high), log=found.log)
