"""Ray: steps that do not need each other, side by side on the machines of a cluster.

The cluster is that of RAY_ADDRESS, else one of this machine alone for as long as the steps take. Its machines see the
workspace at the same path and speak to the Prefect server; only the driver, this process, speaks to MLflow.
"""

import logging
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psutil
from prefect.client.schemas.objects import State
from prefect.runtime import task_run
from prefect.states import Completed, Crashed, Failed

from flows.killed import close_task_run
from flows.preflight import check_cluster
from flows.run_links import publish
from tasks.shared.errors import StillhouseError, brief, one_line, without_logins
from tasks.shared.outputs import make_output
from tasks.shared.resources import RAY
from tasks.shared.serving.addresses import LOOPBACK
from tasks.shared.steps import Advance, Context, Step
from tasks.shared.workspace import Workspace

if TYPE_CHECKING:
    from prefect import Task
    from prefect_ray import RayTaskRunner
    from ray.actor import ActorHandle

_LOOK_SECONDS = 1.0
_LAST_WORDS_SECONDS, _PATIENCE_SECONDS = 10.0, 5.0
_RETRIES = 3
"""How often the work of a worker that died is given to another one."""
_OBJECTS_BYTES = 100 * 2**20
"""Memory for what tasks hand each other: ours hand on files."""
_HANDED_ON = (
    *("PREFECT_API_URL", "PREFECT_LOGGING_LEVEL", "PREFECT_LOGGING_TO_API_ENABLED", "PREFECT_SERVER_ANALYTICS_ENABLED"),
    *("STILLHOUSE_HOME", "HF_HUB_OFFLINE", "DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "TOKENIZERS_PARALLELISM"),
)


@dataclass
class Said:
    """What a step said while a worker made it.

    Attributes:
        task_run: id of the Prefect task run.
        warnings: for the person.
    """

    task_run: str
    warnings: list[str] = field(default_factory=list)


class Tally:
    """Counts what the workers have done; an actor on the cluster."""

    def __init__(self) -> None:
        """Begins at 0."""
        self._done = 0

    def advance(self, count: int) -> None:
        """So much more is done."""
        self._done += count

    def done(self) -> int:
        """How much is done."""
        return self._done


@dataclass(frozen=True)
class Cluster:
    """A cluster that answers.

    Attributes:
        device: where models run there.
        places: how many tasks it can carry out at once.
        tally: the actor that counts.
    """

    device: str
    places: int
    tally: "ActorHandle[Any]"
    _runner: "RayTaskRunner[Said]"

    def carry_out(self, tasks: Sequence["Task[[], Said]"], advance: Advance) -> Iterator[tuple[int, Said]]:
        """Carries out tasks in any order; gives the number of each when it is done, and what it said.

        Args:
            tasks: made of `make_there`.
            advance: called with the units of work done.

        Raises:
            StillhouseError: a task failed, or its worker died again and again; the others are stopped.
        """
        import ray
        from prefect_ray.context import remote_options

        gpus = RAY.gpus if self.device == "cuda" else 0
        with remote_options(num_cpus=RAY.cpus, num_gpus=gpus, max_retries=_RETRIES):
            futures = [self._runner.submit(task, {}) for task in tasks]
        going_on = {future.wrapped_future: number for number, future in enumerate(futures)}
        ends: dict[int, State[Any]] = {
            number: Crashed(message="the run ended before it") for number in going_on.values()
        }
        shown = 0
        try:
            while going_on:
                ended, _ = ray.wait(list(going_on), num_returns=1, timeout=_LOOK_SECONDS)
                done = max(shown, self._done())
                advance(done - shown)
                shown = done
                for reference in ended:
                    number = going_on.pop(reference)
                    try:
                        said = futures[number].result()
                    except (ray.exceptions.RayError, ConnectionError) as error:
                        failure = _failure(str(tasks[number].task_run_name), error)
                        ends[number] = Failed(message=str(failure))
                        raise failure from error
                    ends[number] = Completed()
                    yield number, said
        except SystemError as error:  # how Ray's native code passes on a Ctrl-C
            if isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            raise
        finally:
            for reference in going_on:
                with suppress(Exception):
                    ray.cancel(reference, force=True)
            with suppress(Exception):  # a worker that is still there could say once more that it is at work
                ray.wait(list(going_on), num_returns=len(going_on), timeout=_LAST_WORDS_SECONDS)
            for number, state in ends.items():
                with suppress(Exception):
                    close_task_run(futures[number].task_run_id, state, _PATIENCE_SECONDS)

    def _done(self) -> int:
        """How much the workers have done; 0 where the counting actor is gone, which is no reason to stop."""
        import ray

        try:
            done: Any = ray.get(self.tally.done.remote(), timeout=_LOOK_SECONDS)
        except ray.exceptions.RayError:
            return 0
        return int(done)


def _failure(title: str, error: Exception) -> StillhouseError:
    """What went wrong with a task, of which Ray tells."""
    import ray

    died = (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError, ray.exceptions.OutOfMemoryError)
    kept = "what was finished is kept, run the same command again"
    if isinstance(error, died):
        return StillhouseError(f"{title}: its Ray workers died, {_RETRIES + 1} of them ({one_line(error)}); {kept}")
    cause = getattr(error, "cause", None)
    why = one_line(cause if isinstance(cause, Exception) else error)
    return StillhouseError(f"{title}: failed on Ray ({why}); {kept}")


def make_there(step: Step[Any], made_by: str, tracked: str, root: Path, device: str, tally: "ActorHandle[Any]") -> Said:
    """Makes a step's output; what a worker does, inside a Prefect task.

    Args:
        step: what to make.
        made_by: id of the tracked run.
        tracked: that run, as people find it.
        root: the workspace's.
        device: where models run.
        tally: told of what is done.

    Raises:
        StillhouseError: this machine does not see the workspace; or the step's own.
    """
    import torch

    workspace = Workspace(root)
    if not workspace.outputs.is_dir():
        raise StillhouseError(f"{root} is not to be seen on {socket.gethostname()}; a cluster shares the workspace")
    torch.set_num_threads(RAY.cpus)
    publish(tracked)
    said = Said(str(task_run.id))

    @contextmanager
    def progress(total: int | None, unit: str) -> Iterator[Advance]:
        yield tally.advance.remote

    context = Context(
        workspace=workspace,
        device=device,
        run=made_by,
        progress=progress,
        metrics=lambda name, points: None,  # of training, which is not done here
        warn=said.warnings.append,
    )
    fill = partial(step.make, context=context)
    make_output(step.folder(workspace), step.key, step.decided_by, fill, made_by=made_by, measured=step.measured)
    return said


@contextmanager
def open_cluster(device: str) -> Iterator[Cluster]:
    """Connects to the cluster of RAY_ADDRESS, or starts one here; leaves it, or ends it, afterwards.

    Args:
        device: as the recipe says it; `auto` takes GPUs where the cluster has any.

    Raises:
        StillhouseError: the cluster does not answer, has no such device, or does not reach the Prefect server.
    """
    check_cluster()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_task_oom_retries", str(_RETRIES))  # without end by default
    with _signals_kept():
        import ray
        from prefect_ray import RayTaskRunner
    address = os.environ.get("RAY_ADDRESS")
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    with ExitStack() as stack:
        if address:
            settings["runtime_env"] = {"env_vars": _handed_on()}
        else:  # on loopback alone, without pages, and no session is left; workers have this process's environment
            settings |= {"_node_ip_address": "127.0.0.1", "include_dashboard": False}
            settings |= {"object_store_memory": _OBJECTS_BYTES}
            # Else Ray would write one into the home folder, for everybody to read.
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
            # Not in the workspace: sockets lie there, whose paths must be short.
            settings["_temp_dir"] = stack.enter_context(TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True))
        try:
            with _signals_kept(), _stderr_to_nowhere():
                runner = stack.enter_context(RayTaskRunner(address or "local", settings))
        except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
            where = f"at RAY_ADDRESS {brief(address)} " if address else ""
            hint = "; one that was started with a token takes RAY_AUTH_MODE=token" if address else ""
            raise StillhouseError(f"runner: ray: no cluster {where}answers: {one_line(error)}{hint}") from None
        _check_reach()
        counting: Any = ray.remote(num_cpus=0)(Tally)
        found = _device_there(device)
        yield Cluster(found, _places(found), counting.remote(), runner)


def _device_there(wanted: str) -> str:
    """The device of the cluster's workers."""
    import ray

    gpus = ray.cluster_resources().get("GPU", 0)  # type: ignore[no-untyped-call]
    if wanted == "cuda" and not gpus:
        raise StillhouseError("device: the Ray cluster has no cuda; use auto or cpu")
    if wanted == "auto":
        return "cuda" if gpus else "cpu"
    return wanted


def _places(device: str) -> int:
    """How many tasks the cluster can carry out at once."""
    import ray

    there = ray.cluster_resources()  # type: ignore[no-untyped-call]
    places = int(there.get("CPU", 0) // RAY.cpus)
    if device == "cuda":
        places = min(places, int(there["GPU"] // RAY.gpus))
    if not places:
        raise StillhouseError(f"runner: ray: the cluster has no place for a task, which takes {RAY.cpus} CPU")
    return places


def _check_reach() -> None:
    """Refuses a cluster of several machines that are to report to a server on the loopback of this one."""
    import ray

    url = os.environ["PREFECT_API_URL"]
    machines = {node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}  # type: ignore[no-untyped-call]
    here = {address.address for found in psutil.net_if_addrs().values() for address in found}
    if machines - here and urlsplit(url).hostname in LOOPBACK:
        raise StillhouseError(
            f"runner: ray: the cluster's {len(machines - here)} other machines do not reach the Prefect server at "
            f"PREFECT_API_URL {url}; give it an address of this machine that they reach"
        )


def _handed_on() -> dict[str, str]:
    """What workers have to know of this process's environment: where the Prefect server is, and what keeps it quiet.

    Ray writes it to its logs, so there are no secrets among it; Prefect hands its own to its tasks.
    """
    return {name: without_logins(os.environ[name]) for name in _HANDED_ON if name in os.environ}


@contextmanager
def _stderr_to_nowhere() -> Iterator[None]:
    """Hides what Ray's native code writes, a line a second where a cluster does not answer; its exception says it."""
    sys.stderr.flush()
    before = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Undoes what Ray does to signals: a run that is told to end closes what it had open."""
    if threading.current_thread() is not threading.main_thread():  # Ray leaves them alone too
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
