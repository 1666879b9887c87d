"""What each command prints of a few machines, to the letter.

``tests/cli/outputs/<machine>/<command>.txt`` is what a terminal would show. ``pytest tests/cli/test_outputs.py
--rewrite`` writes them anew; read the difference before you commit it.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import fakes
import pytest
import trees
from fake_domains import two_node_domains
from fake_xen import SRAT
from processes import GROUP, QEMU, group, process
from rich import rich
from trees import Machine

from numaprobe.cli import main
from numaprobe.placement.formats import FORMATS
from numaprobe.probing.domains import NAMES, ask_xen
from numaprobe.sources.transcript import RecordingHypercalls
from numaprobe.version import VERSION
from numaprobe.xen.collect import collect

OUTPUTS = Path(__file__).parent / "outputs"
FIXTURES = Path(__file__).parents[1] / "fixtures"
OTHER = FIXTURES / "two-nodes-threads" / "host.tar.gz"


def linux() -> Machine:
    """A machine that has everything, and two guests: one known to the byte, one pinned to a cell."""
    second = QEMU.replace("vm1", "web,front").replace("AAAA", "BBBB").replace("size=96M", "size=48M")
    return (
        rich()
        | process(500, cgroup="/machine.slice/vm1.scope")
        | process(
            600, cmdline=second, vcpus=(("CPU 0/KVM", "S", 9, "4"), ("CPU 1/KVM", "S", 9, "5")), anonymous_kb=60000
        )
        | group(GROUP, "500\n", anon="N0=1658880 N1=103149568")
    )


def xen() -> Machine:
    calls = RecordingHypercalls(two_node_domains("4.21"))
    collect(calls, SRAT, fakes.ADDRESSES)
    ask_xen(calls)
    names = {NAMES: json.dumps({0: "Domain-0", 1: "db"})}
    return fakes.xen_machine("4.21") | {"xen/transcript.jsonl": calls.text()} | names


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Archives by name."""
    out = {}
    for name, tree in (("linux", linux()), ("xen", xen())):
        out[name] = tmp_path_factory.mktemp("machines") / f"{name}.tar"
        out[name].write_bytes(trees.pack(tree))
    for name in ("fake-chiplets", "sixteen-nodes-64-cpus", "huge-pages-one-node"):
        out[name] = FIXTURES / name / "host.tar.gz"
    return out


GUEST = "--vcpus 2 --memory 256M --name web"
DIVIDED = "--vcpus 4 --memory 1G --guest-cells 2 --pinned"
EXPORTS = {
    "libvirt": "--arch x86_64",
    "hwloc": "--arch x86_64",
    "nrt": "--name n1",
    "dra": "--name n1",
    "slurm": "--name n1",
}
COMMANDS = {
    "show": ("show", "show --json", "show --memory-state"),
    "free": ("free", "free --json", "free --cell 1", "free --cell 1 --json",
             *(f"free --for {what}" for what in ("ordinary", "pinned", "me", "2M", "1G"))),
    "domains": ("domains", "domains --json", "traffic"),
    "doctor": ("doctor", "doctor --json"),
    "diff": ("diff OTHER RECORDING", "diff OTHER RECORDING --json", "diff RECORDING RECORDING"),
    "draw": ("draw", "draw --format svg"),
    "place": (
        f"place {GUEST} --pinned --policy spread", f"place {GUEST} --near cell:1 --max-cells 1",
        "place --vcpus 6 --memory 3G", "place --vcpus 3 --memory 300M --guest-cells 2", "place --vcpus 2 --memory 1T",
        "place --vcpus 300 --memory 1G", "place --vcpus 2 --memory 64M --huge-page 2M", f"place {GUEST} --emulator 1",
        "place --vcpus 2 --memory 1G --smt isolate", "place --vcpus 2 --memory 1G --moves 2",
        f"place {GUEST} --no-domains", f"place {GUEST} --away-from vm1", f"place {GUEST} --together-with db --fewest",
        f"place {DIVIDED} --ignore-allowed",
    ),
    "formats": (
        *(f"place {GUEST} --format {name}" for name in sorted(FORMATS)),
        *(f"place {DIVIDED} --ignore-allowed --format {name}" for name in sorted(FORMATS)),
    ),
    "export": tuple(
        f"export {name} {EXPORTS.get(name, '')}".rstrip()
        for name in ("json", "libvirt", "hwloc", "nrt", "dra", "lscpu", "prometheus", "collectd", "telegraf", "slurm")
    ),
}  # fmt: skip
# Of the others what is laid out by their size.
PAIRS = [
    *((machine, name) for machine in ("linux", "xen") for name in COMMANDS),
    *(("fake-chiplets", name) for name in ("show", "free", "place", "export", "draw")),
    *(("sixteen-nodes-64-cpus", name) for name in ("show", "free", "draw")),
    ("huge-pages-one-node", "place"),
]


@pytest.mark.parametrize(("machine", "command"), PAIRS)
def test_a_command_prints_what_was_read_before(
    machine: str,
    command: str,
    machines: dict[str, Path],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Standard output, errors and status are compared with committed ones, less what depends on day and place."""
    monkeypatch.setenv("COLUMNS", "100")
    recording = str(machines[machine])
    parts = []
    for words in COMMANDS[command]:
        if "RECORDING" in words:
            status = main(shlex.split(words.replace("RECORDING", recording).replace("OTHER", str(OTHER))))
        else:
            status = main([*shlex.split(words), "--recording", recording])
        out, err = capsys.readouterr()
        parts.append(f"$ numaprobe {words}\n{out}{err}exit status {status}\n")
    text = "\n".join(parts).replace(VERSION, "VERSION").replace(recording, "RECORDING").replace(str(OTHER), "OTHER")
    text = re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:\d\d)?", "TIME", text)
    expectation = OUTPUTS / machine / f"{command}.txt"
    if request.config.getoption("--rewrite"):
        expectation.parent.mkdir(parents=True, exist_ok=True)
        expectation.write_text(text, "utf-8")
    assert text == expectation.read_text("utf-8")
