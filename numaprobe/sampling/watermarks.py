"""What the kernel keeps back of each zone: ``/proc/zoneinfo``, whose cost grows with nodes and cpus, read now and then.

Watermarks and protections are computed by the kernel from ``min_free_kbytes``, ``watermark_scale_factor`` and
``lowmem_reserve_ratio`` and from the zones' sizes, and change with these alone (setup_per_zone_wmarks of Linux's
mm/page_alloc.c); so they are kept as long as those say the same. While a zone's watermarks are boosted (Linux 5.0,
1c30844d2dfe) nothing is kept, nor where zoneinfo does not show whether they are and the kernel may boost them.
"""

from __future__ import annotations

import time
from errno import ENOENT

from ..errors import FactError
from ..linux import text
from ..linux.facts import ZoneFacts
from ..normalise.available import kept_back
from .linux_files import ZONEINFO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._fast import Files, OpenFiles
    from ..normalise.available import KeptBack
    from ..ports import Reader

VM = "proc/sys/vm"
SETTINGS = tuple([f"{VM}/{name}" for name in ("min_free_kbytes", "watermark_scale_factor", "lowmem_reserve_ratio")])
BOOST_FACTOR = f"{VM}/watermark_boost_factor"
# Nanoseconds after which they are read again, because a boost that begins after the last read shows nowhere else.
KEPT_FOR = 10_000_000_000


class Watermarks:
    """What each node keeps back. ``may_keep`` says that the files are the running kernel's."""

    def __init__(self, reader: Reader, files: Files | None, *, may_keep: bool) -> None:
        self._reader = reader
        self._files = files if may_keep else None
        self._settings: OpenFiles | None = None
        self._kept: list[KeptBack | None] | None = None
        self._key: list[bytes | int] = []
        self._read_at = 0

    def forget(self) -> None:
        self._kept = None

    def kept_back(self, ids: Sequence[int], totals: Sequence[int | None]) -> list[KeptBack | None] | int:
        """For each node with its total in kB what its zones keep back, or the errno of ``/proc/zoneinfo``.

        Kept for as long as ``forget`` is not called with new totals. Raises ``FactError``.
        """
        if self._files is None:
            return self._read(ids, totals)[0]
        if self._settings is None:
            self._settings = self._files.keep(SETTINGS)
        # Before the zones: a setting that changes in between makes them be read again the next time.
        key = self._settings.read()
        now = time.monotonic_ns()
        if self._kept is not None and key == self._key and now - self._read_at < KEPT_FOR:
            return self._kept
        found, content = self._read(ids, totals)
        if isinstance(found, int):
            return found
        self._key, self._read_at = key, now
        self._kept = found if self._is_steady(key, content) else None
        return found

    def _read(self, ids: Sequence[int], totals: Sequence[int | None]) -> tuple[list[KeptBack | None] | int, bytes]:
        (content,) = self._reader.read((ZONEINFO,))
        if isinstance(content, int):
            return content, b""
        zones: dict[int, list[ZoneFacts]] = {}
        for zone in map(ZoneFacts._make, text.zones(ZONEINFO, content)):
            zones.setdefault(zone.node, []).append(zone)
        if not zones:
            raise FactError(ZONEINFO, content, "contains no zone")
        pairs = zip(ids, totals, strict=True)
        return [None if total is None else kept_back(total, zones.get(node, [])) for node, total in pairs], content

    def _is_steady(self, key: list[bytes | int], content: bytes) -> bool:
        # Before Linux 4.6 there was no scale factor (795ae7a0de6b), but then nothing else changed the watermarks.
        if any(isinstance(value, int) and value != ENOENT for value in key):
            return False
        boosts = [line.split()[1:] for line in content.split(b"\n") if line.lstrip().startswith(b"boost ")]
        if boosts:
            return all(boost == [b"0"] for boost in boosts)
        (factor,) = self._reader.read((BOOST_FACTOR,))
        return factor == ENOENT or (isinstance(factor, bytes) and factor.strip() == b"0")
