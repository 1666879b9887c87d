"""Guests inside a real machine of four nodes, beside numastat and every line of their numa_maps."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from concurrent.futures import Future
from functools import partial
from typing import Any

import pytest

from .guest import Boot, Result
from .guests_linux import GUESTS, HOST, script

MIB = 1 << 20
# Of 4 KiB: what the resident sizes of a small QEMU may be behind by.
PAGES_THAT_LAG = 256 << 10
WAYS = ("by-group", "by-maps")


BOOTS = [Boot(HOST, partial(script, HOST))]


@pytest.fixture
def result(boots: dict[str, Future[Result]]) -> Result:
    """One machine with all the guests."""
    return boots[HOST.name].result()


def domains(result: Result, name: str) -> dict[str, dict[str, Any]]:
    return {domain["name"]: domain for domain in result.json(name)["domains"]}


def held(text: str) -> dict[str, int]:
    """Bytes by node that a process's maps show, without the pages of ordinary files."""
    found = {str(node): 0 for node in range(4)}
    for line in text.splitlines():
        words = line.split()
        pages = {word[1:].partition("=")[0]: int(word.partition("=")[2]) for word in words if re.match(r"N\d+=", word)}
        values = dict(word.split("=", 1) for word in words if "=" in word)
        memory = "file" not in values or "huge" in words or values["file"].startswith(("/memfd:", "/dev/zero", "/SYSV"))
        if not memory and int(values.get("anon", 0)) < sum(pages.values()):
            # Copies of a file's pages are counted where the line has but one node, as numaprobe does.
            pages = {node: int(values.get("anon", 0)) for node in pages} if len(pages) == 1 else {}
        for node, count in pages.items():
            found[node] += count * int(values["kernelpagesize_kB"]) * 1024
    return found


def between(cells: dict[str, int], one: dict[str, int], other: dict[str, int]) -> bool:
    """Nothing holds a running emulator still: each figure lies between those of a look before and one after."""
    return cells.keys() == one.keys() == other.keys() and all(
        min(one[node], other[node]) <= size <= max(one[node], other[node]) for node, size in cells.items()
    )


@pytest.mark.parametrize("way", WAYS)
def test_every_guest_is_there_by_its_name(result: Result, way: str) -> None:
    """The list has its process, uuid, configured memory and vcpus as QEMU was started with."""
    found = domains(result, way)
    assert set(found) == set(GUESTS)
    for name, (mib, _) in GUESTS.items():
        guest = found[name]
        assert guest["id"] == int(result.text(f"{name}.pid"))
        assert (guest["kind"], guest["maximum"], guest["vcpus"]) == ("qemu", mib * MIB, 2)
        assert guest["uuid"] == "11111111-2222-3333-4444-555555555555"
        assert [vcpu["cpus"] for vcpu in guest["each_vcpu"]] == [[0, 1, 2, 3]] * 2


@pytest.mark.parametrize("way", WAYS)
def test_states_are_told_apart_as_far_as_the_kernel_can(result: Result, way: str) -> None:
    """Stopped by a signal is certain; a vcpu that has used a tick to start may have run since, so that nothing is said."""
    for name, guest in domains(result, way).items():
        assert guest["state"] in (("stopped",) if name == "halted" else ("paused", None)), name


def test_maps_are_counted_to_the_page(result: Result) -> None:
    """The oracle counts the guest's numa_maps line by line."""
    for name, guest in domains(result, "by-maps").items():
        assert guest["how_from"] == f"proc/{guest['id']}/numa_maps"
        before, after = (held(result.text(f"{name}.maps-{moment}")) for moment in ("middle", "last"))
        assert between(guest["cells"], before, after), (name, guest["cells"], before, after)


def test_a_sample_agrees_with_the_maps_within_its_margin(result: Result) -> None:
    """Private and shared memory, and huge pages; the guests do not run, so that nothing moves in between."""
    statements, within = 0, 0
    for name, guest in domains(result, "sampled").items():
        assert guest["how"] == "sampled", guest
        assert guest["sample"]["pages"] >= 1024
        true = held(result.text(f"{name}.maps-last"))
        for cell, margin in guest["sample"]["margins"].items():
            off = abs(guest["cells"][cell] - true[cell])
            # Twice the margin is four standard errors; the sizes in status may lag by 4 MiB.
            assert off <= 2 * margin + (4 << 20), (name, cell, guest["cells"], true, margin)
            statements, within = statements + 1, within + (off <= margin + PAGES_THAT_LAG)
    assert within >= 0.8 * statements, (within, statements)


def test_a_user_may_sample_nobody_else_s_guests(result: Result) -> None:
    """The kernel refuses other users' page maps, so placement is unknown and the list says that it is incomplete."""
    document = result.json("sampled-unprivileged")
    assert document["complete"] is False
    assert {guest["how"] for guest in document["domains"]} <= {"unknown"}


def test_groups_are_counted_to_the_page(result: Result) -> None:
    """What is charged to a guest's group is what its maps show; a page without a node is one of the file copies."""
    for name, guest in domains(result, "by-group").items():
        assert guest["how_from"] == f"sys/fs/cgroup/vms/{name}/memory.numa_stat"
        before, after = (held(result.text(f"{name}.maps-{moment}")) for moment in ("before", "after"))
        unplaced = domains(result, "by-maps")[name]["unplaced"]
        for node, size in guest["cells"].items():
            assert min(before[node], after[node]) <= size <= max(before[node], after[node]) + unplaced, (name, node)


@pytest.mark.parametrize("way", WAYS)
def test_memory_is_where_qemu_was_told_to_put_it(result: Result, way: str) -> None:
    """One guest is bound to one node, and another is interleaved over all."""
    found = domains(result, way)
    for name, node in (("bound", "1"), ("huge", "2"), ("halted", "3"), ("shared", "0")):
        assert found[name]["cells"][node] >= GUESTS[name][0] * MIB
        assert found[name]["affinity"]["cells"] == [int(node)]
    for size in found["spread"]["cells"].values():
        assert 16 * MIB <= size < 40 * MIB


def everything(text: str) -> dict[str, int]:
    """Bytes by node that a process's maps show, files and all."""
    found = {str(node): 0 for node in range(4)}
    for line in text.splitlines():
        size = int((re.search(r"kernelpagesize_kB=(\d+)", line) or ["", "0"])[1]) * 1024
        for node, pages in re.findall(r" N(\d+)=(\d+)", line):
            found[node] += int(pages) * size
    return found


def test_numastat_has_the_same_guests_with_their_files_in_addition(result: Result) -> None:
    """It rounds to pages of a hundredth of a MiB, and counts every mapped page of the program and its libraries."""
    for name, guest in domains(result, "by-maps").items():
        total = next(line for line in result.printed(f"{name}.numastat").splitlines() if line.startswith("Total"))
        seen = [float(word) for word in total.split()[1:5]]
        before, after, last = (everything(result.text(f"{name}.maps-{look}")) for look in ("after", "middle", "last"))
        for node, mib in enumerate(seen):
            low, high = sorted((before[str(node)], after[str(node)]))
            assert low / MIB - 0.05 < mib < high / MIB + 0.05, (name, node)
            assert guest["cells"][str(node)] <= max(after[str(node)], last[str(node)]) + 4096


@pytest.mark.parametrize("way", WAYS)
def test_every_cells_columns_add_up(result: Result, way: str) -> None:
    """Free, free huge pages, the guests', the host's and what has no node are the cell's total."""
    document = result.json(way)
    for cell in document["cells"]:
        parts = [cell["free"], cell["pooled"], cell["host"], cell["unattributed"]]
        assert sum(parts) + sum(domain["memory"] for domain in cell["domains"]) == cell["total"]
    assert {cell["id"]: cell["pooled"] for cell in document["cells"]} == {0: 0, 1: 0, 2: 8 * 2 * MIB, 3: 0}


def test_a_group_can_be_asked_for_by_its_path(result: Result) -> None:
    """A guest's own group has what the guest has, and the parent group has all of them."""
    alone, every = result.json("group-alone")["domains"]
    found = domains(result, "by-group")
    later = domains(result, "by-group-later")
    assert between(alone["cells"], found["bound"]["cells"], later["bound"]["cells"])
    low, high = sorted(sum(guest["memory"] for guest in look.values()) for look in (found, later))
    assert low <= every["memory"] <= high


def test_without_root_what_may_not_be_read_is_unknown(result: Result) -> None:
    """Control groups are readable by everybody, maps of others are not, and nothing is guessed."""
    for guest in domains(result, "unprivileged").values():
        assert guest["how"] in ("exact", "unknown")
        if guest["how"] == "exact":
            assert guest["how_from"].endswith("memory.numa_stat")


def test_a_recording_answers_as_the_machine_did(result: Result) -> None:
    """It was made in the guest with --domains and is read outside."""
    result.printed("recorded")
    run = subprocess.run(
        [sys.executable, "-m", "numaprobe", "domains", "--json", "--recording", result.out / "host.tar.gz"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    replayed = {domain["name"]: domain for domain in json.loads(run.stdout)["domains"]}
    later = domains(result, "by-group-later")
    for name, guest in domains(result, "by-group").items():
        assert between(replayed[name]["cells"], guest["cells"], later[name]["cells"]), name
        assert replayed[name]["state"] in (guest["state"], later[name]["state"]), name
        assert {key: replayed[name][key] for key in ("uuid", "vcpus", "how")} == {
            key: guest[key] for key in ("uuid", "vcpus", "how")
        }
