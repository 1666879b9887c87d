"""``numaprobe fleet``: many hosts, over OpenStack Placement."""

from __future__ import annotations

import os

from .. import DoesNotFit
from ..errors import printable
from ..version import SCHEMA
from ..wording import cells as cells_of
from ..wording import count
from ..wording import size as size_of
from .layout import table
from .placing import wanted
from .sizes import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from typing import Any, TextIO

    from ..contrib.openstack.choose import Choice, Chosen
    from ..contrib.openstack.client import Client
    from ..contrib.openstack.members import Member
    from ..contrib.openstack.overview import Shape
    from ..contrib.openstack.publish import Report

# Other hosts that are named as having room too.
NEXT = 4


def run(options: argparse.Namespace, out: TextIO) -> None:
    try:
        from ..contrib.openstack import client  # noqa: F401
    except ModuleNotFoundError as error:
        raise ValueError(str(error)) from None
    actions = {
        "try": _try,
        "publish": _publish,
        "place": _place,
        "release": _release,
        "show": _show,
        "set-aside": _set_aside,
        "unpublish": _unpublish,
    }
    actions[options.action](options, out)


def ledger(options: argparse.Namespace) -> Client:
    """The ledger that the options name, checked. Raises ``FleetError``, and ``ValueError`` if they name none."""
    found = connect(options)()
    found.check()
    return found


def connect(options: argparse.Namespace) -> Callable[[], Client]:
    """What makes a client of the ledger that the options name. Raises ``ValueError`` if they name none."""
    from ..contrib.openstack import session

    if options.directory is not None:
        from ..contrib.openstack.embedded import embedded

        return lambda: embedded(options.directory)
    if options.placement is not None:
        return lambda: session.at(options.placement)
    if options.os_cloud is None and not os.environ.get("OS_CLOUD") and not os.environ.get("OS_AUTH_URL"):
        raise ValueError("no ledger: use --os-cloud NAME, --placement URL or --directory DIR, or set OS_CLOUD")
    return lambda: session.cloud(options.os_cloud, region=options.os_region_name)


def members(words: Sequence[str], name: str | None = None) -> list[Member]:
    """The hosts of the command line, all of them read before anything is done; this host if there are none."""
    from ..contrib.openstack.members import live, read

    if not words:
        return [live(name)]
    if name is not None:
        raise ValueError("--name is for this host; name others as NAME=FILE")
    found = [read(word) for word in words]
    names = [one.name for one in found]
    for one in names:
        if names.count(one) > 1:
            raise ValueError(f"two hosts are named {printable(one)}: name them, as in NAME=FILE")
    return found


def publishing(options: argparse.Namespace) -> dict[str, Any]:
    """How hosts are published, as keywords of ``publish``."""
    if not 0.01 <= options.cpu_ratio <= 1000:
        raise ValueError(f"--cpu-ratio must be from 0.01 to 1000, not {options.cpu_ratio}")
    return {
        "reserve": None if options.reserve is None else parse(options.reserve),
        "cpu_ratio": options.cpu_ratio,
        "cpu_class": "PCPU" if options.dedicated else "VCPU",
    }


def _try(options: argparse.Namespace, out: TextIO) -> None:
    import shlex
    import tempfile

    from .. import Request
    from ..contrib.openstack.choose import choose, known
    from ..contrib.openstack.embedded import embedded
    from ..contrib.openstack.examples import examples
    from ..contrib.openstack.publish import publish
    from ..contrib.openstack.room import room_for

    found = members(options.hosts) if options.hosts else examples()
    directory = options.directory or tempfile.mkdtemp(prefix="numaprobe-fleet-")
    client = embedded(directory)
    client.check()
    for one in found:
        out.write(_reported(publish(client, one)))
    request = Request(2, 128 << 20, nearest=True)
    out.write(f"\nWhere does a guest of {count(request.vcpus, 'vcpu')} and {size_of(request.memory)} fit?\n")
    _tell(choose(known(found), room_for(client, request), request), out)
    out.write(f"\nThe ledger is in {directory}: numaprobe fleet show --directory {shlex.quote(directory)}\n")


def _publish(options: argparse.Namespace, out: TextIO) -> None:
    from ..contrib.openstack.many import CONNECTIONS, publish_all

    how, found = publishing(options), members(options.hosts, options.name)
    ledger(options)
    reports = []
    # The embedded ledger answers one request at a time.
    connections = 1 if options.directory is not None else min(CONNECTIONS, len(found))
    for report in publish_all(connect(options), found, connections=connections, **how):
        reports.append(report)
        if not options.json:
            out.write(_reported(report))
            out.flush()
    if options.json:
        _write(out, {"schema": SCHEMA, "hosts": [{**one._asdict(), "notes": list(one.notes)} for one in reports]})


def _reported(report: Report) -> str:
    done = f"{count(report.requests, 'request')}, {count(report.writes, 'write')}"
    lines = [f"{report.name}: published ({done}, {count(report.guests, 'guest')})"]
    return "".join(f"{printable(line)}\n" for line in [*lines, *[f"  {note}" for note in report.notes]])


def _place(options: argparse.Namespace, out: TextIO) -> None:
    from ..contrib.openstack.choose import choose, known
    from ..contrib.openstack.claims import claim
    from ..contrib.openstack.room import room_for

    if options.uuid is not None and not options.claim:
        raise ValueError("--uuid requires --claim")
    if options.away_from or options.together_with:
        raise ValueError("--away-from and --together-with are for one host (numaprobe place)")
    options.batch = None
    (request,) = wanted(options)
    fleet = known(members(options.hosts))
    client = ledger(options)
    if options.claim:
        claimed = claim(client, fleet, request, consumer=options.uuid)
        if options.json:
            _write(out, _document(claimed.choice, claim=claimed.consumer))
            return
        out.write(f"{printable(_where(claimed.choice))}\n")
        for reason in claimed.choice.plan.reasons:
            out.write(f"  {printable(reason)}\n")
        out.write(f"claimed as {claimed.consumer}\n")
        return
    chosen = choose(fleet, room_for(client, request), request)
    if options.json:
        if chosen.choices:
            best, *others = chosen.choices
            rest = [{"host": one.name, "cells": list(one.plan.cells)} for one in others]
            _write(out, {**_document(best), "others": rest, "refused": chosen.refusals})
            return
        _write(out, {"schema": SCHEMA, "fits": False, "host": None, "others": [], "refused": chosen.refusals})
    if not chosen.choices:
        raise DoesNotFit(*[f"{name}: {reason}" for name, reason in list(chosen.refusals.items())[:8]])
    _tell(chosen, out)


def _tell(chosen: Chosen, out: TextIO) -> None:
    """The best host and why, and which others would do."""
    if not chosen.choices:
        out.write("nowhere\n")
    for best in chosen.choices[:1]:
        out.write(f"{printable(_where(best))}\n")
        for reason in best.plan.reasons:
            out.write(f"  {printable(reason)}\n")
    others = chosen.choices[1:]
    for one in others[:NEXT]:
        out.write(f"or {printable(_where(one))}\n")
    if len(others) > NEXT:
        out.write(f"or {count(len(others) - NEXT, 'other host')}\n")
    if chosen.refusals:
        out.write(f"{count(len(chosen.refusals), 'host')} without room\n")


def _where(choice: Choice) -> str:
    memory = ", ".join(f"{size_of(size)} on cell {cell}" for cell, size in choice.plan.memory.items())
    return f"{choice.name}, {cells_of(choice.plan.cells)}: {memory}"


def _document(choice: Choice, claim: str | None = None) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "fits": True,
        "host": choice.name,
        "plan": choice.plan.to_dict(),
        "takes": {str(cell): taken for cell, taken in sorted(choice.amounts.items())},
        "claim": claim,
    }


def _release(options: argparse.Namespace, out: TextIO) -> None:
    from ..contrib.openstack.claims import release, release_stale

    if options.stale == bool(options.claims):
        raise ValueError("release takes the uuids of claims, or --stale")
    if options.host and not options.stale:
        raise ValueError("--host requires --stale")
    client = ledger(options)
    if not options.stale:
        for one in options.claims:
            release(client, one)
        found: list[dict[str, Any]] = [{"claim": one} for one in options.claims]
    else:
        released = release_stale(client, older_than=options.older_than, hosts=options.host)
        found = [{"claim": one.consumer, "age": one.age, "where": list(one.where)} for one in released]
    if options.json:
        _write(out, {"schema": SCHEMA, "released": found})
        return
    for one in found:
        where = f" ({', '.join(one['where'])}, {one['age']:.0f} s old)" if "where" in one else ""
        out.write(f"released {printable(one['claim'] + where)}\n")
    if not found:
        out.write("no stale claims\n")


def _show(options: argparse.Namespace, out: TextIO) -> None:
    from ..contrib.openstack.overview import overview

    shapes = [_shape(text) for text in options.shape or ()]
    document = overview(ledger(options)).document(shapes)
    if options.json:
        _write(out, document)
        return
    rows = [("host", "cell", "class", "offered", "held", "left")]
    for host in document["hosts"]:
        if host["cells"] is None:
            rows.append((host["name"], "-", "no memory left, or stale", "-", "-", "-"))
        for cell in host["cells"] or ():
            for name, capacity in cell["capacity"].items():
                used = cell["used"][name]
                rows.append((host["name"], str(cell["cell"]), name, str(capacity), str(used), str(capacity - used)))
    out.write("".join(f"{printable(line)}\n" for line in table(rows, left=(0, 2))))
    for shape in document["shapes"]:
        words = f"{count(shape['vcpus'], 'vcpu')} and {size_of(shape['memory'])}"
        out.write(
            f"{shape['fits']} more of {words} fit; {size_of(shape['stranded'])} are left that none of them can use\n"
        )


def _shape(text: str) -> Shape:
    from ..contrib.openstack.overview import Shape

    number, x, size = text.partition("x")
    if not (x and number.isascii() and number.isdigit() and 0 < int(number) < 1 << 16):
        raise ValueError(f"not a shape: {text!r} (such as 8x32G)")
    memory = parse(size)
    if memory <= 0:
        raise ValueError(f"not a shape: {text!r} (such as 8x32G)")
    return Shape(int(number), memory)


def _set_aside(options: argparse.Namespace, out: TextIO) -> None:
    from ..contrib.openstack.hosts import set_aside

    if not options.minutes > 0:
        raise ValueError("--minutes must be above 0")
    found = set_aside(ledger(options), older_than=options.minutes * 60)
    if options.json:
        _write(out, {"schema": SCHEMA, "hosts": [one._asdict() for one in found]})
        return
    stale = [one for one in found if one.stale]
    for one in stale:
        out.write(
            f"{printable(one.name)} is set aside (published {'-' if one.age is None else f'{one.age:.0f}'} s ago)\n"
        )
    out.write(f"{len(stale)} of {count(len(found), 'host')} set aside\n")


def _unpublish(options: argparse.Namespace, out: TextIO) -> None:
    from ..contrib.openstack.hosts import unpublish

    client = ledger(options)
    for name in options.names:
        out.write(f"{printable(name)}: {count(unpublish(client, name), 'provider')} removed\n")


def _write(out: TextIO, document: object) -> None:
    import json

    out.write(json.dumps(document) + "\n")
