"""What other programs make of the exports: xmllint with libvirt's and hwloc's own schemas, hwloc, Slurm, lscpu, nova."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import xml.etree.ElementTree as ElementTree
from functools import cache
from pathlib import Path

import fakes
import jsonschema
import pytest
import trees
from collected import ids_of
from commands import Plant
from judges import program, relax_ng, said

import numaprobe
from numaprobe import Host, export

FIXTURES = Path(__file__).parents[1] / "fixtures"
MACHINES = sorted(path.parent.name for path in FIXTURES.glob("*/host.tar.gz"))
DTD = Path("/usr/share/hwloc/hwloc2.dtd")
SLURM = ("CPUs", "SocketsPerBoard", "CoresPerSocket", "ThreadsPerCore")


@cache
def hosts() -> dict[str, Host]:
    """Every machine; of a recorded control domain also its own view."""
    found = {}
    for name in MACHINES:
        recording = FIXTURES / name / "host.tar.gz"
        found[name] = numaprobe.probe(recording=recording, caches=True)
        if found[name].source == "xen" and not name.startswith("fake"):
            found[f"{name} (dom0)"] = numaprobe.probe(recording=recording, source="linux", caches=True)
    return found


@pytest.fixture(scope="module")
def topologies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("hwloc")
    files = {name: folder / f"{number}.xml" for number, name in enumerate(hosts())}
    for name, path in files.items():
        path.write_text(export.hwloc(hosts()[name]))
    return files


def online(host: Host) -> int:
    return sum(cpu.online is not False for cpu in host.cpus)


# --- libvirt ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [9, 11])
def test_libvirts_schema_takes_every_machine(version: int, tmp_path: Path) -> None:
    """The architecture is given for the few hand-made recordings that do not include it."""
    texts = {
        name: export.libvirt(host, version=version, arch=host.machine or "x86_64") for name, host in hosts().items()
    }
    assert relax_ng(version, tmp_path, texts) == set()


def test_each_schema_refuses_the_other_version(tmp_path: Path) -> None:
    """The judge can fail: the two differ wherever a cpu's place is known."""
    host = hosts()["two-nodes-threads"]
    assert relax_ng(9, tmp_path, {"new": export.libvirt(host, version=11)}) == {"new"}
    assert relax_ng(11, tmp_path, {"old": export.libvirt(host, version=9)}) == {"old"}


def test_nova_reads_cells_cpus_and_distances() -> None:
    """OpenStack's own parser of capabilities is the judge of what a compute service would see."""
    config = pytest.importorskip("nova.virt.libvirt.config", reason="no nova here (PyPI: nova)")
    for name, host in hosts().items():
        capabilities = config.LibvirtConfigCaps()
        capabilities.parse_str(export.libvirt(host))
        found = capabilities.host.topology.cells
        assert [cell.id for cell in found] == [cell.id for cell in host.cells], name
        assert [[cpu.id for cpu in cell.cpus] for cell in found] == [list(cell.cpus or ()) for cell in host.cells], name


# --- hwloc -----------------------------------------------------------------------------------------------------


def test_hwlocs_dtd_takes_every_machine(topologies: dict[str, Path]) -> None:
    """The DTD that comes with hwloc judges the XML of all recorded machines."""
    if not DTD.exists():
        pytest.skip(f"no {DTD} here (Debian: libhwloc-common)")
    shutil.copy(DTD, next(iter(topologies.values())).parent)
    done = said(program("xmllint", "libxml2-utils"), "--noout", "--valid", *topologies.values())
    assert (done.returncode, done.stderr) == (0, "")


def shape(element: ElementTree.Element) -> tuple[object, ...]:
    """An object as far as two writers of the same topology agree on it, with what is in it."""
    names = ("type", "os_index", "cpuset", "complete_cpuset", "nodeset", "complete_nodeset", "cache_size", "cache_type")
    return (
        *(element.get(name) for name in names),
        int(element.get("local_memory", 0)),
        tuple(tuple(sorted(pages.items())) for pages in element.findall("page_type")),
        tuple(shape(child) for child in element.findall("object")),
    )


def distances(topology: ElementTree.Element) -> list[str]:
    return ["".join(part.text or "" for part in matrix) for matrix in topology.findall("distances2")]


def test_hwloc_gives_back_every_machine_without_a_word(topologies: dict[str, Path]) -> None:
    """Read and written again with hwloc's checks on, objects, sets, memory, pages and distances are the same."""
    lstopo = program("lstopo-no-graphics", "hwloc-nox")
    loud = {**os.environ, "HWLOC_XML_VERBOSE": "1", "HWLOC_DEBUG_CHECK": "1"}
    for name, path in topologies.items():
        done = said(lstopo, "-i", path, "--of", "xml", env=loud)
        assert (done.returncode, done.stderr) == (0, ""), name
        ours, theirs = ElementTree.parse(path).getroot(), ElementTree.fromstring(done.stdout)
        assert [shape(o) for o in theirs.findall("object")] == [shape(o) for o in ours.findall("object")], name
        assert distances(theirs) == distances(ours), name


def test_lstopo_shows_the_matrix_of_an_asymmetric_machine(topologies: dict[str, Path]) -> None:
    """Rows and columns swapped would pass any validation and fail here."""
    done = said(program("lstopo-no-graphics", "hwloc-nox"), "-i", topologies["four-nodes-asymmetric"], "--distances")
    host = hosts()["four-nodes-asymmetric"]
    rows = [line.split()[1:] for line in done.stdout.splitlines()[-len(host.cells) :]]
    assert rows == [[str(cost) for _, cost in cell.distances or ()] for cell in host.cells]


def test_hwloc_finds_each_cpu_local_to_its_own_cell(topologies: dict[str, Path]) -> None:
    """Apart from it only memory without CPUs is local, and a contested CPU is local to all that claim it."""
    calc = program("hwloc-calc", "hwloc-nox")
    for name, path in topologies.items():
        host = hosts()[name]
        order = [int(o.get("os_index", -1)) for o in ElementTree.parse(path).iter("object") if o.get("type") == "PU"]
        asked = "\n".join(f"pu:{number}" for number in range(len(order)))
        lines = said(calc, "-i", path, "--po", "--local-memory", input=asked).stdout.splitlines()
        answers = [line for line in lines if "stdin" not in line]
        assert len(answers) == len(order) == online(host), name
        empty = {cell.id for cell in host.cells if not cell.cpus}
        for cpu, answer in zip(order, answers, strict=True):
            claimed = {cell.id for cell in host.cells if cpu in (cell.cpus or ())}
            local = {int(number) for number in answer.split(",") if number}
            assert claimed <= local, f"{name}: cpu {cpu}"
            if host.cpu(cpu).cell is not None:
                assert local - empty == {host.cpu(cpu).cell}, f"{name}: cpu {cpu}"


@pytest.mark.servers
def test_slurmd_says_of_our_topology_what_we_say(topologies: dict[str, Path]) -> None:
    """Every machine with known cores is tried; slurmd takes groups for boards, so sockets are summed over boards."""
    slurmd = program("slurmd", "slurmd")
    compared = 0
    for name, path in topologies.items():
        ours = dict(word.split("=") for word in export.slurm(hosts()[name], name="n").split())
        if "CoresPerSocket" not in ours:
            continue
        done = said(slurmd, "-C", env={**os.environ, "HWLOC_XMLFILE": str(path)})
        theirs = dict(word.split("=") for word in done.stdout.splitlines()[0].split())
        assert [theirs[word] for word in SLURM] == [ours[word] for word in SLURM], name
        compared += 1
    assert compared > len(MACHINES) // 2


# --- lscpu -----------------------------------------------------------------------------------------------------


def rows(text: str) -> list[list[str]]:
    return [line.split(",")[:4] for line in text.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("machine", [name for name in MACHINES if (FIXTURES / name / "witness/lscpu-p.txt").exists()])
def test_lscpu_said_the_same_on_the_machine_itself(machine: str) -> None:
    """What it printed there of the online CPUs is the oracle; in a control domain it is the domain's own view."""
    host = hosts().get(f"{machine} (dom0)", hosts()[machine])
    witnessed = (FIXTURES / machine / "witness" / "lscpu-p.txt").read_text()
    seen = [line.split(",") for line in witnessed.splitlines() if not line.startswith("#")]
    # lscpu gives a cpu that two nodes claim to one of them.
    contested = {str(cpu.id) for cpu in host.cpus if cpu.cell is None}
    expected = [[*row[:3], "" if row[0] in contested else row[3]] for row in seen if row[4] == "Y"]
    assert rows(export.lscpu(host)) == expected


def with_masks(tree: trees.Machine) -> trees.Machine:
    """A machine with the masks that lscpu and hwloc read instead of the lists."""
    old = {"package_cpus_list": "core_siblings", "core_cpus_list": "thread_siblings", "cpulist": "cpumap"}
    old["shared_cpu_list"] = "shared_cpu_map"
    masks: trees.Machine = {
        path.replace(new, name): trees.mask(ids_of(content) if str(content).strip() else [])
        for path, content in tree.items()
        for new, name in old.items()
        if path.endswith(f"/{new}")
    }
    return {**tree, **masks, "proc/cpuinfo": "vendor_id\t: x\n"}


@pytest.mark.parametrize(
    ("cells", "threads"), [({0: [0, 1, 2, 3]}, 2), ({2: [0, 2, 4], 7: [1, 3, 5]}, 1), ({5: [8, 9]}, 2)]
)
def test_lscpu_says_the_same_of_a_tree(cells: dict[int, list[int]], threads: int, plant: Plant) -> None:
    """The real lscpu reads the same planted sysfs: gaps in ids, and CPUs of nodes interleaved."""
    root = plant(with_masks(trees.machine(cells, threads=threads)))
    done = said(program("lscpu", "util-linux"), "--sysroot", root, "-p=CPU,CORE,SOCKET,NODE", stdin=subprocess.DEVNULL)
    assert rows(export.lscpu(numaprobe.probe(root))) == rows(done.stdout) != []


def test_lscpu_numbers_the_same_caches(plant: Plant) -> None:
    """32 CPUs on chiplets: each cache column has to agree with the real lscpu's."""
    root = plant(with_masks(fakes.chiplets()))
    done = said(program("lscpu", "util-linux"), "--sysroot", root, "-p=CPU,CACHE", stdin=subprocess.DEVNULL)
    theirs = [line.split(",") for line in done.stdout.splitlines() if not line.startswith("# ") or "L1d" in line]
    ours = [line.split(",") for line in export.lscpu(numaprobe.probe(root, caches=True)).splitlines()[1:]]
    assert [row[2:] for row in theirs] == [row[5:] for row in ours]
    assert len(ours) == 33


def test_hwloc_finds_the_same_caches_in_the_tree(plant: Plant) -> None:
    """Kind, size and cpus of each, as hwloc reads them itself."""
    root = plant(with_masks(fakes.chiplets()))
    done = said(program("lstopo-no-graphics", "hwloc-nox"), "-i", root, "--if", "fsroot", "--of", "xml")
    ours = ElementTree.fromstring(export.hwloc(numaprobe.probe(root, caches=True)))

    def caches(topology: ElementTree.Element) -> list[tuple[str | None, ...]]:
        names = ("type", "cache_size", "cache_type", "depth", "cpuset")
        objects = [o for o in topology.iter("object") if "Cache" in str(o.get("type"))]
        return sorted(tuple(o.get(name) for name in names) for o in objects)

    assert caches(ours) == caches(ElementTree.fromstring(done.stdout))
    assert len(caches(ours)) == 16 * 3 + 8


# --- Kubernetes ------------------------------------------------------------------------------------------------


def test_kubernetes_takes_every_machine() -> None:
    """The schema of version v1alpha2 in the CustomResourceDefinition that NUMAPROBE_NRT_CRD names."""
    name = os.environ.get("NUMAPROBE_NRT_CRD")
    if not name:
        pytest.skip("NUMAPROBE_NRT_CRD names no manifests/crd.yaml of noderesourcetopology-api")
    yaml = pytest.importorskip("yaml", reason="no yaml here (PyPI: PyYAML)")
    versions = {version["name"]: version for version in yaml.safe_load(Path(name).read_text())["spec"]["versions"]}
    schema = versions["v1alpha2"]["schema"]["openAPIV3Schema"]
    for host in hosts().values():
        jsonschema.validate(json.loads(export.nrt(host, name="n")), schema)


def test_a_recording_of_a_recording_keeps_the_architecture(tmp_path: Path) -> None:
    """Its manifest must not get the architecture of the machine on which it was copied."""
    recording = FIXTURES / "one-node" / "host.tar.gz"
    numaprobe.record(tmp_path / "again.tar.gz", recording=recording)
    with tarfile.open(tmp_path / "again.tar.gz") as tar:
        manifest = tar.extractfile("numaprobe.json")
        assert manifest is not None
        assert json.load(manifest)["machine"] == "x86_64"
