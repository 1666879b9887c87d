"""``Sampler``: the memory of every cell, many times a second."""

from __future__ import annotations

from contextlib import ExitStack

from ..sources.opening import choose_source, hypercalls, open_source
from .sample import Sample

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from ..ports import Reader
    from ..sources.opening import Path
    from .engine import Engine
    from .values import Shape


class Sampler:
    """Reads the memory of every cell again and again, over files that stay open (Linux) or one hypercall (Xen).

    ``root``, ``recording`` and ``source`` are as for ``probe``, and so are the errors raised. A context manager. One
    sampler may be shared by threads, and used in a child that was forked, which opens files of its own; ``close``
    may be called while another thread reads. See ``docs/sampling.md`` for every figure's source and cost.
    """

    def __init__(self, root: Path | None = None, *, recording: Path | None = None, source: str = "auto") -> None:
        live = root is None and recording is None
        with ExitStack() as stack:
            reader = stack.enter_context(open_source(root, recording))
            timed = recording is None
            if choose_source(reader, source, live=live) == "xen":
                from .xen import XenSampler

                port = stack.enter_context(hypercalls(reader, live=live))
                self._engine: Engine = XenSampler(port, reader, timed=timed and live)
            else:
                self._engine = _linux(reader, live=live, timed=timed)
            self._stack = stack.pop_all()

    # Names that may only be given as keywords would cost a look-up each, a fiftieth of a sample.
    def sample(
        self,
        huge_pages: bool = False,
        available: bool = False,
        counters: bool = False,
        vmstat: Sequence[str] = (),
    ) -> Sample:
        """Total and free memory of every cell, and its huge pages of the default size: one ``meminfo`` a node.

        The rest costs more, and much more on large machines: ``huge_pages`` of all sizes (a small file for each size
        and node, three if it has some), ``available`` memory (``/proc/zoneinfo``, now and then), ``counters``
        (``nodeN/numastat``) and the named fields of ``nodeN/vmstat``, for which the kernel adds up every zone of every
        cpu. Under Xen only ``available`` exists. What cannot be read or understood is None, and in the sample's
        ``notes`` and ``errors``. Raises ``SourceError`` or one of its kinds if the cells themselves cannot be read,
        ``FactError``, and ``ValueError`` once closed.
        """
        if huge_pages or available or counters or vmstat:
            if isinstance(vmstat, str):
                raise TypeError("vmstat is a sequence of names")
            return self._engine.detailed(
                huge_pages=huge_pages, available=available, counters=counters, vmstat=tuple(vmstat)
            )
        snapshot = self._engine.snapshot
        found = snapshot.ask()
        if type(found) is Sample:
            return found
        return self._engine.retried(snapshot, found)

    def free(self, exact: bool = False) -> dict[int, int | None]:
        """Free bytes by cell id, the cheapest way there is; None for a cell where it is unknown.

        On Linux sysinfo(2) for a single node and one read of ``/proc/buddyinfo`` for several, where they agree with
        ``meminfo`` when the files are opened; with ``exact`` always from ``meminfo``. Under Xen one numainfo. Raises
        as ``sample``.
        """
        if exact:
            return self._engine.exact_free()
        snapshot = self._engine.snapshot
        found = snapshot.free()
        if type(found) is dict:
            return found
        return self._engine.retried_free(snapshot, found)

    @property
    def shape(self) -> Shape:
        """Which cells and cpus there were at the last look."""
        shape: Shape = self._engine.snapshot.origin.shape
        return shape

    def close(self) -> None:
        """Close the source; harmless when done twice. Files held open go with the last read under way."""
        self._engine.close(self._stack.close)

    def __enter__(self) -> Sampler:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _linux(reader: Reader, *, live: bool, timed: bool) -> Engine:
    from .._fast import Files
    from ..sources.tree import Tree
    from .linux import LinuxSampler

    files = reader if isinstance(reader, Files) else reader.files if isinstance(reader, Tree) else None
    return LinuxSampler(reader, files, live=live, timed=timed)
