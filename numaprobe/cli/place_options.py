"""The options of ``place`` and ``pin``, which describe a guest in the same words."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

POLICIES = ("pack", "balance", "spread")
SMT = ("share", "avoid", "isolate", "require")
KINDS = ("cxl", "dax", "gpu")
MAX_ID = 1 << 16


class _Formats:
    """The names of the formats, imported when they are needed: other commands start without them."""

    def __iter__(self) -> Iterator[str]:
        from ..placement.formats import FORMATS

        return iter(FORMATS)


def place_options(parser: argparse.ArgumentParser) -> None:
    """Declare what ``numaprobe place`` takes as well as the host."""
    request_options(parser)
    written = parser.add_mutually_exclusive_group()
    written.add_argument("--format", choices=_Formats(), default="text", metavar="FORMAT", help="%(choices)s")
    written.add_argument("--json", dest="format", action="store_const", const="json", help="the same as --format json")
    parser.add_argument(
        "--soft", action="store_true", help="xl: CPUs that vcpus prefer (cpus_soft), not those they must run on"
    )
    batch = parser.add_argument_group("several guests")
    batch.add_argument(
        "--batch", metavar="FILE", help="a JSON list of guests to place together; other options hold for each of them"
    )
    batch.add_argument("--partial", action="store_true", help="leave out guests that do not fit")
    batch.add_argument("--optimal", action="store_true", help="find the exact optimum (needs numaprobe[optimal])")
    batch.add_argument("--seconds", type=seconds, metavar="S", help="look for the optimum this long (default: 30)")

    moving = parser.add_argument_group("running guests")
    moving.add_argument("--moves", type=int, metavar="N", help="if it does not fit, propose at most N of them to move")
    moving.add_argument("--without", action="append", metavar="DOMAIN", help="place as if this guest did not exist")
    moving.add_argument(
        "--rebalance",
        action="store_true",
        help="instead: which of them to move nearer to their memory, and at what cost",
    )
    claim = parser.add_argument_group("claims: room promised to guests that are being started")
    claim.add_argument("--claim", action="store_true", help="claim what is planned, so that no other placer offers it")
    claim.add_argument(
        "--claim-seconds", type=seconds, default=300.0, metavar="S", help="claim for S seconds at most (default: 300)"
    )
    claim.add_argument("--claim-pid", type=int, metavar="N", help="end the claim when this process ends")
    claim.add_argument("--claim-domain", type=int, metavar="ID", help="claim for this Xen domain, which is being built")
    claim.add_argument("--claims", action="store_true", help="list the valid claims")
    claim.add_argument("--release", type=int, metavar="N", help="release claim N")
    claim.add_argument(
        "--ledger", metavar="DIR", help="where claims are kept (default: /run/numaprobe, or the user's own)"
    )


def pin_options(parser: argparse.ArgumentParser) -> None:
    """Declare what ``numaprobe pin`` takes as well as the host."""
    request_options(parser)
    parser.add_argument(
        "--plan",
        metavar="FILE",
        help="a plan that place --json wrote, instead of a guest's size; of a batch, the one of --name",
    )
    what = parser.add_argument_group("what is pinned")
    which = what.add_mutually_exclusive_group()
    which.add_argument("--pid", type=int, metavar="N", help="a process, and each vcpu's thread if it is a QEMU guest")
    which.add_argument("--domain", metavar="ID", help="a Xen domain's number or name; it has to be paused")
    what.add_argument("program", nargs="*", metavar="COMMAND", help="a command to run, after --")
    parser.add_argument("--dry-run", action="store_true", help="show what would be done, without doing it")
    parser.add_argument(
        "--force", action="store_true", help="also a process that runs no guest, domain 0, or a running domain"
    )
    # What place has for batches.
    parser.set_defaults(batch=None, partial=False, optimal=False, seconds=None, format="text", claim=False, ledger=None)


def request_options(parser: argparse.ArgumentParser) -> None:
    """Declare what a guest is to have, and what is free for it on one host."""
    guest_options(parser)
    room = parser.add_argument_group("what is free")
    room.add_argument(
        "--reserve", metavar="SIZE", help="kept back in each cell (default: a 64th of its memory, at most 512M)"
    )
    room.add_argument("--pool", type=int, metavar="N", help="CPUs of this cpupool only (default: the lowest)")
    room.add_argument(
        "--ignore-allowed",
        action="store_true",
        help="also use what this process may not, for a guest that libvirtd or xl starts",
    )
    room.add_argument("--no-domains", action="store_true", help="do not count the guests that already run")


def guest_options(parser: argparse.ArgumentParser) -> None:
    """Declare what a guest is to have."""
    group = parser.add_argument_group("the guest")
    group.add_argument("--vcpus", type=int, metavar="N", help="number of vcpus")
    group.add_argument("--memory", metavar="SIZE", help="memory: 512M, 8G, 8GiB; a bare number is bytes")
    group.add_argument("--name", help="its name, for the formats that have one")
    group.add_argument("--huge-page", metavar="SIZE", help="memory in huge pages of this size: 2M, 1G")
    cpus = parser.add_argument_group("its CPUs")
    cpus.add_argument("--pinned", action="store_true", help="give each vcpu a CPU that no other guest gets")
    cpus.add_argument("--pinned-vcpus", type=ids, metavar="LIST", help="pin these vcpus only (0-1,4); the others float")
    cpus.add_argument("--emulator", type=int, metavar="N", help="N CPUs that only the emulator's threads get")
    cpus.add_argument(
        "--emulator-cpus",
        type=ids,
        dest="emulator",
        metavar="LIST",
        help="these CPUs, shared, for the emulator's threads",
    )
    cpus.add_argument(
        "--smt",
        choices=SMT,
        help="share: a thread counts as a CPU; avoid: a core does, others may use its other threads; isolate: a core "
        "does, its other threads stay idle; require: pairs of threads (default: cores where near cells have enough)",
    )
    cpus.add_argument("--cores", action="store_true", help="the same as --smt isolate")
    group.add_argument(
        "--vfio",
        action="store_true",
        help="a device is passed through to it: its memory is pinned, and outside of ZONE_MOVABLE",
    )
    where = parser.add_argument_group("its cells")
    where.add_argument("--cells", type=int, metavar="N", help="exactly N cells, with equal shares")
    where.add_argument("--max-cells", type=int, metavar="N", help="at most N cells")
    where.add_argument(
        "--guest-cells", type=int, metavar="N", help="N NUMA cells in the guest, each on a different cell"
    )
    where.add_argument(
        "--near",
        action="append",
        type=near,
        metavar="DEVICE",
        help="near a PCI device (3b:00.0), a network card, GPU or disk by its name, or cell:N; may be repeated",
    )
    where.add_argument("--away-from", action="append", metavar="DOMAIN", help="on none of a domain's cells")
    where.add_argument("--together-with", action="append", metavar="DOMAIN", help="on a domain's cells only")
    where.add_argument("--memory-only", action="store_true", help="cells without CPUs may give memory")
    where.add_argument(
        "--kind",
        dest="kinds",
        action="append",
        choices=KINDS,
        help="memory of this kind may be used (with --memory-only)",
    )
    where.add_argument("--fewest", action="store_true", help="the fewest cells, even if an access then costs more")
    where.add_argument(
        "--nearest",
        action="store_true",
        help="the default; of several hosts (fleet place), the cheapest access",
    )
    where.add_argument("--policy", choices=POLICIES, default="pack", help="which to take of equally good cells")


def ids(text: str) -> tuple[int, ...]:
    """Ids of a list such as ``0-3,8``. Raises ``ValueError``, which argparse turns into its own words."""
    out: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        ends = (first, last) if dash else (first, first)
        if not all(end.isascii() and end.isdigit() and len(end) < 10 for end in ends):
            raise ValueError(f"not a list of ids: {text!r}")
        low, high = map(int, ends)
        if not low <= high < MAX_ID:
            raise ValueError(f"not a list of ids: {text!r}")
        out.update(range(low, high + 1))
    return tuple(sorted(out))


def near(text: str) -> str | int:
    """A device as it is written, or the id of ``cell:N``."""
    head, colon, number = text.partition(":")
    return int(number) if head == "cell" and colon and number.isascii() and number.isdigit() else text


def seconds(text: str) -> float:
    """A time limit. Raises ``ValueError``."""
    value = float(text)
    if not 0 < value <= 1e6:
        raise ValueError(f"not a time: {text!r}")
    return value
