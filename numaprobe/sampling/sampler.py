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
    """Reads the memory of every cell repeatedly, from files that stay open (Linux) or with one hypercall (Xen).

    ``root``, ``recording`` and ``source`` are as for ``probe``, and so are the errors raised. A context manager.
    Threads may share one sampler, and a forked child may use it: the child opens its own files. ``close`` may be called
    while another thread reads. See ``docs/sampling.md`` for the source and cost of every figure.
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
        vmstat: Sequence[str] | bool = (),
        meminfo: bool = False,
    ) -> Sample:
        """Total and free memory of every cell, and its huge pages of the default size: one ``meminfo`` per node.

        Options cost more, and much more on large machines: ``huge_pages`` of all sizes (one small file per size and
        node, three if the node has some), ``available`` memory (``/proc/zoneinfo``, not for every sample), ``counters``
        (``nodeN/numastat``) and the named fields of ``nodeN/vmstat``, or all of them if it is True, for which the
        kernel adds up every zone of every CPU; ``meminfo`` is every field of the ``meminfo`` that the sample is made
        of, read for the purpose. Under Xen only ``available`` exists. A figure that cannot be read or understood is
        None, and in the sample's ``notes`` and ``errors``. Raises ``SourceError`` or one of its subclasses if the cells
        themselves cannot be read, ``FactError``, and ``ValueError`` once closed.
        """
        if huge_pages or available or counters or vmstat or meminfo:
            if isinstance(vmstat, str):
                raise TypeError("vmstat is a sequence of names")
            return self._engine.detailed(
                huge_pages=huge_pages,
                available=available,
                counters=counters,
                vmstat=vmstat if isinstance(vmstat, bool) else tuple(vmstat),
                meminfo=meminfo,
            )
        snapshot = self._engine.snapshot
        found = snapshot.ask()
        if type(found) is Sample:
            return found
        return self._engine.retried(snapshot, found)

    def free(self, exact: bool = False) -> dict[int, int | None]:
        """Free bytes by cell id, as cheaply as possible; None for a cell where it is unknown.

        On Linux from sysinfo(2) for a single node and from one read of ``/proc/buddyinfo`` for several, if they agree
        with ``meminfo`` when the files are opened; with ``exact`` always from ``meminfo``. Under Xen from one numainfo.
        Raises what ``sample`` raises.
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
        """The cells, online CPUs and totals at the last sample."""
        shape: Shape = self._engine.snapshot.origin.shape
        return shape

    def close(self) -> None:
        """Close the source; may be called twice. Open files are closed when the last read in progress ends."""
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
