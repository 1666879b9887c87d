"""Ways to a ledger: a cloud of ``clouds.yaml`` or of the environment, or an address without authentication."""

from __future__ import annotations

from .client import Client
from .errors import FleetError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SERVICE = "placement"
TIMEOUT = 60.0
# What Placement's own ``noauth2`` takes for an administrator, and the roles that it believes. Keystone's middleware
# replaces this header. The second role is for writing the inventories of many cells in one request.
NOAUTH = "admin"
ROLES = {"X-Roles": "admin,service"}


def at(url: str, *, token: str = NOAUTH, timeout: float = TIMEOUT, transport: Any = None) -> Client:
    """The ledger at an address, with a fixed token.

    The default is what a Placement with ``auth_strategy = noauth2`` takes: for a try, and for networks in which whoever
    reaches it is trusted. ``transport`` is a ``requests.Session`` to send with. Raises ``FleetError`` for an address
    that is none.
    """
    from keystoneauth1 import adapter, session, token_endpoint

    if not url.startswith(("http://", "https://")):
        raise FleetError(f"{url!r} is not the address of a Placement service (http://HOST:PORT/placement)")
    url = url.rstrip("/")
    auth = token_endpoint.Token(url, token)
    made = session.Session(auth=auth, session=transport, timeout=timeout)
    return Client(adapter.Adapter(made, service_type=SERVICE, endpoint_override=url, additional_headers=ROLES))


def cloud(name: str | None = None, *, region: str | None = None, timeout: float = TIMEOUT) -> Client:
    """The ledger of a cloud: of ``clouds.yaml`` by its name, or None for the one of the ``OS_`` environment variables.

    Raises ``FleetError`` for a cloud that is not configured.
    """
    from keystoneauth1 import exceptions

    try:
        from openstack import config
        from openstack import exceptions as problems
    except ModuleNotFoundError:
        raise FleetError("clouds.yaml needs openstacksdk: pip install 'numaprobe[openstack]'") from None
    try:
        found = config.OpenStackConfig().get_one(cloud=name, region_name=region, api_timeout=timeout)
        return Client(found.get_session_client(SERVICE))
    except (problems.OpenStackCloudException, exceptions.ClientException) as error:
        raise FleetError(f"cloud {name or '(of the environment)'}: {' '.join(str(error).split())}") from None
