"""``sysctl numa_meminfo`` of XenServer 9 and XCP-ng 9: memory of each node, free and claimed.

The operation belongs to no interface version, so that its answer is believed only if it agrees with what every Xen
reports: the sizes add up to all pages, free memory is numainfo's, and no more is claimed than in the whole host.
"""

from __future__ import annotations

from errno import EINVAL, ENOSYS, EOPNOTSUPP, EPERM

from ..errors import FactError, RecordingError, SourceError
from . import abi
from .calls import issue, source_error
from .facts import NodeClaims

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .facts import NodeMemory, PhysInfo
    from .sysctl import Sysctl

WHERE = "sysctl numa_meminfo"
KEY = (abi.SYSCTL, abi.SYSCTL_NUMA_MEMINFO)
# What a hypervisor without the operation answers: FLASK refuses an unknown one with EPERM, as kernels' filters do.
ABSENT = (ENOSYS, EOPNOTSUPP, EINVAL, EPERM)


def collect(
    sysctl: Sysctl, info: PhysInfo, nodes: Sequence[NodeMemory | None], refused: dict[tuple[int, int], int]
) -> tuple[NodeClaims | None, ...] | None:
    """Size, free and claimed of every node of ``nodes``, in bytes; None from a Xen that does not report them.

    ``refused`` are operations that are not requested again, and is updated. Raises ``SourceError`` where a policy
    refuses, and ``FactError`` for an answer that is not believed.
    """
    if sysctl.version < abi.CLAIMS_SINCE:
        return None
    if KEY not in refused:
        try:
            rows = _rows(sysctl, len(nodes))
        except RecordingError:
            # Of a hypervisor that was not queried.
            refused[KEY] = ENOSYS
        except SourceError as error:
            refused[KEY] = error.errno or 0
        else:
            return _believed(sysctl, info, nodes, rows)
    if refused[KEY] in ABSENT:
        return None
    raise source_error(WHERE, refused[KEY])


def _rows(sysctl: Sysctl, count: int) -> list[NodeClaims | None]:
    capacity = count + 4
    header = abi.OPERATION_HEADER.pack(abi.SYSCTL_NUMA_MEMINFO, sysctl.version)
    op = (header + abi.WORD.pack(capacity)).ljust(abi.SYSCTL_BYTES, b"\0")
    buffers = ((abi.ROWS_HANDLE_AT, b"\xff" * (capacity * abi.CLAIMS_ROW.size)),)
    _, reply, (rows,) = issue(sysctl.calls, abi.SYSCTL, abi.SYSCTL_NUMA_MEMINFO, op, buffers)
    found = abi.WORD.unpack_from(reply, abi.WORD_AT)[0]
    if found != count:
        raise FactError(WHERE, str(found), f"not the number of nodes, {count}")
    return [
        None if row[0] in (abi.ALL_ONES_32, abi.ALL_ONES_64) else NodeClaims(*row)
        for row in abi.CLAIMS_ROW.iter_unpack(rows[: count * abi.CLAIMS_ROW.size])
    ]


def _believed(
    sysctl: Sysctl, info: PhysInfo, nodes: Sequence[NodeMemory | None], rows: list[NodeClaims | None]
) -> tuple[NodeClaims | None, ...]:
    known = [row for row in rows if row is not None]
    total = sum(row.size for row in known)
    if total != info.total_pages * abi.PAGE:
        raise FactError(WHERE, str(total), f"sizes that are not all of the memory, {info.total_pages * abi.PAGE} bytes")
    if [row is None for row in rows] != [node is None for node in nodes]:
        raise FactError(WHERE, reason="has other nodes than numainfo")
    # Both change as domains are built: it was between the numainfo reports before and after.
    later: Sequence[NodeMemory | None] | None = None
    for number, (row, node) in enumerate(zip(rows, nodes, strict=True)):
        if row is None or node is None or row.free == node.memfree:
            continue
        later = sysctl.numainfo(info.nr_nodes)[0] if later is None else later
        then = later[number] if number < len(later) else None
        between = (node.memfree, node.memfree if then is None else then.memfree)
        if not min(between) <= row.free <= max(between):
            raise FactError(WHERE, str(row.free), f"free memory of node {number} that is not numainfo's, {between[1]}")
    claimed = sum(row.claimed for row in known)
    if claimed > (info.outstanding_pages or 0) * abi.PAGE:
        now = (sysctl.physinfo().outstanding_pages or 0) * abi.PAGE
        if claimed > now:
            raise FactError(WHERE, str(claimed), f"more is claimed than in the whole host, {now} bytes")
    return tuple(rows)
