"""Each format, judged by the program that reads it where that is installed."""

from __future__ import annotations

import ctypes
import glob
import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import schemas
from hosts import GIB, MIB, host

from numaprobe import Plan, place
from numaprobe.placement.formats import FORMATS

ROWS = {0: [10, 17], 1: [21, 10]}
# What each format can say of the plans below; all the rest is refused.
SAYS = {
    "text": "all",
    "json": "all",
    "libvirt": "all",
    "cloud-hypervisor": ("floating", "pinned", "mixed", "guest cells", "whole cores", "huge pages", "two cells"),
    "xl": ("floating", "pinned", "mixed", "guest cells", "whole cores", "two cells"),
    "virsh": ("floating", "pinned", "mixed", "emulator", "whole cores", "two cells"),
    "qemu": ("floating", "guest cells", "huge pages", "two cells"),
    "cpuset": ("floating", "pinned", "mixed", "whole cores", "two cells"),
    "nodeset": ("floating", "pinned", "mixed", "emulator", "whole cores", "two cells"),
    "numactl": ("floating", "two cells"),
    "systemd": ("floating", "two cells"),
}


def plans() -> dict[str, Plan]:
    machine = host([4 * GIB, 4 * GIB], distances=ROWS)
    huge = host([4 * GIB, 4 * GIB], distances=ROWS, pages={0: {2 * MIB: 512}, 1: {2 * MIB: 512}})
    xen = host([4 * GIB, 4 * GIB], distances=ROWS, source="xen")
    return {
        "floating": place(machine, vcpus=4, memory=512 * MIB, name="g"),
        "pinned": place(machine, vcpus=4, memory=512 * MIB, pinned=True),
        "guest cells": place(machine, vcpus=5, memory=768 * MIB, guest_cells=2, name="g"),
        "whole cores": place(machine, vcpus=3, memory=GIB, cores=True),
        "huge pages": place(huge, vcpus=2, memory=256 * MIB, huge_page=2 * MIB, guest_cells=2),
        "two cells": place(xen, vcpus=4, memory=6 * GIB),
        "mixed": mixed(place(machine, vcpus=4, memory=512 * MIB, name="g")),
        "emulator": place(machine, vcpus=4, memory=512 * MIB, name="g")._replace(emulator=(6, 7)),
    }


def mixed(plan: Plan) -> Plan:
    """The first vcpu pinned, the others floating."""
    first = plan.vcpus[0]._replace(cpus=plan.cpus[:1], pinned=True)
    return plan._replace(vcpus=(first, *plan.vcpus[1:]))


def said(name: str) -> dict[str, Plan]:
    """The plans that a format can express."""
    return {key: plan for key, plan in plans().items() if SAYS[name] == "all" or key in SAYS[name]}


every_plan = pytest.mark.parametrize("plan", plans().values(), ids=plans().keys())


def test_lists_of_cpus_and_cells() -> None:
    """One line in the kernel's list format, ready for taskset or a cpuset."""
    plan = plans()["floating"]
    assert (plan.render("cpuset"), plan.render("nodeset")) == ("0-7\n", "0\n")


def test_numactl_and_systemd() -> None:
    """The options are those of their manuals."""
    plan = plans()["floating"]
    assert plan.render("numactl") == "numactl --membind=0 --physcpubind=0-7 --\n"
    assert plan.render("systemd") == "[Service]\nAllowedCPUs=0-7\nAllowedMemoryNodes=0\n"


def test_on_a_host_of_one_cell_no_format_binds_memory() -> None:
    """There is nothing to choose, and a kernel without NUMA refuses it."""
    plan = place(host([4 * GIB]), vcpus=2, memory=GIB, name="g")
    assert plan.render("numactl") == "taskset -c 0-7\n"
    assert plan.render("systemd") == "[Service]\nAllowedCPUs=0-7\n"
    assert plan.render("nodeset") == "0\n"
    for name, word in (
        ("qemu", "host-nodes"),
        ("libvirt", "numatune"),
        ("virsh", "numatune"),
        ("cloud-hypervisor", "host_numa_node"),
    ):
        assert word not in plan.render(name)
        assert word in plan._replace(bind=True).render(name)


def test_cloud_hypervisor_has_zones_and_guest_cells() -> None:
    """Zones are values of one option, bound to a node each; vcpus are pinned by lists in brackets."""
    words = shlex.split(plans()["guest cells"].render("cloud-hypervisor"))
    assert words == [
        "--cpus",
        "boot=5,affinity=[0@[0-7],1@[0-7],2@[0-7],3@[8-15],4@[8-15]]",
        "--memory",
        "size=0",
        "--memory-zone",
        f"id=m0,size={462 * 1024}K,host_numa_node=0",
        f"id=m1,size={306 * 1024}K,host_numa_node=1",
        "--numa",
        "guest_numa_id=0,cpus=[0-2],distances=[1@17],memory_zones=[m0]",
        "guest_numa_id=1,cpus=[3-4],distances=[0@21],memory_zones=[m1]",
    ]
    huge = plans()["huge pages"].render("cloud-hypervisor")
    assert "hugepages=on,hugepage_size=2048K" in huge
    one = place(host([4 * GIB]), vcpus=1, memory=GIB).render("cloud-hypervisor")
    assert one == "--cpus 'boot=1,affinity=[0@[0-7]]' --memory size=1048576K\n"


IDS = r"\[\d+(-\d+)?(,\d+(-\d+)?)*\]"
# Parameters and what their values look like: vmm/src/config.rs and option_parser of cloud-hypervisor at ae44c2971.
CLOUD_HYPERVISOR = {
    "--cpus": {"boot": r"\d+", "affinity": rf"\[\d+@{IDS}(,\d+@{IDS})*\]"},
    "--memory": {"size": r"\d+K?", "hugepages": "on", "hugepage_size": r"\d+K"},
    "--memory-zone": {
        "id": r"m\d+",
        "size": r"\d+K",
        "host_numa_node": r"\d+",
        "hugepages": "on",
        "hugepage_size": r"\d+K",
    },
    "--numa": {
        "guest_numa_id": r"\d+",
        "cpus": IDS,
        "distances": r"\[\d+@\d+(,\d+@\d+)*\]",
        "memory_zones": r"\[m\d+(,m\d+)*\]",
    },
}


@pytest.mark.parametrize("kind", SAYS["cloud-hypervisor"])
def test_cloud_hypervisor_knows_every_parameter(kind: str) -> None:
    """Commas within brackets belong to a value, as its parser has it."""
    option = ""
    for word in shlex.split(plans()[kind].render("cloud-hypervisor")):
        if word.startswith("--"):
            option = word
            continue
        parts, depth = [""], 0
        for letter in word:
            depth += (letter == "[") - (letter == "]")
            if letter == "," and not depth:
                parts.append("")
            else:
                parts[-1] += letter
        for name, _, value in (part.partition("=") for part in parts):
            assert re.fullmatch(CLOUD_HYPERVISOR[option][name], value)


def test_virsh_changes_a_guest_that_runs() -> None:
    """Quoted for a shell, by the guest's name, which has to be known."""
    plan = plans()["emulator"]
    plan = plan._replace(request=plan.request._replace(name="it's"))
    lines = plan.render("virsh").splitlines()
    assert shlex.split(lines[0]) == [
        *("virsh", "vcpupin", "--domain", "it's", "--live", "--vcpu", "0", "--cpulist", "0-7"),
    ]
    assert shlex.split(lines[4])[1:] == ["emulatorpin", "--domain", "it's", "--live", "--cpulist", "6-7"]
    assert shlex.split(lines[5])[1:] == ["numatune", "--domain", "it's", "--live", "--nodeset", "0"]
    with pytest.raises(ValueError, match="needs the name"):
        plans()["pinned"].render("virsh")


def test_xl_prefers_cpus_and_names_its_pool_if_that_is_wanted() -> None:
    """Soft affinity leaves vcpus free to run elsewhere, which pinned ones must not."""
    plan = plans()["floating"]
    assert 'cpus_soft = ["0-7", ' in plan.render("xl", soft=True)
    assert "\ncpus = " not in plan.render("xl", soft=True)
    assert 'pool = "1"\n' in plan.render("xl", pool=1)
    assert "pool" not in plan.render("xl")
    with pytest.raises(ValueError, match="soft"):
        plans()["pinned"].render("xl", soft=True)
    with pytest.raises(ValueError, match="soft affinity is for the format xl"):
        plan.render("libvirt", soft=True)


def test_text_names_cells_cpus_memory_and_reasons() -> None:
    """What a person wants to know first comes first."""
    lines = plans()["guest cells"].render("text").splitlines()
    assert lines[0] == "g: cells 0-1 for 5 vcpus and 768 MiB"
    assert "  guest cell 0 on cell 0: vcpus 0-2, 462 MiB; distances 10 17" in lines
    assert "because" in lines


def test_another_format_is_refused() -> None:
    """The message lists those that exist."""
    with pytest.raises(ValueError, match="format must be one of text, json"):
        plans()["floating"].render("yaml")


@pytest.mark.parametrize("key", plans())
@pytest.mark.parametrize("name", FORMATS)
def test_a_format_says_all_of_a_plan_or_refuses_it(name: str, key: str) -> None:
    """Nothing that was requested is lost silently: what a format cannot express is a ValueError."""
    plan = plans()[key]
    plan = plan._replace(request=plan.request._replace(name="g"))
    if key in said(name):
        text = plan.render(name)
        assert text.endswith("\n")
        assert text.strip()
        return
    with pytest.raises(ValueError, match=f"the format {name} cannot express"):
        plan.render(name)


@every_plan
def test_json_is_of_its_schema(plan: Plan) -> None:
    """Every property of it is in the schema."""
    schemas.check("place", json.loads(plan.render("json")))


def test_xl_is_told_per_vcpu_so_that_libxl_places_nothing_itself() -> None:
    """A string of cpus would leave libxl's own placement on."""
    assert 'cpus = ["0-7", "0-7", "0-7", "0-7"]' in plans()["floating"].render("xl")


def test_xl_says_what_it_cannot_say() -> None:
    """Memory of a cell that no vcpu may run on, and a name with a quote."""
    machine = host([2 * GIB, 16 * GIB], cpuless=(1,))
    plan = place(machine, vcpus=2, memory=8 * GIB, memory_only=True)
    with pytest.raises(ValueError, match="xl cannot take memory from cell 1"):
        plan.render("xl")
    with pytest.raises(ValueError, match="cannot express"):
        place(machine, vcpus=1, memory=GIB, name='a"b').render("xl")


def _libxlutil() -> ctypes.CDLL:
    cached = Path(os.environ.get("NUMAPROBE_LAB") or Path.home() / ".cache/numaprobe-lab")
    patterns = ("/usr/lib/*/libxlutil.so*", f"{cached}/bookworm/xen/usr/lib/*/libxlutil.so*")
    found = sorted(path for pattern in patterns for path in glob.glob(pattern))
    if not found:
        pytest.skip("no libxlutil (Debian's libxenmisc): tests/lab/install fetches it")
    folder = Path(found[-1]).parent
    # Its own libraries stand beside it in the lab's folder; what needs another is loaded after it.
    waiting = sorted(str(path) for path in folder.glob("libxen*.so.*")) + sorted(map(str, folder.glob("libyajl.so.*")))
    for _ in range(4):
        left = []
        for path in waiting:
            try:
                ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
            except OSError:
                left.append(path)
        waiting = left
    try:
        return ctypes.CDLL(found[-1], mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        pytest.skip(f"libxlutil cannot be loaded: {error}")


@pytest.mark.parametrize("plan", said("xl").values(), ids=said("xl").keys())
def test_libxlutil_reads_what_is_written_for_xl(plan: Plan, tmp_path: Path) -> None:
    """The judge is xl's own parser, which returns 22 for a fault and gives its line and column."""
    library = _libxlutil()
    libc = ctypes.CDLL(None)
    libc.fdopen.restype = ctypes.c_void_p
    library.xlu_cfg_init.restype = ctypes.c_void_p
    library.xlu_cfg_init.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    library.xlu_cfg_readdata.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]

    def read(text: bytes) -> int:
        config = library.xlu_cfg_init(libc.fdopen(os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT), b"w"), b"plan")
        status: int = library.xlu_cfg_readdata(config, text, len(text))
        return status

    assert read(plan.render("xl").encode()) == 0
    assert read(plan.render("xl", pool=1).encode()) == 0
    if not any(one.pinned for one in plan.vcpus):
        assert read(plan.render("xl", soft=True).encode()) == 0
    assert read(b"cpus = [") != 0, "the judge says no to nonsense"


@every_plan
def test_libvirt_takes_its_elements(plan: Plan, tmp_path: Path) -> None:
    """The test driver needs no daemon and checks the schema, the nodes and the guest's cells."""
    virsh = shutil.which("virsh")
    if virsh is None:
        pytest.skip("no virsh (Debian's libvirt-clients)")

    def define(elements: str) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "domain.xml"
        file.write_text(f"<domain type='test'><name>g1</name>{elements}<os><type>hvm</type></os></domain>")
        command = [virsh, "-c", "test:///default", "define", "--validate", str(file)]
        return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})

    answer = define(plan.render("libvirt"))
    assert (answer.returncode, answer.stderr.strip()) == (0, "")
    assert define(plan.render("libvirt").replace("nodeset='", "nodeset='x")).returncode != 0


def test_systemd_reads_its_drop_ins(tmp_path: Path) -> None:
    """``systemd-analyze verify`` says what it cannot read, and ends well all the same."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze (Debian's systemd)")
    units = []

    def unit(drop_in: str) -> None:
        units.append(tmp_path / f"guest{len(units)}.service")
        units[-1].write_text("[Service]\nExecStart=/bin/true\n")
        (tmp_path / f"{units[-1].name}.d").mkdir()
        (tmp_path / f"{units[-1].name}.d" / "numa.conf").write_text(drop_in)

    for plan in said("systemd").values():
        unit(plan.render("systemd"))
    good = len(units)
    unit(plan.render("systemd").replace("AllowedCPUs=", "AllowedCPUs=x"))
    unit(plan.render("systemd").replace("AllowedMemoryNodes=", "AllowedMemoryNodes=x"))
    command = [analyze, "--man=no", "verify", *map(str, units)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    complained = re.findall(r"guest(\d+)\.service\.d/numa\.conf:(\d)", answer.stderr)
    assert complained == [(str(good), "2"), (str(good + 1), "3")], answer.stderr


@pytest.mark.parametrize("bind", [True, False])
def test_qemu_starts_with_its_options(bind: bool) -> None:
    """On a machine with one node QEMU can only be shown plans for node 0; the lab has the others."""
    binary = shutil.which("qemu-system-x86_64")
    if binary is None:
        pytest.skip("no qemu-system-x86_64 (Debian's qemu-system-x86)")
    machine = host([4 * GIB])
    plan = place(machine, vcpus=2, memory=64 * MIB)._replace(bind=bind)
    told = qemu(binary, plan.render("qemu"))
    (memory,) = told["query-memdev"]
    expected = ([0], "bind") if bind else ([], "default")
    assert (memory["size"], memory["host-nodes"], memory["policy"]) == (64 * MIB, *expected)
    assert len(told["query-cpus-fast"]) == 2


def test_qemu_reads_cells_of_the_guest() -> None:
    """The host's nodes are replaced by node 0, which every machine has."""
    binary = shutil.which("qemu-system-x86_64")
    if binary is None:
        pytest.skip("no qemu-system-x86_64 (Debian's qemu-system-x86)")
    machine = host([4 * GIB, 4 * GIB], distances=ROWS)
    plan = place(machine, vcpus=5, memory=96 * MIB, guest_cells=2)
    told = qemu(binary, plan.render("qemu").replace("host-nodes=1", "host-nodes=0"))
    assert sorted(one["size"] for one in told["query-memdev"]) == [38 * MIB, 58 * MIB]
    nodes = [cpu["props"]["node-id"] for cpu in told["query-hotpluggable-cpus"]]
    assert sorted(nodes) == [0, 0, 0, 1, 1]


def qemu(binary: str, options: str) -> dict[str, list[dict[str, object]]]:  # type: ignore[type-arg]
    """What QEMU says of itself, started stopped with these options."""
    command = [binary, "-accel", "tcg", "-S", "-display", "none", "-nodefaults", "-qmp", "stdio", *shlex.split(options)]
    asked = ["query-memdev", "query-cpus-fast", "query-hotpluggable-cpus"]
    lines = [json.dumps({"execute": word}) for word in ("qmp_capabilities", *asked, "quit")]
    answer = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, check=False, timeout=60)
    assert answer.returncode == 0, answer.stderr
    replies = [json.loads(line) for line in answer.stdout.splitlines()]
    returned = [reply["return"] for reply in replies if "return" in reply]
    return dict(zip(asked, returned[1:], strict=False))


def test_numactl_takes_its_options() -> None:
    """It runs on the machine at hand, whose node 0 includes CPU 0; the lab has more nodes."""
    numactl = shutil.which("numactl")
    if numactl is None:
        pytest.skip("no numactl")
    if not os.path.isdir("/sys/devices/system/node/node0"):
        pytest.skip("this machine has no nodes")
    plan = place(host([4 * GIB], cpus=1, threads=1), vcpus=1, memory=64 * MIB)._replace(bind=True)
    words = shlex.split(plan.render("numactl"))
    answer = subprocess.run(
        [numactl, *words[1:], "cat", "/proc/self/numa_maps"], capture_output=True, text=True, check=False
    )
    if answer.returncode and "set_mempolicy" in answer.stderr:
        pytest.skip(f"memory policies are not to be had here: {answer.stderr.strip()}")
    assert answer.returncode == 0, answer.stderr
    assert "bind:0" in answer.stdout
