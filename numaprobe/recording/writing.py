"""Writing recordings: probing through a reader that keeps what it saw.

There is no second list of files, so what is probed and what is recorded cannot drift apart.
"""

from __future__ import annotations

import os

from ..atomic_file import replace
from ..errors import RecordingError
from ..linux import collect as linux
from ..linux import policy, usable
from ..linux.source import Source
from ..sampling.linux import LinuxSampler
from ..sources.architecture import machine
from ..sources.archive import MANIFEST, MANIFEST_SCHEMA
from ..sources.opening import TRANSCRIPT, choose_source, hypercalls, open_source
from ..sources.recorder import RecordingReader
from ..version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any

    from ..ports import Hypercalls
    from ..sources.transcript import RecordingHypercalls

OSRELEASE = "proc/sys/kernel/osrelease"
MAX_INTERVAL = 3600
COMPRESSION = {".tar.gz": "gz", ".tgz": "gz", ".tar.xz": "xz", ".tar.bz2": "bz2", ".tar": ""}


def record(
    path: str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] | None = None,
    recording: str | os.PathLike[str] | None = None,
    source: str = "auto",
    allowed: bool = False,
    domains: bool = False,
    anonymous: bool = False,
    traffic: float | None = None,
) -> None:
    """Probe a host and write down what was read; see ``numaprobe.record``."""
    if allowed and anonymous:
        raise ValueError("what this process may use names its control groups, which an anonymous recording leaves out")
    if traffic is not None and not 0 < traffic <= MAX_INTERVAL:
        raise ValueError(f"traffic is a number of seconds above 0 and at most {MAX_INTERVAL}, not {traffic!r}")
    name = os.fspath(path)
    compression = next((kind for ending, kind in COMPRESSION.items() if name.endswith(ending)), None)
    if compression is None:
        raise ValueError(f"a recording's name ends in {', '.join(COMPRESSION)}, not {name!r}")
    live = root is None and recording is None
    with open_source(root, recording) as reader:
        recorder = RecordingReader(reader)
        # Linux's view is kept under Xen too: it is another host, which a replay can select.
        asks_xen = choose_source(recorder, source, live=live) == "xen"
        facts = linux.collect(recorder, available=True, devices=True, allowed=allowed, caches=True, memory_state=True)
        # Without the names of control groups and of the program, which only allowed adds.
        usable.collect(Source(recorder), process=allowed)
        policy.collect(Source(recorder))
        if len(facts.nodes) == 1:
            # The firmware's cells, which numa=off hides: read by the doctor.
            from ..xen.srat import PATH

            recorder.read((PATH, "sys/hypervisor/type"))
        LinuxSampler(recorder, None, live=False, timed=False).take_all()
        if asks_xen:
            from ..sampling.xen import XenSampler
            from ..sources.transcript import RecordingHypercalls
            from ..xen.collect import collect

            with hypercalls(reader, live=live) as port:
                calls = RecordingHypercalls(port)
                xen_facts = collect(calls, recorder, [device.address for device in facts.devices or ()])
                XenSampler(calls, recorder, timed=False, facts=xen_facts).exact_free()
                if domains:
                    _add_domains(recorder, calls, port, live=live, anonymous=anonymous)
            recorder.files[TRANSCRIPT] = calls.text().encode()
        if domains:
            from .domains import add_guests

            add_guests(recorder, RecordingReader(reader), anonymous=anonymous)
        if traffic is not None:
            from .traffic import add_traffic

            add_traffic(recorder, reader, seconds=traffic, live=live, anonymous=anonymous)
        release = recorder.read((OSRELEASE,))[0]
        architecture = machine(reader, live=live)
    kernel = release.decode("ascii", "replace").strip() if isinstance(release, bytes) else None
    _write(name, compression, recorder, _manifest(recorder, kernel, live=live, architecture=architecture))


def _add_domains(
    recorder: RecordingReader, calls: RecordingHypercalls, port: Hypercalls, *, live: bool, anonymous: bool
) -> None:
    """Query the domains through the transcript, and keep their names next to it."""
    import json

    from ..probing.domains import NAMES, ask_xen, names_of
    from .domains import WithoutHandles

    calls.port = WithoutHandles(port) if anonymous else port
    found = ask_xen(calls).domains
    names = names_of(recorder.reader, found, live=live)
    if anonymous:
        names = {number: f"domain-{number}" for number in names}
    recorder.files[NAMES] = json.dumps({str(number): name for number, name in names.items()}).encode()


def _manifest(
    recorder: RecordingReader, kernel: str | None, *, live: bool, architecture: str | None = None
) -> dict[str, Any]:
    from time import time

    return {
        "schema": MANIFEST_SCHEMA,
        "tool": f"numaprobe {VERSION}",
        # A tree recorded earlier is of another time, and of a machine that this process cannot query.
        "time": int(time()) if live else None,
        "kernel": kernel,
        "machine": architecture,
        "files": len(recorder.files),
        "errors": dict(sorted(recorder.errors.items())),
    }


def _write(name: str, compression: str, recorder: RecordingReader, manifest: dict[str, Any]) -> None:
    import io
    import json
    import tarfile

    moment = manifest["time"] or 0
    text = json.dumps(manifest, indent=1).encode() + b"\n"
    with (
        replace(name) as file,
        _packed(file, compression, moment) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for member_name, content in [(MANIFEST, text), *sorted(recorder.files.items())]:
            member = tarfile.TarInfo(member_name)
            member.size = len(content)
            member.mtime = moment
            tar.addfile(member, io.BytesIO(content))
        for link, target in sorted(recorder.links.items()):
            member = tarfile.TarInfo(link)
            member.type = tarfile.SYMTYPE
            member.linkname = target
            member.mtime = moment
            tar.addfile(member)
        for directory in recorder.empty_directories():
            member = tarfile.TarInfo(directory)
            member.type = tarfile.DIRTYPE
            member.mode = 0o755
            member.mtime = moment
            tar.addfile(member)


def _packed(file: IO[bytes], compression: str, moment: int) -> IO[bytes]:
    """The compressed stream into a file; the same machine gives the same bytes, whenever and wherever it is written."""
    packed: Any = file
    try:
        if compression == "gz":
            import gzip

            packed = gzip.GzipFile("", "wb", fileobj=file, mtime=moment)
        elif compression == "bz2":
            import bz2

            packed = bz2.BZ2File(file, "wb")
        elif compression == "xz":
            import lzma

            packed = lzma.LZMAFile(file, "wb")  # noqa: SIM115 (the caller closes whichever it is)
    except ModuleNotFoundError as error:
        raise RecordingError(f"this Python was built without {error.name}; write a .tar.gz instead") from None
    return packed  # type: ignore[no-any-return]
