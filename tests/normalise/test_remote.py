"""How much of a guest's accesses is remote: by hint faults, by run time, by Xen's vcpus, and never exactly."""

from __future__ import annotations

import json

import pytest
from commands import Plant, run
from hosts import GIB, host, made
from processes import machine, process
from schemas import check
from trees import Machine, Shelf

from numaprobe import Domain, RemoteShare, Vcpu
from numaprobe.linux.collect import collect as collect_host
from numaprobe.linux.guests.collect import collect
from numaprobe.normalise.domains import from_guests
from numaprobe.normalise.linux import from_linux
from numaprobe.normalise.remote import of_domain

BALANCING = "proc/sys/kernel/numa_balancing"


def guest(
    *cpus: str, faults: tuple[dict[int, int], ...] = (), balancing: str | None = "1\n", ticks: int = 5
) -> Machine:
    """A guest with nearly all memory on cell 1, its vcpus bound to CPUs: 0-1 are cell 0, 2-3 are cell 1."""
    vcpus = tuple((f"CPU {i}/KVM", "S", ticks * (i + 1), where) for i, where in enumerate(cpus))
    maps = "7f0000000000 bind:1 anon=24576 dirty=24576 active=0 N1=24576 kernelpagesize_kB=4\n"
    tree = machine(process(500, vcpus=vcpus, maps=maps, anonymous_kb=24576 * 4))
    for i, by_node in enumerate(faults):
        lines = [f"numa_faults node={node} task_private={n} task_shared=0" for node, n in by_node.items()]
        tree[f"proc/500/task/{501 + i}/sched"] = "\n".join(lines) + "\n"
    if balancing is not None:
        tree[BALANCING] = balancing
    return tree


def shares(tree: Machine) -> dict[str, RemoteShare]:
    shelf = Shelf(tree)
    (found,) = from_guests(collect(shelf, faults=True), from_linux(collect_host(shelf)), remote=True)
    return {share.source: share for share in found.remote or ()}


@pytest.mark.parametrize(("cpus", "share"), [(("0", "0-1"), 1.0), (("2-3", "3"), 0.0), (("0", "2"), 1 / 3)])
def test_by_run_time_memory_is_remote_to_vcpus_on_other_cells(cpus: tuple[str, ...], share: float) -> None:
    """The second vcpu has run for twice as long."""
    found = shares(guest(*cpus))["run time"]
    assert found.share == pytest.approx(share)
    assert found.how == "estimated"


def test_vcpus_that_have_not_run_count_alike() -> None:
    """A paused guest has no run time to weigh by, and dividing by its 0 ticks must not fail."""
    assert shares(guest("0", "2", ticks=0))["run time"].share == pytest.approx(0.5)


@pytest.mark.parametrize(("faults", "share"), [(({1: 90}, {1: 10}), 1.0), (({0: 90}, {0: 9, 1: 1}), 0.01)])
def test_by_hint_faults_a_fault_is_remote_if_the_page_is_on_another_node(
    faults: tuple[dict[int, int], ...], share: float
) -> None:
    """The two extremes of a vcpu on each node, with the number of faults it rests on."""
    found = shares(guest("0", "1", faults=faults))["hint faults"]
    assert found.share == pytest.approx(share)
    assert (found.how, found.how_from) == ("sampled", "proc/500/task/*/sched: 100 faults")


@pytest.mark.parametrize(
    ("balancing", "why"),
    [("0\n", "off: proc/sys/kernel/numa_balancing is 0"), (None, "no proc/sys/kernel/numa_balancing")],
)
def test_a_source_that_is_off_says_so(balancing: str | None, why: str) -> None:
    """An administrator can switch balancing on, if the text names the file."""
    found = shares(guest("0", "1", faults=({1: 9},), balancing=balancing))["hint faults"]
    assert (found.share, found.how, found.how_from) == (None, "unknown", why)


def test_no_faults_are_not_a_share_of_zero() -> None:
    """An idle guest has not been measured, which is another thing than all local."""
    found = shares(guest("0", "1"))["hint faults"]
    assert found.share is None
    assert "no faults" in (found.how_from or "")


def test_it_is_read_only_on_request() -> None:
    """A file for each thread of each guest is too much for a plain list of guests."""
    shelf = Shelf(guest("0", "1", faults=({1: 9},)))
    (found,) = from_guests(collect(shelf), from_linux(collect_host(shelf)))
    assert found.remote is None
    assert not [path for path in shelf.opened if path.endswith(("/sched", "numa_balancing"))]


def test_under_xen_vcpus_count_alike_where_they_are() -> None:
    """The one vcpu has a quarter of the memory elsewhere, the other three quarters; the offline one does not count."""
    vcpus = tuple(made(Vcpu, id=i, online=i < 2, cpu=cpu, cpus=(0, 8)) for i, cpu in enumerate((0, 8, 8)))
    one = made(Domain, id=1, kind="hvm", cells=((0, 3 * GIB), (1, GIB)), unplaced=0, how="exact", each_vcpu=vcpus)
    (share,) = of_domain(one, host([GIB, GIB]))
    assert (share.source, share.how, share.share) == ("vcpu samples", "estimated", 0.5)
    (share,) = of_domain(one._replace(cells=None, how="unknown"), host([GIB, GIB]))
    assert (share.share, share.how_from) == (None, "the cells of its memory are unknown")


def test_the_command_line_has_a_column_and_the_reasons(plant: Plant) -> None:
    """The table has the best source, the remarks the others, and the JSON all of them."""
    root = plant(guest("0", "1", balancing="0\n"))
    done = run("domains", "--remote", "--root", root)
    assert done.returncode == 0, done.stderr
    assert "100% by run time" in done.stdout
    assert "remote by hint faults, 1 domain: off: proc/sys/kernel/numa_balancing is 0" in done.stdout
    document = json.loads(run("domains", "--remote", "--json", "--root", root).stdout)
    check("domains", document)
    assert [share["source"] for share in document["domains"][0]["remote"]] == ["hint faults", "run time"]
    assert "remote" not in json.loads(run("domains", "--json", "--root", root).stdout)["domains"][0]
