"""What the ledger has left, in one request, and hosts cut down to that for ``numaprobe.place``."""

from __future__ import annotations

from ...model.host import Memory
from ...named import namedtuple
from ...placement.guests import cpus_by_guest
from .errors import Unheard
from .tree import MEMORY, MIB, OURS, PART, PCPU, RATIO, STALE, VCPU, cell_uuid, huge_class, root_uuid, usable_cpu

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeVar

    from numaprobe import Host, Request

    from .client import Client
    from .members import Member
    from .ranking import Typical

    Answer = TypeVar("Answer")


# Requests whose answers a host remembers: guests that differ come in turn.
ANSWERS = 16


class CellRoom(namedtuple("CellRoom", "capacity used cpu_ratio")):
    """A cell in the ledger, by resource class: what it offers to guests, and what they hold or were promised."""

    __slots__ = ()
    capacity: dict[str, int]
    used: dict[str, int]
    cpu_ratio: float

    def left(self, name: str) -> int:
        """What is left of a class; 0 of one that the cell does not have, and where too much is held."""
        return max(0, self.capacity.get(name, 0) - self.used.get(name, 0))


# By uuid of the root, then by uuid of the cell.
Room = dict[str, dict[str, CellRoom]]


def read_room(
    client: Client, resource: str = MEMORY, amount: int = 1, *, stale: bool = False, part: int | None = None
) -> Room:
    """What is left on the hosts that have any of a resource class, as one request of the ledger.

    Hosts that are full of it, and those that were set aside as stale unless ``stale``, are left out. ``part`` is that
    of the fleet to read (``tree.part_of``), None for all of it.
    """
    required = f"{OURS}" if stale else f"{OURS},!{STALE}"
    within = "" if part is None else f"&required1={PART}{part}"
    try:
        found = client.read(
            f"/allocation_candidates?resources1={resource}:{amount}{within}&root_required={required}"
        ).body
    except Unheard:
        # Of a class that no host has, and of traits of a ledger to which nobody has published yet.
        return {}
    out: Room = {}
    for uuid, one in found["provider_summaries"].items():
        root = one["root_provider_uuid"]
        if uuid != root and one["parent_provider_uuid"] == root:
            out.setdefault(root, {})[uuid] = _cell(one)
    return out


def room_for(client: Client, request: Request, *, part: int | None = None) -> Room:
    """What is left on the hosts, of a part of the fleet or all, that have any of the memory that a request asks for."""
    if request.huge_page is None:
        return read_room(client, part=part)
    # Of less than a page no host has any.
    return read_room(client, huge_class(request.huge_page), max(1, request.huge_page // MIB), part=part)


def _cell(document: Mapping[str, Any]) -> CellRoom:
    resources = document["resources"]
    ratio = next((int(t.removeprefix(RATIO)) / 100 for t in document["traits"] if t.startswith(RATIO)), 1.0)
    return CellRoom(
        {name: one["capacity"] for name, one in resources.items()},
        {name: one["used"] for name, one in resources.items()},
        ratio,
    )


class Known:
    """A member with what is found out once: its uuids, and which CPUs to offer first."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.root = root_uuid(member.name)
        self.cells = {cell.id: cell_uuid(self.root, cell.id) for cell in member.host.cells}
        self.order = _order(member)
        self.cell_of = {cpu.id: cpu.cell for cpu in member.host.cpus}
        # Equal for hosts on which a plan is the same if the same is left; ``known`` finds them.
        self.shape: object = self
        self._last: tuple[object, Host] | None = None
        # By request: what it depends on, and the answer.
        self._answered: dict[Request, tuple[object, Any]] = {}

    def answer(
        self,
        request: Request,
        room: Mapping[str, CellRoom],
        fleet: Typical,
        find: Callable[[Known, Mapping[str, CellRoom], Request, Typical], Answer],
    ) -> Answer:
        """What ``find`` says of this host: the last answer as long as nothing that it depends on has changed."""
        key = fleet, _state(room)
        last = self._answered.pop(request, None)
        if last is None or last[0] != key:
            last = key, find(self, room, request, fleet)
        # The one that was requested last is removed last.
        self._answered[request] = last
        if len(self._answered) > ANSWERS:
            del self._answered[next(iter(self._answered))]
        answer: Answer = last[1]
        return answer

    def alike(self) -> object:
        """Equal for hosts that differ only in what the ledger knows, and in their names."""
        cells = tuple(
            [
                cell._replace(
                    memory=Memory(total=cell.memory.total, span=cell.memory.span, claimed=cell.memory.claimed),
                    huge_pages=tuple([pages._replace(free=None, surplus=None) for pages in cell.huge_pages]),
                    failures=None,
                    blocks=None,
                )
                for cell in self.member.host.cells
            ]
        )
        order = tuple([(cell, tuple(cpus)) for cell, cpus in self.order.items()])
        return self.member.host._replace(cells=cells, notes=(), allowed=None), order

    def state(self, room: Mapping[str, CellRoom]) -> object:
        """What is left of each cell, in the order of their ids."""
        found = [room.get(uuid) for uuid in self.cells.values()]
        return tuple(
            [
                None if one is None else (tuple(one.capacity.items()), tuple(one.used.items()), one.cpu_ratio)
                for one in found
            ]
        )

    def cut(self, room: Mapping[str, CellRoom], request: Request) -> Host:
        """The host as if it had only what the ledger has left.

        The ledger counts CPUs and does not name them: those that running guests hold are the first to go.
        """
        pinned = request.exclusive > 0
        key = pinned, _state(room)
        if self._last is not None and self._last[0] == key:
            return self._last[1]
        host = self.member.host
        cells, offered = [], set()
        for cell in host.cells:
            one = room.get(self.cells[cell.id])
            order = self.order.get(cell.id, [])
            size = 0 if one is None else one.left(MEMORY) * MIB
            if one is not None:
                offered.update(order[: cpus_left(one, pinned=pinned)])
            cells.append(
                cell._replace(
                    memory=cell.memory._replace(free=size, available=size),
                    huge_pages=tuple(
                        pages._replace(free=0 if one is None else one.left(huge_class(pages.size)) * MIB // pages.size)
                        for pages in cell.huge_pages
                    ),
                )
            )
        cpus = tuple(cpu for cpu in host.cpus if cpu.id in offered)
        cut = host._replace(
            cells=tuple(cells),
            cpus=cpus,
            allowed=None,
            # What Xen promised is among the allocations of its guests.
            hypervisor=None if host.hypervisor is None else host.hypervisor._replace(claimed=0),
        )
        self._last = key, cut
        return cut


def _state(room: Mapping[str, CellRoom]) -> object:
    return tuple((uuid, tuple(one.capacity.items()), tuple(one.used.items())) for uuid, one in room.items())


def cpus_left(room: CellRoom, *, pinned: bool) -> int:
    """How many CPUs of a cell a guest may get: whole ones if it pins them."""
    if not pinned:
        return room.left(VCPU)
    return room.left(PCPU) if PCPU in room.capacity else int(room.left(VCPU) / room.cpu_ratio)


def _order(member: Member) -> dict[int, list[int]]:
    """CPUs by cell, cores together, those that running guests hold for themselves last."""
    host = member.host
    held = cpus_by_guest(host, member.guests) if member.guests else {}
    pools = {cpu.pool for cpu in host.cpus if cpu.pool is not None}
    pool = min(pools) if host.source == "xen" and pools else None
    rows: dict[int, list[tuple[bool, tuple[int, ...], int]]] = {}
    for cpu in host.cpus:
        if cpu.cell is not None and usable_cpu(cpu) and (pool is None or cpu.pool == pool):
            rows.setdefault(cpu.cell, []).append((cpu.id in held, cpu.siblings or (cpu.id,), cpu.id))
    return {cell: [number for _, _, number in sorted(many)] for cell, many in rows.items()}
