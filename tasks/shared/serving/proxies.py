"""Servers on this machine are asked directly, whatever proxy the environment names for the rest of the world."""

import os
from urllib.request import getproxies_environment

from tasks.shared.serving.addresses import LOOPBACK

_NAMES = ("no_proxy", "NO_PROXY")
"""Both, as some libraries read the one first and some the other."""


def ask_loopback_directly() -> None:
    """Adds loopback to NO_PROXY of this process, and of what it starts, where a proxy is set.

    A proxy would be asked for its own loopback, or would refuse: whoever set it thought of other machines.
    """
    if not set(getproxies_environment()) - {"no"}:
        return
    exempt = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    known = [name.strip() for name in exempt.split(",") if name.strip()]
    if "*" not in known:
        exempt = ",".join([*known, *(name for name in LOOPBACK if name not in known)])
    os.environ.update(dict.fromkeys(_NAMES, exempt))
