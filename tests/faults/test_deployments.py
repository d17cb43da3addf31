"""Deployments on real servers on loopback: up, deploy, runs by schedule and by API, and what kills leave behind."""

import json
import signal
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleUpdate, DeploymentUpdate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, TaskRun
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.states import Scheduled

from flows.deploying.automations import SILENCE
from tasks.shared.child import PATIENCE_SECONDS, still_running
from tests.faults.servers import api, mlflow, until, up
from tests.flows.conftest import World, make_world, toy_recipe
from tests.web import Server, server

pytestmark = [pytest.mark.drill, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("deployed"))


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def worker_of(process: subprocess.Popen[str]) -> psutil.Process:
    return next(child for child in family(process) if child.cmdline()[1:5] == ["-m", "prefect", "worker", "start"])


def tasks_of(client: SyncPrefectClient, run: UUID) -> list[TaskRun]:
    return client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run])))


def in_the_middle_of_training(client: SyncPrefectClient) -> FlowRun:
    """A run that would train for an hour, from the moment it trains a student."""
    deployment = client.read_deployment_by_name("distill/toy-on-demand")
    recipe = {**toy_recipe(), "name": "long"}
    recipe["training"] = {**recipe["training"], "epochs": 10000}
    run = client.create_flow_run_from_deployment(deployment.id, parameters={"recipe": recipe})
    training = ("train_student seed 0", "Running")
    until(lambda: training in [(task.name, task.state_name) for task in tasks_of(client, run.id)], 120, "it trains")
    return client.read_flow_run(run.id)


def test_two_runs_at_once_never_use_the_gpu_together(fresh: World) -> None:
    world = replace(fresh, home="two-runs")
    with up(world) as process:
        second = world.run("up")
        assert (second.returncode, "up already" in second.stderr) == (2, True), second.stderr
        world.done("deploy", "toy.yaml")
        with api(world) as client:
            hourly = client.read_deployment_by_name("label/toy-hourly")
            client.update_deployment_schedule(hourly.id, hourly.schedules[0].id, active=False)
            before = what_is_deployed(client)
            world.done("deploy", "toy.yaml")
            assert what_is_deployed(client) == before, "the second deploy changed something"
            runs = [client.read_flow_run(run) for run in scheduled_and_asked_for(client)]
            assert [(run.state.name, run.state.message) for run in runs] == [("Completed", None)] * 2
            assert [run.auto_scheduled for run in runs] == [True, False]
            used = [[task for task in tasks_of(client, run.id) if "gpu" in task.tags] for run in runs]
        never_overlapped(runs, used)
        in_records_and_mlflow(world, runs)
        stops_cleanly_on_ctrl_c(world, process)


def what_is_deployed(client: SyncPrefectClient) -> dict[str, object]:
    deployments = {
        deployment.name: [
            (str(item.schedule.cron), item.schedule.timezone, item.active) for item in deployment.schedules
        ]
        for deployment in client.read_deployments()
    }
    limits = {limit.tag: limit.concurrency_limit for limit in client.read_concurrency_limits(limit=10, offset=0)}
    automations = [(found.id, found.name, found.enabled) for found in client.read_automations()]
    assert {name: len(schedules) for name, schedules in deployments.items()} == {
        "toy-nightly": 1,
        "toy-hourly": 1,
        "toy-on-demand": 0,
    }
    assert limits == {"gpu": 1}
    assert len(automations) == 1
    return {"deployments": deployments, "limits": limits, "automations": automations}


def scheduled_and_asked_for(client: SyncPrefectClient) -> list[UUID]:
    """Two runs due at the same second: the nightly one by its schedule, one with another recipe by the API."""
    nightly = client.read_deployment_by_name("distill/toy-nightly")
    soon = datetime.now(UTC) + timedelta(seconds=20)
    daily = IntervalSchedule(interval=timedelta(days=1), anchor_date=soon)
    changed = DeploymentUpdate(schedules=[DeploymentScheduleUpdate(slug="nightly", schedule=daily, active=True)])
    client.update_deployment(nightly.id, changed)
    other = {**toy_recipe(), "name": "toy-other", "seeds": [0, 5]}
    other["teachers"] = [{**other["teachers"][0], "seed": 1}]
    other["training"] = {**other["training"], "epochs": 4}
    asked = client.create_flow_run_from_deployment(
        client.read_deployment_by_name("distill/toy-on-demand").id,
        parameters={"recipe": other},
        state=Scheduled(scheduled_time=soon),
    )

    def due() -> list[FlowRun]:
        runs = client.read_flow_runs(flow_run_filter=None, sort="EXPECTED_START_TIME_ASC")
        return [
            run for run in runs if run.deployment_id == nightly.id and run.expected_start_time < soon + timedelta(1)
        ]

    until(lambda: len(due()) > 0, 60, "the nightly run is scheduled")
    found = [due()[0].id, asked.id]
    until(lambda: all(client.read_flow_run(run).state.is_final() for run in found), 240, "both runs have ended")
    return found


def never_overlapped(runs: list[FlowRun], used: list[list[TaskRun]]) -> None:
    assert max(run.start_time for run in runs) < min(run.end_time for run in runs), "they did not run at once"
    worked = [[task for task in tasks if task.state_name == "Completed"] for tasks in used]
    assert all(len(tasks) >= 6 for tasks in worked), "a teacher, labels, two students and two twins each"
    times = sorted((task.start_time, task.end_time, task.name) for tasks in worked for task in tasks)
    assert all(end <= start for (_, end, _), (start, _, _) in pairwise(times)), times


def in_records_and_mlflow(world: World, runs: list[FlowRun]) -> None:
    records = {run.name: json.loads(world.done("show", run.name, "--json")) for run in runs}
    assert [record["state"] for record in records.values()] == ["done", "done"]
    other = records[runs[1].name]["recipe"]
    assert (other["seeds"], other["training"]["epochs"]) == ([0, 5], 4)
    with mlflow(world) as server:
        for record in records.values():
            tracked = server.get_run(record["mlflow"]["run"])
            assert tracked.info.status == "FINISHED"
            assert tracked.data.tags["prefect.flow_run_id"] == record["prefect"]["flow_run"]
            experiment = server.get_experiment(tracked.info.experiment_id)
            assert experiment.artifact_location.startswith("file:"), "a run without the server could not write there"
            assert "recipe.yaml" in [file.path for file in server.list_artifacts(tracked.info.run_id)]


def stops_cleanly_on_ctrl_c(world: World, process: subprocess.Popen[str]) -> None:
    with api(world) as client:
        run = in_the_middle_of_training(client)
    children = family(process)
    process.send_signal(signal.SIGINT)
    output = "".join(process.communicate(timeout=60))
    assert (process.returncode, "stopped" in output, "Traceback" in output) == (0, True, False), output
    assert not still_running(children, 5)
    assert json.loads(world.done("show", run.name, "--json"))["state"] == "interrupted"


def test_what_kills_leave_behind_is_mended_and_told(fresh: World) -> None:
    world = replace(fresh, home="killed")
    with server() as hook:
        kills_and_what_is_told(world, hook)
    secret = hook.url.encode()
    files = [file for file in world.workspace.rglob("*") if file.is_file()]
    assert not [file for file in files if secret in file.read_bytes()], "the webhook's address is a secret"


def kills_and_what_is_told(world: World, hook: Server) -> None:
    with up(world) as process:
        said = world.done("deploy", "toy.yaml", "--timezone", "Europe/Paris", "--notify", hook.url)
        assert (hook.url in said, len(hook.bodies)) == (False, 1), "a first message, and no word of where it went"
        with api(world) as client:
            run = in_the_middle_of_training(client)
            for member in worker_of(process).children(recursive=True):
                member.kill()
            until(lambda: client.read_flow_run(run.id).state_name == "Crashed", 60, "the worker tells of its end")
            until(lambda: len(hook.bodies) > 1, 60, "somebody is told")
            told = json.loads(hook.bodies[1])["text"]
            assert told.startswith(f"toy-on-demand: run {run.name} crashed: "), told
            run = in_the_middle_of_training(client)
        machine = [*family(process), psutil.Process(process.pid)]
        for member in machine:  # as if its power went off: the guards come first, so that they cannot tidy up
            member.kill()
        assert not still_running(machine, 10)
        assert "no Prefect server is up" in world.run("deploy", "toy.yaml").stderr

    with up(world) as process:
        with api(world) as client:
            assert client.read_flow_run(run.id).state_name == "Running"
            patience = SILENCE.total_seconds() + 60
            until(lambda: client.read_flow_run(run.id).state_name == "Crashed", patience, "the zombie is crashed")
            assert "no sign of life" in client.read_flow_run(run.id).state.message
            until(lambda: not client.read_concurrency_limit_by_tag("gpu").active_slots, 90, "its GPU slot is free")
        children = family(process)
        worker_of(process).kill()
        output = process.communicate(timeout=60)[1]
        assert (process.returncode, "the worker has ended (exit code" in output) == (2, True), output
        assert not still_running(children, 5)

    with up(world) as process:
        children = family(process)
        process.send_signal(signal.SIGSTOP)  # so that it cannot tidy up either
        for guard in psutil.Process(process.pid).children():
            guard.kill()
        process.kill()
        process.communicate()
        left = still_running(children)
        assert left, "nobody is left whose guard was killed"

    with up(world) as process:
        assert not still_running(left), "the next start ends what the last one left"
        children = family(process)
        process.kill()
        process.communicate()
        assert not still_running(children, PATIENCE_SECONDS), "orphans are left"
