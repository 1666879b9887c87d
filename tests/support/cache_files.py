"""The files of caches, for machines as dictionaries (see ``trees``)."""

from __future__ import annotations

from collections.abc import Sequence

from trees import CPU, Machine, fold


def cache_files(
    index: int, level: int, kind: str, size: str, groups: Sequence[Sequence[int]], *, ids: bool, **geometry: int
) -> Machine:
    """One ``indexN`` of every cpu: the kernel has the same files below each of the cpus that share a cache."""
    tree: Machine = {}
    for number, group in enumerate(groups):
        for cpu in group:
            directory = f"{CPU}/cpu{cpu}/cache/index{index}"
            tree[f"{directory}/level"] = f"{level}\n"
            tree[f"{directory}/type"] = f"{kind}\n"
            tree[f"{directory}/size"] = f"{size}\n"
            tree[f"{directory}/shared_cpu_list"] = fold(group)
            tree |= {f"{directory}/{name}": f"{value}\n" for name, value in geometry.items()}
            if ids:
                tree[f"{directory}/id"] = f"{number}\n"
    return tree


def usual_caches(cores: Sequence[Sequence[int]], last: Sequence[Sequence[int]], *, ids: bool = True) -> Machine:
    """Three caches a core, and the last level shared by the groups of ``last``."""
    return {
        **cache_files(0, 1, "Data", "32K", cores, ids=ids),
        **cache_files(1, 1, "Instruction", "64K", cores, ids=ids),
        **cache_files(2, 2, "Unified", "512K", cores, ids=ids),
        **cache_files(3, 3, "Unified", "16384K", last, ids=ids),
    }
