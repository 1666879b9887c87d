"""``/proc/meminfo`` and the ``meminfo`` of a node: sizes in kB by the kernel's names (proc(5))."""

from __future__ import annotations

from ..errors import FactError
from . import text
from .facts import MeminfoFacts
from .source import NODE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .source import Source

CUT = "is cut in this line"
FIELDS = (
    b"MemTotal",
    b"MemFree",
    b"MemAvailable",
    b"Active(file)",
    b"Inactive(file)",
    b"KReclaimable",
    b"SReclaimable",
)


def meminfo(where: str, content: bytes) -> MeminfoFacts:
    """``nodeN/meminfo`` or ``/proc/meminfo``. Raises ``FactError`` if there is no MemTotal in it."""
    facts = _facts(*text.fields(where, content, FIELDS))
    if facts.total_kb is None or facts.free_kb is None:
        raise FactError(where, content[:60], f"has no {'MemTotal' if facts.total_kb is None else 'MemFree'}")
    last = content[content.rfind(b"\n") + 1 :].rstrip(b"\0 ")
    if last and not last.endswith(b"kB") and b"Huge" not in last:
        raise FactError(where, last, CUT)
    return facts


def _facts(
    total: int | None,
    free: int | None,
    available: int | None,
    active: int | None,
    inactive: int | None,
    reclaimable: int | None,
    slab: int | None,
) -> MeminfoFacts:
    """Values in the order of ``FIELDS``."""
    return MeminfoFacts(
        total_kb=total,
        free_kb=free,
        active_file_kb=active,
        inactive_file_kb=inactive,
        reclaimable_kb=slab if reclaimable is None else reclaimable,
        available_kb=available,
    )


def node_meminfo(source: Source, node: int, content: bytes | None) -> MeminfoFacts | None:
    """The same of one node; a field that is not understood is None and noted, as is a file about another node."""
    where = f"{NODE}/node{node}/meminfo"
    if content is None or _is_too_long(source, where, content):
        return None
    if is_of_another(source, node, content):
        return None
    return _lenient_meminfo(source, where, content)


def _is_too_long(source: Source, where: str, content: bytes) -> bool:
    """Whether a meminfo has more than the largest page, which is noted: the kernel's has a few kilobytes."""
    if len(content) <= text.MAX_ROW:
        return False
    source.misread(FactError(where, content[:60], f"a table of {len(content)} bytes"))
    return True


def is_of_another(source: Source, node: int, content: bytes) -> bool:
    """Whether a node's meminfo names another node, which is noted."""
    if content.count(b"Node ") == content.count(b"Node %d " % node):
        return False
    lines = (line for line in content.split(b"\n") if b"Node " in line and b"Node %d " % node not in line)
    # A broken line may name two nodes, its own among them: then the whole file is quoted.
    source.misread(FactError(f"{NODE}/node{node}/meminfo", next(lines, content), "is of another node"))
    return True


def _field_of(name: bytes) -> Callable[[str, bytes], int | None]:
    return lambda where, content: text.fields(where, content, (name,))[0]


def _lenient_meminfo(source: Source, where: str, content: bytes) -> MeminfoFacts | None:
    try:
        return meminfo(where, content)
    except FactError as error:
        if error.reason == CUT:
            content = content[: content.rfind(b"\n") + 1]
        values = {name: source.parsed(_field_of(name), where, content) for name in FIELDS}
        if where not in source.broken:
            source.misread(error)
    return _facts(*values.values())


def machine_memory(source: Source) -> MeminfoFacts | None:
    """``/proc/meminfo``: the whole machine's."""
    content = source.one("proc/meminfo")
    if content is None or _is_too_long(source, "proc/meminfo", content):
        return None
    return _lenient_meminfo(source, "proc/meminfo", content)
