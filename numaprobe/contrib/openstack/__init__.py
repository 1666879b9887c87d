"""A fleet of hosts on OpenStack Placement: the ledger is Placement's, the choice of host and cells numaprobe's.

from numaprobe.contrib.openstack import choose, claim, known, publish, read, read_room
from numaprobe.contrib.openstack.session import cloud

client = cloud("mycloud")
fleet = [read("host1.tar.gz"), read("host2.json")]
for member in fleet:
    publish(client, member)
claimed = claim(client, known(fleet), numaprobe.Request(8, 32 << 30))

Needs keystoneauth1 (``pip install 'numaprobe[openstack]'``); the embedded Placement needs openstack-placement as well
(``numaprobe[openstack-embedded]``). See ``docs/fleet.md``.
"""

from __future__ import annotations

from .choose import Choice, Chosen, choose, known
from .claims import Claimed, Claimer, Released, claim, release, release_stale
from .client import Client
from .errors import Conflict, FleetError, NotThere
from .hosts import Seen, published, set_aside, unpublish
from .many import publish_all
from .members import Member, live, read
from .overview import Overview, Shape, overview
from .publish import Report, publish
from .room import Known, Room, read_room, room_for

__all__ = [
    "Choice",
    "Chosen",
    "Claimed",
    "Claimer",
    "Client",
    "Conflict",
    "FleetError",
    "Known",
    "Member",
    "NotThere",
    "Overview",
    "Released",
    "Report",
    "Room",
    "Seen",
    "Shape",
    "choose",
    "claim",
    "known",
    "live",
    "overview",
    "publish",
    "publish_all",
    "published",
    "read",
    "read_room",
    "release",
    "release_stale",
    "room_for",
    "set_aside",
    "unpublish",
]
