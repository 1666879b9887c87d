"""The host in other programs' formats: what is written of small machines, to the letter."""

from __future__ import annotations

import json
import os
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from commands import Plant, complaint, run, two_cells
from hosts import GIB, MIB, made

import numaprobe
from numaprobe import Access, Cell, Cpu, Host, HugePages, Hypervisor, Memory, SideCache, export
from numaprobe.linux.cpuinfo import of_cpuinfo


def cell(number: int, cpus: tuple[int, ...] | None, **known: object) -> Cell:
    memory = made(
        Memory, total=known.pop("total", None), free=known.pop("free", None), available=known.pop("available", None)
    )
    return made(
        Cell,
        **{"id": number, "cpus": cpus, "memory": memory, "huge_pages": (), "accesses": (), "side_caches": (), **known},
    )


def cpu(number: int, **known: object) -> Cpu:
    return made(Cpu, **{"id": number, "online": True, **known})


def two_nodes(**more: object) -> Host:
    """Two packages of one core with two threads each, a cell each; 4 GiB and 2 GiB, the second in part huge pages."""
    cells = (
        cell(0, (0, 1), total=4 * GIB, free=GIB, available=2 * GIB, distances=((0, 10), (1, 21)), huge_pages=()),
        cell(
            1,
            (2, 3),
            total=2 * GIB,
            free=GIB,
            distances=((0, 31), (1, 10)),
            huge_pages=(HugePages(2 * MIB, 100, 60, 0),),
        ),
    )
    cpus = tuple(
        cpu(n, cell=n // 2, package=n // 2, die=0, cluster=7, core=5, siblings=(n // 2 * 2, n // 2 * 2 + 1))
        for n in range(4)
    )
    return made(Host, **{"source": "linux", "cells": cells, "cpus": cpus, "notes": (), "machine": "x86_64", **more})


def unknown() -> Host:
    """Two cells of which only the number is known, with four cpus of which nothing more is known than their cell."""
    cells = (cell(3, (8, 9), distances=((3, 10), (5, None))), cell(5, None))
    return made(Host, source="linux", cells=cells, cpus=(cpu(8, cell=3), cpu(9, cell=3)), notes=())


def hmat() -> Host:
    """A cell with cpus and one without, which firmware describes and a cache stands before."""
    access0 = Access(0, (0,), 90, 95, 1000 << 20, None)
    access1 = Access(1, (0,), 70, None, 1000 << 20, 500 << 20)
    side = SideCache(1, 16 * MIB, 64, "direct", "write-back")
    half_known = SideCache(2, 16 * MIB, None, "direct", "write-back")
    cells = (
        cell(0, (0,), total=GIB),
        cell(2, (), total=GIB, accesses=(access0, access1), side_caches=(side, half_known), kind="cxl"),
    )
    one = cpu(0, cell=0, package=0, core=0, siblings=(0,))
    return made(Host, source="linux", cells=cells, cpus=(one,), notes=())


# --- libvirt ---------------------------------------------------------------------------------------------------


def test_libvirt_has_memory_pages_distances_and_cpus_of_each_cell() -> None:
    """Sizes in KiB; base pages are what huge ones leave; the way there and the way back are two distances."""
    assert export.libvirt(two_nodes()) == (
        """\
<capabilities>
  <host>
    <cpu>
      <arch>x86_64</arch>
    </cpu>
    <topology>
      <cells num='2'>
        <cell id='0'>
          <memory unit='KiB'>4194304</memory>
          <pages unit='KiB' size='4'>1048576</pages>
          <distances>
            <sibling id='0' value='10'/>
            <sibling id='1' value='21'/>
          </distances>
          <cpus num='2'>
            <cpu id='0' socket_id='0' die_id='0' core_id='5' siblings='0-1'/>
            <cpu id='1' socket_id='0' die_id='0' core_id='5' siblings='0-1'/>
          </cpus>
        </cell>
        <cell id='1'>
          <memory unit='KiB'>2097152</memory>
          <pages unit='KiB' size='4'>473088</pages>
          <pages unit='KiB' size='2048'>100</pages>
          <distances>
            <sibling id='0' value='31'/>
            <sibling id='1' value='10'/>
          </distances>
          <cpus num='2'>
            <cpu id='2' socket_id='1' die_id='0' core_id='5' siblings='2-3'/>
            <cpu id='3' socket_id='1' die_id='0' core_id='5' siblings='2-3'/>
          </cpus>
        </cell>
      </cells>
    </topology>
  </host>
</capabilities>
"""
    )


def test_libvirt_11_wants_the_cluster_too() -> None:
    """The attribute is mandatory in the schema since libvirt 11 and forbidden before; nothing else differs."""
    text = export.libvirt(two_nodes(), version=11)
    assert "<cpu id='2' socket_id='1' die_id='0' cluster_id='7' core_id='5' siblings='2-3'/>" in text
    assert text.replace(" cluster_id='7'", "") == export.libvirt(two_nodes())


def test_libvirt_is_not_told_what_is_unknown() -> None:
    """Unknown memory, pages, distances and places of CPUs are left out, since XML has no null."""
    assert export.libvirt(unknown(), arch="aarch64") == (
        """\
<capabilities>
  <host>
    <cpu>
      <arch>aarch64</arch>
    </cpu>
    <topology>
      <cells num='2'>
        <cell id='3'>
          <distances>
            <sibling id='3' value='10'/>
          </distances>
          <cpus num='2'>
            <cpu id='8'/>
            <cpu id='9'/>
          </cpus>
        </cell>
        <cell id='5'>
        </cell>
      </cells>
    </topology>
  </host>
</capabilities>
"""
    )
    assert "<cpu>" not in export.libvirt(unknown())


def test_libvirt_has_caches_and_interconnects_that_are_known_in_full() -> None:
    """Initiators with cpus first, as libvirt takes them; latency in ns, bandwidth in KiB; a cell without cpus has none."""
    found = ElementTree.fromstring(export.libvirt(hmat()))
    second = found.findall(".//cell")[1]
    assert [(cache.attrib, [(part.tag, part.attrib) for part in cache]) for cache in second.findall("cache")] == [
        (
            {"level": "1", "associativity": "direct", "policy": "writeback"},
            [("size", {"value": "16384", "unit": "KiB"}), ("line", {"value": "64", "unit": "B"})],
        )
    ]
    assert [cpus.attrib for cpus in second.findall("cpus")] == [{"num": "0"}]
    way = {"initiator": "0", "target": "2"}
    assert [(way.tag, way.attrib) for way in found.findall(".//interconnects/*")] == [
        ("latency", {**way, "type": "read", "value": "70"}),
        ("bandwidth", {**way, "type": "read", "value": "1024000", "unit": "KiB"}),
        ("bandwidth", {**way, "type": "write", "value": "512000", "unit": "KiB"}),
    ]


def test_libvirt_has_two_schemas_and_no_third() -> None:
    """Version 10 falls between the two, and guessing which one is meant would give invalid XML."""
    with pytest.raises(ValueError, match="9 or 11, not 10"):
        export.libvirt(two_nodes(), version=10)


# --- hwloc -----------------------------------------------------------------------------------------------------


def objects(host: Host) -> list[tuple[str, str | None, str, str]]:
    """Type, number, cpus and cells of every object, from the outermost on."""
    found = ElementTree.fromstring(export.hwloc(host)).iter("object")
    return [(o.get("type", ""), o.get("os_index"), o.get("cpuset", ""), o.get("nodeset", "")) for o in found]


def test_hwloc_has_memory_beside_the_package_it_is_of() -> None:
    """The expected objects are written by hand, with sets in hwloc's notation and core ids that repeat."""
    assert objects(two_nodes()) == [
        ("Machine", "0", "0x0000000f", "0x00000003"),
        ("Package", "0", "0x00000003", "0x00000001"),
        ("NUMANode", "0", "0x00000003", "0x00000001"),
        ("Core", "5", "0x00000003", "0x00000001"),
        ("PU", "0", "0x00000001", "0x00000001"),
        ("PU", "1", "0x00000002", "0x00000001"),
        ("Package", "1", "0x0000000c", "0x00000002"),
        ("NUMANode", "1", "0x0000000c", "0x00000002"),
        ("Core", "5", "0x0000000c", "0x00000002"),
        ("PU", "2", "0x00000004", "0x00000002"),
        ("PU", "3", "0x00000008", "0x00000002"),
    ]


def test_hwloc_has_bytes_of_memory_and_pages_of_each_size() -> None:
    """Base pages are what is left when huge pages are taken off, as hwloc counts them."""
    nodes = [o for o in ElementTree.fromstring(export.hwloc(two_nodes())).iter("object") if o.get("type") == "NUMANode"]
    assert [(o.get("local_memory"), [p.attrib for p in o.findall("page_type")]) for o in nodes] == [
        ("4294967296", [{"size": "4096", "count": "1048576"}]),
        ("2147483648", [{"size": "4096", "count": "473088"}, {"size": "2097152", "count": "100"}]),
    ]


def test_hwloc_has_the_distances_row_by_row_if_all_are_known() -> None:
    """The matrix is asymmetric, so a transposed one would show; with a hole in it there is none."""
    text = export.hwloc(two_nodes())
    assert '<indexes length="4">0 1 </indexes>' in text
    assert '<u64values length="12">10 21 31 10 </u64values>' in text
    assert "distances2" not in export.hwloc(unknown())


def test_hwloc_shows_cells_inside_a_package_as_groups() -> None:
    """A package of two cells; its second cell has an offline cpu, which is a number and no object."""
    cpus = (cpu(0, cell=4, package=0), cpu(1, cell=9, package=0), cpu(2, online=False, cell=9))
    host = made(Host, source="linux", cells=(cell(4, (0,)), cell(9, (1,))), cpus=cpus, notes=())
    found = ElementTree.fromstring(export.hwloc(host))
    assert objects(host) == [
        ("Machine", "0", "0x00000003", "0x00000210"),
        ("Package", "0", "0x00000003", "0x00000210"),
        ("Group", None, "0x00000001", "0x00000010"),
        ("NUMANode", "4", "0x00000001", "0x00000010"),
        ("PU", "0", "0x00000001", "0x00000010"),
        ("Group", None, "0x00000002", "0x00000200"),
        ("NUMANode", "9", "0x00000002", "0x00000200"),
        ("PU", "1", "0x00000002", "0x00000200"),
    ]
    wide = [o.get("complete_cpuset") for o in found.iter("object") if o.get("type") in ("Machine", "Package", "Group")]
    assert wide == ["0x00000007", "0x00000007", "0x00000001", "0x00000006"]


def test_hwloc_leaves_out_a_package_that_crosses_a_cell() -> None:
    """Its object could not nest in hwloc's tree, so packages are dropped rather than cells."""
    cpus = tuple(cpu(n, cell=n // 2, package=n % 2) for n in range(4))
    host = made(Host, source="linux", cells=(cell(0, (0, 1)), cell(1, (2, 3))), cpus=cpus, notes=())
    assert [kind for kind, *_ in objects(host) if kind not in ("PU", "NUMANode")] == ["Machine", "Group", "Group"]


def test_cores_whose_threads_contradict_each_other_are_none() -> None:
    """CPU 0's file says that it is alone, CPU 1's that the two share a core."""
    cpus = (
        cpu(0, cell=0, core=0, siblings=(0,)),
        cpu(1, cell=0, core=1, siblings=(0, 1)),
        cpu(2, cell=0, core=2, siblings=(2,)),
    )
    host = made(Host, source="linux", cells=(cell(0, (0, 1, 2)),), cpus=cpus, notes=())
    assert [(kind, n) for kind, n, *_ in objects(host) if kind != "NUMANode"] == [
        ("Machine", "0"),
        ("Core", "0"),
        ("PU", "0"),
        ("PU", "1"),
        ("Core", "2"),
        ("PU", "2"),
    ]
    assert export.slurm(host) == "NodeName=DEFAULT CPUs=3 Boards=1\n"


def test_hwloc_hangs_memory_without_cpus_on_the_machine_inside_its_cache() -> None:
    """A CPU-less node from ACPI's HMAT, behind two levels of memory-side cache."""
    assert objects(hmat())[:5] == [
        ("Machine", "0", "0x00000001", "0x00000005"),
        ("NUMANode", "0", "0x00000001", "0x00000001"),
        ("MemCache", None, "0x00000001", "0x00000004"),
        ("MemCache", None, "0x00000001", "0x00000004"),
        ("NUMANode", "2", "0x00000001", "0x00000004"),
    ]


def test_hwloc_writes_sets_as_it_prints_them() -> None:
    """Words of 32 bits, the highest first; of an empty one inside there is the comma, of the last one ``0x0``."""
    cpus = tuple(cpu(n, cell=0) for n in (0, 96, 100))
    host = made(Host, source="linux", cells=(cell(0, (0, 96, 100)), cell(64, ())), cpus=cpus, notes=())
    assert objects(host)[0][2:] == ("0x00000011,,,0x00000001", "0x00000001,,0x00000001")
    assert objects(host)[-1] == ("PU", "100", "0x00000010,,,0x0", "0x00000001,,0x00000001")


def test_hwloc_is_told_the_hypervisor_and_the_kinds_of_cpus() -> None:
    """Names and values are those that hwloc's own Linux backend uses."""
    xen = made(Hypervisor, name="xen", version="4.17.7")
    cpus = (cpu(0, cell=0, kind="core"), cpu(1, cell=0, kind="atom"), cpu(2, cell=0, kind="capacity-250"))
    host = made(Host, source="xen", hypervisor=xen, cells=(cell(0, (0, 1, 2)),), cpus=cpus, notes=())
    found = ElementTree.fromstring(export.hwloc(host, arch="x86_64"))
    assert {info.get("name"): info.get("value") for info in found.findall("object/info")} == {
        "Backend": "numaprobe",
        "Architecture": "x86_64",
        "Hypervisor": "xen 4.17.7",
    }
    assert [(k.get("cpuset"), [i.attrib for i in k]) for k in found.findall("cpukind")] == [
        ("0x00000001", [{"name": "CoreType", "value": "IntelCore"}]),
        ("0x00000002", [{"name": "CoreType", "value": "IntelAtom"}]),
        ("0x00000004", [{"name": "LinuxCapacity", "value": "250"}]),
    ]


def test_hwloc_and_slurm_want_a_cpu() -> None:
    """Neither format can express a host whose CPUs are unknown, so export refuses in words."""
    host = made(Host, source="linux", cells=(cell(0, None),), cpus=(), notes=())
    with pytest.raises(ValueError, match="CPUs are unknown"):
        export.hwloc(host)
    with pytest.raises(ValueError, match="CPUs are unknown"):
        export.slurm(host)


# --- Kubernetes ------------------------------------------------------------------------------------------------


def test_nrt_has_a_zone_for_each_cell() -> None:
    """Quantities are bytes as text; huge pages are taken off what is allocatable as ordinary memory."""
    assert json.loads(export.nrt(two_nodes(), name="worker-1")) == {
        "apiVersion": "topology.node.k8s.io/v1alpha2",
        "kind": "NodeResourceTopology",
        "metadata": {"name": "worker-1"},
        "zones": [
            {
                "name": "node-0",
                "type": "Node",
                "costs": [{"name": "node-0", "value": 10}, {"name": "node-1", "value": 21}],
                "resources": [
                    {"name": "cpu", "capacity": "2", "allocatable": "2", "available": "2"},
                    {
                        "name": "memory",
                        "capacity": "4294967296",
                        "allocatable": "4294967296",
                        "available": "2147483648",
                    },
                ],
            },
            {
                "name": "node-1",
                "type": "Node",
                "costs": [{"name": "node-0", "value": 31}, {"name": "node-1", "value": 10}],
                "resources": [
                    {"name": "cpu", "capacity": "2", "allocatable": "2", "available": "2"},
                    {
                        "name": "memory",
                        "capacity": "2147483648",
                        "allocatable": "1937768448",
                        "available": "1073741824",
                    },
                    {
                        "name": "hugepages-2Mi",
                        "capacity": "209715200",
                        "allocatable": "209715200",
                        "available": "125829120",
                    },
                ],
            },
        ],
    }


def test_nrt_leaves_out_what_is_unknown() -> None:
    """Kubernetes would read a 0 as no memory; a missing resource makes no claim."""
    document = json.loads(export.nrt(unknown()))
    assert document["metadata"] == {}
    assert document["zones"] == [
        {
            "name": "node-3",
            "type": "Node",
            "costs": [{"name": "node-3", "value": 10}],
            "resources": [{"name": "cpu", "capacity": "2", "allocatable": "2", "available": "2"}],
        },
        {"name": "node-5", "type": "Node", "resources": []},
    ]


@pytest.mark.parametrize(("size", "name"), [(2 << 20, "2Mi"), (1 << 30, "1Gi"), (64 << 10, "64Ki"), (16 << 30, "16Gi")])
def test_nrt_names_huge_pages_as_kubernetes_does(size: int, name: str) -> None:
    """Node agents and pods use these names, so a different spelling would never match a request."""
    host = made(Host, source="linux", cells=(cell(0, (), huge_pages=(HugePages(size, 3, 1, 0),)),), cpus=(), notes=())
    pages = json.loads(export.nrt(host))["zones"][0]["resources"][1]
    assert pages == {
        "name": f"hugepages-{name}",
        "capacity": str(3 * size),
        "allocatable": str(3 * size),
        "available": str(size),
    }


# --- lscpu and Slurm -------------------------------------------------------------------------------------------


def test_lscpu_counts_cores_and_sockets_and_leaves_the_unknown_empty() -> None:
    """Both are numbered in order of appearance: core 9 of two packages is two, and package 30 is socket 0."""
    cpus = (
        cpu(0, cell=7, package=30, core=9, siblings=(0, 5)),
        cpu(2, cell=None, package=10, core=9, siblings=None),
        cpu(3, online=False),
        cpu(4, cell=8, package=10, core=9, siblings=(4,)),
        cpu(5, cell=7, package=30, core=9, siblings=(0, 5)),
        cpu(6),
    )
    text = export.lscpu(made(Host, source="linux", cells=(), cpus=cpus, notes=()))
    assert [line for line in text.splitlines() if not line.startswith("#")] == [
        "0,0,0,7",
        "2,,1,",
        "4,1,1,8",
        "5,0,0,7",
        "6,,,",
    ]
    assert text.splitlines()[1] == "# CPU,Core,Socket,Node"


def test_slurm_has_one_line_with_mib() -> None:
    """The line for slurm.conf, compared to the letter; 6 GiB are 6144 of Slurm's MB."""
    assert export.slurm(two_nodes(), name="n1") == (
        "NodeName=n1 CPUs=4 Boards=1 SocketsPerBoard=2 CoresPerSocket=1 ThreadsPerCore=2 RealMemory=6144\n"
    )


def test_slurm_says_no_more_than_the_cpus_if_their_cores_are_unknown() -> None:
    """Slurm derives the rest itself, and drains a node whose line contradicts what slurmd finds."""
    assert export.slurm(unknown()) == "NodeName=DEFAULT CPUs=2 Boards=1\n"


def test_slurm_names_no_sockets_and_cores_whose_product_is_not_the_number_of_cpus() -> None:
    """As where some threads of some cores are offline: Slurm would refuse a line that does not multiply out."""
    host = two_nodes()
    uneven = host._replace(
        cpus=tuple(
            cpu._replace(online=False, siblings=None)
            if cpu.id == host.cpus[-1].id
            else cpu._replace(siblings=tuple(other for other in cpu.siblings or () if other != host.cpus[-1].id))
            for cpu in host.cpus
        )
    )
    assert export.slurm(uneven, name="n1") == f"NodeName=n1 CPUs={len(host.cpus) - 1} Boards=1 RealMemory=6144\n"


def test_slurm_takes_no_name_that_its_file_could_not_hold() -> None:
    """A space would begin another parameter, and the config would not load."""
    with pytest.raises(ValueError, match="not 'a b'"):
        export.slurm(two_nodes(), name="a b")


# --- the architecture ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "machine"),
    [
        ("vendor_id\t: GenuineIntel\nflags\t\t: fpu lm sse\n", "x86_64"),
        ("vendor_id\t: GenuineIntel\nfdiv_bug\t: no\nflags\t\t: fpu lm\n", "i686"),
        ("vendor_id\t: GenuineIntel\nflags\t\t: fpu sse\n", "i686"),
        ("CPU implementer\t: 0x41\nFeatures\t: fp asimd\nCPU architecture: 8\n", "aarch64"),
        ("CPU implementer\t: 0x41\nFeatures\t: half thumb neon\nCPU architecture: 7\n", "armv7l"),
        ("CPU implementer\t: 0x41\nFeatures\t: half thumb neon\nCPU architecture: 8\n", None),
        ("vendor_id       : IBM/S390\nfacilities      : 0 1 2\n", "s390x"),
        ("vendor_id       : IBM/S390\n", None),
        ("vendor     : GenuineIntel\narch       : IA-64\n", "ia64"),
        ("cpu\t\t: POWER6 (architected)\n", "ppc64"),
        ("cpu\t\t: POWER7 (architected)\n", None),
        ("cpu\t\t: POWER9, altivec supported\n", None),
        ("hart\t: 0\nisa\t: rv64imafdc\n", "riscv64"),
        ("", None),
    ],
)
def test_a_recorded_cpuinfo_tells_the_architecture_or_nothing(text: str, machine: str | None) -> None:
    """Where two kernels print the same, as big- and little-endian POWER do, the answer is None."""
    assert of_cpuinfo(text) == machine


def test_a_live_host_has_the_kernels_word() -> None:
    """The oracle is uname of the running kernel."""
    assert numaprobe.probe(source="linux").machine == os.uname().machine


# --- the command -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["json", "libvirt", "hwloc", "nrt", "lscpu", "slurm"])
def test_export_writes_what_python_gives(form: str, plant: Plant, tmp_path: Path) -> None:
    """Standard output and the file have the same bytes, and no temporary file remains."""
    root, folder = plant(two_cells()), tmp_path / "out"
    folder.mkdir()
    printed = run("export", form, "--root", root)
    assert (printed.returncode, printed.stderr) == (0, "")
    more = {"devices": True, "allowed": True} if form == "json" else {}
    assert printed.stdout == getattr(export, form)(numaprobe.probe(root, **more))
    assert run("export", form, "--root", root, "-o", folder / "x").stdout == ""
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"x": printed.stdout}


def test_options_go_to_their_formats(plant: Plant) -> None:
    """The command's output is compared with the Python function's for the same options."""
    root = plant(two_cells())
    words = ("--root", root, "--libvirt-version", 11, "--arch", "ppc64le")
    assert run("export", "libvirt", *words).stdout == export.libvirt(numaprobe.probe(root), version=11, arch="ppc64le")
    assert run("export", "slurm", "--root", root, "--name", "n").stdout.startswith("NodeName=n CPUs=8 ")
    assert json.loads(run("export", "nrt", "--root", root, "--name", "n").stdout)["metadata"] == {"name": "n"}


def test_this_live_host_has_its_own_name() -> None:
    """A recording has no name, but for the running host slurm.conf and Kubernetes need one."""
    name = os.uname().nodename
    assert run("export", "slurm", "--source", "linux").stdout.startswith(f"NodeName={name} ")
    assert json.loads(run("export", "nrt", "--source", "linux").stdout)["metadata"] == {"name": name}


def test_wrong_use_is_one_line_and_status_2(plant: Plant, tmp_path: Path) -> None:
    """An option that the format ignores is an error too, and no output file is created."""
    root, file = plant(two_cells()), tmp_path / "x"
    for words, text in {
        ("lscpu", "--name", "n"): "--name has no effect on lscpu",
        ("hwloc", "--libvirt-version", "9"): "--libvirt-version has no effect on hwloc",
        ("nrt", "--arch", "x86_64"): "--arch has no effect on nrt",
        ("libvirt", "--libvirt-version", "10"): "--libvirt-version must be one of 9, 11, not 10",
        ("yaml",): "there is no format 'yaml'; formats: json, libvirt",
        ("slurm", "--name", "a b"): "not 'a b'",
    }.items():
        assert text in complaint(2, "export", *words, "--root", root, "-o", file)
        assert not file.exists()


def test_a_file_that_cannot_be_written_is_named(plant: Plant, tmp_path: Path) -> None:
    """The message has the destination's path, since the source's is on the same command line."""
    assert str(tmp_path / "no" / "x") in complaint(
        1, "export", "hwloc", "--root", plant(two_cells()), "-o", tmp_path / "no" / "x"
    )


def test_every_format_of_the_command_is_documented() -> None:
    """The page's headings are compared with the formats; four of them are described on other pages."""
    page = (Path(__file__).parents[2] / "docs" / "exports.md").read_text()
    assert set(export.FORMATS) <= set(re.findall(r"^## `?(\w+)`?", page, re.M)) | {
        "json",
        "prometheus",
        "collectd",
        "telegraf",
    }


def test_another_format_is_refused() -> None:
    """The message of the Python function lists all formats, or names the option that does not belong."""
    with pytest.raises(ValueError, match=r"format must be one of json, .*, not 'yaml'"):
        export.render(two_nodes(), "yaml")
    with pytest.raises(ValueError, match="format json takes no name"):
        export.render(two_nodes(), "json", name="n")
