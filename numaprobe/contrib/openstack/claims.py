"""Claims: a guest is promised room that nobody else is promised, whatever the server's settings."""

from __future__ import annotations

import math
import random
import time
import uuid
from contextlib import suppress

from numaprobe import DoesNotFit

from ...named import namedtuple
from .choose import choose
from .errors import Conflict, FleetError, NotThere
from .hosts import published
from .publish import CLAIM, GUEST, PROJECT, providers
from .ranking import pages_of
from .room import room_for
from .tree import PARTS, PREFIX, part_of, root_uuid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numaprobe import Request

    from .choose import Choice
    from .client import Client
    from .room import CellRoom, Known, Room

# Readings of the whole ledger, and tries of one host before the next.
ROUNDS = 12
TRIES = 6
PAUSE = 0.02
# Seconds for which a Claimer remembers what is left.
MAX_AGE = 10.0
# From so many hosts on, a claim alone reads one part of them first.
DIVIDED = 8 * PARTS
CONCURRENT = "placement.concurrent_update"


class Claimed(namedtuple("Claimed", "consumer choice given_back")):
    """A claim that holds: its ``consumer`` in the ledger, and how many were ``given_back`` before it."""

    __slots__ = ()
    consumer: str
    choice: Choice
    given_back: int


class Released(namedtuple("Released", "consumer age where")):
    """A claim that was given back: its age in seconds, None where the server did not say, and its providers."""

    __slots__ = ()
    consumer: str
    age: float | None
    where: tuple[str, ...]


class Claimer:
    """Claims from a fleet, one after the other, without reading the whole ledger for each.

    What is left of each cell is remembered for ``max_age`` seconds at most; each claim updates the cells that it
    touched. It is read again before a guest is refused and after a claim that failed, so that others who claim or
    release in the meantime can cost a better host and never a refusal or an oversold cell; a host that was set aside in
    the meantime may still be chosen. With ``part`` it claims from that part of the fleet only (``tree.part_of``). Like
    its client it is for one thread.
    """

    def __init__(
        self, client: Client, members: Sequence[Known], *, max_age: float = MAX_AGE, part: int | None = None
    ) -> None:
        self._client, self._max_age, self._part = client, max_age, part
        self._members = members if part is None else [one for one in members if part_of(one.root) == part]
        # By class of pages: when it was read.
        self._rooms: dict[str, tuple[float, Room]] = {}

    def claim(self, request: Request, *, consumer: str | None = None) -> Claimed:
        """As the function ``claim``."""
        name = str(uuid.uuid4() if consumer is None else _uuid(consumer))
        given_back = 0
        refusals: dict[str, str] = {}
        for turn in range(ROUNDS):
            room, fresh = self._room(request, again=turn > 0)
            chosen = choose(self._members, room, request)
            if not chosen.choices and not fresh:
                fresh, room = True, self._room(request, again=True)[0]
                chosen = choose(self._members, room, request)
            refusals = chosen.refusals
            if not chosen.choices:
                break
            for choice in chosen.choices:
                taken = _take(self._client, choice, name, fresh=fresh)
                given_back += taken.given_back
                if taken.cells is not None:
                    room[choice.known.root] = {**room[choice.known.root], **taken.cells}
                    return Claimed(name, choice, given_back)
                if not fresh:
                    break
            else:
                _pause(turn)
        else:
            raise DoesNotFit(f"others were faster on every host with room, {ROUNDS} times over")
        raise DoesNotFit(
            *[f"{host}: {reason}" for host, reason in list(refusals.items())[:8]] or ["the fleet has no host"]
        )

    def _room(self, request: Request, *, again: bool) -> tuple[Room, bool]:
        """What is left, and whether it was read just now."""
        pages = pages_of(request)
        read, room = self._rooms.get(pages, (-math.inf, {}))
        now = time.monotonic()
        if not again and now - read < self._max_age:
            return room, False
        room = room_for(self._client, request, part=self._part)
        self._rooms[pages] = now, room
        return room, True


def claim(client: Client, members: Sequence[Known], request: Request, *, consumer: str | None = None) -> Claimed:
    """Choose a host for a guest and claim its room; ``consumer`` is the guest's uuid, None for a new one.

    A host that was full in the meantime is passed over for the next. After each claim the sum on its cells is read: if
    it is above what they offer, the claim is given back and tried again, so that what holds was never oversold.
    (Placement's own retry after a conflict takes its failed try for earlier use, and lets too much through.)

    Of many hosts it reads and chooses from one part at random, and from all where that has no room: the best of a few
    dozen hosts is about as good as the best of all, costs a fraction, and claimants at the same time meet less often.
    For a request that says ``nearest`` it reads all. A ``Claimer`` chooses from all, and remembers them from one claim
    to the next.

    Raises ``DoesNotFit`` if no host has room, ``ValueError`` for a consumer that is no uuid, and ``FleetError`` for one
    that holds something already.
    """
    if len(members) >= DIVIDED and not request.nearest:
        with suppress(DoesNotFit):
            part = random.randrange(PARTS)  # noqa: S311  # not a secret
            return Claimer(client, members, part=part).claim(request, consumer=consumer)
    return Claimer(client, members).claim(request, consumer=consumer)


class _Taken(namedtuple("_Taken", "cells given_back")):
    """A try to claim: the claimed ``cells`` as they are now by uuid, None if it does not hold; claims given back."""

    __slots__ = ()
    cells: dict[str, CellRoom] | None
    given_back: int


def _take(client: Client, choice: Choice, consumer: str, *, fresh: bool) -> _Taken:
    """``fresh`` is whether what the cells offer was read just now."""
    allocations = choice.allocations()
    body = {
        "allocations": allocations,
        "consumer_generation": None,
        "project_id": PROJECT,
        "user_id": PROJECT,
        "consumer_type": CLAIM,
    }
    lost = 0
    for turn in range(TRIES):
        try:
            client.put(f"/allocations/{consumer}", body)
        except Conflict as error:
            if "onsumer generation" in str(error):
                raise FleetError(f"{consumer} already holds something (fleet release releases it)") from None
            if error.code != CONCURRENT:
                return _Taken(None, lost)
            _pause(turn)
            continue
        cells = {}
        for cell in allocations:
            known = choice.cells[cell]
            used = used_of(client, cell)
            # What was remembered may be more than what is offered now, and the server does not hold to it either.
            capacity = known.capacity if fresh else capacity_of(client, cell)
            if any(amount > capacity.get(name, 0) for name, amount in used.items()):
                break
            cells[cell] = known._replace(capacity=capacity, used={name: used.get(name, 0) for name in capacity})
        else:
            return _Taken(cells, lost)
        client.delete(f"/allocations/{consumer}")
        lost += 1
        _pause(turn)
    return _Taken(None, lost)


def used_of(client: Client, provider: str) -> dict[str, int]:
    """What is held of a cell, by resource class."""
    used: dict[str, int] = client.read(f"/resource_providers/{provider}/usages").body["usages"]
    return used


def capacity_of(client: Client, provider: str) -> dict[str, int]:
    """What a cell offers to all guests, by resource class."""
    offered = client.read(f"/resource_providers/{provider}/inventories").body["inventories"]
    return {name: int((one["total"] - one["reserved"]) * one["allocation_ratio"]) for name, one in offered.items()}


def oversold(client: Client, provider: str) -> dict[str, int]:
    """By how much what is held of a cell exceeds what it offers, by resource class."""
    used, capacity = used_of(client, provider), capacity_of(client, provider)
    return {name: amount - capacity.get(name, 0) for name, amount in used.items() if amount > capacity.get(name, 0)}


def release(client: Client, consumer: str) -> None:
    """Give a claim back. Raises ``FleetError`` for one that does not exist, is another program's, or is a guest's."""
    name = str(_uuid(consumer))
    found = client.read(f"/allocations/{name}").body
    if not found.get("allocations"):
        raise FleetError(f"{name} holds nothing")
    kind = found.get("consumer_type")
    if kind == GUEST:
        raise FleetError(f"{name} is a guest that was seen running: publishing its host after it has ended releases it")
    if kind != CLAIM:
        raise FleetError(f"{name} is another program's ({kind}) and is left alone")
    _delete(client, name)


def release_stale(client: Client, *, older_than: float, hosts: Iterable[str] | None = None) -> tuple[Released, ...]:
    """Give back claims without a guest: older than so many seconds, and not seen running when hosts were published.

    ``hosts`` are names; None is all that numaprobe published. A claim becomes a guest when its host is published while
    a guest of that uuid runs, so publish first.
    """
    roots = published(client).values() if hosts is None else [root_uuid(name) for name in hosts]
    where: dict[str, list[str]] = {}
    for root in roots:
        for uuid_, one in providers(client, root).items():
            if uuid_ == root:
                continue
            for consumer in client.read(f"/resource_providers/{uuid_}/allocations").body["allocations"]:
                where.setdefault(consumer, []).append(one["name"].removeprefix(PREFIX))
    out = []
    for consumer, names in sorted(where.items()):
        answer = client.read(f"/allocations/{consumer}")
        if answer.body.get("consumer_type") != CLAIM or answer.age is None or answer.age < older_than:
            continue
        if _delete(client, consumer):
            out.append(Released(consumer, answer.age, tuple(sorted(names))))
    return tuple(out)


def _delete(client: Client, consumer: str) -> bool:
    try:
        client.delete(f"/allocations/{consumer}")
    except NotThere:
        return False
    return True


def _pause(turn: int) -> None:
    """Longer each time, and never the same for two who met."""
    time.sleep(random.uniform(0, PAUSE * 2 ** min(turn, 5)))  # noqa: S311  # not a secret


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise ValueError(f"not a uuid: '{text[:60]}'") from None
