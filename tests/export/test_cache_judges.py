"""Caches as lscpu and hwloc find them in the same trees: every fixture, and every recorded machine (``--machines``)."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest
from judges import program

import numaprobe
from numaprobe import Cache, Host, SourceUnavailable, export

FIXTURES = sorted((Path(__file__).parents[1] / "fixtures").glob("*/host.tar.gz"))
LETTERS = {"data": "d", "instruction": "i"}
# Where lscpu of util-linux 2.38 says otherwise, and why.
LSCPU = {
    "hwloc/16amd64-8n2c-cpusets": "counts the caches of an offline cpu, whose directory was left in the tree",
    "hwloc/40intel64-4n10c+pci-conflicts": "takes the mask of cpu 2's third level, which the list next to it contradicts",
    "hwloc/2ps3-2t": "crashes",
    "hwloc/64amd64-4s2n4ca2co": "takes masks, which were edited in this tree, and not the lists next to them",
    "hwloc/8em64t-2s4c-asymcaches": "counts the caches of one level by those of the first cpu",
    "hwloc/8ia64-2s2c2t": "counts a cache whose mask is zero once for each thread of its core",
    "hwloc/offline-cpu0-node0": "counts the caches of offline cpus, whose directories were left in the tree",
    "util-linux/rv64-linux": "finds no kind of cpu in cpuinfo, and then shows no caches",
    "util-linux/sparc64": "has the sizes of caches from files of sparc64, which do not say who shares them",
    "subman/ia64-56cpu": "takes an L1 of type data for a kind without a letter",
    "subman/ppc64-power6-lpar-rhel64-8cpu": "cannot read the list of possible cpus",
    "util-linux/rv64-visionfive2": "finds no kind of cpu in cpuinfo, and then shows no caches",
    "util-linux/s390-lpar-drawer": "has levels 3 and 4 from s390's cpuinfo; sysfs does not have them",
    "util-linux/s390-nested-virt": "has levels 3 and 4 from s390's cpuinfo; sysfs does not have them",
}
# The same for hwloc 2.9.
HWLOC = {
    "hwloc/64amd64-4s2n4ca2co": "takes masks, which were edited in this tree, and not the lists next to them",
    "hwloc/40intel64-4n10c+pci-conflicts": "as lscpu: the mask of one cpu contradicts its list, so that the cache is lost",
    "hwloc/128arm-2pa2n8cluster4co": "computes 128 ways of level 3 from size, line and sets; the kernel's file has 15",
    "fake-chiplets": "has no cpus without topology files, and a recording has those of one cpu of each core only",
    "libvirt/vircaps-resctrl-skx": "reads a size of 33M, which no kernel prints, as 33 kB",
    "libvirt/vircaps-resctrl-skx-twocaches": "reads a size of 33M, which no kernel prints, as 33 kB",
    "hwloc-old/64intel64-fakeKNL-A2A-cache": "has no ways without physical_line_partition, and splits a cache by cells",
    "hwloc-old/64intel64-fakeKNL-SNC4-hybrid": "has no ways without physical_line_partition",
}


def unpacked(archive: Path, folder: Path) -> Path:
    """The tree, completed with what the judges need and recordings lack: kinds of cpus, possible ones, masks."""
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile() or member.issym():
                tar.extract(member, folder, filter="data") if hasattr(tarfile, "data_filter") else tar.extract(
                    member, folder
                )
    root = folder if (folder / "sys").is_dir() else next((path.parent for path in folder.glob("*/sys")), None)
    if root is None:
        pytest.skip("a tree without sys")
    cpus = root / "sys/devices/system/cpu"
    cpuinfo = root / "proc/cpuinfo"
    if not cpuinfo.exists() or not cpuinfo.stat().st_size:
        cpuinfo.parent.mkdir(exist_ok=True)
        cpuinfo.write_text("vendor_id\t: x\n")
    ids = [int(path.name[3:]) for path in cpus.glob("cpu*") if re.fullmatch(r"cpu\d+", path.name)]
    if ids and not (cpus / "possible").exists():
        (cpus / "possible").write_text(f"0-{max(ids)}\n")
    for path in cpus.glob("cpu*/*/**/*_list"):
        mask = path.with_name({"shared_cpu_list": "shared_cpu_map"}.get(path.name, path.name.removesuffix("_list")))
        if not mask.exists():
            mask.write_text(_mask(path.read_text()))
    for path in cpus.glob("cpu*/topology/*_list"):
        mask = path.with_name(path.name.removesuffix("_list"))
        if not mask.exists():
            mask.write_text(_mask(path.read_text()))
    return root


def _mask(text: str) -> str:
    bits = 0
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        for number in range(int(first), int(last or first) + 1):
            bits |= 1 << number
    digits = f"{bits:x}"
    digits = digits.zfill(-(-len(digits) // 8) * 8)
    return ",".join(digits[at : at + 8] for at in range(0, len(digits), 8)) + "\n"


def probed(root: Path) -> Host:
    try:
        return numaprobe.probe(root, source="linux", caches=True, available=False)
    except SourceUnavailable as error:
        pytest.skip(f"no machine: {error}")


def by_name(caches: Iterator[Cache]) -> dict[str, tuple[int | None, ...]]:
    """One size, all sizes, ways, sets and line of the caches that lscpu calls by one name: those of the first."""
    found: dict[str, tuple[int | None, ...]] = {}
    for cache in caches:
        name = f"L{cache.level}{LETTERS.get(str(cache.type), '')}"
        one, total, *rest = found.get(name) or (cache.size, 0, cache.ways, cache.sets, cache.line_size)
        found[name] = (one, (total or 0) + (cache.size or 0), *rest)
    return {name: tuple(value or None for value in values) for name, values in found.items()}


def same_as_lscpu(name: str, root: Path) -> None:
    host = probed(root)
    words = [program("lscpu", "util-linux"), "--sysroot", str(root), "-C", "-B", "-J"]
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    theirs = {}
    if done.returncode == 0 and done.stdout.strip():
        for cache in json.loads(done.stdout)["caches"]:
            values = [cache.get(key) for key in ("one-size", "all-size", "ways", "sets", "coherency-size")]
            theirs[cache["name"]] = tuple(None if value is None else int(value) or None for value in values)
    ours = by_name(iter(host.caches or ()))
    if name in LSCPU:
        assert done.returncode or ours != theirs, f"{name} is argued for, and is the same"
        return
    if done.returncode and not ours:
        pytest.skip("no cpus to find caches of")
    assert (done.returncode, theirs) == (0, ours), done.stderr


def same_as_hwloc(name: str, root: Path) -> None:
    host = probed(root)
    words = [program("lstopo-no-graphics", "hwloc-nox"), "-i", str(root), "--if", "fsroot", "--of", "xml", "--no-io"]
    done = subprocess.run(
        [*words, "--disallowed"], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        pytest.skip("hwloc cannot load it")
    ours, theirs = of_topology(export.hwloc(host)), of_topology(done.stdout)
    if name in HWLOC:
        assert ours != theirs, f"{name} is argued for, and is the same"
        return
    assert ours == theirs


def of_topology(text: str) -> list[tuple[object, ...]]:
    names = ("type", "cache_size", "cache_type", "depth", "cache_linesize", "cache_associativity")
    found = []
    for element in ElementTree.fromstring(text).iter("object"):
        kind = str(element.get("type"))
        if "Cache" in kind and kind != "MemCache":
            cpus = int(str(element.get("cpuset")).replace(",0x", "").replace(",", "") or "0", 16)
            found.append((*(element.get(name) for name in names), cpus))
    return sorted(found, key=str)


@pytest.mark.parametrize("archive", FIXTURES, ids=lambda path: path.parent.name)
def test_lscpu_finds_the_same_caches_in_every_fixture(archive: Path, tmp_path: Path) -> None:
    """util-linux reads the same files by code of its own."""
    same_as_lscpu(archive.parent.name, unpacked(archive, tmp_path))


@pytest.mark.parametrize("archive", FIXTURES, ids=lambda path: path.parent.name)
def test_hwloc_finds_the_same_caches_in_every_fixture(archive: Path, tmp_path: Path) -> None:
    """The rules by which hwloc merges what CPUs share are its own."""
    same_as_hwloc(archive.parent.name, unpacked(archive, tmp_path))


def test_lscpu_finds_the_same_caches_on_every_recorded_machine(
    recorded_machine: tuple[Path, str], tmp_path: Path
) -> None:
    """Kernels and processors that the fixtures do not have."""
    folder, name = recorded_machine
    same_as_lscpu(name, unpacked(folder / f"{name}.tar.gz", tmp_path))


def test_hwloc_finds_the_same_caches_on_every_recorded_machine(
    recorded_machine: tuple[Path, str], tmp_path: Path
) -> None:
    """Each machine on which the two may differ stands in the module with its reason."""
    folder, name = recorded_machine
    same_as_hwloc(name, unpacked(folder / f"{name}.tar.gz", tmp_path))
