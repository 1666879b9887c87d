"""The exact optimum for a batch, by mixed integer programming with scipy's HiGHS (the extra ``optimal``).

What is minimised is what the heuristic minimises: guests left out first, then the sum of the mean costs of an access.
"""

from __future__ import annotations

from time import monotonic

from .limits import Limits
from .outcome import Outcome, run
from .program import DEAREST, Program
from .refining import refined
from .relations import groups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .request import Request
    from .rooms import HostCapacity


def improve(
    stock: HostCapacity, requests: Sequence[Request], known: Outcome, limits: Limits, seconds: float
) -> tuple[Outcome, Limits]:
    """The best outcome, ``known`` where none is better, and the limits that were proven on the way.

    Raises ``ModuleNotFoundError`` that says what to install where scipy is missing.
    """
    try:
        import scipy.optimize  # type: ignore[import-untyped,unused-ignore]  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("the exact optimum needs scipy: pip install 'numaprobe[optimal]'") from error
    if limits.reached(known):
        return known, limits
    end = monotonic() + seconds
    program = Program(stock, requests, known)
    sets, dual = program.solve(seconds)
    if sets is not None:
        given = {guest: cells for guest, cells in sets.items() if cells is not None}
        for order in _orders(requests, sets):
            for better in (run(stock, requests, order, None, given), run(stock, requests, order, None)):
                if better.rank < known.rank:
                    known = better
    proven = _proven(program, requests, known, limits, dual)
    if not proven.reached(known):
        known = refined(stock, requests, program.fields, known, lambda: monotonic() < end)
        proven = _proven(program, requests, known, limits, dual)
    return known, proven


def _proven(
    program: Program, requests: Sequence[Request], known: Outcome, limits: Limits, dual: float | None
) -> Limits:
    """The limits with what the program proves: no solution is below its bound, and every plan is a solution."""
    if dual is None:
        return limits
    placed = len(known.sets) - known.left_out
    bound = min(limits.bound, int((DEAREST * len(requests) - dual) / program.out + 1e-9))
    return Limits(bound, limits.costs, dual + program.out * placed if placed == bound else 0.0)


def _orders(requests: Sequence[Request], sets: dict[int, tuple[int, ...] | None]) -> Iterator[list[int]]:
    """Guests on one cell first: those on several then take what is left on each. Or by size, either way round.

    Of those that belong together the one on most cells is first, since the others may use no cell beyond its own.
    """
    together = groups(requests)
    size = {guest: len(cells or ()) for guest, cells in sets.items()}
    for sign in (0, 1, -1):

        def rank(guest: int, sign: int = sign) -> tuple[int, int, int, int, int]:
            members = together.get(guest, (guest,))
            memory = sign * max([requests[one].memory for one in members])
            return max([size[one] for one in members]), memory, members[0], -size[guest], guest

        yield sorted(sets, key=rank)
