"""Two readings of resctrl in a recording, so that its replay has rates."""

from __future__ import annotations

from time import monotonic, sleep

from ..errors import SourceUnavailable
from ..linux.resctrl import EARLIER, NOT_GROUPS, ROOT, SECONDS, collect
from ..linux.source import Source
from ..probing.traffic import NOT_MOUNTED
from ..sources.recorder import RecordingReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..ports import Reader


def add_traffic(
    recorder: RecordingReader, reader: Reader, *, seconds: float, live: bool, anonymous: bool = False
) -> None:
    """Read the counters twice, ``seconds`` apart, or take over what an older recording has.

    Raises ``SourceUnavailable`` where resctrl is not mounted.
    """
    first = RecordingReader(reader)
    source = Source(first)
    names = _Names(anonymous=anonymous)
    if collect(source) is None:
        raise source.failure(ROOT) or SourceUnavailable(ROOT, None, NOT_MOUNTED)
    if not live:
        earlier = RecordingReader(reader)
        if collect(Source(earlier), EARLIER) is not None:
            earlier.read((SECONDS,))
            _keep(recorder, earlier, names)
        _keep(recorder, first, names)
        return
    began = monotonic()
    sleep(seconds)
    later = RecordingReader(reader)
    between = monotonic() - began
    collect(Source(later))
    _keep(recorder, first, names, {ROOT: EARLIER})
    _keep(recorder, later, names)
    recorder.files[SECONDS] = f"{between:.6f}\n".encode()


class _Names:
    """The names of groups, which an anonymous recording replaces by numbers."""

    def __init__(self, *, anonymous: bool) -> None:
        self._anonymous = anonymous
        self._aliases: dict[str, str] = {}

    def path(self, path: str, moved: dict[str, str]) -> str:
        """A path as it is kept: below another directory, and with other names of groups."""
        for root in (ROOT, EARLIER):
            if path == root or path.startswith(f"{root}/"):
                parts = path[len(root) :].split("/")[1:]
                return "/".join([moved.get(root, root), *(self._part(part) for part in parts)])
        return path

    def _part(self, name: str) -> str:
        # The kernel's own names, of directories and of files.
        if not self._anonymous or name in NOT_GROUPS or name.startswith(("mon_L3_", "mon_sub_L3_", "llc_", "mbm_")):
            return name
        return self._aliases.setdefault(name, f"group-{len(self._aliases) + 1}")


def _keep(recorder: RecordingReader, seen: RecordingReader, names: _Names, moved: dict[str, str] | None = None) -> None:
    """What one reading saw, under other paths."""
    recorder.files |= {names.path(path, moved or {}): content for path, content in seen.files.items()}
    recorder.errors |= {names.path(path, moved or {}): errno for path, errno in seen.errors.items()}
    recorder.directories |= {names.path(path, moved or {}) for path in seen.directories}
