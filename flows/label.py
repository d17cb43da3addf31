"""The flow that only labels: new texts get their soft labels before the next distillation asks for them."""

from pathlib import Path

from prefect import flow

from flows.flow_run import carry_out, flow_run_name
from flows.pipeline import label_texts
from tasks.shared.recipe import Recipe


@flow(name="label", flow_run_name=flow_run_name, persist_result=False)
def label(recipe: Recipe) -> Path:
    """Labels the recipe's transfer texts that the label store does not hold yet; trains the teachers if need be.

    Returns:
        The folder of the run, with its record, recipe and log.
    """
    return carry_out(recipe, label_texts)
