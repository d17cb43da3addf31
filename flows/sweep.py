"""The flow that tries many students of the same soft labels."""

from pathlib import Path

from prefect import flow

from flows.flow_run import carry_out, flow_run_name
from flows.searching import search
from tasks.shared.recipe import Recipe


@flow(name="sweep", flow_run_name=flow_run_name, persist_result=False)
def sweep(recipe: Recipe) -> Path:
    """Tries what the recipe's sweep says, chooses on dev alone, and shows what accuracy costs.

    Returns:
        The folder of the run, with sweep.json, a table, a picture and the recipe of the best.
    """
    return carry_out(recipe, search)
