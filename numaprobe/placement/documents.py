"""A plan out of its JSON document, which somebody else may have written or changed."""

from __future__ import annotations

from .plan import Plan, PlannedCell, PlannedVcpu, Repin
from .request import Request
from .schema_check import check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def read_plan(document: object) -> Plan:
    """The plan of a document of ``schemas/place.json``, with as much of its request as is kept there.

    Raises ``ValueError`` with one sentence for a document that is not one, that says that nothing fits, or whose parts
    contradict each other.
    """
    check("place", document)
    assert isinstance(document, dict)
    content: dict[str, Any] = document
    if not content["fits"]:
        raise ValueError("the plan says that the guest does not fit")
    pinned = bool(content.get("pinned"))
    alone = set(content.get("pinned_vcpus", ()))
    vcpus = tuple(
        [
            PlannedVcpu(vcpu=one["vcpu"], cpus=tuple(one["cpus"]), pinned=pinned or one["vcpu"] in alone)
            for one in content["vcpus"]
        ]
    )
    memory = {int(cell): size for cell, size in content["memory"].items()}
    cells, cpus = tuple(content["cells"]), tuple(content["cpus"])
    _agree(vcpus, cells, cpus, memory)
    guest_cells = tuple([_guest_cell(one) for one in content["guest_cells"]])
    emulator = tuple(content.get("emulator", ()))
    try:
        request = Request(
            vcpus=len(vcpus),
            memory=sum(memory.values()),
            name=content.get("name") or None,
            huge_page=content.get("huge_page"),
            pinned=pinned and all(len(one.cpus) == 1 for one in vcpus),
            cores=pinned and any(len(one.cpus) > 1 for one in vcpus),
            guest_cells=len(guest_cells) or None,
            pinned_vcpus=() if pinned else sorted(alone),
            emulator=len(emulator) if content.get("emulator_exclusive") and emulator else emulator or None,
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"not a valid guest: {error}") from None
    return Plan(
        request=request,
        cells=cells,
        cpus=cpus,
        vcpus=vcpus,
        memory=memory,
        memory_only=tuple(content.get("memory_only", ())),
        guest_cells=guest_cells,
        distance=content.get("distance"),
        reasons=tuple(content["reasons"]),
        bind=content.get("bind", True),
        emulator=emulator,
        repin=tuple([_repin(one) for one in content.get("repin", ())]),
    )


def _repin(one: dict[str, Any]) -> Repin:
    return Repin(
        domain=one["domain"],
        name=one["name"],
        vcpus=None if one["vcpus"] is None else tuple(one["vcpus"]),
        cpus=tuple(one["cpus"]),
    )


def _guest_cell(one: dict[str, Any]) -> PlannedCell:
    row = one["distances"]
    return PlannedCell(
        id=one["id"],
        cell=one["cell"],
        vcpus=tuple(one["vcpus"]),
        memory=one["memory"],
        distances=None if row is None else tuple(sorted((int(other), cost) for other, cost in row.items())),
    )


def _agree(
    vcpus: tuple[PlannedVcpu, ...], cells: tuple[int, ...], cpus: tuple[int, ...], memory: dict[int, int]
) -> None:
    """What no schema can express: the parts of a plan belong to one guest."""
    if [one.vcpu for one in vcpus] != list(range(len(vcpus))):
        raise ValueError("the vcpus must be numbered from 0, each once and in order")
    everything = set(cpus)
    for one in vcpus:
        if not one.cpus:
            raise ValueError(f"vcpu {one.vcpu} has no cpus")
        if not everything.issuperset(one.cpus):
            raise ValueError(f"vcpu {one.vcpu} has cpu {min(set(one.cpus) - everything)}, which is not in cpus")
    if strange := sorted(set(memory) - set(cells)):
        raise ValueError(f"memory names cell {strange[0]}, which is not in cells")
