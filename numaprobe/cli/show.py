"""``numaprobe show``: what a person wants to read first."""

from __future__ import annotations

from .. import probe
from ..errors import printable
from ..model.host import total
from ..wording import count
from ..wording import size as exact
from .layout import UNKNOWN, columns, id_words, page_count, page_size, size, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import TextIO

    from ..model.host import Cell, Host

LETTERS: dict[str | None, str] = {"data": "d", "instruction": "i"}


def run(options: argparse.Namespace, out: TextIO) -> None:
    host = probe(
        options.root,
        recording=options.recording,
        source=options.source,
        devices=True,
        allowed=True,
        caches=True,
        memory_state=options.memory_state,
    )
    if options.json:
        import json

        out.write(json.dumps(host.to_dict()) + "\n")
    else:
        out.write("\n".join(lines(host, columns())) + "\n")


def lines(host: Host, width: int) -> list[str]:
    """The whole screen: a headline, the cells, the CPUs, the distances, and the notes."""
    parts = (
        cells(host, width),
        cpus(host),
        distances(host, width),
        memory_kinds(host),
        memory_states(host),
        claims(host),
        allowed(host),
        notes(host),
    )
    out = [headline(host)]
    for part in parts:
        if part:
            out += ["", *part]
    return out


def headline(host: Host) -> str:
    name = f"{host.hypervisor.name} {host.hypervisor.version}" if host.hypervisor else host.source
    online = sum(cpu.online is True for cpu in host.cpus)
    # The host that reports this runs on one at least: a tree may be without its files.
    words = [name, count(len(host.cells), "cell"), count(online, "cpu") if online else "cpus unknown"]
    whole = total(cell.memory.total for cell in host.cells)
    free = total(cell.memory.free for cell in host.cells)
    available = total(cell.memory.available for cell in host.cells)
    inside = [f"{size(free)} free"] if free is not None else []
    # Under Xen nothing can be reclaimed: both are one figure.
    inside += [f"{size(available)} available"] if available not in (None, free) else []
    memory = "memory unknown" if whole is None else size(whole)
    words.append(memory + (f" ({', '.join(inside)})" if inside else ""))
    return " · ".join(words)


def cells(host: Host, width: int) -> list[str]:
    """One row per cell; columns without a value for any cell are left out."""
    by_cell: dict[int, set[int | None]] = {}
    for cpu in host.cpus:
        if cpu.cell is not None:
            by_cell.setdefault(cpu.cell, set()).add(cpu.package)
    named = any(package is not None for packages in by_cell.values() for package in packages)
    columns_: list[tuple[str, list[str]]] = [
        ("cell", [str(cell.id) for cell in host.cells]),
        ("cpus", [_cpu_list(cell.cpus, max(16, width - 70)) for cell in host.cells]),
    ]
    if named:
        columns_.append(("package", [_packages(cell, by_cell.get(cell.id, set())) for cell in host.cells]))
    columns_.append(("total", [size(cell.memory.total) for cell in host.cells]))
    if any(cell.memory.span is not None for cell in host.cells):
        columns_.append(("span", [size(cell.memory.span) for cell in host.cells]))
    columns_.append(("free", [size(cell.memory.free) for cell in host.cells]))
    if any(cell.memory.available not in (None, cell.memory.free) for cell in host.cells):
        columns_.append(("available", [size(cell.memory.available) for cell in host.cells]))
    for page in sorted({pages.size for cell in host.cells for pages in cell.huge_pages if pages.total}):
        columns_.append((f"{page_size(page)} pages free", [page_count(cell, page) for cell in host.cells]))
    return table([[name for name, _ in columns_], *zip(*(values for _, values in columns_), strict=True)], left=(1,))


def _packages(cell: Cell, packages: set[int | None]) -> str:
    """The packages of a cell's CPUs; unknown where none is known of a cell that has CPUs or may have some."""
    known = sorted([package for package in packages if package is not None])
    return UNKNOWN if not known and (packages or cell.cpus != ()) else id_words(known)


def _cpu_list(ids: tuple[int, ...] | None, width: int) -> str:
    """Folded cpus; dealt out in turn to the cells, as ``0-76:4`` (every fourth, as taskset writes it); or cut."""
    text = id_words(ids)
    if ids is None or len(text) <= width:
        return text
    from itertools import pairwise

    step = ids[1] - ids[0]
    if all(b - a == step for a, b in pairwise(ids)):
        return f"{ids[0]}-{ids[-1]}:{step}"
    return text[: width - 3].rpartition(",")[0] + ",..."


def cpus(host: Host) -> list[str]:
    online = [cpu for cpu in host.cpus if cpu.online]
    if not online:
        return []
    words = []
    packages = {cpu.package for cpu in online}
    if None not in packages:
        words.append(count(len(packages), "package"))
    dies = {(cpu.package, cpu.die) for cpu in online}
    if len(dies) > len(packages):
        words.append(count(len(dies), "die"))
    if all(cpu.siblings is not None for cpu in online):
        cores = {cpu.siblings for cpu in online if cpu.siblings is not None}
        words.append(count(len(cores), "core"))
        threads = {len(core) for core in cores}
        few, most = min(threads), max(threads)
        words.append(f"{few} to {most} threads a core" if few < most else f"{count(most, 'thread')} a core")
    out = ["cpus  " + " · ".join([f"{id_words(cpu.id for cpu in online)}", *words])]
    for label, ids in (
        ("offline", [cpu.id for cpu in host.cpus if cpu.online is False]),
        ("isolated", [cpu.id for cpu in online if cpu.isolated]),
        ("nohz_full", [cpu.id for cpu in online if cpu.nohz_full]),
        *without_cell(host),
    ):
        if ids:
            out.append(f"      {label}: {id_words(ids)}")
    kinds: dict[str, list[int]] = {}
    for cpu in online:
        if cpu.kind is not None:
            kinds.setdefault(cpu.kind, []).append(cpu.id)
    out += [f"      {kind}: {id_words(ids)}" for kind, ids in kinds.items()]
    return out + caches(host)


def without_cell(host: Host) -> list[tuple[str, list[int]]]:
    """Online CPUs without one cell of their own, by what is known of that."""
    listed = {cpu for cell in host.cells for cpu in cell.cpus or ()}
    cpus = [cpu.id for cpu in host.cpus if cpu.online and cpu.cell is None]
    known = all(cell.cpus is not None for cell in host.cells)
    return [
        ("in several cells", [cpu for cpu in cpus if cpu in listed]),
        ("in no cell" if known else "of unknown cell", [cpu for cpu in cpus if cpu not in listed]),
    ]


def memory_states(host: Host) -> list[str]:
    """A line for each cell with memory blocks or failed pages, where they were requested."""
    out = []
    for cell in host.cells:
        words = []
        blocks, failures = cell.blocks, cell.failures
        if blocks is not None:
            each = "" if blocks.size is None else f" of {size(blocks.size)}"
            words.append(
                "memory blocks unknown" if blocks.total is None else count(blocks.total, "memory block") + each
            )
            words += [] if blocks.online is None else [f"{blocks.online} online"]
            words += [] if blocks.movable is None else [f"{blocks.movable} movable"]
        if failures is not None and failures.total is not None:
            words.append(f"{count(failures.total, 'page')} with memory errors")
        if words:
            out.append(f"cell {cell.id}: {', '.join(words)}")
    return out


def caches(host: Host) -> list[str]:
    """One line: how many caches of each kind and size, as ``L3 2 x 32 MiB``."""
    found: dict[str, dict[int | None, int]] = {}
    for cache in host.caches or ():
        sizes = found.setdefault(f"L{cache.level}{LETTERS.get(cache.type, '')}", {})
        sizes[cache.size] = sizes.get(cache.size, 0) + 1
    words = [
        f"{name} "
        + " + ".join(f"{number} x {UNKNOWN if each is None else exact(each)}" for each, number in sizes.items())
        for name, sizes in found.items()
    ]
    return ["      caches: " + " · ".join(words)] if words else []


def distances(host: Host, width: int) -> list[str]:
    """The matrix of distances, which one cell does not have."""
    if len(host.cells) < 2:
        return []
    from .distances import distances as matrix

    return matrix(host, width)


def memory_kinds(host: Host) -> list[str]:
    """What firmware and drivers report about the memory itself, one line for all cells with the same report."""
    tiers = len({cell.tier for cell in host.cells}) > 1
    found: dict[str, list[int]] = {}
    for cell in host.cells:
        words = [f"{cell.kind} memory"] if cell.kind is not None else []
        if tiers and cell.tier is not None:
            words.append(f"tier {cell.tier}")
        words += _access(cell)
        words += [f"level {cache.level} memory-side cache of {size(cache.size)}" for cache in cell.side_caches]
        if words:
            found.setdefault(" · ".join(words), []).append(cell.id)
    return [f"{'cell' if len(ids) == 1 else 'cells'} {id_words(ids)}: {words}" for words, ids in found.items()]


def _access(cell: Cell) -> list[str]:
    for access in cell.accesses[:1]:
        figures = []
        if access.read_latency is not None:
            figures.append(f"{access.read_latency} ns")
        if access.read_bandwidth is not None:
            figures.append(f"{size(access.read_bandwidth)}/s")
        if figures:
            return [f"read from cell {id_words(access.initiators)} at {', '.join(figures)}"]
    return []


def claims(host: Host) -> list[str]:
    """Memory that is free and spoken for."""
    if host.hypervisor is None or not host.hypervisor.claimed:
        return []
    text = f"promised to domains and not yet taken: {size(host.hypervisor.claimed)} of what is free"
    parts = [f"{size(cell.memory.claimed)} on cell {cell.id}" for cell in host.cells if cell.memory.claimed]
    return [f"{text} ({', '.join(parts)})" if len(host.cells) > 1 and parts else text]


def allowed(host: Host) -> list[str]:
    """What the calling process may use, if that is less than the host."""
    view = host.allowed
    if view is None:
        return []
    words = []
    if view.cpus is not None and set(view.cpus) < {cpu.id for cpu in host.cpus if cpu.online}:
        words.append(f"cpus {id_words(view.cpus)}")
    if view.cells is not None and set(view.cells) < {cell.id for cell in host.cells}:
        words.append(f"cells {id_words(view.cells)}")
    if view.quota is not None:
        words.append(f"the time of {view.quota:g} cpus")
    lines = ["allowed to this process: " + ", ".join(words)] if words else []
    if view.partitioned:
        lines.append(f"reserved by cpuset partitions: cpus {id_words(view.partitioned)}")
    return lines


def notes(host: Host) -> list[str]:
    if not host.notes:
        return []
    most = 20
    out = ["notes", *(printable(f"  {note.where}: {note.text}") for note in host.notes[:most])]
    if len(host.notes) > most:
        out.append(f"  and {len(host.notes) - most} more (--json has all)")
    return out
