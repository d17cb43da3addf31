"""Takes pictures of a report and of what the two servers show, in a headless Chromium.

    .venv/bin/stillhouse up          # in another terminal; then a run with its two addresses exported
    .venv/bin/python docs/pictures/take.py [FOLDER [RUN]]

Needs Chromium (Debian's package `chromium`). Without FOLDER the pictures go next to this file; without
RUN they are of the latest one.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from PIL import Image

from flows.records import find_run, latest_run
from tasks.shared.errors import StillhouseError
from tasks.shared.serving.addresses import make_key, running_servers
from tasks.shared.workspace import existing_workspace

WIDTH, HEIGHT = 1400, 900
ASSISTANT = 480
"""Columns of a panel for chatting that MLflow opens on the right; it is cut off."""
TRAINING = "?workflowType=machine_learning"
"""MLflow's pages for training; without it they are those for chat models."""
QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"]
QUIET += ["--force-prefers-reduced-motion"]
QUIET += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]


def pages(wanted: str | None) -> dict[str, str]:
    """Addresses of the pages worth a look, by name."""
    workspace = existing_workspace()
    servers = running_servers(workspace)
    if servers is None:
        raise StillhouseError("no servers are running for this workspace; start them with: stillhouse up")
    run = find_run(workspace, wanted) if wanted else latest_run(workspace)
    flow_run, tracked = run["prefect"]["flow_run"], run["mlflow"]["run"]
    mlflow, prefect, key = servers.mlflow, servers.prefect, make_key(workspace)
    api = httpx.Client(headers={"Authorization": f"Bearer {key}"})
    sign_in = f"?key={key}"
    experiment = api.get(f"{mlflow}/api/2.0/mlflow/runs/get?run_id={tracked}").json()["run"]["info"]["experiment_id"]
    found = {
        "report": (Path(run["path"]) / "report.html").as_uri(),
        "prefect-run": f"{prefect}/runs/flow-run/{flow_run}{sign_in}",
        "prefect-artifacts": f"{prefect}/artifacts{sign_in}",
        "prefect-deployments": f"{prefect}/deployments{sign_in}",
        "mlflow-runs": f"{mlflow}/{sign_in}#/experiments/{experiment}/runs{TRAINING}",
        "mlflow-run": f"{mlflow}/{sign_in}#/experiments/{experiment}/runs/{tracked}{TRAINING}",
        "mlflow-models": f"{mlflow}/{sign_in}#/models{TRAINING}",
    }
    deployments = api.post(f"{prefect}/api/deployments/filter", json={}).json()
    on_demand = [deployment["id"] for deployment in deployments if deployment["name"].endswith("-on-demand")]
    if on_demand:
        found["prefect-form"] = f"{prefect}/deployments/deployment/{on_demand[0]}/run{sign_in}"
    models = api.get(f"{mlflow}/api/2.0/mlflow/registered-models/search").json()
    for registered in models.get("registered_models", []):
        found[f"mlflow-model-{registered['name']}"] = f"{mlflow}/{sign_in}#/models/{registered['name']}{TRAINING}"
    return found


def take(url: str, file: Path) -> None:
    """Opens a page, gives it time to fill itself, and writes what it shows."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        raise StillhouseError("no Chromium here; Debian's package is called chromium")
    with TemporaryDirectory() as profile:
        width = WIDTH + ASSISTANT if "#" in url else WIDTH
        options = [f"--user-data-dir={profile}", f"--window-size={width},{HEIGHT}", "--virtual-time-budget=30000"]
        command = [browser, *QUIET, *options, f"--screenshot={file}", url]
        subprocess.run(command, check=True, capture_output=True, timeout=180)  # noqa: S603 - the browser that is installed
    with Image.open(file) as picture:
        picture.crop((0, 0, WIDTH, HEIGHT)).quantize(128).save(file, optimize=True)


def main() -> None:
    """Takes all pictures."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for name, url in pages(sys.argv[2] if len(sys.argv) > 2 else None).items():
            take(url, folder.absolute() / f"{name}.png")
            print(f"{name}.png  {url}")
    except StillhouseError as error:
        sys.exit(f"take.py: {error}")


if __name__ == "__main__":
    main()
