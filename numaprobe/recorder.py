"""Writing recordings: probing through a reader that keeps what it saw.

There is no second list of files, so what is probed and what is recorded cannot drift apart.
"""

from __future__ import annotations

import os
from errno import ENOENT, ENOTDIR

from . import linux
from .archive import MANIFEST, MANIFEST_SCHEMA
from .sources import TRANSCRIPT, chosen, hypercalls, opened
from .version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .ports import Reader

OSRELEASE = "proc/sys/kernel/osrelease"
COMPRESSION = {".tar.gz": "gz", ".tgz": "gz", ".tar.xz": "xz", ".tar.bz2": "bz2", ".tar": ""}


class Recorder:
    """``Reader`` that passes on to another one and keeps what came back."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.files: dict[str, bytes] = {}
        self.directories: set[str] = set()
        self.errors: dict[str, int] = {}

    def read(self, paths: Sequence[str], base: str = "") -> list[bytes | int]:
        contents = self._reader.read(paths, base)
        for path, content in zip(paths, contents, strict=True):
            self._keep(f"{base}/{path}" if base else path, content)
        return contents

    def _keep(self, path: str, content: bytes | int) -> None:
        if isinstance(content, bytes):
            self.files[path] = content
        elif content not in (ENOENT, ENOTDIR):
            self.errors[path] = content

    def listdir(self, path: str, prefix: str = "") -> list[str] | int:
        names = self._reader.listdir(path, prefix)
        if isinstance(names, int):
            if names not in (ENOENT, ENOTDIR):
                self.errors[path] = names
        else:
            self.directories.add(path)
            self.directories.update(f"{path}/{name}" for name in names)
        return names

    def empty_directories(self) -> list[str]:
        """Listed names below which nothing was read: without them a replayed listing would lack them."""
        parents = set()
        for path in self.files:
            while (path := path.rpartition("/")[0]) and path not in parents:
                parents.add(path)
        return sorted(d for d in self.directories if d not in parents and d not in self.files)


def record(
    path: str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] | None = None,
    recording: str | os.PathLike[str] | None = None,
    source: str = "auto",
    allowed: bool = False,
) -> None:
    """Probe a host and write down what was read; see ``numaprobe.record``."""
    name = os.fspath(path)
    compression = next((kind for ending, kind in COMPRESSION.items() if name.endswith(ending)), None)
    if compression is None:
        raise ValueError(f"a recording's name ends in {', '.join(COMPRESSION)}, not {name!r}")
    live = root is None and recording is None
    with opened(root, recording) as reader:
        recorder = Recorder(reader)
        # Linux's view is kept under Xen too: it is another host, which a replay can be asked for.
        asks_xen = chosen(recorder, source, live=live) == "xen"
        facts = linux.collect(recorder, available=True, devices=True, allowed=allowed)
        if asks_xen:
            from .transcript import Recorder as TranscriptRecorder
            from .xen.collect import collect

            with hypercalls(reader, live=live) as port:
                calls = TranscriptRecorder(port)
                collect(calls, recorder, [device.address for device in facts.devices or ()])
            recorder.files[TRANSCRIPT] = calls.text().encode()
        release = recorder.read((OSRELEASE,))[0]
    kernel = release.decode("ascii", "replace").strip() if isinstance(release, bytes) else None
    _write(name, compression, recorder, _manifest(recorder, kernel, live=live))


def _manifest(recorder: Recorder, kernel: str | None, *, live: bool) -> dict[str, Any]:
    from time import time

    return {
        "schema": MANIFEST_SCHEMA,
        "tool": f"numaprobe {VERSION}",
        # A tree recorded earlier is of another day, and of a machine that this process cannot ask.
        "time": int(time()) if live else None,
        "kernel": kernel,
        "machine": os.uname().machine if live else None,
        "files": len(recorder.files),
        "errors": dict(sorted(recorder.errors.items())),
    }


def _write(name: str, compression: str, recorder: Recorder, manifest: dict[str, Any]) -> None:
    import io
    import json
    import tarfile

    moment = manifest["time"] or 0
    mode: Any = f"w:{compression}"
    beside = f"{name}.{os.getpid()}.part"
    try:
        with tarfile.open(beside, mode) as tar:
            text = json.dumps(manifest, indent=1).encode() + b"\n"
            for path, content in [(MANIFEST, text), *sorted(recorder.files.items())]:
                member = tarfile.TarInfo(path)
                member.size = len(content)
                member.mtime = moment
                tar.addfile(member, io.BytesIO(content))
            for path in recorder.empty_directories():
                member = tarfile.TarInfo(path)
                member.type = tarfile.DIRTYPE
                member.mode = 0o755
                member.mtime = moment
                tar.addfile(member)
        os.replace(beside, name)
    except BaseException:
        if os.path.exists(beside):
            os.unlink(beside)
        raise
