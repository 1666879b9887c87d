"""libvirtd's own records of the guests that it runs: ``/run/libvirt/qemu/NAME.xml``, which root may read.

virDomainObjFormat in libvirt's src/conf/domain_conf.c: ``<domstatus state= pid=>`` around the domain as it is now, with
devices that were added since it was started. Nothing in these files is believed but for the process that it names.
"""

from __future__ import annotations

import os
from errno import ENOENT, ENOTDIR

from .facts import LibvirtRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..source import Source

DIRECTORY = "run/libvirt/qemu"
MAX_RECORDS = 4096
MAX_BYTES = 4 << 20
MAX_DEPTH = 32
# virDomainMemoryDefFormat writes KiB; virScaleInteger of src/util/virutil.c knows the others.
UNITS = {
    **dict.fromkeys(("b", "byte", "bytes"), 1),
    **{f"{letter}{end}": 1024**power for power, letter in enumerate("KMGT", 1) for end in ("", "iB")},
    **{f"{letter.lower()}": 1024**power for power, letter in enumerate("KMGT", 1)},
    **{f"{letter}B": 1000**power for power, letter in enumerate("KMGT", 1)},
}
_DOMAIN = ("domstatus", "domain")
_WANTED = {(*_DOMAIN, name) for name in ("name", "uuid", "memory", "vcpu")}


def collect(source: Source) -> dict[int, LibvirtRecord]:
    """The records by process id; those that are unreadable or broken are noted and left out."""
    names = source.reader.listdir(DIRECTORY)
    if isinstance(names, int):
        if names not in (ENOENT, ENOTDIR):
            source.note(DIRECTORY, f"cannot be read: {os.strerror(names)}")
        return {}
    listed = [name for name in names if name.endswith(".xml")][:MAX_RECORDS]
    found = {}
    for name in listed:
        content = source.one(name, DIRECTORY)
        try:
            taken = None if content is None else parse(content)
        except ValueError as error:
            source.note(f"{DIRECTORY}/{name}", f"not understood: {error}")
            continue
        if taken is not None:
            found[taken[0]] = taken[1]
    return found


def parse(content: bytes) -> tuple[int, LibvirtRecord] | None:
    """The process and what is recorded of its guest; None for a record of another form.

    Raises ``ValueError`` for one that is broken.
    """
    from xml.parsers.expat import ExpatError

    if len(content) > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES >> 20} MiB")
    elements = _Elements()
    try:
        elements.parser.Parse(content, True)
    except ExpatError as error:
        raise ValueError(str(error)) from None
    status = elements.attributes.get(_DOMAIN[:1], {})
    process = status.get("pid", "")
    if "pid" not in status or "state" not in status:
        return None
    if not (process.isascii() and process.isdigit()) or len(process) > 10:
        raise ValueError(f"pid {process[:20]!r} is not that of a process")
    text = {path[-1]: "".join(parts).strip() for path, parts in elements.texts.items()}
    attributes = {path[-1]: found for path, found in elements.attributes.items() if path in _WANTED}
    maximum = _count(text.get("vcpu"))
    current = attributes.get("vcpu", {}).get("current")
    memory, unit = _count(text.get("memory")), UNITS.get(attributes.get("memory", {}).get("unit", "KiB"))
    if memory is not None and unit is None:
        raise ValueError(f"memory in the unit {attributes['memory']['unit'][:20]!r}")
    return int(process), LibvirtRecord(
        state=status["state"],
        name=text.get("name"),
        uuid=text["uuid"].lower() if "uuid" in text else None,
        memory=None if memory is None or unit is None else memory * unit,
        vcpus=maximum if current is None else _count(current),
        vcpus_maximum=maximum,
    )


def _count(written: str | None) -> int | None:
    if written is None:
        return None
    if not (written.isascii() and written.isdigit() and len(written) < 20):
        raise ValueError(f"{written[:20]!r} is not a number")
    return int(written)


class _Elements:
    """Texts and attributes of the few elements that matter; a document type, which may define entities, is refused."""

    def __init__(self) -> None:
        from xml.parsers.expat import ParserCreate

        self.parser = ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.attributes: dict[tuple[str, ...], dict[str, str]] = {}
        self.texts: dict[tuple[str, ...], list[str]] = {}
        self._path: tuple[str, ...] = ()

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._path) >= MAX_DEPTH:
            raise ValueError(f"elements are nested more than {MAX_DEPTH} deep")
        self._path = (*self._path, name)
        if self._path in _WANTED or self._path == _DOMAIN[:1]:
            self.attributes.setdefault(self._path, attributes)
            self.texts.setdefault(self._path, [])

    def _end(self, _: str) -> None:
        self._path = self._path[:-1]

    def _characters(self, data: str) -> None:
        if self._path in _WANTED:
            self.texts[self._path].append(data)

    def _refuse(self, *_: Any) -> None:
        raise ValueError("it declares a document type")


def written(process: int, record: LibvirtRecord) -> bytes:
    """A record from which ``parse`` understands the same, and nothing else."""
    from xml.sax.saxutils import escape, quoteattr

    parts = [f"<domstatus state={quoteattr(record.state)} pid='{process}'><domain>"]
    if record.name is not None:
        parts.append(f"<name>{escape(record.name)}</name>")
    if record.uuid is not None:
        parts.append(f"<uuid>{escape(record.uuid)}</uuid>")
    if record.memory is not None:
        parts.append(f"<memory unit='b'>{record.memory}</memory>")
    if record.vcpus_maximum is not None:
        current = "" if record.vcpus is None else f" current='{record.vcpus}'"
        parts.append(f"<vcpu{current}>{record.vcpus_maximum}</vcpu>")
    return ("".join(parts) + "</domain></domstatus>\n").encode("utf-8", "surrogateescape")
