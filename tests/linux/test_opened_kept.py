"""How many files of each kind a probe opens, on machines of each shape: kept to the letter.

``tests/linux/opened.txt`` has a line for each kind, with the ids in its path written as N, and for each method of the
reader how often it is called. ``pytest tests/linux/test_opened_kept.py --rewrite`` writes it anew; read the difference
before you commit it: a shortcut that is lost shows here and in no result.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import fakes
import pytest
from cache_files import cache_files, usual_caches
from kept import agrees
from rich import rich
from trees import CPU, Machine, Shelf, machine, plant

from numaprobe.linux.collect import collect
from numaprobe.linux.kept import forget
from numaprobe.sources.tree import Tree

KEPT = Path(__file__).parent / "opened.txt"


class Counting:
    """A reader that counts what is asked of another one, with whatever methods that has."""

    def __init__(self, reader: Any) -> None:
        self.reader = reader
        self.counts: Counter[str] = Counter()

    def read(self, paths: Sequence[str], base: str = "") -> list[bytes | int]:
        """Counts each path by its kind."""
        self.counts["read()"] += 1
        self.counts.update(re.sub("[0-9]+", "N", f"{base}/{path}" if base else path) for path in paths)
        return self.reader.read(paths, base)  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.reader, name)

        def counted(*given: Any) -> Any:
            if name in ("watch", "unchanged"):
                self.counts[f"{name}()"] += 1
                return method(*given)
            text = ", ".join(str(len(one)) if isinstance(one, (list, tuple)) else str(one) for one in given)
            self.counts[re.sub("[0-9]+", "N", f"{name}({text})") if name == "listdir" else f"{name}({text})"] += 1
            return method(*given)

        return counted


def cores_of_two_threads() -> Machine:
    """Cores of two threads each, four to a package, with caches of each core and of each package."""
    tree = machine({0: range(8), 1: range(8, 16)}, threads=2)
    return tree | usual_caches([(i, i + 1) for i in range(0, 16, 2)], [range(8), range(8, 16)])


def clusters(each: int) -> Machine:
    """Clusters of so many CPUs, on cores of two threads."""
    tree = machine({0: range(8), 1: range(8, 16)}, threads=2)
    for cpu in range(16):
        first = cpu // each * each
        tree[f"{CPU}/cpu{cpu}/topology/cluster_id"] = f"{first}\n"
        tree[f"{CPU}/cpu{cpu}/topology/cluster_cpus_list"] = f"{first}-{first + each - 1}\n"
    return tree


def without_threads() -> Machine:
    return machine({0: range(8), 1: range(8, 16)}) | {f"{CPU}/smt/active": "0\n"}


def capacities() -> Machine:
    return clusters(4) | {f"{CPU}/cpu{cpu}/cpu_capacity": f"{512 + 512 * (cpu // 8)}\n" for cpu in range(16)}


def s390() -> Machine:
    tree = machine({0: range(8)}, threads=2)
    for cpu in range(8):
        tree[f"{CPU}/cpu{cpu}/topology/book_id"] = f"{cpu // 4}\n"
        tree[f"{CPU}/cpu{cpu}/topology/book_siblings_list"] = f"{cpu // 4 * 4}-{cpu // 4 * 4 + 3}\n"
        tree[f"{CPU}/cpu{cpu}/topology/drawer_id"] = "1\n"
        tree[f"{CPU}/cpu{cpu}/topology/drawer_siblings_list"] = "0-7\n"
    return tree


def many() -> Machine:
    """More cores than are read at a time."""
    return machine({0: range(70)}) | cache_files(0, 2, "Unified", "512K", [(cpu,) for cpu in range(70)], ids=False)


def contradicting() -> Machine:
    return cores_of_two_threads() | {f"{CPU}/cpu3/topology/core_cpus_list": "4-5\n"}


def contradicting_without_ids() -> Machine:
    return {path: text for path, text in contradicting().items() if not path.endswith("core_id")}


MACHINES = {
    "threads": cores_of_two_threads,
    "clusters of two": lambda: clusters(2),
    "clusters of four": lambda: clusters(4),
    "no threads": without_threads,
    "capacities": capacities,
    "s390": s390,
    "many": many,
    "contradicting": contradicting,
    "contradicting without ids": contradicting_without_ids,
    "chiplets": fakes.chiplets,
    "hybrid": fakes.hybrid_arm,
    "rich": rich,
}


def told(folder: Path) -> Iterator[str]:
    for name, make in MACHINES.items():
        tree = make()
        readers = {"shelf": Shelf(tree), "tree": Tree(plant(folder / name.replace(" ", "-"), tree))}
        facts = []
        for kind, reader in readers.items():
            for everything in (True,) if kind == "shelf" else (False, True):
                forget()
                counting = Counting(reader)
                options = dict.fromkeys(("devices", "allowed", "caches", "usable", "memory_state"), everything)
                facts.append(collect(counting, **options))
                yield f"{name}, {kind}{', everything' if everything else ''}"
                yield from (f"  {count} {what}" for what, count in sorted(counting.counts.items()))
        assert facts[0] == facts[2]


def test_no_more_files_are_opened_than_before(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """With a reader that reads a level of the topology in one call, and with one that does not; the facts are alike."""
    agrees(KEPT, told(tmp_path), pytestconfig)
