"""``probe()``: one call from the source to the ``Host``."""

from __future__ import annotations

import os

from ..linux import collect as linux
from ..normalise.linux import from_linux
from ..sources.opening import choose_source, hypercalls, open_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..model.host import Host
    from ..ports import Reader
    from ..sources.opening import Path


def probe(
    root: Path | None = None,
    *,
    recording: Path | None = None,
    source: str = "auto",
    available: bool = True,
    devices: bool = False,
    allowed: bool = False,
    caches: bool = False,
    usable: bool = False,
    memory_state: bool = False,
) -> Host:
    """The host: this one, or a recorded one.

    ``root`` is a directory with a recorded ``sys/`` and ``proc/``; ``recording`` a file that ``record`` wrote, or a
    tar archive of such a directory from another tool. ``source`` is ``linux`` (the kernel's own view), ``xen`` (the
    hypervisor's) or ``auto``: the hypervisor's in a Xen control domain, else the kernel's.

    ``available`` reads what available memory is computed from, the most expensive part on large machines. ``devices``
    adds PCI devices, ``allowed`` what this process may use, ``caches`` the CPUs' caches, and ``usable`` what the free
    memory of each cell can be used for, and ``allowed`` with it. ``memory_state`` adds pages with an uncorrected error
    and the memory blocks of each cell. ``allowed``, ``caches`` and ``memory_state`` exist only with source ``linux``.

    Raises ``SourceUnavailable`` (no such source), ``SourceDenied`` (not privileged), ``InterfaceMismatch`` (unknown
    version of Xen), ``FactError`` (broken or impossible answer), ``RecordingError`` (bad recording) and ``ValueError``
    (bad argument).
    """
    live = root is None and recording is None
    with open_source(root, recording) as reader:
        if choose_source(reader, source, live=live) == "xen":
            return _xen(reader, live=live, devices=devices, usable=usable)
        facts = linux.collect(
            reader,
            available=available,
            devices=devices,
            allowed=allowed,
            caches=caches,
            usable=usable,
            memory_state=memory_state,
        )
        return from_linux(facts, machine=os.uname().machine if live else _machine(reader))


def _machine(reader: Reader) -> str | None:
    from ..sources.architecture import machine

    return machine(reader, live=False)


def _xen(reader: Reader, *, live: bool, devices: bool, usable: bool) -> Host:
    from ..linux.devices import collect as collect_devices
    from ..linux.source import Source
    from ..normalise.xen import from_xen
    from ..xen.collect import collect
    from ..xen.refused import LIVE

    found = collect_devices(Source(reader)) if devices else None
    with hypercalls(reader, live=live) as port:
        addresses = [device.address for device in found or ()]
        facts = collect(port, reader, addresses, refused=LIVE if live else None)
    host = from_xen(facts, found)
    if usable:
        from ..normalise.usable import usable_of_xen

        return host._replace(cells=tuple([cell._replace(usable=usable_of_xen(cell.memory)) for cell in host.cells]))
    return host
