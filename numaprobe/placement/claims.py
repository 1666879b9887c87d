"""Claims: room that a guest was promised and has not taken yet."""

from __future__ import annotations

from ..named import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..model.domains import Domain
    from .plan import Plan
    from .rooms import HostCapacity


class Claim(
    namedtuple(
        "Claim",
        "id name vcpus memory huge_page cpus cells floating pid start domain expires",
        defaults=(None, None, None, 0.0),
    )
):
    """What one guest was promised.

    ``memory`` is bytes by cell id, in huge pages of ``huge_page`` bytes if that is not None. ``cpus`` are exclusive;
    ``floating`` vcpus share the other CPUs of ``cells``. A claim ends with the process ``pid`` that started at
    ``start`` (clock ticks since boot), when the guest of that ``name``, process or Xen ``domain`` runs and has its
    memory, or at ``expires`` (seconds since boot).
    """

    __slots__ = ()
    id: int
    name: str | None
    vcpus: int
    memory: dict[int, int]
    huge_page: int | None
    cpus: tuple[int, ...]
    cells: tuple[int, ...]
    floating: int
    pid: int | None
    start: int | None
    domain: int | None
    expires: float

    @classmethod
    def of(cls, plan: Plan, **known: Any) -> Claim:
        """The claim for a plan; ``known`` says whose it is and how long it holds."""
        pinned = [one for one in plan.vcpus if one.pinned]
        return cls(
            name=plan.request.name,
            vcpus=len(plan.vcpus),
            memory=dict(plan.memory),
            huge_page=plan.request.huge_page,
            cpus=plan.exclusive_cpus,
            cells=plan.cells,
            floating=len(plan.vcpus) - len(pinned),
            **known,
        )

    def less(self, domains: Sequence[Domain]) -> Claim | None:
        """What the running guests have not taken of it yet; None if its guest has all of it.

        On Linux a guest that is seen is counted with all that it was configured with. Xen builds a domain's memory bit
        by bit, so what it has is taken off the claim until it has everything.
        """
        for domain in domains:
            named = self.name is not None and domain.name == self.name
            if not (named or domain.id in (self.pid, self.domain)):
                continue
            if domain.kind not in ("pv", "hvm"):
                return None
            whole = sum(self.memory.values())
            missing = whole - (domain.memory or 0)
            # Page tables and video memory are taken from what is reported as the domain's own.
            if missing <= whole // 32:
                return None
            return self._replace(memory={cell: size * missing // whole for cell, size in self.memory.items()})
        return self


def hold(stock: HostCapacity, claims: Sequence[Claim]) -> None:
    """Subtract the claims from what is left. Cells and CPUs that have been removed since are ignored."""
    for claim in claims:
        for cell, size in claim.memory.items():
            room = stock.rooms.get(cell)
            if room is None or (claim.huge_page is not None and claim.huge_page not in room.pages):
                continue
            unit = claim.huge_page or 1
            units = -(-size // unit)
            left = max(0, room.bytes(claim.huge_page))
            room.take(min(units * unit, left // unit * unit), claim.huge_page, vfio=True)
        rooms = [stock.rooms[cell] for cell in claim.cells if cell in stock.rooms]
        for room in rooms:
            if claim.cpus:
                room.hold(claim.cpus)
        having = [room for room in rooms if room.cpus]
        for room in having:
            share = -(-claim.floating // len(having))
            room.load += claim.floating / len(having)
            room.kept = max(room.kept, share)
        if claim.name is not None:
            stock.homes.setdefault(claim.name, claim.cells)
    if claims:
        stock.notes.append(f"{len(claims)} claim{'s' if len(claims) > 1 else ''} of guests being started kept back")


def claim_document(claim: Claim) -> dict[str, Any]:
    """A claim in the form of the ledger and of ``place --claims --json``."""
    document: dict[str, Any] = claim._asdict()
    document["memory"] = {str(cell): size for cell, size in claim.memory.items()}
    return document


def read_claim(document: dict[str, Any]) -> Claim:
    """The claim of a document. Raises ``ValueError``, ``KeyError`` and ``TypeError`` for what is none."""
    from .schema_check import check

    check("claim", document)
    memory = {int(cell): size for cell, size in document["memory"].items()}
    lists = {key: tuple(document[key]) for key in ("cpus", "cells")}
    return Claim(**{**document, **lists, "memory": memory})
