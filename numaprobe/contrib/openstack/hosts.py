"""Hosts in the ledger as a whole: set aside when nobody has seen them for a while, and unpublished."""

from __future__ import annotations

from ...named import namedtuple
from .errors import Conflict, FleetError, Unheard
from .publish import GUEST, providers
from .tree import OURS, PREFIX, STALE, provider_name, root_uuid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .client import Client


class Seen(namedtuple("Seen", "name age stale")):
    """A host in the ledger: seconds since it was last published, None where the server does not say.

    ``stale`` is whether it is set aside: nothing is placed there until it is published again.
    """

    __slots__ = ()
    name: str
    age: float | None
    stale: bool


def published(client: Client) -> dict[str, str]:
    """The hosts that numaprobe published: their root's uuid by name."""
    try:
        found = client.read(f"/resource_providers?required={OURS}").body["resource_providers"]
    except Unheard:
        return {}
    return {one["name"].removeprefix(PREFIX): one["uuid"] for one in found if one["name"].startswith(PREFIX)}


def set_aside(client: Client, *, older_than: float) -> tuple[Seen, ...]:
    """Mark hosts stale that were not published for so many seconds; return all hosts by name.

    Nothing is deleted: their guests go on holding what they hold, and the next publication ends the mark.
    """
    out = []
    for name, root in sorted(published(client).items()):
        age = client.read(f"/resource_providers/{root}").age
        path = f"/resource_providers/{root}/traits"
        found = client.read(path).body
        stale = STALE in found["traits"]
        if not stale and age is not None and age >= older_than:
            try:
                client.put(path, {**found, "traits": sorted({*found["traits"], STALE})})
                stale = True
            except Conflict:
                # Published in this moment: it is not stale any more.
                age = 0.0
        out.append(Seen(name, age, stale))
    return tuple(out)


def unpublish(client: Client, name: str) -> int:
    """Remove a host and what its guests held there; return the number of providers removed.

    Raises ``FleetError``, and removes nothing, if there is no such host, if a claim is held there, or if another
    program has providers or allocations below it.
    """
    root = root_uuid(name)
    found = providers(client, root)
    if not found:
        raise FleetError(f"{name} is not published")
    if found[root]["name"] != provider_name(name):
        raise FleetError(f"provider {root} is not the one that numaprobe made for {name}, and is left alone")
    ended: set[str] = set()
    for uuid, one in found.items():
        if uuid != root and not one["name"].startswith(f"{provider_name(name)}:cell"):
            raise FleetError(f"{name}: provider '{one['name']}' below it is another program's; nothing was removed")
        for consumer in client.read(f"/resource_providers/{uuid}/allocations").body["allocations"]:
            kind = client.read(f"/allocations/{consumer}").body.get("consumer_type")
            if kind != GUEST:
                raise FleetError(f"{name}: {consumer} ({kind}) is held there; release it first. Nothing was removed")
            ended.add(consumer)
    for consumer in sorted(ended):
        client.delete(f"/allocations/{consumer}")
    for uuid in sorted(found, key=lambda uuid: uuid == root):
        client.delete(f"/resource_providers/{uuid}")
    return len(found)
