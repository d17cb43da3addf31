"""What came out of a run that nobody should miss, as events of the Prefect server, whose automations tell it."""

from tasks.judge import ResultRecord
from tasks.shared.recipe import Recipe
from tasks.shared.registry import CHAMPION, Registry
from tasks.shared.registry_version import Version
from tasks.shared.workspace import Workspace

NO_BETTER, REPLACED = "stillhouse.no-better", "stillhouse.champion-replaced"


class Outcome:
    """Remembers the champion before a run, to say afterwards whether it was replaced."""

    def __init__(self, workspace: Workspace, recipe: Recipe) -> None:
        """Asks the registry who is champion now."""
        self._registry = Registry(workspace)
        self._name = recipe.registered_student
        self._before = self._champion()

    def tell(self, run: str, result: ResultRecord) -> None:
        """Emits the events of a run, which is named by its id."""
        from prefect.events import emit_event

        for event, text in self.events(result.verdict["outcome"], result.sentence).items():
            # An id for each event of each run: of the same id one is told, though the server may read it twice.
            emit_event(event, {"prefect.resource.id": f"{event}.{run}"}, payload={"text": text})

    def events(self, verdict: str, sentence: str) -> dict[str, str]:
        """What is told of a run that has ended with a verdict: a sentence for each event."""
        found = {NO_BETTER: sentence} if verdict == "NO BETTER" else {}
        now = self._champion()
        if self._before and now and now.number != self._before.number:
            replaced = f"{self._name}: version {now.number} is {CHAMPION} in place of version {self._before.number}"
            found[REPLACED] = f"{replaced}; {now.tags.get('reason', 'no reason is known')}"
        return found

    def _champion(self) -> Version | None:
        return self._registry.with_alias(self._name, CHAMPION)
