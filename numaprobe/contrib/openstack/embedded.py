"""The real Placement inside this process, over sqlite: for a try and for tests.

One request is answered at a time, because sqlite locks the whole database; claims that compete belong on PostgreSQL.
"""

from __future__ import annotations

import os
import threading

from .errors import FleetError
from .session import at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .client import Client

# Never resolved: requests to it go to the application.
ADDRESS = "http://placement.embedded"
FILE = "placement.sqlite"
# By address of the database.
_LOADED: dict[str, Any] = {}


def embedded(directory: str | os.PathLike[str]) -> Client:
    """A ledger kept in a file of this directory, which is created, or continued if it is there.

    Raises ``FleetError`` if Placement is not installed, and ``OSError`` if the directory cannot be made.
    """
    os.makedirs(directory, exist_ok=True)
    path = os.path.abspath(os.path.join(directory, FILE))
    return at(ADDRESS, transport=_transport(load(f"sqlite:///{path}")))


def load(connection: str, **settings: Any) -> Any:
    """Placement's WSGI application over a database (an SQLAlchemy address), without authentication.

    ``settings`` are those of the section ``[placement]``. The database is created and brought up to date. A process
    has one at most, because Placement keeps its connection in a global. Raises ``FleetError`` if it is not installed.
    """
    try:
        from oslo_config import cfg
        from placement import conf, db_api, deploy
    except ModuleNotFoundError as error:
        raise FleetError(
            f"the embedded Placement needs openstack-placement ({error.name} is missing): "
            "pip install 'numaprobe[openstack-embedded]'"
        ) from None
    if connection in _LOADED:
        return _LOADED[connection]
    if _LOADED:
        raise FleetError(f"this process already runs an embedded Placement, over {next(iter(_LOADED))}")
    config = cfg.ConfigOpts()
    conf.register_opts(config)
    config.set_override("connection", connection, group="placement_database")
    config.set_override("auth_strategy", "noauth2", group="api")
    config.set_override("sync_on_startup", True, group="placement_database")
    # A power cut may take the last writes; a process that is killed does not.
    config.set_override("sqlite_synchronous", False, group="placement_database")
    for name, value in settings.items():
        config.set_override(name, value, group="placement")
    config([], project="placement", default_config_files=[], default_config_dirs=[])
    _quiet()
    db_api.configure(config)
    _LOADED[connection] = deploy.loadapp(config)
    return _LOADED[connection]


def _quiet() -> None:
    """Warnings of its libraries and the progress of its migrations are nobody's business here."""
    import logging

    for name in ("alembic", "placement", "oslo_db", "oslo_policy"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _transport(application: Any) -> Any:
    import requests
    from webob import Request

    lock = threading.Lock()

    class Transport(requests.adapters.BaseAdapter):
        """Gives requests to a WSGI application of this process."""

        def send(self, request: Any, **_options: Any) -> Any:
            sent = Request.blank(request.url, method=request.method, headers=dict(request.headers))
            body = request.body or b""
            sent.body = body.encode() if isinstance(body, str) else body
            with lock:
                answer = sent.get_response(application)
            response = requests.Response()
            response.status_code, response.reason = answer.status_int, answer.status.partition(" ")[2]
            response.url, response.request = request.url, request
            response.headers.update(answer.headers)
            response.headers.setdefault("date", _now())
            response._content = answer.body
            response.encoding = "utf-8"
            return response

        def close(self) -> None:
            pass

    session = requests.Session()
    session.mount(ADDRESS, Transport())
    return session


def _now() -> str:
    """What a web server adds."""
    from email.utils import formatdate

    return formatdate(usegmt=True)
