"""What hosts offer to the ledger, what their guests hold, and which host and cells a guest gets, to the letter.

``tests/contrib/choices.txt`` has it, without a server. ``pytest tests/contrib/test_choices_kept.py --rewrite`` writes it
anew; read the difference before you commit it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleets import guest as running
from fleets import guests
from hosts import GIB, MIB
from kept import agrees
from random_hosts import guest, machine

pytest.importorskip("keystoneauth1", reason="needs numaprobe[openstack]")

from numaprobe import Domain, GuestCell, Host
from numaprobe.contrib.openstack import Member
from numaprobe.contrib.openstack.choose import choose, known
from numaprobe.contrib.openstack.guests import held_by_guests
from numaprobe.contrib.openstack.members import MAX_NAME, checked_name
from numaprobe.contrib.openstack.room import CellRoom, Room
from numaprobe.contrib.openstack.tree import Tree, tree_of

KEPT = Path(__file__).parent / "choices.txt"


def domains(dice: random.Random, on: Host) -> Iterator[Domain]:
    """Bound and not, known by cell and not, with CPUs of their own and floating, under either hypervisor."""
    for number in range(dice.randrange(4)):
        cells = dice.sample([cell.id for cell in on.cells], dice.randrange(1, min(3, len(on.cells) + 1)))
        sizes = {cell.id: dice.randrange(3) * 700 * MIB + 1 if cell.id in cells else 0 for cell in on.cells}
        cpus = [cpu.id for cpu in on.cpus if cpu.cell in cells]
        vcpus = [dice.sample(cpus, dice.choice((1, 1, len(cpus)))) for _ in range(dice.randrange(1, 4)) if cpus]
        made = running(
            f"r{number}",
            None if dice.random() < 0.2 else sizes,
            maximum=dice.choice((None, 3 * GIB, 3 * GIB + 1)),
            vcpus=[sorted(one) for one in vcpus],
            bound=dice.choice((None, cells, cells[:1])),
            unplaced=dice.choice((0, 0, 5 * MIB)),
            number=number + 1,
        )
        if dice.random() < 0.3:
            made = made._replace(kind="pv", claimed=dice.choice((None, 0, 300 * MIB)))
        if dice.random() < 0.3:
            nodes = tuple(
                GuestCell(i, dice.choice((None, 512 * MIB)), (), dice.choice((None, (cell,))))
                for i, cell in enumerate(cells)
            )
            made = made._replace(guest_cells=nodes)
        yield made


def member(dice: random.Random, name: str) -> Member:
    on = machine(dice)
    return Member(name, on, None if dice.random() < 0.15 else guests(*domains(dice, on), complete=dice.random() < 0.8))


def offered(tree: Tree) -> Iterator[str]:
    for cell in tree.cells:
        yield f"  cell {cell.id}: {' '.join(sorted(cell.traits))}"
        for name, one in sorted(cell.inventories.items()):
            yield f"    {name} {list(one.document().values())}, {one.capacity} for guests, {cell.busy.get(name, 0)} busy"
    yield from (f"  {note}" for note in tree.notes)


def room_of(dice: random.Random, tree: Tree, ratio: float) -> dict[str, CellRoom]:
    out = {}
    for cell in tree.cells:
        capacity = {name: one.capacity for name, one in cell.inventories.items()}
        used = {name: dice.randrange(amount // 2 + 1) for name, amount in capacity.items() if dice.random() < 0.5}
        out[cell.uuid] = CellRoom(capacity, used, ratio)
    return out


def told(seed: int) -> Iterator[str]:
    dice = random.Random(seed)
    members = [member(dice, name) for name in ("a", "b", "c")]
    room: Room = {}
    for one in members:
        ratio = dice.choice((1.0, 1.0, 2.5))
        tree = tree_of(
            one, reserve=dice.choice((None, 0, GIB)), cpu_ratio=ratio, cpu_class=dice.choice(("VCPU", "PCPU"))
        )
        yield f"{seed}: host {one.name}"
        yield from offered(tree)
        held = held_by_guests(one, tree, known={})
        for holding in held.holdings:
            yield f"  {holding.name} holds {holding.amounts}"
        yield f"  kept {held.kept}"
        yield from (f"  {note}" for note in held.notes)
        if dice.random() < 0.9:
            room[tree.uuid] = room_of(dice, tree, ratio)
    hosts = known(members)
    for number in range(4):
        request = guest(dice, members[0].host, f"g{number}", [])
        found = choose(hosts, room, request)
        yield f"  {request.vcpus} vcpus, {request.memory >> 20} MiB, exclusive {request.exclusive}, {request.smt}"
        for choice in found.choices:
            yield f"    {choice.name}: cells {choice.plan.cells} cpus {choice.plan.cpus} takes {choice.amounts}"
        for name, reason in found.refusals.items():
            yield f"    not {name}: {reason}"


def test_a_fleet_offers_and_chooses_what_it_did(pytestconfig: pytest.Config) -> None:
    """Three random hosts with guests and four requests, many times."""
    agrees(KEPT, (line for seed in range(30) for line in told(seed)), pytestconfig)


@pytest.mark.parametrize(
    ("name", "good"),
    [("a" * MAX_NAME, True), ("a" * (MAX_NAME + 1), False), ("", False), (" a", False), ("a\n", False)],
)
def test_a_name_of_a_host_is_one_that_a_provider_can_have(name: str, good: bool) -> None:
    """The longest name that is taken, and those that could not be told from others on a screen."""
    if good:
        assert checked_name(name) == name
    else:
        with pytest.raises(ValueError, match="not a name for a host"):
            checked_name(name)
