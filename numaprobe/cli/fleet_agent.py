"""``numaprobe serve --fleet``: the host is published beside its metrics, by a thread that no scrape waits for."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from ..contrib.openstack.agent import Agent


def agent(options: argparse.Namespace, say: Callable[[str], None]) -> Agent:
    """The agent that the options describe, not started. Raises ``ValueError``.

    A ledger that cannot be reached is no error here: it may be started later than its hosts.
    """
    try:
        from ..contrib.openstack.agent import Agent, LiveShape
    except ModuleNotFoundError as error:
        raise ValueError(str(error)) from None
    from ..contrib.openstack.members import checked_name, recorded
    from .fleet import connect, publishing

    if not 1 <= options.fleet_interval <= 86400:
        raise ValueError(f"--fleet-interval must be from 1 to 86400 seconds, not {options.fleet_interval:g}")
    if options.fleet_name is None and (options.root is not None or options.recording is not None):
        raise ValueError("a recorded host is published under a name: --fleet-name NAME")
    name = checked_name(options.fleet_name or os.uname().nodename)
    where = {"root": options.root, "recording": options.recording, "source": options.source}
    return Agent(
        connect(options),
        lambda: recorded(name, **where),
        interval=options.fleet_interval,
        shape=LiveShape(**where),
        say=say,
        **publishing(options),
    )
