"""The unit for operators, started by a real systemd that is init, and scraped."""

from __future__ import annotations

import sys
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from shlex import quote

import pytest

from . import collect, image
from .guest import Boot, Result
from .layout import Layout, Node
from .machines import TWO_ASYMMETRIC, Machine

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "packaging" / "systemd" / "numaprobe.service"
HOST = Machine(
    "systemd",
    "the unit as systemd runs it: a user of its own, without capabilities, in its own view of the file system",
    Layout((Node(768, ("0",)), Node(512, ("1",))), TWO_ASYMMETRIC, sockets=2),
    options=f"{image.SYSTEMD} fstab=no",
    seconds=500,
    more_work=2,
)
ADDRESS = "http://127.0.0.1:9975"

_SCRAPE = """
scrape() { # PATH
    %s -c 'import sys, urllib.request as u; sys.stdout.write(u.urlopen(sys.argv[1], timeout=60).read().decode())' "%s$1"
}
"""

_LOOK = """
systemctl daemon-reload
keep started systemctl start numaprobe.service
left=100
until scrape /healthz >/dev/null 2>&1 || [ $left = 0 ]; do sleep 1; left=$((left - 1)); done
keep metrics scrape /metrics
keep free numaprobe free --json
keep properties systemctl show numaprobe.service -p MainPID -p ActiveState -p SubState -p NRestarts
pid=$(systemctl show numaprobe.service -p MainPID --value)
keep process cat "/proc/$pid/status"
keep reloaded systemctl reload numaprobe.service
sleep 1
keep metrics-again scrape /metrics
keep same systemctl show numaprobe.service -p MainPID --value
keep stopped systemctl stop numaprobe.service
keep ended systemctl show numaprobe.service -p Result -p ExecMainStatus -p ActiveState
keep journal journalctl --no-pager -u numaprobe.service -o cat
"""


def script(machine: Machine) -> str:
    """What to run as root, with ``OUT`` set: the unit as it is but for the program's path, which is in a checkout here."""
    unit = "/run/systemd/system/numaprobe.service"
    program = f"{sys.executable} -m numaprobe"
    return "\n".join(
        [
            "cd /",
            collect._KEEP,
            collect._numaprobe(),
            _SCRAPE % (quote(sys.executable), ADDRESS),
            f"sed 's,/usr/bin/numaprobe,{program},' {quote(str(UNIT))} >{unit}",
            f"mkdir {unit}.d",
            # A checkout may be in a home folder, or in /tmp, of which the unit has its own.
            'printf "[Service]\\nProtectHome=no\\nBindReadOnlyPaths=%s %s\\nEnvironment=PYTHONPATH=%s\\n" '
            f'{quote(str(ROOT))} {quote(sys.prefix)} "$PYTHONPATH" >{unit}.d/checkout.conf',
            _LOOK,
        ]
    )


BOOTS = [Boot(HOST, partial(script, HOST))]


@pytest.fixture
def result(boots: dict[str, Future[Result]]) -> Result:
    return boots[HOST.name].result()


def values(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def memory(metrics: str, name: str) -> dict[int, float]:
    """A metric by node."""
    rows = [line for line in metrics.splitlines() if line.startswith(f"{name}{{")]
    return {int(row.split('"')[1]): float(row.rsplit(" ", 1)[1]) for row in rows}


def test_it_starts_and_stays(result: Result) -> None:
    """A unit that systemd restarts again and again would also be found active."""
    result.printed("started")
    found = values(result.printed("properties"))
    assert (found["ActiveState"], found["SubState"], found["NRestarts"]) == ("active", "running", "0")


def test_a_scrape_has_the_memory_of_every_cell(result: Result) -> None:
    """The unit's view of the file system must not hide what the kernel reports."""
    metrics = result.printed("metrics")
    assert "numaprobe_up 1.0" in metrics
    cells = {cell["id"]: cell["memory"] for cell in result.json("free")["cells"]}
    assert memory(metrics, "numaprobe_memory_total_bytes") == {node: cell["total"] for node, cell in cells.items()}
    free = memory(metrics, "numaprobe_memory_free_bytes")
    assert free == pytest.approx({node: cell["free"] for node, cell in cells.items()}, abs=64 << 20)


def test_it_is_nobody_and_may_do_nothing(result: Result) -> None:
    """A user of its own, no capability, no way to gain one, and a filter of system calls."""
    found = dict(line.split(":\t", 1) for line in result.printed("process").splitlines() if ":\t" in line)
    assert int(found["Uid"].split()[0]) > 60000
    assert (int(found["CapEff"], 16), int(found["CapBnd"], 16)) == (0, 0)
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")


def test_reloading_leaves_the_process_and_it_answers(result: Result) -> None:
    """SIGHUP reads the web configuration again, and would end a program that does not handle it."""
    result.printed("reloaded")
    assert result.printed("same").strip() == values(result.printed("properties"))["MainPID"]
    assert "numaprobe_up 1.0" in result.printed("metrics-again")


def test_it_stops_with_success_and_without_a_traceback(result: Result) -> None:
    """An exit status other than 0 would mark the unit as failed."""
    result.printed("stopped")
    found = values(result.printed("ended"))
    assert (found["Result"], found["ExecMainStatus"], found["ActiveState"]) == ("success", "0", "inactive")
    assert "Traceback" not in result.text("journal")
