"""The dashboard, the rules and domains for tests of metrics."""

from __future__ import annotations

import json
from pathlib import Path

from hosts import made

from numaprobe import Affinity, Domain

ROOT = Path(__file__).parents[2]


DATA = ROOT / "numaprobe" / "contrib" / "data"


def domain(number: int, name: str | None = None, **known: object) -> Domain:
    return made(Domain, id=number, kind="hvm", name=name, how="exact", affinity=Affinity(None, None), **known)


def expressions_of_dashboard() -> list[str]:
    dashboard = json.loads((DATA / "dashboard.json").read_text("utf-8"))
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
