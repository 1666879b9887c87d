"""Machines that other projects recorded, against what is independently known of them.

Given with ``--machines DIR`` or ``NUMAPROBE_MACHINES``: ``SOURCE/NAME.tar.gz`` beside ``truth/SOURCE/NAME.json``. Each
is read as an archive and as a directory. What the truth lists as ambiguous is not compared.
"""

from __future__ import annotations

import json
import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemas

import numaprobe
from numaprobe.model.documents import free_document

Truth = dict[str, Any]
Row = tuple[str, object, object]

# Neither a node nor a cpu is in these recordings, so there is no host to tell of.
WITHOUT_A_HOST = {
    "hwloc/allowed-test1.fsroot": "has control groups only; its machine was made up on the command line",
    "hwloc-old/1alpha": "has no cpu directory: the kernel of that time told of cpus in /proc/cpuinfo alone",
    "util-linux/lsmem-aarch64_16K_16g": "has memory blocks only",
}

# Where this project reads the kernel's files otherwise than the truth does, by machine and field.
DISAGREEMENTS = {
    ("pcp/sysdev-root-002", "cells"): "no node directory is one cell with everything; the truth says there are none",
    ("subman/ppc64-power6-rhel5.9-4-cpu", "cells"): "the same",
    ("subman/s390x-rhel5-2cpu-zvm", "cells"): "the same",
}


def rows(host: numaprobe.Host, truth: Truth) -> Iterator[Row]:
    """What the truth knows and is sure of: (field, expected, found)."""
    unsure = set(truth.get("ambiguous") or ())
    for field, expected, found in every_row(host, truth):
        group = field.partition(" ")[0]
        if group not in unsure and group.partition(".")[0] not in unsure:
            yield field, expected, found


def every_row(host: numaprobe.Host, truth: Truth) -> Iterator[Row]:
    yield "cells.id", [cell["id"] for cell in truth["cells"]], [cell.id for cell in host.cells]
    yield from cell_rows(host, truth)
    yield from cpu_rows(host, truth)
    yield from firmware_rows(host, truth)
    yield from process_rows(host, truth)


def cell_rows(host: numaprobe.Host, truth: Truth) -> Iterator[Row]:
    cells = {cell.id: cell for cell in host.cells}
    order = sorted(cell["id"] for cell in truth["cells"])
    for expected in truth["cells"]:
        found = cells.get(expected["id"])
        if found is None:
            continue
        name = f"cell {found.id}"
        if expected.get("cpus") is not None:
            yield f"cells.cpus {name}", tuple(expected["cpus"]), found.cpus
        if expected.get("memory_bytes") is not None:
            yield f"cells.memory_bytes {name}", expected["memory_bytes"], found.memory.total
        if expected.get("distances") is not None:
            row = dict(found.distances or ())
            values = (
                [row.get(cell) for cell in order] if len(order) == len(expected["distances"]) else list(row.values())
            )
            yield f"cells.distances {name}", expected["distances"], values
        if expected.get("hugepages") is not None:
            pages = {str(pages.size >> 10): pages.total for pages in found.huge_pages}
            yield f"cells.hugepages {name}", expected["hugepages"], pages


def cpu_rows(host: numaprobe.Host, truth: Truth) -> Iterator[Row]:
    cpus = {cpu.id: cpu for cpu in host.cpus}
    online = {cpu["id"] for cpu in truth["cpus"] if cpu["online"]}
    yield "cpus.online", online, {cpu.id for cpu in host.cpus if cpu.online}
    by_package: dict[object, set[int]] = {}
    by_die: dict[object, set[int]] = {}
    for cpu in host.cpus:
        if cpu.online:
            by_package.setdefault(cpu.package, set()).add(cpu.id)
            by_die.setdefault((cpu.package, cpu.die), set()).add(cpu.id)
    for expected in truth["cpus"]:
        found = cpus.get(expected["id"])
        if found is None:
            continue
        name = f"cpu {found.id}"
        if not expected["online"]:
            yield f"cpus.online {name}", False, found.online
            continue
        for field in ("cell", "package", "die", "cluster", "core", "book", "drawer"):
            if expected.get(field) is not None:
                yield f"cpus.{field} {name}", expected[field], getattr(found, field)
        if expected.get("thread_siblings") is not None:
            yield f"cpus.thread_siblings {name}", online & set(expected["thread_siblings"]), set(found.siblings or ())
        if expected.get("package_siblings") is not None and expected.get("package") is not None:
            yield f"cpus.package_siblings {name}", online & set(expected["package_siblings"]), by_package[found.package]
        if expected.get("die_siblings") is not None and expected.get("die") is not None:
            yield f"cpus.die_siblings {name}", online & set(expected["die_siblings"]), by_die[found.package, found.die]


def firmware_rows(host: numaprobe.Host, truth: Truth) -> Iterator[Row]:
    cells = {cell.id: cell for cell in host.cells}
    figures = {
        "ReadLatency": "read_latency",
        "WriteLatency": "write_latency",
        "ReadBandwidth": "read_bandwidth",
        "WriteBandwidth": "write_bandwidth",
    }
    for expected in truth.get("memattrs") or ():
        field = figures.get(expected["attr"])
        cell = cells.get(expected["target_node"])
        if field is None or cell is None:
            continue
        unit = 1 << 20 if "Bandwidth" in expected["attr"] else 1
        found = {
            tuple(sorted(cpu for i in access.initiators for cpu in host.cell(i).cpus or ())): getattr(access, field)
            for access in cell.accesses
        }
        where = tuple(sorted(expected["initiator_cpus"]))
        yield (
            f"memattrs {expected['attr']} of cell {cell.id} from cpus {where}",
            expected["value"] * unit,
            found.get(where),
        )
    for expected in truth.get("memory_side_caches") or ():
        for node in expected["nodes"]:
            found_caches = [(c.size, c.line_size) for c in cells[node].side_caches if c.level == expected["depth"]]
            yield f"memory_side_caches cell {node}", [(expected["size"], expected["linesize"])], found_caches
    for node, kind in (truth.get("hwloc_memory_subtype") or {}).items():
        if kind == "GPUMemory":
            yield f"hwloc_memory_subtype cell {node}", "gpu", cells[int(node)].kind


def process_rows(host: numaprobe.Host, truth: Truth) -> Iterator[Row]:
    devices = {device.address: device for device in host.devices or ()}
    for expected in truth.get("pci") or ():
        device = devices.get(expected["busid"])
        yield f"pci {expected['busid']}", True, device is not None
        if device is None:
            continue
        kind = None if device.class_code is None else device.class_code >> 8
        for field, ours in (("vendor", device.vendor), ("device", device.device), ("class", kind)):
            # The truth has 0 where the recording has no such file.
            yield f"pci {expected['busid']} {field}", int(expected[field], 16) or None, ours
        file = expected.get("numa_node_file")
        if file is not None:
            yield f"pci {expected['busid']} cell", None if file < 0 else file, device.cell
    expected = truth.get("allowed")
    if expected and expected.get("restricted") and host.allowed is not None:
        yield "allowed cpus", tuple(expected["cpus"]), host.allowed.cpus
        yield "allowed cells", tuple(expected["cells"]), host.allowed.cells


@pytest.fixture(scope="module")
def root(recorded_machine: tuple[Path, str]) -> Iterator[Path]:
    """The machine as a directory, for the time of its tests; in memory where that can be, for there are many files."""
    folder, name = recorded_machine
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as place:
        with tarfile.open(folder / f"{name}.tar.gz") as tar:
            tar.extractall(place, filter="tar")
        yield Path(place) / name.rpartition("/")[2]


def probe_both(folder: Path, name: str, root: Path) -> numaprobe.Host:
    """The host, read as an archive and as a directory, which must not differ."""
    directory = numaprobe.probe(root, source="linux", devices=True, allowed=True)
    archive = numaprobe.probe(recording=folder / f"{name}.tar.gz", source="linux", devices=True, allowed=True)
    assert archive == directory
    return directory


def test_a_recorded_machine_is_what_is_known_of_it(recorded_machine: tuple[Path, str], root: Path) -> None:
    """Every field that the truth is sure of agrees, but for those that are listed above with a reason."""
    folder, name = recorded_machine
    truth = json.loads((folder / "truth" / f"{name}.json").read_text())
    if name in WITHOUT_A_HOST:
        with pytest.raises(numaprobe.SourceUnavailable, match="no node and no cpu"):
            probe_both(folder, name, root)
        return
    try:
        host = probe_both(folder, name, root)
    except numaprobe.NumaprobeError:
        assert truth.get("unusable"), "only an unusable recording may end in an error"
        return
    if truth.get("unusable"):
        return
    wrong = [row for row in rows(host, truth) if row[1] != row[2]]
    known = [field for machine, field in DISAGREEMENTS if machine == name]
    assert [row for row in wrong if not row[0].startswith(tuple(known))] == []
    assert [field for field in known if not any(row[0].startswith(field) for row in wrong)] == [], (
        "off the list with it"
    )


def test_a_recorded_machine_can_be_recorded_anew(root: Path, tmp_path: Path) -> None:
    """What numaprobe records of another tool's machine answers like that machine."""
    again = tmp_path / "again.tar"
    try:
        numaprobe.record(again, root=root, allowed=True, source="linux")
    except numaprobe.NumaprobeError:
        assert not again.exists()
        return
    wanted = numaprobe.probe(root, source="linux", devices=True, allowed=True)
    assert numaprobe.probe(recording=again, source="linux", devices=True, allowed=True) == wanted


def test_a_recorded_machine_makes_a_document_of_the_schema(root: Path) -> None:
    """Its JSON is valid and names nothing that the schema does not know."""
    try:
        host = numaprobe.probe(root, source="linux", devices=True, allowed=True)
    except numaprobe.NumaprobeError:
        return
    schemas.check("show", host.to_dict())
    schemas.check("free", free_document(host, None))


def test_every_file_of_the_truth_has_its_recording(recorded_machine: tuple[Path, str]) -> None:
    """A truth without its machine would be passed over in silence."""
    folder, name = recorded_machine
    assert (folder / f"{name}.tar.gz").is_file()
