"""Which host a guest goes to: each part of the price, what a plan takes, and what members are read from."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fleets import guests
from hosts import GIB, MIB, host

pytest.importorskip("keystoneauth1", reason="needs numaprobe[openstack]")

from numaprobe import Domains, Request, SourceUnavailable, place
from numaprobe.contrib.openstack import Member, choose
from numaprobe.contrib.openstack import members as reading
from numaprobe.contrib.openstack.choose import _amounts, _cpus, _split, _too_small
from numaprobe.contrib.openstack.documents import guests_of, host_of
from numaprobe.contrib.openstack.errors import FleetError
from numaprobe.contrib.openstack.members import checked_name, live, read, recorded
from numaprobe.contrib.openstack.ranking import _apart, _round, pages_of, typical
from numaprobe.contrib.openstack.room import CellRoom, Known
from numaprobe.contrib.openstack.session import at


@pytest.mark.parametrize(
    ("count", "weights", "parts"),
    [
        (0, {0: 1, 1: 1}, {0: 0, 1: 0}),
        (1, {0: 1, 1: 1}, {0: 1, 1: 0}),
        (1, {0: 1, 1: 3}, {0: 0, 1: 1}),
        (3, {0: 1, 1: 1}, {0: 2, 1: 1}),
        (3, {1: 1, 0: 1}, {0: 2, 1: 1}),
        (5, {0: 2, 1: 3}, {0: 2, 1: 3}),
        (4, {0: 2, 1: 3}, {0: 2, 1: 2}),
        (7, {0: 3, 1: 3, 2: 3}, {0: 3, 1: 2, 2: 2}),
    ],
)
def test_a_number_is_split_in_proportion(count: int, weights: dict[int, int], parts: dict[int, int]) -> None:
    """The largest remainder first, then the lowest cell."""
    assert _split(count, weights) == parts


def room(ratio: float = 1.0, **classes: int | tuple[int, int]) -> CellRoom:
    capacity = {name: one[0] if isinstance(one, tuple) else one for name, one in classes.items()}
    return CellRoom(capacity, {name: one[1] for name, one in classes.items() if isinstance(one, tuple)}, ratio)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"vcpus": 6, "memory": 12 * MIB}, None),
        ({"vcpus": 6, "memory": 12 * MIB + 1}, "12 MiB of MEMORY_MB are left"),
        ({"vcpus": 7, "memory": 12 * MIB}, "6 CPUs are left"),
        ({"vcpus": 2, "memory": MIB, "pinned": True}, None),
        ({"vcpus": 3, "memory": MIB, "pinned": True}, "2 CPUs are left"),
        ({"vcpus": 1, "memory": 2 * MIB, "huge_page": 2 * MIB}, "0 MiB of CUSTOM_HUGEPAGES_2048K_MB are left"),
    ],
)
def test_a_host_that_is_too_small_is_refused_without_a_plan(asked: dict[str, Any], reason: str | None) -> None:
    """By what all of its cells have left together; two vcpus float on each CPU of a cell."""
    cells = {"a": room(2.0, VCPU=(4, 1), MEMORY_MB=8), "b": room(2.0, VCPU=3, MEMORY_MB=(9, 5))}
    assert _too_small(cells, Request(**asked)) == reason


def taken(plan: Any, machine: Any, **cells: CellRoom) -> Any:
    one = Known(Member("a", machine, guests()))
    return _amounts(one, {one.cells[int(name[1:])]: each for name, each in cells.items()}, plan)


def test_what_a_plan_takes_of_each_cell() -> None:
    """Memory in whole MiB, and a CPU of its own as many units as vcpus float on one."""
    machine = host([8 * GIB, 8 * GIB], cpus=4)
    left = {"c0": room(1.5, VCPU=9, MEMORY_MB=8192), "c1": room(1.5, VCPU=9, MEMORY_MB=8192)}
    assert taken(place(machine, vcpus=3, memory=GIB + 1, reserve=0), machine, **left) == {
        0: {"MEMORY_MB": 1025, "VCPU": 3}
    }
    pinned = place(machine, vcpus=3, memory=GIB, pinned=True, reserve=0)
    assert taken(pinned, machine, **left) == {0: {"MEMORY_MB": 1024, "VCPU": 5}}, "4.5 rounded up"
    mixed = place(machine, vcpus=3, memory=GIB, pinned_vcpus=[0, 1], reserve=0)
    assert taken(mixed, machine, **left) == {0: {"MEMORY_MB": 1024, "VCPU": 4}}
    cores = place(machine, vcpus=2, memory=GIB, cores=True, reserve=0)
    assert taken(cores, machine, **left) == {0: {"MEMORY_MB": 1024, "VCPU": 6}}, "with their siblings"
    own = {"c0": room(PCPU=4, VCPU=4, MEMORY_MB=8192)}
    assert taken(mixed, machine, **own) == {0: {"MEMORY_MB": 1024, "PCPU": 2, "VCPU": 1}}
    assert taken(pinned, machine, c0=room(PCPU=3, MEMORY_MB=1024)) == {0: {"MEMORY_MB": 1024, "PCPU": 3}}
    for short, text in (
        (room(PCPU=2, MEMORY_MB=1024), "cell 0: 2 of PCPU are left, and 3 needed"),
        (room(PCPU=3, MEMORY_MB=1023), "cell 0: 1023 of MEMORY_MB are left, and 1024 needed"),
    ):
        with pytest.raises(ValueError, match=f"^{text}$"):
            taken(pinned, machine, c0=short)


def test_vcpus_that_float_on_several_cells_are_split_by_their_cpus() -> None:
    """A CPU of no cell counts nowhere."""
    machine = host([8 * GIB, 8 * GIB], cpus=4)
    one = Known(Member("a", machine, guests()))
    plan = place(machine, vcpus=3, memory=GIB, reserve=0)
    wide = plan._replace(vcpus=tuple(each._replace(cpus=(0, 1, 4)) for each in plan.vcpus))
    assert _cpus(one, wide) == {0: (0, 2), 1: (0, 1)}
    one.cell_of[4] = None
    assert _cpus(one, wide) == {0: (0, 3)}
    pinned = place(machine, vcpus=2, memory=GIB, pinned=True, reserve=0)
    one.cell_of[0] = None
    assert _cpus(one, pinned) == {0: (1, 0)}


def test_why_hosts_have_no_room_is_said_by_name() -> None:
    """What place says, what the ledger has left, or that it has nothing."""
    machine = host([8 * GIB, 8 * GIB], cpus=4)
    members = [Known(Member(name, machine, guests())) for name in "abc"]
    rooms = {
        one.root: {uuid: room(VCPU=4, MEMORY_MB=size) for uuid in one.cells.values()}
        for one, size in zip(members, (8192, 100), strict=False)
    }
    found = choose(members, rooms, Request(1, GIB))
    assert [one.name for one in found.choices] == ["a"]
    assert found.refusals == {
        "b": "200 MiB of MEMORY_MB are left",
        "c": "has nothing left, is set aside as stale, or was not published",
    }
    found = choose(members[:1], rooms, Request(1, GIB, near="eth0"))
    assert found.refusals == {"a": "near eth0: the host was read without its devices, which probe(devices=True) adds"}


# --- the price ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "rounded"), [(0, 1), (1, 1), (7, 7), (8, 8), (9, 10), (15, 16), (17, 20), (4000, 4096), (4097, 5120)]
)
def test_memory_for_each_cpu_is_rounded_up_to_three_bits(size: int, rounded: int) -> None:
    """Because reserves are not offered, and guests have round sizes."""
    assert _round(size) == rounded


def test_cpus_without_their_memory_or_memory_without_its_cpus() -> None:
    """Of all cells together, whichever is missing."""
    assert (_apart([(4, 4.0)]), _apart([(4, 1.5)]), _apart([(1, 3.0)]), _apart([(4, 1.0), (1, 3.0)])) == (0, 2.5, 2, 1)
    assert pages_of(Request(1, GIB)) == "MEMORY_MB"
    assert pages_of(Request(1, GIB, huge_page=GIB)) == "CUSTOM_HUGEPAGES_1048576K_MB"


def test_a_typical_host_is_the_average_of_a_fleet() -> None:
    """By capacity and not by what is left; memory beside no CPU is nobody's share."""
    rooms = {
        "a": {"a0": room(VCPU=(8, 8), MEMORY_MB=8192), "a1": room(MEMORY_MB=99999)},
        "b": {"b0": room(VCPU=4, PCPU=4, MEMORY_MB=8192)},
    }
    found = typical(rooms, Request(1, GIB))
    assert (found.per_cpu, found.cpus) == (1024, 8.0)
    assert len(found.fits) == 15
    assert found.fits[0] == pytest.approx((0.85 * 8 + 0.15 * 8 + 0.85 * 8 + 0.15 * 8) / 2)
    assert found.fits[-1] == pytest.approx(1 / 20), "no host takes 16 vcpus with twice their memory"
    empty = typical({}, Request(1, GIB))
    assert (empty.per_cpu, empty.cpus, empty.fits) == (1, 1.0, ())


# --- members ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "x" * 120, "näme", "a b"])
def test_names_that_a_provider_can_have(name: str) -> None:
    """1 to 120 printable characters."""
    assert checked_name(name) == name


@pytest.mark.parametrize("name", ["", "x" * 121, " a", "a ", "a\nb"])
def test_names_that_a_provider_cannot_have(name: str) -> None:
    """Quoted up to that length, on one line."""
    with pytest.raises(ValueError, match=r"^not a name for a host: ") as error:
        checked_name(name)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("dir/a.tar.gz", "a"), ("a.tgz", "a"), ("a.tar.xz", "a"), ("a.tar.bz2", "a"), ("a.tar", "a"), ("a.json", "a"),
        ("a.b", "a.b"), ("fix/web/host.tar.gz", "web"), ("fix/web/", "web"), ("a.tar.gz.json", "a.tar.gz"),
    ],
)  # fmt: skip
def test_a_host_without_a_name_has_that_of_its_file(path: str, name: str) -> None:
    """Less its suffix; of a file called host that of its directory."""
    assert reading._stem(path) == name


@pytest.mark.parametrize(
    ("found", "guests"),
    [
        (Domains(()), ()),
        (Domains((), complete=False), None),
        (SourceUnavailable("/proc", None, "no"), None),
    ],
)
def test_a_recording_without_processes_does_not_say_that_there_are_no_guests(
    monkeypatch: pytest.MonkeyPatch, found: Any, guests: tuple[object, ...] | None
) -> None:
    """None is not known; an empty list that is complete is."""
    asked: list[Any] = []

    def domains(_host: object, **where: Any) -> Any:
        asked.append(where)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(reading.numaprobe, "probe", lambda root, **how: asked.append((root, how)) or "host")
    monkeypatch.setattr(reading.numaprobe, "domains", domains)
    assert recorded("a", root="/r") == ("a", "host", guests)
    assert asked == [
        ("/r", {"recording": None, "source": "auto", "devices": True}),
        {"root": "/r", "recording": None},
    ]
    assert live(source="linux") == (os.uname().nodename, "host", guests)
    assert live("b").name == "b"


def real(*words: Any, **known: Any) -> Any:
    """A host as a source gives it."""
    found = host(*words, **known)
    return found._replace(cells=tuple(one._replace(stand_in=False) for one in found.cells))


def document(**more: Any) -> Any:
    return {**json.loads(json.dumps(real([GIB], cpus=2).to_dict())), **more}


def test_a_member_is_a_recording_a_tree_or_a_document(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With a name or without; a file whose own name has the sign is one without."""
    monkeypatch.setattr(reading, "recorded", lambda name, **where: (name, where))
    file = tmp_path / "a.json"
    file.write_text(json.dumps(document()))
    assert read(f"web={file}").name == "web"
    assert read(str(file)) == Member("a", host_of(document()), None)
    assert read(f"web={tmp_path}") == ("web", {"root": str(tmp_path)})
    assert read("web=x.tar") == ("web", {"recording": "x.tar"})
    odd = tmp_path / "x=y.json"
    odd.write_text(json.dumps(document()))
    assert read(str(odd)).name == "x=y"
    file.write_text("{}")
    with pytest.raises(ValueError, match=rf"^{file}: "):
        read(str(file))
    file.write_text("{")
    with pytest.raises(ValueError, match=rf"^{file} "):
        read(str(file))


def test_a_document_gives_the_host_it_was_made_of() -> None:
    """Without what the process that wrote it might use."""
    machine = real([GIB, GIB], cpus=2, source="xen", claimed=5, devices=[])
    assert host_of(json.loads(json.dumps(machine.to_dict()))) == machine
    with pytest.raises(ValueError, match=r"^its schema is 'numaprobe/9', and this numaprobe reads numaprobe/1$"):
        host_of(document(schema="numaprobe/9"))
    assert host_of(document(strange=1)) == real([GIB], cpus=2)


def test_guests_are_in_the_document_s_own_member() -> None:
    """None without it."""
    listed = {"schema": "numaprobe/1", "source": "linux", "time": None, "complete": False, "cells": [], "domains": [],
              "notes": [{"where": "/proc/7", "text": "unreadable"}]}  # fmt: skip
    found = guests_of(document(domains=listed))
    assert found is not None
    assert (tuple(found), found.complete, tuple(map(tuple, found.notes))) == ((), False, (("/proc/7", "unreadable"),))
    assert guests_of(document()) is None
    with pytest.raises(ValueError, match="numaprobe/9"):
        guests_of(document(domains={**listed, "schema": "numaprobe/9"}))


def test_a_ledger_at_an_address_has_no_slash_too_many() -> None:
    """And another scheme than that of the web is no address."""
    client = at("http://placement/", timeout=5.0, transport=SimpleNamespace())
    assert client._where() == "http://placement"
    for url in ("placement", "ftp://placement"):
        with pytest.raises(FleetError, match="is not the address of a Placement service"):
            at(url)
