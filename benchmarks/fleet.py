"""What a fleet costs: publishing, an unchanged host, choosing and claiming, on Placement over PostgreSQL.

``python -m benchmarks.fleet [--hosts 10,200,1000] [--machines DIR ...]``: hosts are made from the recordings in these
directories (default: ``tests/fixtures``), again and again under other names, with two guests each.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import psutil
from fleets import guest, guests
from placement_service import postgres, service

import numaprobe
from numaprobe import DoesNotFit, Request
from numaprobe.contrib.openstack import (
    Claimer,
    Member,
    choose,
    claim,
    known,
    overview,
    publish,
    publish_all,
    read_room,
    release_stale,
)
from numaprobe.contrib.openstack.session import at

GIB = 1 << 30
MIN_CELLS, MAX_CELLS = 2, 16
# A guest that fits many of the hosts, and one that needs several cells of most.
SMALL, LARGE = (2, 1 << 28), (8, 4 * GIB)


def machines(directories: list[Path]) -> Iterator[numaprobe.Host]:
    """Recorded hosts with memory and CPUs that somebody could use."""
    for directory in directories:
        for path in sorted(directory.rglob("*.tar.gz")):
            try:
                host = numaprobe.probe(recording=path)
            except numaprobe.NumaprobeError:
                continue
            usable = [cell for cell in host.cells if cell.cpus and (cell.memory.total or 0) >= 1 << 28]
            if usable and MIN_CELLS <= len(host.cells) <= MAX_CELLS and len(host.cpus) <= 512:
                yield host


def members(found: list[numaprobe.Host], count: int) -> list[Member]:
    out = []
    for number, host in enumerate(islice(cycle(found), count)):
        cells = [cell for cell in host.cells if cell.cpus and (cell.memory.total or 0) >= 1 << 28]
        running = []
        for i in range(2):
            cell = cells[i % len(cells)]
            assert cell.cpus is not None, "chosen by them"
            held = {one.id: 0 for one in host.cells} | {cell.id: (cell.memory.total or 0) // 16}
            running.append(guest(f"host{number}-guest{i}", held, vcpus=[[cell.cpus[0]]], bound=[cell.id]))
        out.append(Member(f"host{number}", host, guests(*running)))
    return out


def timed(work: Any, *words: Any, **more: Any) -> tuple[float, Any]:
    began = time.perf_counter()
    answer = work(*words, **more)
    return time.perf_counter() - began, answer


def spent() -> tuple[float, float, float]:
    """CPU seconds of this process, of the service, and of the database: other work on the machine does not count."""
    own = time.process_time()
    found = [0.0, 0.0]
    for one in psutil.Process().children(recursive=True):
        try:
            times = one.cpu_times()
            found["postgres" in one.name()] += times.user + times.system
        except psutil.Error:
            continue
    return own, found[0], found[1]


def ms(values: list[float]) -> str:
    return f"{statistics.median(values) * 1e3:.0f} ms" if values else "-"


def measure(url: str, fleet: list[Member]) -> None:
    client = at(url)
    cells = sum(len(one.host.cells) for one in fleet)
    began, before = time.perf_counter(), spent()
    reports = list(publish_all(lambda: at(url), fleet))
    seconds = time.perf_counter() - began
    cpu = [after - then for after, then in zip(spent(), before, strict=True)]
    requests = sum(one.requests for one in reports)
    print(f"{len(fleet)} hosts, {cells} cells: first publication {seconds:.1f} s, {requests} requests")
    print(f"  CPU seconds: {cpu[0]:.1f} here, {cpu[1]:.1f} service, {cpu[2]:.1f} database")
    again = [timed(publish, client, one) for one in fleet[:40]]
    counts = [one.requests for _, one in again]
    took = ms([seconds for seconds, _ in again])
    print(f"  unchanged host: {statistics.median(counts):.0f} requests (at most {max(counts)}), {took}")
    ready = known(fleet)
    for shape in (SMALL, LARGE):
        request = Request(*shape)
        read = [timed(read_room, client) for _ in range(5)]
        room = read[-1][1]
        placed = [timed(choose, ready, room, request) for _ in range(7)]
        first = placed[0][0]
        print(
            f"  {shape[0]} vcpus, {shape[1] >> 20} MiB: read the ledger {ms([t for t, _ in read])}, place "
            f"{first * 1e3:.0f} ms at first, then {ms([t for t, _ in placed[1:]])}; "
            f"{len(placed[0][1].choices)} hosts have room"
        )
    claimer = Claimer(client, ready)
    for name, take in (("alone", partial(claim, client, ready)), ("in a row", claimer.claim)):
        each: list[float] = []
        counts = []
        for _ in range(20):
            asked = client.requests
            try:
                each.append(timed(take, Request(*SMALL))[0])
            except DoesNotFit:
                break
            counts.append(client.requests - asked)
        print(f"  claim {name}, with choosing and verifying: {ms(each)}, {statistics.median(counts):.0f} requests")
    print(f"  show: {ms([timed(overview, client)[0] for _ in range(3)])}")
    release_stale(client, older_than=-1, hosts=[one.name for one in fleet[:50]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", default="10,200")
    parser.add_argument("--machines", type=Path, nargs="*", default=[ROOT / "tests" / "fixtures"])
    options = parser.parse_args()
    found = list(machines(options.machines))
    print(f"{len(found)} recorded machines")
    for count in map(int, options.hosts.split(",")):
        with (
            postgres() as database,
            tempfile.TemporaryDirectory() as directory,
            service(database.address, Path(directory) / "log") as url,
        ):
            measure(url, members(found, count))


if __name__ == "__main__":
    main()
