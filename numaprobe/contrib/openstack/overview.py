"""What the fleet has and how much of it is left: by host and cell, and how many more guests of a shape fit."""

from __future__ import annotations

from ...named import namedtuple
from ...version import SCHEMA
from .hosts import published
from .room import cpus_left, read_room
from .tree import MEMORY, MIB, NUMA, PREFIX, huge_class

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .client import Client
    from .room import CellRoom, Room


class Shape(namedtuple("Shape", "vcpus memory huge_page pinned", defaults=(None, False))):
    """A size of guests: ``memory`` in bytes, in huge pages of ``huge_page`` bytes if that is not None."""

    __slots__ = ()
    vcpus: int
    memory: int
    huge_page: int | None
    pinned: bool

    def fits(self, room: CellRoom) -> int:
        """How many more of them fit into one cell."""
        pages = MEMORY if self.huge_page is None else huge_class(self.huge_page)
        return min(cpus_left(room, pinned=self.pinned) // self.vcpus, room.left(pages) * MIB // self.memory)

    def stranded(self, room: CellRoom) -> int:
        """Bytes of memory that are left in a cell after as many as fit: no guest of this shape gets them."""
        pages = MEMORY if self.huge_page is None else huge_class(self.huge_page)
        return room.left(pages) * MIB - self.fits(room) * self.memory


class Overview(namedtuple("Overview", "names cells room")):
    """The fleet at one moment: uuids of roots by ``names`` of hosts, ids of ``cells`` by uuid, and what is left."""

    __slots__ = ()
    names: dict[str, str]
    cells: dict[str, int]
    room: Room

    def document(self, shapes: Iterable[Shape] = ()) -> dict[str, Any]:
        """As JSON. The ``cells`` of a host are null if it has no memory left, or is set aside as stale."""
        hosts: list[dict[str, Any]] = []
        for name, root in sorted(self.names.items()):
            found = sorted(
                [(self.cells.get(uuid, -1), one) for uuid, one in self.room.get(root, {}).items()], key=_first
            )
            listed = [{"cell": cell, "capacity": one.capacity, "used": one.used} for cell, one in found if cell >= 0]
            hosts.append({"name": name, "cells": listed if root in self.room else None})
        every = [one for root in self.names.values() for one in self.room.get(root, {}).values()]
        return {
            "schema": SCHEMA,
            "hosts": hosts,
            "shapes": [
                {
                    **shape._asdict(),
                    "fits": sum(shape.fits(one) for one in every),
                    "stranded": sum(shape.stranded(one) for one in every),
                }
                for shape in shapes
            ],
        }


def overview(client: Client) -> Overview:
    """Read the fleet from the ledger, in three requests."""
    names = published(client)
    cells = {}
    if names:
        for one in client.read(f"/resource_providers?required={NUMA}").body["resource_providers"]:
            head, _, number = one["name"].rpartition(":cell")
            if head.startswith(PREFIX) and number.isdigit():
                cells[one["uuid"]] = int(number)
    return Overview(names, cells, read_room(client))


def _first(pair: tuple[int, CellRoom]) -> int:
    return pair[0]
