"""A way to divide a guest among cells, and what an access costs it then."""

from __future__ import annotations

from ..named import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from .candidates import Candidates


class Arrangement(namedtuple("Arrangement", "total amounts")):
    """Vcpus and bytes per position as triples, and the sum of vcpus × bytes × cost over all pairs of cells."""

    __slots__ = ()
    total: float
    amounts: list[tuple[int, int, int]]

    @property
    def cells(self) -> tuple[int, ...]:
        """The positions that take part, ascending."""
        return tuple(sorted([i for i, _, _ in self.amounts]))

    @property
    def mean(self) -> float:
        """The mean cost of an access, every vcpu reaching every byte alike: 10 where all are local."""
        vcpus = sum([number for _, number, _ in self.amounts])
        return self.total / (vcpus * sum([size for _, _, size in self.amounts]))


def priced(field: Candidates, amounts: list[tuple[int, int, int]]) -> Arrangement:
    """An arrangement of these amounts, each vcpu on its own cell."""
    if len(amounts) == 1:
        i, vcpus, size = amounts[0]
        return Arrangement(vcpus * size * field.stock.costs[field.ids[i]][field.ids[i]], amounts)
    costs = field.costs
    total = 0
    for i, vcpus, _ in amounts:
        if vcpus:
            row = costs[i]
            total += vcpus * sum([size * row[j] for j, _, size in amounts])
    return Arrangement(total, amounts)


def vcpu_limits(field: Candidates, chosen: Collection[int], place: int | None = None) -> list[int]:
    """How many vcpus each cell runs, with the emulator on ``place``, or where it takes least away."""
    if field.hosting is field.cpus:
        return field.cpus
    out = list(field.cpus)
    if place is None:
        place = min([i for i in chosen if field.hosting[i]], key=lambda i: (field.cpus[i] - field.hosting[i], i))
    out[place] = field.hosting[place]
    return out


def nearness(field: Candidates, one: Arrangement) -> tuple[int, int]:
    """How far the cells with vcpus are from what the guest is to be near to: worst, and sum."""
    if field.near is None:
        return 0, 0
    places = [field.near[i] for i, vcpus, _ in one.amounts if vcpus]
    return max(place[0] for place in places), sum(place[1] for place in places)
