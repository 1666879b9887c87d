"""Single pages of running processes: move_pages(2) without nodes, which moves nothing, and ``/proc/PID/pagemap``."""

from __future__ import annotations

import os
from errno import EIO

from .. import _fast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

ENTRY_BYTES = 8


class RunningPages:
    """The port ``PageCalls`` on the running kernel; process ids are those of the caller's pid namespace."""

    def __init__(self) -> None:
        self.page_size = os.sysconf("SC_PAGESIZE")

    def nodes(self, process: int, addresses: Sequence[int]) -> list[int] | int:
        """As ``PageCalls.nodes``."""
        try:
            return _fast.page_nodes(process, list(addresses))
        except OSError as error:
            return error.errno or EIO

    def entries(self, process: int, addresses: Sequence[int]) -> list[int] | int:
        """As ``PageCalls.entries``."""
        try:
            file = os.open(f"/proc/{process}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            return error.errno or EIO
        try:
            found = []
            for address in addresses:
                content = os.pread(file, ENTRY_BYTES, address // self.page_size * ENTRY_BYTES)
                # Past the last mapping, when one has been removed since.
                found.append(int.from_bytes(content, "little") if len(content) == ENTRY_BYTES else 0)
            return found
        except OSError as error:
            return error.errno or EIO
        finally:
            os.close(file)
