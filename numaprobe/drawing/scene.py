"""What a picture shows, before it has a shape: the parts of each cell's memory, its cores, and one scale for all."""

from __future__ import annotations

from ..errors import printable
from ..named import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..model.domains import CellUse, Domain
    from ..model.host import Cell, Cpu, Host

# The kinds of parts that a memory bar has, in the order in which they are drawn.
KINDS = ("guest", "host", "used", "unattributed", "pooled", "free")


class Part(namedtuple("Part", "kind bytes label colour", defaults=(None,))):
    """A part of a cell's memory.

    ``colour`` is the number of a guest's colour, None for the other kinds.
    """

    __slots__ = ()
    kind: str
    bytes: int
    label: str
    colour: int | None


class Core(namedtuple("Core", "threads cache")):
    """The cpus of one core, and the number of the last-level cache that they share, None where that is unknown."""

    __slots__ = ()
    threads: tuple[Cpu, ...]
    cache: int | None


class Scene:
    """A host as parts to draw.

    ``scale`` is the largest total of any cell in bytes, 0 where none is known. ``colours`` are the guests' labels in
    the order of their colours: those that hold most are first. ``held`` is what each of them holds on all cells, in
    bytes.
    """

    def __init__(
        self,
        host: Host,
        domains: Sequence[Domain] = (),
        uses: Sequence[CellUse] | None = None,
        remark: str | None = None,
    ) -> None:
        self.host = host
        self.remark = remark
        self._uses = {} if uses is None else {use.id: use for use in uses}
        self.scale = max((cell.memory.total or 0 for cell in host.cells), default=0)
        held: dict[int | str, int] = {}
        for use in self._uses.values():
            for domain, size in use.domains:
                held[domain] = held.get(domain, 0) + size
        names = {domain.id: domain.name for domain in domains}
        self.guests = sorted(held, key=lambda one: (-held[one], str(one)))
        self.colours = [printable(names.get(one) or str(one)) for one in self.guests]
        self.held = [held[one] for one in self.guests]
        self._caches = _last_level(host)

    def parts(self, cell: Cell) -> list[Part] | None:
        """The parts of a cell's memory, which add up to its total; None where total or free is unknown."""
        memory = cell.memory
        if memory.total is None or memory.free is None:
            return None
        use = self._uses.get(cell.id)
        parts: list[Part] = []
        if use is not None:
            position = {one: number for number, one in enumerate(self.guests)}
            for domain, size in sorted(use.domains, key=lambda one: position[one[0]]):
                number = position[domain]
                parts.append(Part(kind="guest", bytes=size, label=self.colours[number], colour=number))
            if use.host is not None:
                parts.append(Part(kind="host", bytes=use.host, label="the host's own"))
            if use.unattributed:
                parts.append(Part(kind="unattributed", bytes=use.unattributed, label="the host's or a guest's"))
            if use.pooled:
                parts.append(Part(kind="pooled", bytes=use.pooled, label="huge pages, reserved and unused"))
        rest = memory.total - memory.free - sum(part.bytes for part in parts)
        parts.append(Part(kind="used", bytes=rest, label="in use"))
        parts.append(Part(kind="free", bytes=memory.free, label="free"))
        known = [part for part in parts if part.bytes > 0]
        return sorted(known, key=lambda part: KINDS.index(part.kind))

    def guests_of(self, cell: Cell) -> list[tuple[str, int]]:
        """Names and bytes of the guests that hold memory of a cell, the largest there first."""
        use = self._uses.get(cell.id)
        found = [] if use is None else sorted(use.domains, key=lambda one: -one[1])
        return [(self.colours[self.guests.index(domain)], size) for domain, size in found]

    def devices(self, cell_id: int | None) -> list[str]:
        """Names of the devices near a cell, or with None of those whose cell is unknown; in the order of the buses."""
        found = [device for device in self.host.devices or () if device.cell == cell_id]
        return [printable(name) for device in found for _, name in device.names]

    def cores(self, cell: Cell) -> list[Core] | None:
        """A cell's cores in the order of their caches and first cpus; None where its cpus are unknown."""
        if cell.cpus is None:
            return None
        return self._grouped([self.host.cpu(number) for number in cell.cpus])

    def elsewhere(self) -> list[Core]:
        """Cpus that are in no cell's list: offline ones, and those whose cell is unknown."""
        drawn = {cpu for cell in self.host.cells for cpu in cell.cpus or ()}
        return self._grouped([cpu for cpu in self.host.cpus if cpu.id not in drawn])

    def _grouped(self, cpus: list[Cpu]) -> list[Core]:
        cores: dict[tuple[int, ...], list[Cpu]] = {}
        for cpu in cpus:
            cores.setdefault(cpu.siblings or (cpu.id,), []).append(cpu)
        made = [Core(threads=tuple(threads), cache=self._caches.get(threads[0].id)) for threads in cores.values()]
        return sorted(made, key=lambda core: (core.cache is None, core.cache or 0, core.threads[0].id))


def _last_level(host: Host) -> dict[int, int]:
    """The number of the last-level cache of each cpu, where the source reports more than one core to a cache."""
    caches = host.caches or ()
    last = max((cache.level for cache in caches), default=0)
    found: dict[int, int] = {}
    for number, cache in enumerate(cache for cache in caches if cache.level == last):
        if len(cache.cpus) > len(host.cpu(cache.cpus[0]).siblings or (0,)):
            found.update(dict.fromkeys(cache.cpus, number))
    return found
