"""The calls that pinning makes, to the letter, with the kernel and Xen replaced."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hosts import GIB, domain, host
from pinning import Recorder, plan_here

import numaprobe
from numaprobe import SourceDenied, SourceError, SourceUnavailable, pin, place
from numaprobe.pin import Step, changes


def fails(error: BaseException) -> Callable[..., Any]:
    def call(*_: object) -> None:
        raise error

    return call


def test_a_command_is_started_after_cpus_and_memory_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its first word, with all of its words."""
    done: list[object] = []
    monkeypatch.setattr(pin, "apply", done.append)
    monkeypatch.setattr(os, "execvp", lambda file, words: done.append((file, words)))
    plan = plan_here()
    pin.run(plan, ("echo", "a b"))
    assert done == [(Step("cpus", cpus=plan.cpus), Step("memory", cells=(0,))), ("echo", ["echo", "a b"])]


def test_steps_are_carried_out_on_the_calling_process_unless_they_name_a_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The kernel's number for the calling thread is 0."""
    done: list[object] = []
    monkeypatch.setattr(changes, "thread_cpus", lambda thread, cpus: done.append((thread, cpus)))
    monkeypatch.setattr(changes, "own_memory", done.append)
    pin.apply(
        [Step("cpus", 7, (1, 2)), Step("cpus", cpus=(3,)), Step("cpus"), Step("memory"), Step("memory", cells=(4,))]
    )
    assert done == [(7, (1, 2)), (0, (3,)), (0, ()), (), (4,)]
    with pytest.raises(ValueError, match=r"pinned by numaprobe\.pin\.domain"):
        pin.apply([Step("domain", 0, (1,))])


def test_threads_that_start_meanwhile_are_pinned_for_eight_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread whose CPUs changed is pinned again, one that ended is not listed, and what is done is not repeated."""
    done: list[tuple[int, tuple[int, ...]]] = []
    rounds: list[bool] = []

    def steps(_plan: object, pid: int, *, force: bool) -> tuple[Step, ...]:
        assert pid == 5
        rounds.append(force)
        return (Step("cpus", 5, (0,)), Step("cpus", 6, (min(len(rounds), 2),)), Step("cpus", 99 + len(rounds), (9,)))

    def thread_cpus(thread: int, cpus: tuple[int, ...]) -> None:
        if thread == 101:
            raise ProcessLookupError
        done.append((thread, cpus))

    monkeypatch.setattr(pin, "process_steps", steps)
    monkeypatch.setattr(changes, "thread_cpus", thread_cpus)
    found = pin.process(plan_here(), 5)
    assert rounds == [False] * 8
    new = [(thread, (9,)) for thread in (100, 102, 103, 104, 105, 106, 107)]
    assert done == [(5, (0,)), (6, (1,)), new[0], (6, (2,)), *new[1:]]
    assert found == tuple(Step("cpus", thread, cpus) for thread, cpus in ((5, (0,)), (6, (2,)), *new))
    monkeypatch.setattr(pin, "process_steps", lambda *_, force: (Step("cpus", 5, (0,)),) * force)
    assert pin.process(plan_here(), 5, force=True) == (Step("cpus", 5, (0,)),)
    assert pin.process(plan_here(), 5) == ()


@pytest.mark.parametrize(
    ("stat", "kernel"),
    [
        (b"2 (kthreadd) S 0 0 0 0 -1 2129984 0", True),
        (b"2 (a) b) S 0 0 0 0 -1 2097152", True),
        (b"2 (init) S 0 0 0 0 -1 4194561 2097152", False),
        (b"2 (init) S 0 0 0 0 -1 1 0", False),
        (b"2 (init) S 0 0 0 0 -1", False),
        (b"2 (init) S 0 0 0 0 -1 x 0", False),
        (b"", False),
    ],
)
def test_a_thread_of_the_kernel_has_the_flag_in_its_ninth_field(
    monkeypatch: pytest.MonkeyPatch, stat: bytes, kernel: bool
) -> None:
    """PF_KTHREAD is 0x00200000 (include/linux/sched.h); proc(5) counts fields from 1, the name in brackets as one."""
    monkeypatch.setattr(
        pin, "open", lambda path, _mode: io.BytesIO(stat) if path == "/proc/2/stat" else 1, raising=False
    )
    monkeypatch.setattr(pin, "_threads", lambda pid: [pid])
    if kernel:
        with pytest.raises(ValueError, match="process 2 is a kernel thread, which is not pinned unless forced"):
            pin.process_steps(plan_here(), 2)
    assert pin._is_kernel_thread(2) is kernel


def test_a_process_that_ended_is_no_thread_of_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its missing file says nothing, and what follows reports that it is not there."""
    monkeypatch.setattr(pin, "open", fails(FileNotFoundError()), raising=False)
    assert pin._is_kernel_thread(2) is False
    assert pin._vcpu_of(2, 3) is None


@pytest.mark.parametrize(
    ("name", "vcpu"),
    [
        (b"CPU 12/KVM\n", 12),
        (b"CPU 0/TCG\n", 0),
        (b"CPU 0\n", None),
        (b"CPU 0", None),
        (b"12/KVM\n", None),
        (b"CPU /KVM\n", None),
        (b"CPU x/KVM\n", None),
        (b"cpu 0/KVM\n", None),
        (b"qemu\n", None),
    ],
)
def test_a_vcpu_has_the_name_that_qemu_gives_it(monkeypatch: pytest.MonkeyPatch, name: bytes, vcpu: int | None) -> None:
    """``CPU N/KVM`` or ``CPU N/TCG``, and no other name is taken for one."""
    monkeypatch.setattr(pin, "open", lambda path, _mode: {"/proc/2/task/3/comm": io.BytesIO(name)}[path], raising=False)
    assert pin._vcpu_of(2, 3) == vcpu


def test_a_domain_is_found_by_number_or_name_and_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done is what the steps say."""
    machine = host([4 * GIB], source="xen")
    plan = place(machine, vcpus=2, memory=GIB, pinned=True)
    known = [
        domain(name, 2, id=number, kind="hvm", state="paused", vcpus_maximum=2) for number, name in ((3, "a"), (4, "b"))
    ]
    told: list[object] = []
    monkeypatch.setattr(numaprobe, "domains", lambda _host: known)
    monkeypatch.setattr(changes, "xen_domain", lambda *words: told.append(words))
    assert [pin.find(machine, which).name for which in (3, "3", "a", 4, "4", "b")] == ["a"] * 3 + ["b"] * 3
    assert pin.domain(plan, machine, "b") == (
        Step("domain", 0, (0,)),
        Step("domain", 1, (1,)),
        Step("domain", cells=(0,)),
    )
    assert told == [(4, [(0, (0,)), (1, (1,))], (0,))]
    with pytest.raises(SourceUnavailable, match="domain c: there is none"):
        pin.find(machine, "c")
    known[0] = known[0]._replace(state="running")
    with pytest.raises(ValueError, match="domain 3 is running, not paused"):
        pin.domain(plan, machine, 3)
    assert len(told) == 1
    pin.domain(plan, machine, 3, force=True)
    assert told[1:] == [(3, [(0, (0,)), (1, (1,))], (0,))]


@pytest.mark.parametrize(
    ("known", "text"),
    [
        ({"id": "machine.slice", "kind": "pv"}, "machine.slice is not a Xen domain"),
        ({"kind": "process"}, "3 is not a Xen domain"),
        ({"state": None}, "domain 3 is in an unknown state, not paused"),
        ({"vcpus_maximum": 1}, "domain 3 has 1 vcpus, and the plan 2"),
        ({"vcpus_maximum": None, "vcpus": 3}, "domain 3 has 3 vcpus, and the plan 2"),
    ],
)
def test_why_a_domain_is_left_alone(known: dict[str, Any], text: str) -> None:
    """The sentence names it and what it is; the maximum of vcpus counts before those that are online."""
    plan = place(host([4 * GIB], source="xen"), vcpus=2, memory=GIB)
    guest = domain("g", 2, id=3, kind="hvm", state="paused", vcpus_maximum=2)._replace(**known)
    with pytest.raises(ValueError, match=f"^{text}$"):
        pin.domain_steps(plan, guest)


def test_a_domain_of_an_unknown_number_of_vcpus_is_pinned() -> None:
    """Xen then refuses the vcpus that are not there."""
    plan = place(host([4 * GIB], source="xen"), vcpus=2, memory=GIB)
    guest = domain("g", 2, id=3, kind="pv", state="paused")._replace(vcpus=None)
    assert len(pin.domain_steps(plan, guest)) == 3


def policy(got: tuple[int, ...], told: list[object]) -> SimpleNamespace:
    return SimpleNamespace(set_mempolicy=lambda mode, nodes: told.append((mode, nodes)), get_mempolicy=lambda: (2, got))


def test_memory_is_bound_to_the_nodes_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """MPOL_BIND is 2 (include/uapi/linux/mempolicy.h), and what the kernel took is read back."""
    told: list[object] = []
    monkeypatch.setattr(changes, "_fast", policy((0, 3), told))
    changes.own_memory([3, 0])
    assert told == [(2, (0, 3))]
    monkeypatch.setattr(changes, "_fast", policy((0,), told))
    with pytest.raises(SourceError, match=r"set_mempolicy: the kernel took nodes 0 and left out 3$"):
        changes.own_memory([3, 0])
    monkeypatch.setattr(changes, "_fast", policy((), told))
    with pytest.raises(SourceError, match=r"the kernel took nodes none and left out 0,3$"):
        changes.own_memory([3, 0])


@pytest.mark.parametrize(
    ("number", "kind", "text"),
    [
        (errno.EPERM, SourceDenied, "binding memory is not permitted"),
        (errno.EACCES, SourceDenied, "binding memory is not permitted"),
        (errno.ENOSYS, SourceUnavailable, "this kernel has no NUMA memory policies"),
        (errno.EINVAL, SourceError, "the kernel refuses nodes 0-1: absent"),
    ],
)
def test_a_refused_policy_is_an_error_of_its_kind(
    monkeypatch: pytest.MonkeyPatch, number: int, kind: type[SourceError], text: str
) -> None:
    """With the number of the error, so that a program can decide."""
    monkeypatch.setattr(changes, "_fast", SimpleNamespace(set_mempolicy=fails(OSError(number, "no"))))
    with pytest.raises(SourceError, match=text) as caught:
        changes.own_memory((1, 0))
    assert (type(caught.value), caught.value.errno) == (kind, number)


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (
            PermissionError(errno.EACCES, "no", "/dev/xen/privcmd"),
            SourceDenied,
            "privcmd: only root may change a domain",
        ),
        (FileNotFoundError(errno.ENOENT, "no", "/dev/xen/privcmd"), SourceUnavailable, "/dev/xen/privcmd"),
        (OSError(errno.ENXIO, "no"), SourceUnavailable, "privcmd"),
    ],
)
def test_a_control_domain_that_cannot_be_reached(
    monkeypatch: pytest.MonkeyPatch, error: OSError, kind: type[SourceError], text: str
) -> None:
    """The device that is missing is named where the error names it."""
    monkeypatch.setattr(changes, "_fast", SimpleNamespace(AffinityCalls=fails(error)))
    with pytest.raises(kind, match=f"^{text}") as caught:
        changes.xen_domain(7, [(0, (1,))], (0,))
    assert caught.value.errno == error.errno


class Port(Recorder):
    """A port that can be closed, and writes back the given maps."""

    closed = False
    effective: tuple[bytes, ...] | None = None

    def __enter__(self) -> Port:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def call(
        self, number: int, command: int, op: bytes, buffers: tuple[tuple[int, bytes], ...] = ()
    ) -> tuple[int, bytes, tuple[bytes, ...]]:
        result, op, contents = super().call(number, command, op, buffers)
        affinity = (number, command) == (36, 9)
        return result, op, self.effective if affinity and self.effective is not None else contents


# By the version of domctl: Xen 4.3 had one map and no flags, and since 4.5 the first flag means the hard one.
@pytest.mark.parametrize(("version", "flags"), [(0x09, 0), (0x0A, 1), (0x0B, 1)])
def test_xen_s_maps_have_whole_words_and_their_width(monkeypatch: pytest.MonkeyPatch, version: int, flags: int) -> None:
    """The last bit of a word, the first of the next, and no bit at all."""
    port = Port(version)
    monkeypatch.setattr(changes, "_fast", SimpleNamespace(AffinityCalls=lambda: port))
    changes.xen_domain(7, [(0, (63,)), (1, (0, 64)), (2, ())], (1,))
    assert port.closed

    def op(command: int, *words: int) -> bytes:
        numbers = b"".join(word.to_bytes(size, "little") for word, size in zip(words, (4, 4, 8, 4), strict=False))
        header = command.to_bytes(4, "little") + version.to_bytes(4, "little") + (7).to_bytes(8, "little")
        return (header + numbers).ljust(144, b"\0")

    def node_op() -> bytes:
        header = (68).to_bytes(4, "little") + version.to_bytes(4, "little") + (7).to_bytes(8, "little")
        return (header + bytes(8) + (64).to_bytes(4, "little")).ljust(144, b"\0")

    assert port.told == [
        (9, op(9, 0, flags, 0, 64), ((24, bytes(7) + b"\x80"),)),
        (9, op(9, 1, flags, 0, 128), ((24, b"\x01" + bytes(7) + b"\x01" + bytes(7)),)),
        (9, op(9, 2, flags, 0, 64), ((24, bytes(8)),)),
        (68, node_op(), ((16, b"\x02" + bytes(7)),)),
    ]


def test_cpus_that_xen_left_out_are_reported_by_releases_that_write_them_back() -> None:
    """Before 4.5 what stands in the buffer is what was sent, whatever it is."""
    wanted = [(3, (4, 9, 70))]
    for version, effective, taken in (
        (0x0A, 1 << 4 | 1 << 70, "4,70"),
        (0x0A, 1 << 9 | 1 << 64, "9,64"),
        (0x0B, 0, "none"),
    ):
        port = Port(version)
        port.effective = (effective.to_bytes(16, "little"),)
        text = f"domctl setvcpuaffinity of domain 7: Xen took cpus {taken} of 4,9,70 for vcpu 3: the others are offline"
        with pytest.raises(SourceError, match=f"^{text} or outside the domain's cpupool$"):
            changes.set_xen(port, 7, wanted, (1,))
        port = Port(0x09)
        port.effective = (effective.to_bytes(16, "little"),)
        changes.set_xen(port, 7, wanted, (1,))
        assert [command for command, _, _ in port.told] == [9, 68]
    for contents in ((), ((1 << 4 | 1 << 9 | 1 << 70).to_bytes(16, "little"),)):
        port = Port(0x0B)
        port.effective = contents
        changes.set_xen(port, 7, wanted, (1,))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (PermissionError(errno.EACCES, "no"), SourceDenied),
        (OSError(errno.EMFILE, "no"), SourceError),
        (ProcessLookupError(), None),
    ],
)
def test_a_process_that_cannot_be_read_is_an_error_and_no_answer(
    monkeypatch: pytest.MonkeyPatch, error: OSError, kind: type[SourceError] | None
) -> None:
    """Only one that has ended says nothing; a thread's name would otherwise be taken for that of no vcpu."""
    monkeypatch.setattr(pin, "open", fails(error), raising=False)
    for read, path in (
        (lambda: pin._is_kernel_thread(2), "/proc/2/stat"),
        (lambda: pin._vcpu_of(2, 3), "/proc/2/task/3/comm"),
    ):
        if kind is None:
            assert not read()
            continue
        with pytest.raises(kind, match=path) as caught:
            read()
        assert (type(caught.value), caught.value.errno) == (kind, error.errno)
