"""Memory that some releases of Xen leave without a node, because a range of the SRAT does not begin on a chunk.

Since 1666086b0044 ("x86/NUMA: improve memnode_shift calculation for multi node system", Xen 4.17) the size of the
chunks in which Xen maps memory to nodes follows from where each node begins, and later ranges of a node may begin
within a chunk. The last chunk of such a range could then be left out, until 188d5305297f ("xen/numa: fix setup of
non-aligned memory affinity ranges", Xen 4.22.0; 2a6a75fc03 in 4.20.4, 94fa7e1626 in 4.21.2).
"""

from __future__ import annotations

from itertools import pairwise

from .abi import PAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .srat import MemoryRange

COMMIT = "188d5305297f"
SINCE = (4, 17)
FIXED = {(4, 20): 4, (4, 21): 2}
FIXED_SINCE = (4, 22)
# More entries than firmware writes; the comparison is quadratic.
MAX_RANGES = 1024


def is_affected(version: str) -> bool:
    """Whether a release, as in ``4.19.2``, has the fault; False where the number does not say, as ``4.20.4-pre``."""
    parts = version.split(".")
    if len(parts) < 3 or not all(part.isascii() and part.isdigit() for part in parts[:3]):
        return False
    release, point = (int(parts[0]), int(parts[1])), int(parts[2])
    if not SINCE <= release < FIXED_SINCE:
        return False
    fixed = FIXED.get(release)
    return fixed is None or point < fixed


def without_node(ranges: Sequence[MemoryRange]) -> tuple[tuple[int, int, int], ...]:
    """Start, end and node of memory that the faulty map leaves out; addresses as in the table.

    Follows extract_lsb_from_nodes and populate_memnodemap of xen/common/numa.c, without the compression of addresses
    that Xen uses where all of them have a gap in common.
    """
    found = [(one.start // PAGE, (one.end - 1) // PAGE, one.node) for one in sorted(ranges)]
    starts = 0
    for (_, _, before), (first, _, node) in pairwise(found):
        if node != before:
            starts |= first
    if not starts or len(found) > MAX_RANGES:
        return ()
    shift = (starts & -starts).bit_length() - 1
    left_out = []
    for _, last, node in found:
        chunk = last >> shift
        if not any(_marks(other, end, chunk, shift) for other, end, _ in found):
            left_out.append(((chunk << shift) * PAGE, (last + 1) * PAGE, node))
    return tuple(left_out)


def _marks(first: int, last: int, chunk: int, shift: int) -> bool:
    """Whether stepping through a range by chunks, from where it begins, comes by this chunk."""
    steps = chunk - (first >> shift)
    return steps >= 0 and first + (steps << shift) <= last
