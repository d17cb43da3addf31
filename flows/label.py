"""The flow that only labels: new texts get their soft labels before the next distillation asks for them."""

from pathlib import Path

from prefect import flow

from flows.flow_run import carry_out, flow_run_name
from flows.labelled import label_shard, label_texts
from flows.once import Once
from flows.preflight import parse_share
from tasks.shared.recipe import Recipe


@flow(name="label", flow_run_name=flow_run_name, persist_result=False)
def label(recipe: Recipe, shard: str | None = None) -> Path:
    """Labels the recipe's transfer texts that the label store does not hold yet; trains the teachers if need be.

    Args:
        recipe: the experiment.
        shard: I/N labels share number I of N alone, counted from 0: one of N machines that share a workspace.

    Returns:
        The folder of the run, with its record, recipe and log.
    """
    if shard is None:
        return carry_out(recipe, lambda recipe, do: label_texts(recipe, Once(do)))
    share = parse_share(recipe, shard)
    return carry_out(recipe, lambda recipe, do: label_shard(recipe, share, Once(do)))
