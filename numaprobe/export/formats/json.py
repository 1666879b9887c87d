"""A host as the document of ``schemas/show.json``."""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...model.host import Host


def render(host: Host) -> str:
    """Indented JSON."""
    return json.dumps(host.to_dict(), indent=1) + "\n"
