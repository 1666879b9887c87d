"""The hosts of a fleet as values: this host, recordings, recorded trees, or documents of ``numaprobe show --json``."""

from __future__ import annotations

import os

import numaprobe

from ...errors import NumaprobeError, printable
from ...named import namedtuple
from ...plain_json import content_of, parse
from .documents import guests_of, host_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from numaprobe import Domains, Host

MAX_NAME = 120
SUFFIXES = (".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tar", ".json")


class Member(namedtuple("Member", "name host guests")):
    """A host of the fleet under its stable ``name``.

    ``guests`` are the domains that run there, None if they were not queried or are unknown: memory in use is then kept
    back, because some of it may be theirs.
    """

    __slots__ = ()
    name: str
    host: Host
    guests: Domains | None


def live(name: str | None = None, *, source: str = "auto") -> Member:
    """The host that runs this, under its own name unless another is given. Raises what ``numaprobe.probe`` raises."""
    return recorded(checked_name(name or os.uname().nodename), source=source)


def recorded(name: str, root: str | None = None, recording: str | None = None, source: str = "auto") -> Member:
    """The host of a recorded tree or a recording, or this one, under a name. Raises what ``numaprobe.probe`` raises."""
    host = numaprobe.probe(root, recording=recording, source=source, devices=True)
    try:
        guests: Domains | None = numaprobe.domains(host, root=root, recording=recording)
    except NumaprobeError:
        guests = None
    # A recording without processes shows no guests, which is not the same as having none.
    return Member(name, host, None if guests is not None and not guests and not guests.complete else guests)


def read(source: str) -> Member:
    """The host of a recording, a recorded tree, or a document: ``FILE`` or ``NAME=FILE``.

    Without a name it is that of the file, less its suffix. A document is that of ``numaprobe show --json``, and may
    have that of ``numaprobe domains --json`` as its member ``domains``. Raises ``ValueError`` for a file that is
    neither, and for a document of another schema; what ``numaprobe.probe`` raises for a recording.
    """
    name, equals, path = source.partition("=")
    if not equals or os.path.exists(source):
        path, name = source, _stem(source)
    checked_name(name)
    if path.endswith(".json"):
        document = _json(path)
        try:
            return Member(name, host_of(document), guests_of(document))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    return recorded(name, root=path) if os.path.isdir(path) else recorded(name, recording=path)


def checked_name(name: str) -> str:
    """The name of a host, if a provider can have it. Raises ``ValueError``."""
    if not name or len(name) > MAX_NAME or not name.isprintable() or name != name.strip():
        raise ValueError(
            f"not a name for a host: '{printable(name[:MAX_NAME])}' (1 to {MAX_NAME} printable characters)"
        )
    return name


def _stem(path: str) -> str:
    name = os.path.basename(os.path.normpath(path))
    for suffix in SUFFIXES:
        if name.endswith(suffix):
            name = name[: -len(suffix)]
            break
    # Fixtures and archives of one machine each: the directory is what tells them apart.
    return os.path.basename(os.path.dirname(os.path.abspath(path))) if name == "host" else name


def _json(path: str) -> object:
    content = content_of(path)
    try:
        found: object = parse(content)
    except ValueError as error:
        raise ValueError(f"{path} {error}") from None
    return found
