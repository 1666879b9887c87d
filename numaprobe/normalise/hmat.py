"""What ACPI's HMAT says of a node's memory, which few machines have: latency, bandwidth, and caches in front of it."""

from __future__ import annotations

from ..model.host import Access, Note, SideCache
from ..wording import id_list
from .possible import MAX_BYTES, MAX_WORD, within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..linux.facts import AccessFacts, SideCacheFacts

# enum cache_indexing and enum cache_write_policy of Linux's include/linux/node.h.
INDEXING = {0: "direct", 1: "indexed", 2: "custom"}
WRITE_POLICY = {0: "write-back", 1: "write-through", 2: "other"}
# NODE_CACHE_ADDR_MODE_ of the same file; 0 is reserved, and means none in particular.
ADDRESS_MODE = {1: "extended-linear"}


def access_of(facts: AccessFacts, node: str, ids: tuple[int, ...], notes: list[Note]) -> Access:
    """What reaching a node's memory costs; figures that are not valid are None. ``ids`` are the nodes that exist."""
    # The kernel has them in 32 bits; 0 is what hmat_normalize of Linux's drivers/acpi/numa/hmat.c makes of a figure
    # that is not valid. All bits set are -1, not 4 PB/s.
    figures = {
        name: within(value, MAX_WORD - 1, f"{node}/access{facts.level}/initiators/{name}", notes) or None
        for name, value in facts._asdict().items()
        if name not in ("level", "initiators")
    }
    for name in ("read_bandwidth", "write_bandwidth"):
        value = figures[name]
        figures[name] = None if value is None else value << 20
    initiators = tuple([one for one in facts.initiators if one in ids])
    if len(initiators) != len(facts.initiators):
        where = f"{node}/access{facts.level}/initiators"
        notes.append(Note(where, f"names nodes {id_list(set(facts.initiators).difference(ids))}, which do not exist"))
    return Access(level=facts.level, initiators=initiators, **figures)


def side_cache_of(facts: SideCacheFacts, node: str, notes: list[Note]) -> SideCache:
    """A cache in front of a node's memory."""
    where = f"{node}/memory_side_cache/index{facts.level}"
    return SideCache(
        level=facts.level,
        size=within(facts.size, MAX_BYTES, f"{where}/size", notes),
        line_size=within(facts.line_size, MAX_WORD, f"{where}/line_size", notes),
        indexing=_named(facts.indexing, INDEXING, f"{where}/indexing", notes),
        write_policy=_named(facts.write_policy, WRITE_POLICY, f"{where}/write_policy", notes),
        address_mode=_named(facts.address_mode or None, ADDRESS_MODE, f"{where}/address_mode", notes),
    )


def _named(value: int | None, names: dict[int, str], where: str, notes: list[Note]) -> str | None:
    if value is not None and value not in names:
        notes.append(Note(where, f"not a meaningful number: '{value}'"))
    return None if value is None else names.get(value)
