"""What the kernel refuses, or leaves out without a word, is reported with the call and what to do."""

from __future__ import annotations

import errno
import importlib
import json
import os
import platform
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hosts import GIB, host
from pinning import HERE, Recorder, plan_here, policies

from numaprobe import Plan, SourceDenied, SourceError, SourceUnavailable, pin, place
from numaprobe.cli import main
from numaprobe.pin import changes

FILTER = """
import ctypes, os, struct, sys
# set_mempolicy, mbind and get_mempolicy of x86-64 answer with the error of argv[1], all others as ever (seccomp(2)).
denied = (238, 237, 239)
rows = [(0x20, 0, 0, 0)] + [(0x15, len(denied) - i, 0, n) for i, n in enumerate(denied)]
rows += [(0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x00050000 | int(sys.argv[1]))]
code = b"".join(struct.pack("HBBI", *row) for row in rows)
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(Program(len(rows), code)), 0, 0) == 0
os.execv(sys.executable, [sys.executable, "-m", "numaprobe", *sys.argv[2:]])
"""


def filtered(number: int, plan: Plan, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """``numaprobe pin`` of a command in a process that may not set memory policies."""
    if platform.machine() != "x86_64":
        pytest.skip("the filter has the numbers of x86-64")
    file = tmp_path / "plan.json"
    file.write_text(plan.render("json"))
    command = [sys.executable, "-c", FILTER, str(number), "pin", "--plan", str(file), "--", "echo", "ran"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.EPERM, ("set_mempolicy", "seccomp", "CAP_SYS_NICE")), (errno.ENOSYS, ("set_mempolicy", "no NUMA"))],
)
def test_a_memory_policy_that_is_denied_names_the_call_and_the_remedy(
    tmp_path: Path, number: int, words: tuple[str, ...]
) -> None:
    """As a container's profile denies it, and as a kernel without NUMA answers."""
    answer = filtered(number, plan_here(), tmp_path)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr.count("\n") == 1
    assert all(word in answer.stderr for word in words), answer.stderr


def test_with_one_cell_no_memory_is_bound(tmp_path: Path) -> None:
    """The command therefore runs even where memory policies are denied."""
    answer = filtered(errno.EPERM, plan_here()._replace(bind=False), tmp_path)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "ran\n", "")


def test_cpus_that_the_kernel_leaves_out_are_an_error() -> None:
    """It silently takes the part of a mask that exists."""
    before = os.sched_getaffinity(0)
    try:
        with pytest.raises(SourceError, match=r"took cpus .* and left out 4000"):
            changes.thread_cpus(0, (HERE[0], 4000))
        with pytest.raises(SourceError, match="none of cpus 4000 is online"):
            changes.thread_cpus(0, (4000,))
    finally:
        os.sched_setaffinity(0, before)


def test_nodes_that_are_not_there_are_an_error() -> None:
    """The error has their numbers; the policy is tried in a thread of its own, with which it ends."""
    if not policies():
        pytest.skip("memory policies are not available here")
    caught: list[BaseException] = []

    def bind() -> None:
        for nodes in ((1023,), (0,)):
            try:
                changes.own_memory(nodes)
            except SourceError as error:
                caught.append(error)

    thread = threading.Thread(target=bind)
    thread.start()
    thread.join()
    assert [str(error) for error in caught] == [str(caught[0])]
    assert "nodes 1023" in str(caught[0])


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.EPERM, SourceDenied, "CAP_SYS_NICE"),
        (errno.ENOSYS, SourceUnavailable, "does not have the call"),
        (errno.EINVAL, SourceError, "none of cpus"),
    ],
)
def test_an_affinity_that_is_refused_names_the_call(
    monkeypatch: pytest.MonkeyPatch, number: int, kind: type[SourceError], words: str
) -> None:
    """It also names the thread or process."""

    def refuse(thread: int, cpus: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    with pytest.raises(kind, match="sched_setaffinity of thread 7") as caught:
        changes.thread_cpus(7, HERE[:1])
    assert words in str(caught.value)


def test_cpus_that_xen_leaves_out_are_an_error() -> None:
    """Xen returns the effective affinity, from which the CPUs of other pools are missing."""

    class OtherPool(Recorder):
        def call(self, number: int, command: int, op: bytes, buffers: tuple[tuple[int, bytes], ...] = ()):  # type: ignore[no-untyped-def]
            reply, op, contents = super().call(number, command, op, buffers)
            return reply, op, ((1 << 4).to_bytes(8, "little"),) if (number, command) == (36, 9) else contents

    with pytest.raises(SourceError, match="took cpus 4 of 4-5 for vcpu 0"):
        changes.set_xen(OtherPool(0x15), 7, [(0, (4, 5))], (1,))
    changes.set_xen(OtherPool(0x15), 7, [(0, (4,))], (1,))


def test_threads_of_the_kernel_are_pinned_by_force_only(capsys: pytest.CaptureFixture[str]) -> None:
    """Its kthreadd is process 2 where the machine's own processes are seen."""
    try:
        name = Path("/proc/2/comm").read_text()
    except OSError:
        name = ""
    if name != "kthreadd\n":
        pytest.skip("the kernel's threads are not seen here")
    with pytest.raises(ValueError, match="kernel thread"):
        pin.process_steps(plan_here(), 2)
    assert pin.process_steps(plan_here(), 2, force=True)
    assert main(["pin", "--vcpus", "1", "--memory", "1M", "--no-domains", "--pid", "2"]) == 2
    assert "kernel thread" in capsys.readouterr().err


def test_a_process_without_a_guest_is_pinned_by_force_only(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A mistyped number is some other process."""
    file = tmp_path / "plan.json"
    file.write_text(plan_here().render("json"))
    with subprocess.Popen(["sleep", "30"]) as child:
        try:
            assert main(["pin", "--plan", str(file), "--pid", str(child.pid)]) == 2
            assert "does not run a guest; use --force" in capsys.readouterr().err
            assert os.sched_getaffinity(child.pid) == set(HERE)
            assert main(["pin", "--plan", str(file), "--pid", str(child.pid), "--force"]) == 0
            assert os.sched_getaffinity(child.pid) == set(HERE[:1])
        finally:
            child.kill()


def test_a_batch_s_plans_are_pinned_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file is what place --batch wrote; without a name it must contain exactly one plan."""
    machine = host([4 * GIB, 4 * GIB])
    plans = [place(machine, vcpus=1, memory=GIB, name=name) for name in ("a", "b")]
    file = tmp_path / "plans.json"
    file.write_text(json.dumps([plan.to_dict() for plan in plans]))
    words = ["pin", "--plan", str(file), "--dry-run"]
    assert main([*words, "--name", "b", "--", "true"]) == 0
    assert "cpus 0-7" in capsys.readouterr().out
    assert main([*words, "--name", "c", "--", "true"]) == 2
    assert "no plan for a guest named 'c'" in capsys.readouterr().err
    assert main([*words, "--", "true"]) == 2
    assert "select one with --name" in capsys.readouterr().err


@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "no"), OSError(errno.EIO, "no")])
def test_a_process_whose_kind_cannot_be_read_is_not_pinned(error: OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread of the kernel's own is pinned only by force, and a failed read does not make it a program."""

    def fail(*_: object) -> None:
        raise error

    internals = importlib.import_module("numaprobe.pin")
    monkeypatch.setattr("builtins.open", fail)
    with pytest.raises(SourceError, match="/proc/2/stat"):
        internals._is_kernel_thread(2)
    with pytest.raises(SourceError, match="/proc/2/task/3/comm"):
        internals._vcpu_of(2, 3)
