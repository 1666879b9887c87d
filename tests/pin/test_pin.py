"""Applying plans: what would be done, what is done, and what is refused."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hosts import GIB, domain, host
from pinning import HERE, Recorder, plan_here, policies
from waiting import until

from numaprobe import Batch, _fast, pin, place
from numaprobe.cli import main
from numaprobe.cli import pin as command
from numaprobe.cli.parser import parsed
from numaprobe.errors import SourceDenied, SourceError
from numaprobe.pin import changes as apply


@pytest.fixture(autouse=True)
def _own_cpus() -> Iterator[None]:
    """What a test pins of this process is let go again, and no child begins pinned."""
    before = os.sched_getaffinity(0)
    yield
    os.sched_setaffinity(0, before)


def test_a_command_runs_where_it_should() -> None:
    """Affinity and memory policy are set before it starts."""
    if not policies():
        pytest.skip("the kernel does not allow set_mempolicy here")
    code = (
        "import sys; sys.path[:0] = eval(sys.argv[1]); from pinning import plan_here; from numaprobe import pin; "
        "pin.run(plan_here(), ['sh', '-c', 'grep Cpus_allowed_list /proc/self/status; head -1 /proc/self/numa_maps'])"
    )
    command = [sys.executable, "-c", code, repr(sys.path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert f"Cpus_allowed_list:\t{HERE[0]}\n" in answer.stdout
    assert " bind:0 " in answer.stdout


def test_a_command_that_is_not_there_is_an_error() -> None:
    """An empty list has no program to start, which is found before anything is set."""
    with pytest.raises(ValueError, match="no command"):
        pin.run(plan_here(), [])


def test_the_kernel_s_refusal_carries_its_number() -> None:
    """A node that is not there is EINVAL, one that no kernel could have a usage error."""
    if not policies():
        pytest.skip("the kernel does not allow set_mempolicy here")
    with pytest.raises(OSError, match="Invalid argument"):
        _fast.set_mempolicy(2, (1023,))
    for node in (-1, 1024):
        with pytest.raises(ValueError, match="no kernel has"):
            _fast.set_mempolicy(2, (node,))


def test_memory_is_bound_to_the_cells_of_its_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call that would change this process's policy is replaced and its argument seen."""
    bound: list[tuple[int, ...]] = []
    monkeypatch.setattr(apply, "own_memory", bound.append)
    pin.apply([pin.Step(what="memory", cells=(0, 3))])
    assert bound == [(0, 3)]


def test_every_thread_of_a_process_is_pinned() -> None:
    """All threads that exist at that moment get the affinity."""
    code = "import threading, time; [threading.Thread(target=time.sleep, args=(30,), daemon=True).start() for _ in range(3)]; print(1, flush=True); time.sleep(30)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            child.stdout.readline()
            own = os.sched_getaffinity(0)
            done = pin.process(plan_here(), child.pid)
            assert len(done) == 4
            assert os.sched_getaffinity(0) == own
            for thread in os.listdir(f"/proc/{child.pid}/task"):
                assert os.sched_getaffinity(int(thread)) == {HERE[0]}
        finally:
            child.kill()


@contextmanager
def vcpu_thread(name: str) -> Iterator[int]:
    """The id of a thread of this process that has the name of a vcpu's."""
    ready, end = threading.Event(), threading.Event()
    ids = []

    def vcpu() -> None:
        ids.append(threading.get_native_id())
        Path(f"/proc/self/task/{ids[0]}/comm").write_text(name)
        ready.set()
        end.wait()

    thread = threading.Thread(target=vcpu)
    thread.start()
    ready.wait()
    try:
        yield ids[0]
    finally:
        end.set()
        thread.join()
        # The kernel lists it for a moment longer than Python.
        assert until(lambda: not Path(f"/proc/self/task/{ids[0]}").exists())


def test_threads_of_vcpus_are_known_by_their_names() -> None:
    """QEMU's names identify them, and all other threads get all CPUs of the plan."""
    with vcpu_thread("CPU 0/TCG") as vcpu:
        plan = plan_here(pinned=True)._replace(cpus=(*HERE[:1], 77))
        steps = {step.target: step for step in pin.process_steps(plan, os.getpid())}
        assert steps[vcpu].cpus == HERE[:1]
        assert steps[threading.get_native_id()].cpus == (HERE[0], 77)
        two = plan._replace(vcpus=(plan.vcpus[0], plan.vcpus[0]._replace(vcpu=1)))
        with pytest.raises(ValueError, match="has 1 vcpus, and the plan 2"):
            pin.process_steps(two, os.getpid())
        with pytest.raises(ValueError, match="not in the plan"):
            pin.process_steps(plan._replace(vcpus=(plan.vcpus[0]._replace(vcpu=5),)), os.getpid())


def test_threads_of_the_emulator_get_the_cpus_that_were_planned_for_them() -> None:
    """And none of the vcpus' own."""
    with vcpu_thread("CPU 0/KVM") as vcpu:
        plan = plan_here(pinned=True)._replace(cpus=(*HERE[:1], 77), emulator=(77,))
        steps = {step.target: step.cpus for step in pin.process_steps(plan, os.getpid())}
        assert steps.pop(vcpu) == HERE[:1]
        assert set(steps.values()) == {(77,)}


def test_a_mixed_plan_is_not_applied_to_a_process_whose_vcpus_are_not_named() -> None:
    """Which thread should get the exclusive CPU cannot be known, and the error says how QEMU names them."""
    mixed = place(host([4 * GIB], cpus=4), vcpus=2, memory=GIB, pinned_vcpus=[0])
    with pytest.raises(ValueError, match="debug-threads=on"):
        pin.process_steps(mixed, os.getpid())


def test_a_process_without_named_vcpus_cannot_be_pinned_one_by_one() -> None:
    """It can still be given all CPUs of a plan that shares them."""
    with pytest.raises(ValueError, match="debug-threads=on"):
        pin.process_steps(plan_here(pinned=True), os.getpid())
    assert all(step.cpus == HERE[:1] for step in pin.process_steps(plan_here(), os.getpid()))


def test_a_process_that_is_not_there() -> None:
    """The number is beyond what the kernel gives out, and the error is Python's own ProcessLookupError."""
    with pytest.raises(ProcessLookupError, match="no process"):
        pin.process_steps(plan_here(), 2**22 + 1)


def test_a_paused_domain_has_a_step_for_each_vcpu_and_one_for_memory() -> None:
    """The steps are only listed, and nothing is done yet."""
    plan = place(host([4 * GIB], source="xen"), vcpus=2, memory=GIB, pinned=True)
    guest = domain("g", 2, id=3, kind="hvm", state="paused", vcpus_maximum=2)
    assert [tuple(step) for step in pin.domain_steps(plan, guest)] == [
        ("domain", 0, (0,), None),
        ("domain", 1, (1,), None),
        ("domain", None, None, (0,)),
    ]


@pytest.mark.parametrize(
    ("known", "complaint"),
    [
        ({"id": 0, "state": "paused"}, "domain 0 is the control domain"),
        ({"id": 3, "state": "running"}, "running, not paused"),
        ({"id": 3, "state": "paused", "vcpus_maximum": 4}, "has 4 vcpus, and the plan 2"),
        ({"id": 3, "state": "paused", "kind": "qemu"}, "not a Xen domain"),
    ],
)
def test_domains_that_are_left_alone(known: dict[str, object], complaint: str) -> None:
    """The control domain, running ones, and those of another shape or kind are each refused."""
    plan = place(host([4 * GIB], source="xen"), vcpus=2, memory=GIB)
    guest = domain("g", 2, **{"kind": "pv", "vcpus_maximum": 2, **known})
    with pytest.raises(ValueError, match=complaint):
        pin.domain_steps(plan, guest)


def test_force_is_for_the_control_domain_and_for_running_ones() -> None:
    """A wrong shape or kind is refused even so."""
    plan = place(host([4 * GIB], source="xen"), vcpus=2, memory=GIB)
    assert pin.domain_steps(plan, domain("dom0", 2, id=0, kind="pv", state="running", vcpus_maximum=2), force=True)


def test_xen_is_told_vcpus_and_then_nodes() -> None:
    """The layout is that since Xen 4.5: vcpu, flags, hard map, with the domain in the header."""
    port = Recorder(0x15)
    apply.set_xen(port, 7, [(0, (4, 5)), (1, (70,))], (1,))
    assert [command for command, _, _ in port.told] == [9, 9, 68]
    _, op, buffers = port.told[1]
    assert len(op) == 144
    assert int.from_bytes(op[8:10], "little") == 7
    assert (int.from_bytes(op[16:20], "little"), int.from_bytes(op[20:24], "little")) == (1, 1)
    assert buffers == ((24, (1 << 70).to_bytes(16, "little")),)
    assert int.from_bytes(op[32:36], "little") == 128
    assert port.told[2][2] == ((16, (2).to_bytes(8, "little")),)


@pytest.mark.parametrize(("errno", "kind"), [(1, SourceDenied), (3, SourceError)])
def test_a_refusal_of_xen_names_the_call(errno: int, kind: type[SourceError]) -> None:
    """The domain is named as well."""
    with pytest.raises(kind, match="setvcpuaffinity of domain 7") as caught:
        apply.set_xen(Recorder(0x15, errno), 7, [(0, (4,))], (1,))
    assert caught.value.errno == errno


def test_probing_cannot_reach_what_changes_a_domain() -> None:
    """The port that probes refuses both hypercalls; only the one made for them lets them through."""
    try:
        port = _fast.Privcmd((os.devnull,), os.devnull)
    except OSError as error:
        pytest.skip(f"no stand-in for the device: {error}")
    with port:
        for command in (9, 68):
            op = command.to_bytes(4, "little").ljust(144, b"\0")
            with pytest.raises(ValueError, match="not one of the read-only ones"):
                port.call(36, command, op)


@pytest.mark.parametrize(
    ("op", "buffers", "complaint"),
    [
        (b"\x09" + bytes(100), (), "takes 144 bytes"),
        (b"\x44" + bytes(143), (), "begin with its command"),
        (b"\x09" + bytes(143), ((16, b""),), "no handle at offset 16"),
        (b"\x09" + bytes(23) + b"\x01" + bytes(119), (), "offset 24 is not zero"),
        (b"\x09" + bytes(31) + b"\x80" + bytes(111), ((24, bytes(8)),), "shorter than its width"),
        (b"\x09" + bytes(143), ((24, b""),) * 5, "too many buffers"),
    ],
)
def test_what_is_told_is_checked_before_it_reaches_xen(
    op: bytes, buffers: tuple[tuple[int, bytes], ...], complaint: str
) -> None:
    """Xen writes to wherever a handle points, so a wrong one would corrupt memory."""
    with _fast.AffinityCalls((os.devnull,), "/nonexistent") as port, pytest.raises(ValueError, match=complaint):
        port.call(36, 9, op, buffers)


def test_other_calls_of_that_port_are_read_only_ones() -> None:
    """Destroying a domain is not among them."""
    with _fast.AffinityCalls((os.devnull,), "/nonexistent") as port, pytest.raises(ValueError, match="not allowed"):
        port.call(36, 2, (2).to_bytes(4, "little").ljust(144, b"\0"))


def test_the_command_line_shows_what_it_would_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It takes a plan from a file, for a command or a process, and changes nothing."""
    file = tmp_path / "plan.json"
    file.write_text(plan_here().render("json"))
    before = os.sched_getaffinity(0)
    assert main(["pin", "--plan", str(file), "--dry-run", "--", "sleep", "1"]) == 0
    assert capsys.readouterr().out == f"sleep: cpus {HERE[0]}\nsleep: memory from cell 0\n"
    assert main(["pin", "--plan", str(file), "--dry-run", "--pid", str(os.getpid())]) == 0
    assert f"to cpus {HERE[0]}\n" in capsys.readouterr().out
    assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize("content", ["{", "{}", "[]", json.dumps({"fits": False})])
def test_a_file_that_is_no_plan_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str) -> None:
    """It is a usage error that names the file."""
    file = tmp_path / "plan.json"
    file.write_text(content)
    assert main(["pin", "--plan", str(file), "--dry-run", "--", "true"]) == 2
    assert "plan.json" in capsys.readouterr().err


def test_pin_takes_one_thing_to_pin(capsys: pytest.CaptureFixture[str]) -> None:
    """That is a command, a process or a domain, and never two of them."""
    assert main(["pin", "--vcpus", "1", "--memory", "1M", "--dry-run"]) == 2
    assert main(["pin", "--vcpus", "1", "--memory", "1M", "--pid", "1", "--dry-run", "--", "true"]) == 2
    assert "pin needs a command after --, --pid or --domain" in capsys.readouterr().err


def test_a_plan_for_a_recorded_host_is_not_applied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its cells are another machine's."""
    assert main(["pin", "--root", str(tmp_path), "--vcpus", "1", "--memory", "1M", "--", "true"]) == 2
    assert "--dry-run" in capsys.readouterr().err


@pytest.mark.parametrize("dry", [True, False])
def test_only_a_command_that_is_started_claims_its_room(dry: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dry run that claimed would keep others off cells that nobody uses; this process's number ends the claim."""
    claimed: list[int | None] = []

    def claim(options: argparse.Namespace, _wanted: object) -> tuple[Batch]:
        claimed.append(options.claim_pid)
        return (Batch(plans=(plan_here(),), missed=(), optimal=False),)

    monkeypatch.setattr(command, "claim", claim)
    monkeypatch.setattr(command, "plan_for", lambda _options: plan_here())
    monkeypatch.setattr(command, "claimable", lambda _options: True)
    options = parsed(["pin", "--vcpus", "1", "--memory", "1M", *(["--dry-run"] if dry else []), "--", "true"])
    assert command.planned(options).cells
    assert claimed == ([] if dry else [os.getpid()])
