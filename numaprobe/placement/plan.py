"""Plans as values: where a guest should run, and why. Sizes in bytes, ids are the host's own."""

from __future__ import annotations

from ..named import namedtuple
from ..version import SCHEMA

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .request import Request


class PlannedVcpu(namedtuple("PlannedVcpu", "vcpu cpus pinned", defaults=(False,))):
    """One vcpu of the guest, counted from 0, and the host's CPUs that it may run on, ascending.

    ``pinned``: no other guest may run on them.
    """

    __slots__ = ()
    vcpu: int
    cpus: tuple[int, ...]
    pinned: bool


class PlannedCell(namedtuple("PlannedCell", "id cell vcpus memory distances")):
    """A virtual NUMA node of the guest: its ``id``, the host's ``cell`` that backs it, its vcpus and its memory.

    ``memory`` is in bytes. ``distances`` are pairs (guest cell, cost) as on the host, None where the host has none.
    """

    __slots__ = ()
    id: int
    cell: int
    vcpus: tuple[int, ...]
    memory: int
    distances: tuple[tuple[int, int], ...] | None


class Rejected(namedtuple("Rejected", "cells reason")):
    """A set of cells that was not chosen, and why."""

    __slots__ = ()
    cells: tuple[int, ...]
    reason: str


class Repin(namedtuple("Repin", "domain name vcpus cpus")):
    """Advice: a running guest that floats on CPUs which a plan takes, and the CPUs to pin it to instead.

    ``domain`` is its id and ``name`` its name or None; ``vcpus`` are the vcpus that float there, None for all of them.
    """

    __slots__ = ()
    domain: int | str
    name: str | None
    vcpus: tuple[int, ...] | None
    cpus: tuple[int, ...]


class Plan(
    namedtuple(
        "Plan",
        "request cells cpus vcpus memory memory_only guest_cells distance reasons rejected bind emulator repin",
        defaults=((), (), None, (), (), True, (), ()),
    )
):
    """Where one guest should run.

    ``cells`` are those used, ascending; ``cpus`` all CPUs that it may run on; ``vcpus`` has one entry per vcpu.
    ``memory`` is bytes by cell id, and adds up to the requested memory; ``memory_only`` are those of its cells that no
    vcpu may run on. ``guest_cells`` is empty unless requested. ``emulator`` are the CPUs for the emulator's threads,
    empty unless requested: they then run where the vcpus do.
    ``distance`` is the expected cost of an access, every vcpu reaching every byte alike: 10 is all local, None where
    the host gives no distances. ``reasons`` and ``rejected`` are sentences for people. ``bind`` is False on a host of
    one cell, where memory needs no binding and a kernel without NUMA would refuse it. ``repin`` is advice for running
    guests.
    """

    __slots__ = ()
    request: Request
    cells: tuple[int, ...]
    cpus: tuple[int, ...]
    vcpus: tuple[PlannedVcpu, ...]
    memory: dict[int, int]
    memory_only: tuple[int, ...]
    guest_cells: tuple[PlannedCell, ...]
    distance: float | None
    reasons: tuple[str, ...]
    rejected: tuple[Rejected, ...]
    bind: bool
    emulator: tuple[int, ...]
    repin: tuple[Repin, ...]

    @property
    def exclusive_cpus(self) -> tuple[int, ...]:
        """The CPUs that no other guest may run on, ascending: of pinned vcpus, and of an emulator that has its own."""
        taken = {cpu for one in self.vcpus if one.pinned for cpu in one.cpus}
        if self.request.emulator_cpus:
            taken.update(self.emulator)
        return tuple(sorted(taken))

    def render(self, name: str, *, soft: bool = False, pool: int | None = None) -> str:
        """The plan as text for another program.

        ``name`` is one of ``numaprobe.placement.formats.FORMATS``: ``text``, ``json``, ``cpuset``, ``nodeset``, ``xl``,
        ``libvirt``, ``virsh``, ``qemu``, ``cloud-hypervisor``, ``numactl``, ``systemd``. ``soft`` and ``pool`` are for
        ``xl``: CPUs that vcpus prefer instead of those they must run on, and the number of the cpupool. Raises
        ``ValueError`` for another name, and for a plan that the format cannot express.
        """
        from .formats import render

        return render(self, name, soft=soft, pool=pool)

    def to_dict(self) -> dict[str, Any]:
        """The document of ``numaprobe place --format json`` (``schemas/place.json``): built-in types only."""
        request = self.request
        return {
            "schema": SCHEMA,
            "fits": True,
            "name": request.name,
            "cells": list(self.cells),
            "cpus": list(self.cpus),
            "vcpus": [{"vcpu": one.vcpu, "cpus": list(one.cpus)} for one in self.vcpus],
            "pinned_vcpus": [one.vcpu for one in self.vcpus if one.pinned],
            "emulator": list(self.emulator),
            "emulator_exclusive": bool(request.emulator_cpus),
            "memory": {str(cell): size for cell, size in self.memory.items()},
            "memory_only": list(self.memory_only),
            "bind": self.bind,
            "huge_page": request.huge_page,
            "pinned": request.dedicated,
            "guest_cells": [
                {
                    "id": one.id,
                    "cell": one.cell,
                    "vcpus": list(one.vcpus),
                    "memory": one.memory,
                    "distances": None if one.distances is None else {str(other): d for other, d in one.distances},
                }
                for one in self.guest_cells
            ],
            "distance": self.distance,
            "repin": [
                {
                    "domain": one.domain,
                    "name": one.name,
                    "vcpus": None if one.vcpus is None else list(one.vcpus),
                    "cpus": list(one.cpus),
                }
                for one in self.repin
            ],
            "reasons": list(self.reasons),
            "rejected": [{"cells": list(one.cells), "reason": one.reason} for one in self.rejected],
        }
