"""Many hosts published at once, over several connections."""

from __future__ import annotations

import threading

from .publish import publish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from .client import Client
    from .members import Member
    from .publish import Report

# More gained nothing on a ledger of one process.
CONNECTIONS = 4


def publish_all(
    connect: Callable[[], Client], members: Iterable[Member], *, connections: int = CONNECTIONS, **how: Any
) -> Iterator[Report]:
    """Publish hosts, several at a time, and yield a report of each in their order.

    ``connect`` makes a client and is called once for each connection; keywords are those of ``publish``. Raises what
    ``publish`` raises for the first host that fails; others may have been published by then, and none is begun after.
    """
    from concurrent.futures import ThreadPoolExecutor

    mine = threading.local()

    def one(member: Member) -> Report:
        if not hasattr(mine, "client"):
            mine.client = connect()
        return publish(mine.client, member, **how)

    with ThreadPoolExecutor(connections, thread_name_prefix="numaprobe-fleet") as pool:
        futures = [pool.submit(one, member) for member in members]
        try:
            for future in futures:
                yield future.result()
        finally:
            for future in futures:
                future.cancel()
