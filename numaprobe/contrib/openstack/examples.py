"""Recorded machines that come with the package, to try a fleet with."""

from __future__ import annotations

import json
from importlib.resources import files

from .documents import host_of
from .members import Member


def examples() -> list[Member]:
    """A few small machines with one to sixteen cells, Linux and Xen. Their guests are unknown."""
    text = (files("numaprobe") / "contrib" / "data" / "fleet.json").read_text("utf-8")
    return [Member(name, host_of(document), None) for name, document in json.loads(text).items()]
