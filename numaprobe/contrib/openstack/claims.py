"""Claims: a guest is promised room that nobody else is promised, whatever the server's settings."""

from __future__ import annotations

import random
import time
import uuid

from numaprobe import DoesNotFit

from ...named import namedtuple
from .choose import choose
from .errors import Conflict, FleetError, NotThere
from .hosts import published
from .publish import CLAIM, GUEST, PROJECT, providers
from .room import room_for
from .tree import PREFIX, root_uuid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numaprobe import Request

    from .choose import Choice
    from .client import Client
    from .room import Known

# Readings of the whole ledger, and tries of one host before the next.
ROUNDS = 12
TRIES = 6
PAUSE = 0.02
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


def claim(client: Client, members: Sequence[Known], request: Request, *, consumer: str | None = None) -> Claimed:
    """Choose a host for a guest and claim its room; ``consumer`` is the guest's uuid, None for a new one.

    A host that was full in the meantime is passed over for the next. After each claim the sum on its cells is read: if
    it is above what they offer, the claim is given back and tried again, so that what holds was never oversold.
    (Placement's own retry after a conflict takes its failed try for earlier use, and lets too much through.)

    Raises ``DoesNotFit`` if no host has room, ``ValueError`` for a consumer that is no uuid, and ``FleetError`` for one
    that holds something already.
    """
    name = str(uuid.uuid4() if consumer is None else _uuid(consumer))
    given_back = 0
    refusals: dict[str, str] = {}
    for turn in range(ROUNDS):
        chosen = choose(members, room_for(client, request), request)
        refusals = chosen.refusals
        if not chosen.choices:
            break
        for choice in chosen.choices:
            held, lost = _take(client, choice, name)
            given_back += lost
            if held:
                return Claimed(name, choice, given_back)
        _pause(turn)
    else:
        raise DoesNotFit(f"others were faster on every host with room, {ROUNDS} times over")
    raise DoesNotFit(*[f"{host}: {reason}" for host, reason in list(refusals.items())[:8]] or ["the fleet has no host"])


def _take(client: Client, choice: Choice, consumer: str) -> tuple[bool, int]:
    """Whether the claim holds, and how many were given back."""
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
                raise FleetError(f"{consumer} holds something already (fleet release gives it back)") from None
            if error.code != CONCURRENT:
                return False, lost
            _pause(turn)
            continue
        if not any(_exceeded(client, uuid, choice.capacity[uuid]) for uuid in allocations):
            return True, lost
        client.delete(f"/allocations/{consumer}")
        lost += 1
        _pause(turn)
    return False, lost


def _exceeded(client: Client, provider: str, capacity: Mapping[str, int]) -> bool:
    used = client.read(f"/resource_providers/{provider}/usages").body["usages"]
    return any(amount > capacity.get(name, 0) for name, amount in used.items())


def oversold(client: Client, provider: str) -> dict[str, int]:
    """By how much what is held of a cell exceeds what it offers, by resource class."""
    used = client.read(f"/resource_providers/{provider}/usages").body["usages"]
    offered = client.read(f"/resource_providers/{provider}/inventories").body["inventories"]
    out = {}
    for name, amount in used.items():
        one = offered.get(name)
        capacity = 0 if one is None else int((one["total"] - one["reserved"]) * one["allocation_ratio"])
        if amount > capacity:
            out[name] = amount - capacity
    return out


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
        raise FleetError(f"{name} is another program's ({kind}), and left alone")
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
