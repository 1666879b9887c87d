"""Which interface version a hypervisor speaks.

Xen takes one version of sysctl and one of domctl and refuses every other with EACCES, on 4.6 and later before it
looks at privileges (``do_sysctl`` in Xen's xen/common/sysctl.c). So the release's own version is tried first, then
all others. A security policy (XSM with FLASK) refuses with EACCES too, so one answer cannot distinguish the two.
"""

from __future__ import annotations

from errno import EACCES

from ..errors import InterfaceMismatch, SourceDenied, SourceUnavailable
from . import abi
from .calls import issue
from .sysctl import Sysctl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeVar

    from ..ports import Hypercalls
    from .facts import PhysInfo, XenVersion

    T = TypeVar("T")

_MAY_NOT = (
    "not permitted: only root in a control domain may make hypercalls, and not where the kernel filters them or "
    "restricts them to one domain"
)


def negotiate(calls: Hypercalls, version: XenVersion) -> tuple[Sysctl, PhysInfo, tuple[tuple[str, str], ...]]:
    """The sysctl interface that the hypervisor takes, its first physinfo, and notes.

    Raises ``SourceDenied`` without the privilege, or where a security policy must be what refuses a known release;
    ``SourceUnavailable`` from a Xen without sysctl; ``InterfaceMismatch`` from one that is too old, or that takes no
    version known or soon to be; ``FactError`` where the version is taken and the answer is not plausible.
    """
    release = (version.major, version.minor)
    expected = (abi.RELEASES[release].sysctl,) if release in abi.RELEASES else ()
    found, info = _search(
        "sysctl",
        version,
        _candidates(expected, abi.OLDEST_SYSCTL, abi.NEWEST_SYSCTL),
        lambda candidate: Sysctl(calls, candidate).physinfo(),
    )
    return Sysctl(calls, found), info, _notes("sysctl", version, found, expected, abi.NEWEST_SYSCTL)


def negotiate_domctl(calls: Hypercalls, version: XenVersion) -> tuple[int, tuple[tuple[str, str], ...]]:
    """The domctl version that the hypervisor takes, and notes; errors as in :func:`negotiate`."""

    def ask(candidate: int) -> None:
        header = abi.OPERATION_HEADER.pack(abi.DOMCTL_GETDOMAININFO, candidate)
        issue(calls, abi.DOMCTL, abi.DOMCTL_GETDOMAININFO, header.ljust(abi.DOMCTL_BYTES, b"\0"))

    release = (version.major, version.minor)
    expected = abi.RELEASES[release].domctl if release in abi.RELEASES else ()
    found, _ = _search("domctl", version, _candidates(expected, abi.OLDEST_DOMCTL, abi.NEWEST_DOMCTL), ask)
    return found, _notes("domctl", version, found, expected, abi.NEWEST_DOMCTL)


def _candidates(expected: tuple[int, ...], oldest: int, newest: int) -> Iterator[int]:
    """The release's own, then the known ones from the newest, then those of future releases."""
    yield from expected
    for other in (*range(newest, oldest - 1, -1), *range(newest + 1, newest + 1 + abi.SEARCH_BEYOND)):
        if other not in expected:
            yield other


def _search(hypercall: str, version: XenVersion, candidates: Iterable[int], ask: Callable[[int], T]) -> tuple[int, T]:
    if (version.major, version.minor) < abi.OLDEST_RELEASE:
        raise InterfaceMismatch(hypercall, None, f"Xen {version} is too old; numaprobe supports 4.1 and later")
    tried = []
    for candidate in candidates:
        tried.append(candidate)
        try:
            return candidate, ask(candidate)
        except SourceDenied as error:
            if error.errno != EACCES:
                raise SourceDenied(error.where, error.errno, _MAY_NOT) from error
        except SourceUnavailable as error:
            raise SourceUnavailable(
                hypercall, error.errno, f"this Xen {version} has no {hypercall} hypercall"
            ) from error
    if (version.major, version.minor) in abi.RELEASES:
        raise SourceDenied(
            hypercall,
            EACCES,
            f"Xen {version} refused its own interface version and every other: its security policy (XSM, FLASK) "
            "denies this domain, or its builder changed the version",
        )
    raise InterfaceMismatch(
        hypercall,
        EACCES,
        f"Xen {version} refused every interface version from {min(tried):#x} to {max(tried):#x}: it is "
        "newer than that, or its security policy (XSM, FLASK) denies this domain",
        tuple(tried),
    )


def _notes(
    hypercall: str, version: XenVersion, found: int, expected: tuple[int, ...], newest: int
) -> tuple[tuple[str, str], ...]:
    if found > newest:
        text = f"Xen {version} speaks version {found:#x}, newer than any known; it was read as {newest:#x}"
    elif expected and found not in expected:
        text = f"Xen {version} speaks version {found:#x} where its release had {expected[0]:#x}"
    else:
        return ()
    return ((hypercall, text),)
