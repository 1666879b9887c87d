"""Recordings with domains: they answer as the machine did, and hold no more of it than was asked for."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import fakes
import pytest
import trees
from fake_domains import FakeDomains, two_node_domains
from fake_xen import SRAT
from hypothesis import given
from hypothesis import strategies as st
from processes import QEMU, group, machine, process
from trees import Machine

import numaprobe
from numaprobe.linux.guests import command_line
from numaprobe.linux.guests.collect import collect as collect_guests
from numaprobe.linux.guests.facts import CommandLine, GuestNode
from numaprobe.model.domains import Domain
from numaprobe.probing.domains import NAMES, ask_xen
from numaprobe.recording.domains import Redactor
from numaprobe.sources.recorder import RecordingReader
from numaprobe.sources.transcript import RecordingHypercalls
from numaprobe.xen.collect import collect

SECRET = "fortknox"
MAPS = f"""\
7f0000000000 bind:1 anon=24576 dirty=24576 active=0 N1=24576 kernelpagesize_kB=4
7f1000000000 default file=/opt/{SECRET}/lib.so anon=3 dirty=3 mapped=10 N0=6 N1=4 kernelpagesize_kB=4
7f2000000000 default file=/opt/{SECRET}/other.so mapped=10 N0=10 kernelpagesize_kB=4
7f3000000000 default file=/run/my\\040place/{SECRET} dirty=9 N0=9 kernelpagesize_kB=4
"""


def secretive() -> Machine:
    """Guests and others, with a word all over that is nobody else's business."""
    line = QEMU.replace("vm1", SECRET) + f"-drive\0file=/srv/{SECRET}.img\0-object\0secret,id=s,data={SECRET}\0"
    own = f"/machine.slice/{SECRET}.scope"
    charged = group(f"sys/fs/cgroup{own}", "500\n", anon=f"N0=0 N1={25591 * 4096}")
    first = process(500, cmdline=line, cgroup=own)
    second = process(600, cmdline=line.replace("AAAA", "BBBB"), maps=MAPS, cgroup=f"/{SECRET}.slice")
    second["proc/600/comm"] = f"qemu:{SECRET}\n"
    second["proc/600/stat"] = str(second["proc/600/stat"]).replace("(qemu) S (x)", f"(qemu) {SECRET})")
    other = process(700, cmdline=f"{SECRET}\0--password={SECRET}\0", vcpus=())
    return machine(first, second, other, charged)


def recorded(tree: Machine, tmp_path: Path, **options: bool) -> Path:
    root = trees.plant(tmp_path / "root", tree)
    target = tmp_path / "host.tar"
    numaprobe.record(target, root=root, **options)  # type: ignore[arg-type]
    return target


def replayed(recording: Path, **options: object) -> list[Domain]:
    return list(numaprobe.domains(numaprobe.probe(recording=recording), recording=recording, **options))  # type: ignore[arg-type]


def words_of(recording: Path) -> str:
    """Everything in a recording: names and contents."""
    with tarfile.open(recording) as tar:
        parts = []
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            parts += [member.name, content.read().decode("utf-8", "replace") if content else ""]
    return "\n".join(parts)


def test_a_recording_has_domains_only_if_asked_to(tmp_path: Path) -> None:
    """They reveal whose guests a host runs."""
    recording = recorded(secretive(), tmp_path)
    assert SECRET not in words_of(recording)
    assert "/500" not in words_of(recording)
    assert replayed(recording) == []


def test_a_recording_with_domains_answers_as_the_machine_did(tmp_path: Path) -> None:
    """One guest is counted by its control group and one by its maps."""
    recording = recorded(secretive(), tmp_path, domains=True)
    root = tmp_path / "root"
    live = numaprobe.domains(numaprobe.probe(root), root=root)
    assert [domain.id for domain in live] == [500, 600]
    assert [domain.how_from for domain in live] == [
        f"sys/fs/cgroup/machine.slice/{SECRET}.scope/memory.numa_stat",
        "proc/600/numa_maps",
    ]
    assert replayed(recording) == list(live)
    assert [domain.name for domain in live] == [SECRET] * 2


def test_a_recording_has_nothing_of_a_guest_but_what_is_understood(tmp_path: Path) -> None:
    """Its disks and secrets are left out, as is everything of other processes."""
    text = words_of(recorded(secretive(), tmp_path, domains=True))
    for part in ("-drive", "secret,", "/srv/", "/opt/", "my\\040place", "password", "proc/700", "qemu:"):
        assert part not in text


def test_an_anonymous_recording_has_no_name(tmp_path: Path) -> None:
    """Domains, control groups and files are renamed; the figures stay the machine's."""
    recording = recorded(secretive(), tmp_path, domains=True, anonymous=True)
    text = words_of(recording)
    assert SECRET not in text
    assert "aaaaaaaa" not in text.lower()
    root = tmp_path / "root"
    live = numaprobe.domains(numaprobe.probe(root), root=root)
    found = replayed(recording)
    assert [domain.name for domain in found] == ["guest-500", "guest-600"]
    assert [domain.uuid for domain in found] == [f"00000000-0000-0000-0000-{pid:012}" for pid in (500, 600)]
    assert found[0].how_from is not None
    assert found[0].how_from.endswith("/memory.numa_stat")
    same = [domain._replace(name=None, uuid=None, how_from=None) for domain in live]
    assert [domain._replace(name=None, uuid=None, how_from=None) for domain in found] == same


def test_a_recording_of_a_recording_is_the_same(tmp_path: Path) -> None:
    """What is kept is enough to be kept again."""
    first = recorded(secretive(), tmp_path, domains=True)
    second = tmp_path / "again.tar"
    numaprobe.record(second, recording=first, domains=True)
    assert replayed(second) == replayed(first)


def test_what_a_process_may_use_is_not_anonymous(tmp_path: Path) -> None:
    """It includes the names of control groups, so the two options exclude each other."""
    with pytest.raises(ValueError, match="anonymous"):
        recorded(machine(), tmp_path, allowed=True, anonymous=True)


ids = st.lists(st.integers(0, 70), unique=True, min_size=1).map(lambda found: tuple(sorted(found)))
sizes = st.none() | st.integers(1, 1 << 45)
node = st.builds(GuestNode, st.integers(0, 9), sizes, st.none() | ids, st.none() | ids)
names = st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=9)


@given(
    st.sampled_from(["qemu", "cloud-hypervisor", "firecracker", "crosvm"]), names, st.none() | st.uuids().map(str), sizes,
    st.none() | st.integers(1, 99), st.none() | st.integers(1, 99), st.booleans(),
    st.none() | st.lists(node, min_size=1, max_size=3, unique_by=lambda one: one.id).map(tuple), st.none() | ids,
)  # fmt: skip
def test_a_command_line_that_was_written_says_the_same(
    program: str,
    name: str | None,
    uuid: str | None,
    memory: int | None,
    vcpus: int | None,
    maximum: int | None,
    paused: bool,
    nodes: tuple[GuestNode, ...] | None,
    bound: tuple[int, ...] | None,
) -> None:
    """Whatever was understood of the first is understood of the second."""
    if program == "qemu":
        if nodes is not None:
            parts = [one.nodes for one in nodes]
            bound = None if None in parts else tuple(sorted({n for part in parts for n in part or ()}))
        line = CommandLine(
            program=program,
            name=name,
            uuid=uuid,
            memory=memory,
            vcpus=vcpus or maximum,
            vcpus_maximum=maximum or vcpus,
            starts_paused=paused,
            guest_nodes=nodes,
            nodes=bound,
        )
    else:
        if program == "cloud-hypervisor":
            name = None
        line = CommandLine(program=program, name=name, memory=memory, vcpus=vcpus, vcpus_maximum=maximum or vcpus)
    assert command_line.parse(command_line.written(line)) == line


def control_domain(xen: FakeDomains) -> Machine:
    """A control domain's files, with the hypervisor's answers beside them."""
    calls = RecordingHypercalls(xen)
    collect(calls, SRAT, fakes.ADDRESSES)
    ask_xen(calls)
    return fakes.xen_machine("4.21") | {
        "xen/transcript.jsonl": calls.text(),
        NAMES: json.dumps({0: "Domain-0", 1: SECRET}),
    }


@pytest.mark.parametrize("anonymous", [False, True])
@pytest.mark.parametrize("release", ["4.21", "4.10.0", "4.2"])
def test_a_hypervisors_domains_are_recorded_too(release: str, anonymous: bool, tmp_path: Path) -> None:
    """The hypercalls, and the names that xenstored gave; a handle is a uuid."""
    tree = control_domain(two_node_domains(release))
    first = tmp_path / "first.tar"
    first.write_bytes(trees.pack(tree))
    second = tmp_path / "second.tar"
    live = replayed(first)
    assert [(domain.id, domain.name) for domain in live] == [(0, "Domain-0"), (1, SECRET), (7, None)]
    from numaprobe.recording.writing import record

    record(second, recording=first, domains=True, anonymous=anonymous)
    found = replayed(second)
    if not anonymous:
        assert found == live
        return
    assert [domain.name for domain in found] == ["domain-0", "domain-1", None]
    text = words_of(second)
    assert SECRET not in text
    assert bytes(range(16)).hex() not in text
    assert len({domain.uuid for domain in found}) == 3
    assert [domain._replace(name=None, uuid=None) for domain in found] == [
        domain._replace(name=None, uuid=None) for domain in live
    ]


def test_names_in_a_recording_that_make_no_sense_are_an_error(tmp_path: Path) -> None:
    """They are the recording's, not xenstored's."""
    broken = tmp_path / "broken.tar"
    broken.write_bytes(trees.pack(control_domain(two_node_domains("4.21")) | {NAMES: "[1"}))
    with pytest.raises(numaprobe.RecordingError, match="names"):
        replayed(broken)


def test_a_recording_without_them_says_that_domains_were_not_recorded(tmp_path: Path) -> None:
    """None at all would be another answer than no answer."""
    tree = control_domain(two_node_domains("4.21"))
    calls = RecordingHypercalls(two_node_domains("4.21"))
    collect(calls, SRAT, fakes.ADDRESSES)
    plain = tmp_path / "plain.tar"
    plain.write_bytes(trees.pack(tree | {"xen/transcript.jsonl": calls.text()}))
    with pytest.raises(numaprobe.RecordingError, match="getdomain"):
        replayed(plain)


def waits(*, at_rest: bool) -> set[str]:
    """What is kept of where the vcpus of a guest wait, that are at rest or have only just begun to wait."""
    tree = machine(process(500, vcpus=(("CPU 0/KVM", "S", 9, "0-3"),)))
    seen = RecordingReader(trees.Shelf(tree))
    found = collect_guests(seen)
    guests = [guest._replace(rested=at_rest) for guest in found.guests]
    redactor = Redactor(seen, found._replace(guests=tuple(guests)), anonymous=False)
    return {
        kept[1].decode()
        for wait in (b"futex_wait_queue", b"futex_do_wait", b"do_sys_poll", b"0")
        if (kept := redactor.file("proc/500/task/501/wchan", wait)) is not None
    }


def test_a_vcpu_that_has_only_just_begun_to_wait_is_not_recorded_as_paused() -> None:
    """A replay has no second look."""
    assert waits(at_rest=True) == {"futex_wait_queue", "futex_do_wait", "do_sys_poll", "0"}
    assert waits(at_rest=False) == {"do_sys_poll", "0"}


def test_a_recording_says_which_guests_cannot_be_moved_and_not_by_which_device(tmp_path: Path) -> None:
    """Support staff plan moves from recordings; of the descriptors only the kind that holds memory is kept."""
    tree = secretive()
    tree |= {"proc/500/fd/7": trees.Link("/dev/vfio/42"), "proc/500/fd/8": trees.Link(f"/srv/{SECRET}.img")}
    tree |= {"proc/600/fd/7": trees.Link("/dev/kvm")}
    recording = recorded(tree, tmp_path, domains=True)
    assert "vfio/42" not in words_of(recording)
    assert "/srv/" not in words_of(recording)
    found = numaprobe.immovable(replayed(recording), recording=recording)
    assert {number: reason.rpartition(" ")[2] for number, reason in found.items()} == {500: "(VFIO)"}


def test_whether_a_guest_can_be_moved_is_unknown_from_a_recording_without_its_descriptors(tmp_path: Path) -> None:
    """Older recordings have none, and advice to move a guest with a device would be wrong."""
    recording = recorded(secretive(), tmp_path, domains=True)
    found = numaprobe.immovable(replayed(recording), recording=recording)
    assert list(found) == [500, 600]
    assert all("is not known" in reason and "not in the recording" in reason for reason in found.values())
