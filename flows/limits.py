"""The orchestrator's tag limits, from the resource table."""

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from tasks.shared.resources import STEPS

_LIMITED = {resource.tag: resource.limit for resource in STEPS.values() if resource.limit is not None}


def make_limits() -> None:
    """Makes the tag limits that the steps rely on; a missing one would mean no limit. One that is there stays."""
    with get_client(sync_client=True) as client:
        for tag, limit in _LIMITED.items():
            try:
                client.read_concurrency_limit_by_tag(tag)
            except ObjectNotFound:
                client.create_concurrency_limit(tag=tag, concurrency_limit=limit)
