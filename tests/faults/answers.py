"""What is asked while a call fails, and which differences between two answers have an explanation."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import processes
import trees
from trees import CPU, NODE, Link, Machine

import numaprobe
from numaprobe import _fast
from numaprobe.model.documents import domains_document

Answer = dict[str, Any]


def machine() -> Machine:
    """Two nodes with everything that is read of one, two guests, one of them in a control group."""
    tree = processes.machine(
        processes.process(500, cgroup="/machine.slice/vm1.scope"),
        processes.process(600, cmdline=processes.QEMU.replace("vm1", "vm2"), cgroup="/"),
    )
    tree |= processes.group()
    for node in (0, 1):
        base = f"{NODE}/node{node}"
        pages = f"{base}/hugepages/hugepages-2048kB"
        tree |= {f"{pages}/nr_hugepages": "8\n", f"{pages}/free_hugepages": "5\n", f"{pages}/surplus_hugepages": "0\n"}
        names = ("numa_hit", "numa_miss", "numa_foreign", "interleave_hit", "local_node", "other_node")
        tree[f"{base}/numastat"] = "".join(f"{name} {100 + node}\n" for name in names)
        tree[f"{base}/vmstat"] = "nr_free_pages 131072\nnr_zone_inactive_file 100\n"
        initiators = f"{base}/access0/initiators"
        tree |= {
            f"{initiators}/read_latency": f"{90 + node}\n",
            f"{initiators}/write_latency": "91\n",
            f"{initiators}/read_bandwidth": "12000\n",
            f"{initiators}/write_bandwidth": "11000\n",
            f"{initiators}/node{node}": Link(f"../../../node{node}"),
        }
        tree[f"sys/bus/pci/devices/0000:0{node}:00.0/numa_node"] = f"{node}\n"
        tree[f"sys/bus/pci/devices/0000:0{node}:00.0/class"] = "0x020000\n"
    tree[f"{NODE}/node1/memory_side_cache/index1/size"] = "1048576\n"
    tree[f"{NODE}/node1/memory_side_cache/index1/line_size"] = "64\n"
    tree[f"{NODE}/has_cpu"] = tree[f"{NODE}/has_memory"] = "0-1\n"
    tree[f"{CPU}/isolated"] = "3\n"
    tree["proc/meminfo"] = trees.meminfo(None, 2 << 20, 1 << 20)
    zone = "\n".join(
        f"Node {node}, zone   Normal\n  pages free     131072\n        min      100\n        low      200\n"
        "        high     300\n        managed  262144\n        protection: (0, 0, 0, 0)"
        for node in (0, 1)
    )
    tree["proc/zoneinfo"] = zone + "\n"
    tree["proc/sys/kernel/osrelease"] = "6.1.0-test\n"
    tree["proc/self/status"] = "Name:\tx\nCpus_allowed_list:\t0-2\nMems_allowed_list:\t0-1\n"
    tree["proc/self/cgroup"] = "0::/machine.slice/vm1.scope\n"
    tree[f"{processes.GROUP}/cpuset.cpus.effective"] = "0-2\n"
    tree[f"{processes.GROUP}/cpuset.mems.effective"] = "0-1\n"
    tree[f"{processes.GROUP}/memory.max"] = "max\n"
    return tree


def plain(value: Any) -> Answer:
    found: Answer = json.loads(json.dumps(value))
    return found


@contextmanager
def as_live(root: Path) -> Iterator[None]:
    """``/`` is the planted tree for what reads this machine: its files are opened in another way than a tree's."""
    real = _fast.Files

    class Files(real):  # type: ignore[misc,valid-type]
        def __init__(self, path: Any, **more: Any) -> None:
            super().__init__(root if path == "/" else path, **more)

    _fast.Files = Files  # type: ignore[misc]
    try:
        yield
    finally:
        _fast.Files = real  # type: ignore[misc]


def host_of(root: Path | None) -> numaprobe.Host:
    return numaprobe.probe(root, devices=True, allowed=True)


def guests_of(root: Path | None, host: numaprobe.Host) -> Answer:
    found = numaprobe.domains(host, root=root)
    complete = getattr(found, "complete", True)
    notes = list(getattr(found, "notes", ()))
    uses = numaprobe.account(host, found) if complete else numaprobe.account(host, found, complete=False)
    document = domains_document(host, found, uses, None)
    return plain({**document, "complete": complete, "notes": [list(note) for note in notes]})


def sample_of(sampler: numaprobe.Sampler) -> Answer:
    """A sample is its own note: a figure that could not be read is None."""
    sample = sampler.sample(huge_pages=True, available=True, counters=True, vmstat=("nr_free_pages",))
    cells = [
        {
            "id": cell.id,
            "total": cell.total,
            "free": cell.free,
            "available": cell.available,
            "huge_pages": None if cell.huge_pages is None else [list(pages) for pages in cell.huge_pages],
            "counters": None if cell.counters is None else list(cell.counters),
            "vmstat": None if cell.vmstat is None else dict(cell.vmstat),
        }
        for cell in sample.cells
    ]
    return plain({"cells": cells, "cpus": sample.shape.cpus})


class Asked:
    """A question: ``ask`` is under fault; ``after``, if there is one, is asked next, without any."""

    def __init__(self, ask: Callable[[], Any], after: Callable[[Any], Answer] | None = None) -> None:
        self.ask = ask
        self.after = after


def questions(root: Path) -> dict[str, Callable[[], Asked]]:
    """By name, each made anew for every fault."""
    host = host_of(root)

    def live(answer: Callable[[], Answer]) -> Answer:
        with as_live(root):
            return answer()

    def sampling_open() -> Asked:
        """Opened in a bad moment, a sampler is well again at the next sample."""
        return Asked(lambda: numaprobe.Sampler(root), lambda sampler: _closing(sampler, sample_of(sampler)))

    def sampling() -> Asked:
        sampler = numaprobe.Sampler(root)
        sampler.sample()
        return Asked(lambda: sample_of(sampler))

    def recording() -> Asked:
        folder = Path(tempfile.mkdtemp(dir=root.parent))
        path = folder / "host.tar"
        return Asked(
            lambda: numaprobe.record(path, root=root, allowed=True, domains=True), lambda _: replayed(path, folder)
        )

    def scraping() -> Asked:
        """The background's work is done by the scrape itself, so that calls have an order."""
        from numaprobe.contrib import refresher
        from numaprobe.contrib.prometheus import NumaCollector

        refresher.Refresher.start = refresher.Refresher.turn  # type: ignore[assignment,method-assign]
        collector = NumaCollector(root, patience=20, counters=True)
        return Asked(lambda: scraped(collector))

    return {
        "probe": lambda: Asked(lambda: plain(host_of(root).to_dict())),
        "free": lambda: Asked(lambda: _closing(sampler := numaprobe.Sampler(root), plain(sampler.free()))),
        "sample": sampling,
        "sampler opened": sampling_open,
        "domains": lambda: Asked(lambda: guests_of(root, host)),
        "probe live": lambda: Asked(lambda: live(lambda: plain(host_of(None).to_dict()))),
        "domains live": lambda: Asked(lambda: live(lambda: guests_of(None, host))),
        "record": recording,
        "scrape": scraping,
    }


def _closing(sampler: numaprobe.Sampler, answer: Answer) -> Answer:
    sampler.close()
    return answer


def replayed(path: Path, folder: Path) -> Answer:
    """What a recording has; and nothing else is left where it was written."""
    assert os.listdir(folder) == [path.name], f"left over: {os.listdir(folder)}"
    host = numaprobe.probe(recording=path, devices=True, allowed=True)
    guests = numaprobe.domains(host, recording=path)
    document = domains_document(host, guests, numaprobe.account(host, guests), None)
    notes = [list(note) for note in (*host.notes, *guests.notes)]
    return plain({"host": host.to_dict(), "guests": document, "notes": notes})


def scraped(collector: Any) -> Answer:
    """The samples of every family but those that tell of time, and how many faults the endpoint counted."""
    try:
        found = {
            f"{sample.name} {sorted(sample.labels.items())}": sample.value
            for family in collector.collect()
            for sample in family.samples
            if "seconds" not in sample.name
        }
    finally:
        collector.close()
    said = {name: value for name, value in found.items() if any(word in name for word in TELLING)}
    samples = {n: v for n, v in found.items() if n not in said}
    complete = found.get("numaprobe_domains_complete []", 1) == 1
    return plain({"samples": samples, "notes": list(map(list, said.items())), "complete": complete})


# --- differences -----------------------------------------------------------------------------------------------

# Metrics by which an endpoint says that something went wrong.
TELLING = ("numaprobe_up", "error", "complete", "notes")
# Says how a figure is known, or what went wrong: changes with what it speaks of.
ABOUT = ("_from", "how", "where", "notes", "complete")
# What there is less of cannot be explained by a note: it would be another host.
WHOLE = ("cells", "cpus", "domains")


def differences(good: Any, bad: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(path, kind): ``unknown`` for None in place of a value, ``fewer`` and ``more`` of a list, ``other`` for a value."""
    if good == bad or path.rpartition(".")[2].endswith(ABOUT):
        return
    if bad is None:
        yield path, "unknown"
    elif isinstance(good, dict) and isinstance(bad, dict):
        for key in good.keys() | bad.keys():
            if key not in bad:
                yield f"{path}.{key}", "fewer"
            elif key not in good:
                yield f"{path}.{key}", "more"
            else:
                yield from differences(good[key], bad[key], f"{path}.{key}")
    elif isinstance(good, list) and isinstance(bad, list) and len(good) == len(bad):
        for number, (one, other) in enumerate(zip(good, bad, strict=True)):
            yield from differences(one, other, f"{path}.{number}")
    elif isinstance(good, list) and isinstance(bad, list):
        yield path, "fewer" if len(bad) < len(good) else "more"
    else:
        yield path, "other"


def unexplained(good: Answer, bad: Answer) -> list[str]:
    """The differences that nothing in the answer explains: no note, and no word that it is incomplete.

    An unknown value, or a list that is shorter, is explained by a note or by ``complete``; a figure that depends on a
    list which is said to be incomplete may differ; a cell or cpu that is missing is never explained.
    """
    sampled = "notes" not in bad  # a sample has none: an unknown figure is all that it says
    noted = sampled or [note for note in bad.get("notes", ()) if note not in good.get("notes", ())]
    incomplete = bad.get("complete") is False
    found = []
    for path, kind in sorted(differences(good, bad)):
        parts = path.split(".")
        if kind == "unknown" and (noted or incomplete):
            continue
        if kind == "fewer" and parts[-1] not in WHOLE and (noted or incomplete):
            continue
        if incomplete and (parts[1] in ("cells", "domains") or parts[-1].startswith("numaprobe_domain")):
            continue
        if bad.get("guests", {}).get("complete") is False and parts[1:3] in (
            ["guests", "cells"],
            ["guests", "domains"],
        ):
            continue
        found.append(f"{path.lstrip('.')}: {kind}")
    return found
