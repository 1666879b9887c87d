"""What samplers of Linux and of Xen do alike: one snapshot of the host at a time, replaced when the host changed."""

from __future__ import annotations

from _thread import allocate_lock
from abc import ABC, abstractmethod
from errno import EACCES, EPERM
from functools import partial

from .. import _fast
from ..errors import SourceDenied, SourceError
from .sample import Closed, Sample
from .values import Shape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .._fast import Missed
    from .sample import Origin

    Free = dict[int, int | None]

# A host that is still changing after this many tries is not tried again.
TRIES = 8
DENIED = (EPERM, EACCES)


class Snapshot:
    """One shape of the host, and the functions that sample it: ``ask()`` and ``free()`` return ``Missed`` for none.

    ``has_free`` says that ``free`` is cheaper than ``ask``.
    """

    __slots__ = ("ask", "free", "has_free", "origin")

    def __init__(
        self, origin: Origin, ask: Callable[[], Sample | Missed], free: Callable[[], Free | Missed] | None
    ) -> None:
        self.origin = origin
        self.ask = ask
        self.has_free = free is not None
        self.free = free or partial(_nothing_cheaper, ask)


def _nothing_cheaper(ask: Callable[[], Sample | Missed]) -> Free | Missed:
    found = ask()
    return found.free_by_cell() if type(found) is Sample else found  # type: ignore[return-value]


class Engine(ABC):
    """Takes samples from a snapshot, and makes a new snapshot when the host changes.

    A source provides ``_opened`` (a new snapshot), ``_failure`` (the error if every try missed) and ``detailed``; one
    whose totals change without a change of shape also ``_resized``. May be shared by threads; a forked child, which
    inherits locks in whatever state they were, has its own.
    """

    def __init__(self) -> None:
        self._locks: dict[int, Any] = {}
        self.snapshot: Any = self._opened(None)

    @abstractmethod
    def _opened(self, before: Any) -> Any:
        """Provided by the source."""

    @abstractmethod
    def _failure(self, snapshot: Any, missed: Missed) -> Exception:
        """Provided by the source."""

    def _resized(self, snapshot: Any, found: Sample) -> bool:  # noqa: ARG002
        """Whether a sample with new totals is of the same shape; a source that never reports one has no answer."""
        return False

    @abstractmethod
    def detailed(
        self, *, huge_pages: bool, available: bool, counters: bool, vmstat: Sequence[str] | bool, meminfo: bool = False
    ) -> Sample:
        """Provided by the source."""

    def _worth_another_try(self, missed: Missed) -> bool:  # noqa: ARG002
        return True

    def _lock(self) -> Any:
        """Held while the source is opened, because it must not be closed during that."""
        return self._locks.setdefault(_fast.fork_count(), allocate_lock())

    def close(self, close: Callable[[], None]) -> None:
        with self._lock():
            self.snapshot = Closed(self.snapshot.origin)
            close()

    def _renewed(self, snapshot: Any) -> Any:
        """The snapshot that replaces this one, unless another thread has replaced it already."""
        with self._lock():
            if self.snapshot is snapshot:
                self.snapshot = self._opened(snapshot)
            return self.snapshot

    def retried(self, snapshot: Any, found: Sample | Missed) -> Sample:
        """A sample instead of what the snapshot gave: after a change, one of the present host."""
        for _ in range(TRIES):
            if type(found) is Sample:
                return found
            missed: Missed = found  # type: ignore[assignment]
            if missed.reason == _fast.RESIZED:
                if self._resized(snapshot, missed.table):
                    resized: Sample = missed.table
                    return resized
                snapshot = self.snapshot
            elif self._worth_another_try(missed):
                snapshot = self._renewed(snapshot)
            else:
                break
            found = snapshot.ask()
        if type(found) is Sample:
            return found
        raise self._failure(snapshot, found)  # type: ignore[arg-type]

    def exact_free(self) -> Free:
        """Free bytes by cell, from a whole sample."""
        snapshot = self.snapshot
        return self.retried(snapshot, snapshot.ask()).free_by_cell()

    def retried_free(self, snapshot: Any, found: Free | Missed) -> Free:
        """Free bytes by cell, from a whole sample if no cheaper source reports them."""
        for _ in range(TRIES):
            if isinstance(found, dict):
                return found
            if not snapshot.has_free:
                break
            snapshot = self._renewed(snapshot)
            if snapshot.has_free:
                found = snapshot.free()
        return found if isinstance(found, dict) else self.exact_free()


def next_shape(before: Shape | None, new: Shape, kept: Sequence[bool] | None = None) -> Shape:
    """``new`` with its number and ``since``, or the shape before if nothing changed after all.

    ``kept`` says for each cell of the shape before whether it is still the same one: a node that was removed and added
    under its number is another.
    """
    if before is None:
        return new._replace(number=1, since=(1,) * len(new.cells))
    number = before.number + 1
    same = kept or (True,) * len(before.cells)
    since = {cell: first for cell, first, is_kept in zip(before.cells, before.since, same, strict=True) if is_kept}
    found = new._replace(number=number, since=tuple([since.get(cell, number) for cell in new.cells]))
    return before if found._replace(number=before.number) == before else found


def unreadable(path: str, errno: int) -> SourceError:
    """The error for a file that could not be read."""
    return (SourceDenied if errno in DENIED else SourceError)(path, errno)
