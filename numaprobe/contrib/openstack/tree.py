"""What a host is in the ledger: a root provider, a child for each cell, their inventories and traits."""

from __future__ import annotations

import uuid

from ...named import namedtuple
from ...placement.capacity import default_reserve
from ...wording import size as size_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from numaprobe import Cell, Host

    from .members import Member

# Of all providers that numaprobe makes; their uuids follow from the names of hosts.
NAMESPACE = uuid.UUID("6f2a8a54-3a0c-5b4e-9b1e-5a8f0f0c7d11")
PREFIX = "numaprobe:"
MIB = 1 << 20

VCPU, PCPU, MEMORY = "VCPU", "PCPU", "MEMORY_MB"
OURS = "CUSTOM_NUMAPROBE"
# Toggled by each publication: Placement keeps the time of a provider's last change, and no other that is ours to set.
SEEN = "CUSTOM_NUMAPROBE_SEEN"
STALE = "CUSTOM_NUMAPROBE_STALE"
# Of a host's cells: which of so many parts of the fleet it belongs to.
PART = "CUSTOM_NUMAPROBE_PART_"
PARTS = 8
NUMA = "HW_NUMA_ROOT"
MEMORY_ONLY = "CUSTOM_MEMORY_ONLY"
KIND = "CUSTOM_MEMORY_KIND_"
TIER = "CUSTOM_MEMORY_TIER_"
RATIO = "CUSTOM_CPU_RATIO_"


class Inventory(namedtuple("Inventory", "total reserved ratio step")):
    """How much of a resource class a cell has: what guests can get is (``total`` - ``reserved``) * ``ratio``.

    ``step`` is the granularity of amounts, in the unit of the class.
    """

    __slots__ = ()
    total: int
    reserved: int
    ratio: float
    step: int

    @property
    def capacity(self) -> int:
        """What guests can get."""
        return int((self.total - self.reserved) * self.ratio)

    def document(self) -> dict[str, int | float]:
        """As Placement has it."""
        return {
            "total": self.total,
            "reserved": self.reserved,
            "min_unit": self.step,
            # A pinned vcpu takes as many units as floating ones share its CPU.
            "max_unit": max(self.step, int(self.total * self.ratio)),
            "step_size": self.step,
            "allocation_ratio": self.ratio,
        }


class CellProvider(namedtuple("CellProvider", "id uuid name inventories traits busy")):
    """A cell in the ledger: ``inventories`` by resource class, ``traits`` by name.

    ``busy`` is how much of its huge pages is in use now, by class: whoever has them, guests cannot get them.
    """

    __slots__ = ()
    id: int
    uuid: str
    name: str
    inventories: dict[str, Inventory]
    traits: frozenset[str]
    busy: dict[str, int]


class Tree(namedtuple("Tree", "uuid name cells notes")):
    """A host in the ledger; ``notes`` say what could not be offered, and why."""

    __slots__ = ()
    uuid: str
    name: str
    cells: tuple[CellProvider, ...]
    notes: tuple[str, ...]


def root_uuid(name: str) -> str:
    """The uuid of a host's root provider."""
    return str(uuid.uuid5(NAMESPACE, name))


def part_of(root: str) -> int:
    """The part of the fleet that a host belongs to: by its uuid, so that parts are about as large as each other."""
    return uuid.UUID(root).int % PARTS


def cell_uuid(root: str, cell: int) -> str:
    """The uuid of the provider of a cell."""
    return str(uuid.uuid5(uuid.UUID(root), f"cell:{cell}"))


def provider_name(name: str, cell: int | None = None) -> str:
    """What a provider is called: nova names its own by the bare name of the host."""
    return f"{PREFIX}{name}" if cell is None else f"{PREFIX}{name}:cell{cell}"


def huge_class(size: int) -> str:
    """The resource class of huge pages of so many bytes; its unit is a MiB."""
    return f"CUSTOM_HUGEPAGES_{size >> 10}K_MB"


def tree_of(member: Member, *, reserve: int | None = None, cpu_ratio: float = 1.0, cpu_class: str = VCPU) -> Tree:
    """What a host has, whoever uses it.

    ``reserve`` bytes are kept back in each cell (None: a 64th of its memory, at most 512 MiB). ``cpu_ratio`` is how
    many floating vcpus a CPU takes. ``cpu_class`` ``PCPU`` offers the CPUs to pinned guests only. What is unknown is
    not offered.
    """
    host, root = member.host, root_uuid(member.name)
    notes: list[str] = []
    cpus = _offered_cpus(host)
    cells = []
    for cell in host.cells:
        found, busy = _inventories(cell, reserve, in_use=member.guests is None, notes=notes)
        if cell.cpus is None:
            notes.append(f"cell {cell.id}: its CPUs are unknown, and not offered")
        count = cpus.get(cell.id, 0)
        if count:
            found[cpu_class] = Inventory(total=count, reserved=0, ratio=cpu_ratio, step=1)
        traits = {NUMA, f"{PART}{part_of(root)}"}
        if cell.cpus == ():
            traits.add(MEMORY_ONLY)
        if cell.kind is not None:
            traits.add(KIND + cell.kind.upper())
        if cell.tier is not None:
            traits.add(f"{TIER}{cell.tier}")
        if cpu_ratio != 1.0 and count and cpu_class == VCPU:
            traits.add(f"{RATIO}{round(cpu_ratio * 100)}")
        cells.append(
            CellProvider(
                id=cell.id,
                uuid=cell_uuid(root, cell.id),
                name=provider_name(member.name, cell.id),
                inventories=found,
                traits=frozenset(traits),
                busy=busy,
            )
        )
    if member.guests is None:
        notes.append("its guests are unknown: memory in use is kept back, CPUs are offered as if none were used")
    return Tree(uuid=root, name=provider_name(member.name), cells=tuple(cells), notes=tuple(notes))


def usable_cpu(cpu: object) -> bool:
    """Whether a guest may get this CPU, as ``numaprobe.place`` has it."""
    return getattr(cpu, "online", None) is True and not getattr(cpu, "isolated", None)


def _offered_cpus(host: Host) -> dict[int | None, int]:
    pools = {cpu.pool for cpu in host.cpus if cpu.pool is not None}
    pool = min(pools) if host.source == "xen" and pools else None
    out: dict[int | None, int] = {}
    for cpu in host.cpus:
        if usable_cpu(cpu) and (pool is None or cpu.pool == pool):
            out[cpu.cell] = out.get(cpu.cell, 0) + 1
    return out


def _inventories(
    cell: Cell, reserve: int | None, *, in_use: bool, notes: list[str]
) -> tuple[dict[str, Inventory], dict[str, int]]:
    """Memory in small pages and in each size of huge ones, and the huge pages in use; what is 0 is left out.

    ``in_use``: memory in use is kept back, because it may be a guest's.
    """
    out: dict[str, Inventory] = {}
    busy: dict[str, int] = {}
    total = cell.memory.total
    if total is None:
        notes.append(f"cell {cell.id}: its memory is unknown, and not offered")
        return {}, {}
    small = total
    for pages in cell.huge_pages:
        if pages.total is None:
            shown = size_of(pages.size)
            notes.append(f"cell {cell.id}: its number of huge pages of {shown} is unknown, and no memory is offered")
            return {}, {}
        small -= pages.total * pages.size
        step = max(1, pages.size // MIB)
        amount = pages.total * pages.size // MIB // step * step
        if not amount:
            continue
        name = huge_class(pages.size)
        out[name] = Inventory(total=amount, reserved=0, ratio=1.0, step=step)
        free = 0 if pages.free is None else min(pages.free, pages.total) * pages.size // MIB // step * step
        if pages.free is None:
            notes.append(
                f"cell {cell.id}: its free huge pages of {size_of(pages.size)} are unknown, and none is offered"
            )
        busy[name] = amount - free
    keep = default_reserve(cell) if reserve is None else reserve
    if in_use:
        left = cell.memory.available if cell.memory.available is not None else cell.memory.free
        keep = small if left is None else max(keep, small - left)
    if small >= MIB:
        whole = small // MIB
        out[MEMORY] = Inventory(total=whole, reserved=min(whole, -(-keep // MIB)), ratio=1.0, step=1)
    return out, busy
