"""A week of guests that come and go on fifty hosts, placed in three ways: by numaprobe's choice of host and cells, by
Placement's own allocation candidates, and on a random host with ``numaprobe.place``.

``python -m benchmarks.fleet_week [--hosts 50] [--guests 500,1000,1500] [--mixes large,small] [--seeds 1-10] [--service]
[--machines DIR ...]``. Hosts are made from recordings: their CPUs, cells and distances, with 4 GiB of memory for each
CPU. All ways run on a model of the ledger in this process; ``--service`` adds the real one over sqlite, which is slow,
and ``--compare`` only compares the model's decisions with those of the real one, one by one.
Prices in ``ranking.py`` were chosen on seeds 101 to 103. Of the other ways it prints by how much numaprobe differs in
the same weeks: the mean, its spread from week to week, and in how many weeks numaprobe is no worse.
"""

from __future__ import annotations

import argparse
import heapq
import random
import statistics
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import combinations, cycle, islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import numaprobe
from numaprobe import Domains, Host, Request
from numaprobe.contrib.openstack import Known, Member, choose, known, publish, read_room
from numaprobe.contrib.openstack.embedded import embedded
from numaprobe.contrib.openstack.publish import CLAIM, PROJECT
from numaprobe.contrib.openstack.room import CellRoom, Room
from numaprobe.contrib.openstack.tree import tree_of

GIB = 1 << 30
PER_CPU = 4 * GIB
WEEK = 7 * 24 * 3600.0
Shapes = tuple[tuple[int, int, int], ...]
# Vcpus, GiB, and how often.
MIXES: dict[str, Shapes] = {
    "large": ((1, 2, 20), (2, 8, 30), (4, 16, 20), (4, 32, 8), (8, 32, 12), (12, 24, 4), (16, 96, 4), (2, 32, 6)),
    "small": ((1, 2, 25), (1, 8, 8), (2, 4, 15), (2, 8, 25), (2, 16, 8), (4, 16, 12), (4, 8, 4), (8, 32, 3)),
}
# What is compared, whether more is better, how it is shown, and a difference of it.
FIGURES = (
    ("accepted", 1, "{:,.0f}", "{:+.1%} ± {:.1%}"),
    ("vcpus", 1, "{:,.0f}", "{:+.1%} ± {:.1%}"),
    ("access", -1, "{:.2f}", "{:+.2f} ± {:.2f}"),
    ("stranded", -1, "{:.1%}", "{:+.0%} ± {:.0%}"),
    ("without CPUs", -1, "{:.1%}", "{:+.0%} ± {:.0%}"),
)
# Of these the difference itself, and not in parts of the other's.
ABSOLUTE = ("access",)
# How Placement is asked to divide a guest that no cell takes.
DIVISIONS = (1, 2, 4)

# Amounts by uuid of the cell and class.
Taken = dict[str, dict[str, int]]


def machines(directories: list[Path], count: int) -> list[Member]:
    found = []
    for directory in directories:
        for path in sorted(directory.rglob("*.tar.gz")):
            try:
                host = numaprobe.probe(recording=path)
            except numaprobe.NumaprobeError:
                continue
            whole = [cell for cell in host.cells if cell.cpus]
            if 2 <= len(whole) <= 8 and 8 <= len(host.cpus) <= 128 and all(cell.distances for cell in host.cells):
                found.append(sized(host))
    return [Member(f"week{i}", host, Domains()) for i, host in enumerate(islice(cycle(found), count))]


def sized(host: Host) -> Host:
    cells = []
    for cell in host.cells:
        size = PER_CPU * len(cell.cpus or ())
        memory = cell.memory._replace(total=size, free=size, available=size)
        cells.append(cell._replace(memory=memory, huge_pages=()))
    return host._replace(cells=tuple(cells))


def arrivals(count: int, seed: int, shapes: Shapes) -> list[tuple[float, float, Request]]:
    """When, for how long, and what; days are busier than nights."""
    chance = random.Random(seed)
    out = []
    for _ in range(count):
        when = chance.uniform(0, WEEK)
        if chance.random() < 0.5 and not 8 <= when / 3600 % 24 < 20:
            when = when // 86400 * 86400 + chance.uniform(8, 20) * 3600
        (vcpus, size, _often) = chance.choices(shapes, [shape[2] for shape in shapes])[0]
        out.append((when, chance.lognormvariate(11.5, 1.2), Request(vcpus, size * GIB)))
    return sorted(out, key=lambda one: one[0])


def room_of(members: list[Member]) -> Room:
    """What the ledger has of hosts without guests, as ``read_room`` would read it."""
    out: Room = {}
    for one in members:
        tree = tree_of(one)
        out[tree.uuid] = {
            cell.uuid: CellRoom({name: what.capacity for name, what in cell.inventories.items()}, {}, 1.0)
            for cell in tree.cells
        }
    return out


class Numaprobe:
    """The best of all hosts."""

    def __init__(self, members: list[Member]) -> None:
        self.fleet = known(members)
        self.room = room_of(members)

    def put(self, request: Request) -> tuple[Known, Taken] | None:
        found = choose(self.fleet, self.room, request).choices
        return self._take(found[0]) if found else None

    def _take(self, choice: Any) -> tuple[Known, Taken]:
        taken = {choice.known.cells[cell]: amounts for cell, amounts in choice.amounts.items()}
        self._add(choice.known, taken, 1)
        return choice.known, taken

    def drop(self, one: Known, taken: Taken) -> None:
        self._add(one, taken, -1)

    def _add(self, one: Known, taken: Taken, sign: int) -> None:
        for cell, amounts in taken.items():
            used = self.room[one.root][cell].used
            for name, amount in amounts.items():
                used[name] = used.get(name, 0) + sign * amount


class RandomHost(Numaprobe):
    """The first of the hosts in random order on which it fits, and there what ``place`` says."""

    def __init__(self, members: list[Member], seed: int) -> None:
        super().__init__(members)
        self.chance = random.Random(seed)

    def put(self, request: Request) -> tuple[Known, Taken] | None:
        for one in self.chance.sample(self.fleet, len(self.fleet)):
            found = choose([one], self.room, request).choices
            if found:
                return self._take(found[0])
        return None


class Candidates(Numaprobe):
    """What Placement offers: on one cell, else in two equal parts of one host, else in four, on cells of their own.

    ``chance`` None takes the first in the order in which hosts and cells were published. The service has them in the
    order of a set in Python, which is another in each process: as good as one by chance.
    """

    def __init__(self, members: list[Member], chance: random.Random | None = None) -> None:
        super().__init__(members)
        self.chance = chance

    def put(self, request: Request) -> tuple[Known, Taken] | None:
        found = self.candidates(request)
        chosen = next(found, None) if self.chance is None else self.chance.choice(list(found) or [None])
        return None if chosen is None else self.take(*chosen)

    def take(self, one: Known, taken: Taken) -> tuple[Known, Taken]:
        self._add(one, taken, 1)
        return one, taken

    def candidates(self, request: Request) -> Iterator[tuple[Known, Taken]]:
        for parts in DIVISIONS:
            if request.vcpus % parts:
                continue
            amounts = {"VCPU": request.vcpus // parts, "MEMORY_MB": request.memory // parts >> 20}
            empty = True
            for one in self.fleet:
                cells = self.room[one.root]
                able = [cell for cell, room in cells.items() if all(room.left(x) >= n for x, n in amounts.items())]
                for chosen in combinations(able, parts):
                    yield one, {cell: dict(amounts) for cell in chosen}
                    empty = False
            if not empty:
                return


class Service(Numaprobe):
    """The same of the real service, embedded."""

    def __init__(self, members: list[Member], directory: str) -> None:
        super().__init__(members)
        self.client = embedded(directory)
        for one in members:
            publish(self.client, one)
        self.by_cell = {cell: one for one in self.fleet for cell in one.cells.values()}
        self.consumers: dict[int, str] = {}

    def put(self, request: Request) -> tuple[Known, Taken] | None:
        for found in self.candidates(request, "limit=1&"):
            consumer = str(uuid.uuid4())
            body = {"allocations": found["allocations"], "consumer_generation": None, "project_id": PROJECT}
            self.client.put(f"/allocations/{consumer}", {**body, "user_id": PROJECT, "consumer_type": CLAIM})
            taken = {cell: dict(one["resources"]) for cell, one in found["allocations"].items()}
            one = self.by_cell[next(iter(taken))]
            self.consumers[id(taken)] = consumer
            self._add(one, taken, 1)
            return one, taken
        return None

    def candidates(self, request: Request, more: str = "") -> list[dict[str, Any]]:
        for parts in DIVISIONS:
            if request.vcpus % parts:
                continue
            amounts = f"VCPU:{request.vcpus // parts},MEMORY_MB:{request.memory // parts >> 20}"
            words = "&".join(f"resources{i}={amounts}" for i in range(parts))
            policy = "&group_policy=isolate" if parts > 1 else ""
            found: list[dict[str, Any]] = self.client.read(f"/allocation_candidates?{more}{words}{policy}").body[
                "allocation_requests"
            ]
            if found:
                return found
        return []

    def drop(self, one: Known, taken: Taken) -> None:
        self.client.delete(f"/allocations/{self.consumers.pop(id(taken))}")
        super().drop(one, taken)


def access(one: Known, taken: Taken) -> float | None:
    """The expected cost of an access: every vcpu reaches every byte alike."""
    ids = {uuid_: cell for cell, uuid_ in one.cells.items()}
    host = one.member.host
    vcpus = sum(amounts.get("VCPU", 0) for amounts in taken.values())
    memory = sum(amounts.get("MEMORY_MB", 0) for amounts in taken.values())
    cost = 0.0
    for here, amounts in taken.items():
        for there, others in taken.items():
            distance = host.distance(ids[here], ids[there])
            if distance is None:
                return None
            cost += amounts.get("VCPU", 0) / vcpus * others.get("MEMORY_MB", 0) / memory * distance
    return cost


def stranded(room: Room, shapes: Shapes) -> tuple[float, float]:
    """Of the memory of cells with CPUs, the part that is left and not available to guests of these shapes.

    That is what is left of a cell when as many as fit have been taken, as ``fleet show --shape`` has it, each shape as
    often as it comes; and the part that is on cells without a CPU left, which no guest at all can take.
    """
    having = [cell for cells in room.values() for cell in cells.values() if cell.capacity.get("VCPU")]
    whole = sum(cell.capacity["MEMORY_MB"] for cell in having)
    left = [(cell.left("VCPU"), cell.left("MEMORY_MB")) for cell in having]
    lost = sum(unusable(cpus, memory, shapes) for cpus, memory in left)
    return lost / whole, sum(memory for cpus, memory in left if not cpus) / whole


@lru_cache(1 << 16)
def unusable(cpus: int, memory: int, shapes: Shapes) -> float:
    often = sum(one for _, _, one in shapes)
    fits = [(min(cpus // vcpus, memory // (size << 10)) * (size << 10), one) for vcpus, size, one in shapes]
    return sum((memory - taken) * one for taken, one in fits) / often


def replay(how: Numaprobe, week: list[tuple[float, float, Request]], shapes: Shapes) -> dict[str, float]:
    running: list[tuple[float, int, Known, Taken]] = []
    costs, parts, accepted, vcpus = [], [], 0, 0
    for number, (when, lasts, request) in enumerate(week):
        while running and running[0][0] <= when:
            _, _, one, taken = heapq.heappop(running)
            how.drop(one, taken)
        placed = how.put(request)
        parts.append(stranded(how.room, shapes))
        if placed is None:
            continue
        accepted += 1
        vcpus += request.vcpus
        cost = access(*placed)
        if cost is not None:
            costs.append(cost)
        heapq.heappush(running, (when + lasts, number, *placed))
    for _, _, one, taken in running:
        how.drop(one, taken)
    return {
        "accepted": accepted,
        "vcpus": vcpus,
        "access": sum(costs) / len(costs),
        "stranded": sum(lost for lost, _ in parts) / len(parts),
        "without CPUs": sum(lost for _, lost in parts) / len(parts),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=50)
    parser.add_argument("--guests", default="500,1000,1500")
    parser.add_argument("--mixes", default=",".join(MIXES))
    parser.add_argument("--seeds", default="1-10")
    parser.add_argument("--service", action="store_true", help="the real Placement, too")
    parser.add_argument("--machines", type=Path, nargs="*", default=[ROOT / "tests" / "fixtures"])
    parser.add_argument("--compare", action="store_true", help="the model with the real Placement, over the first week")
    options = parser.parse_args()
    members = machines(options.machines, options.hosts)
    room = room_of(members)
    cpus = sum(cell.capacity.get("VCPU", 0) for cells in room.values() for cell in cells.values())
    first, _, last = options.seeds.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    if options.compare:
        guests, mix = int(options.guests.split(",")[0]), options.mixes.split(",")[0]
        compare(members, arrivals(guests, seeds[0], MIXES[mix]))
        return
    print(f"{len(members)} hosts, {sum(map(len, room.values()))} cells, {cpus} CPUs; {len(seeds)} seeds")
    print("| guests a week, mix | placed by | guests | vcpus | expected access | stranded | without CPUs |")
    with tempfile.TemporaryDirectory() as directory:
        ways: dict[str, Callable[[int], Numaprobe]] = {
            "`numaprobe fleet`": lambda _: Numaprobe(members),
            "any allocation candidate": lambda seed: Candidates(members, random.Random(seed)),
            "the first as published": lambda _: Candidates(members),
            "random host": lambda seed: RandomHost(members, seed),
        }
        if options.service:
            service = Service(members, directory)
            ways["the same of the service"] = lambda _: service
        for mix in options.mixes.split(","):
            for guests in map(int, options.guests.split(",")):
                weeks = [(seed, arrivals(guests, seed, MIXES[mix])) for seed in seeds]
                report(f"{guests:,}, {mix}", ways, weeks, MIXES[mix])


def compare(members: list[Member], week: list[tuple[float, float, Request]]) -> None:
    """Print for how many guests the candidates of the model and of the service are not the same, and what is left.

    Both then take the first one of the service.
    """
    with tempfile.TemporaryDirectory() as directory:
        model, service = Candidates(members), Service(members, directory)
        running: list[tuple[float, int, tuple[Known, Taken]]] = []
        differ = placed = released = offered = 0
        for number, (when, lasts, request) in enumerate(week):
            while running and running[0][0] <= when:
                _, _, one = heapq.heappop(running)
                model.drop(*one)
                service.drop(*one)
                released += 1
            mine = {cells_of(taken) for _, taken in model.candidates(request)}
            theirs = {
                cells_of({cell: found["resources"] for cell, found in one["allocations"].items()})
                for one in service.candidates(request)
            }
            offered += len(theirs)
            differ += mine != theirs
            chosen = service.put(request)
            if chosen is not None and cells_of(chosen[1]) in mine:
                model.take(*chosen)
                heapq.heappush(running, (when + lasts, number, chosen))
                placed += 1
        found = read_room(service.client)
        for root, cells in model.room.items():
            # Hosts without memory left are not in the answer.
            left = {cell: one.left("MEMORY_MB") for cell, one in cells.items()}
            real = {cell: one.left("MEMORY_MB") for cell, one in found.get(root, {}).items()}
            differ += any(size != real.get(cell, 0) for cell, size in left.items())
    refused = len(week) - placed
    print(f"{placed} guests placed, {refused} refused, {released} released; {offered} candidates, {differ} differ")


def cells_of(taken: Taken) -> frozenset[tuple[str, int, int]]:
    return frozenset((cell, amounts["VCPU"], amounts["MEMORY_MB"]) for cell, amounts in taken.items())


def report(
    title: str,
    ways: dict[str, Callable[[int], Numaprobe]],
    weeks: list[tuple[int, list[tuple[float, float, Request]]]],
    shapes: Shapes,
) -> None:
    """Means over the weeks, with those of another way how numaprobe differs from it."""
    found = {name: [replay(way(seed), week, shapes) for seed, week in weeks] for name, way in ways.items()}
    ours = next(iter(found.values()))
    for name, rows in found.items():
        words = [shown.format(statistics.fmean(row[key] for row in rows)) for key, _, shown, _ in FIGURES]
        if rows is not ours:
            words = [f"{mean} ({gap})" for mean, gap in zip(words, differences(ours, rows), strict=True)]
        print(f"| {title} | {name} | {' | '.join(words)} |", flush=True)


def differences(ours: list[dict[str, float]], others: list[dict[str, float]]) -> list[str]:
    """By figure: the mean over the weeks, its spread, and in how many of them numaprobe is no worse."""
    words = []
    for key, better, _, shown in FIGURES:
        each = []
        for mine, other in zip(ours, others, strict=True):
            gap = mine[key] - other[key]
            each.append(gap if key in ABSOLUTE else gap / other[key] if other[key] else float(gap > 0))
        spread = statistics.stdev(each) if len(each) > 1 else 0.0
        held = sum(better * one >= 0 for one in each)
        words.append(f"{shown.format(statistics.fmean(each), spread)}, {held}")
    return words


if __name__ == "__main__":
    main()
