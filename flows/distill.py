"""The main flow: from a recipe to a student and a verdict on it."""

from pathlib import Path

from prefect import flow

from flows.flow_run import carry_out, flow_run_name
from flows.pipeline import distil
from tasks.shared.recipe import Recipe


@flow(name="distill", flow_run_name=flow_run_name, persist_result=False)
def distill(recipe: Recipe) -> Path:
    """Distils a teacher into students, trains their twins, and judges them.

    Returns:
        The folder of the run, with its record, recipe and log.
    """
    return carry_out(recipe, distil)
