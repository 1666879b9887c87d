"""A plan as the document of ``schemas/place.json``."""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..plan import Plan


def render(plan: Plan) -> str:
    """One line of JSON."""
    return json.dumps(plan.to_dict()) + "\n"
