"""The options of ``numaprobe fleet``."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

HOSTS = "recordings, recorded trees, or documents of show --json: FILE or NAME=FILE"
# Longer than a guest takes from its claim to its first publication.
STALE_SECONDS = 900.0


def fleet_options(parser: argparse.ArgumentParser) -> None:
    """Declare what ``numaprobe fleet`` takes."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=type(parser))

    one = actions.add_parser(
        "try", help="run the real Placement in this process, publish a few hosts, and place a guest"
    )
    one.add_argument("hosts", metavar="HOST", nargs="*", help=f"{HOSTS} (default: recorded machines of the package)")
    one.add_argument("--directory", metavar="DIR", help="where the ledger is kept (default: a new directory)")

    one = actions.add_parser("publish", help="write hosts, and what their guests hold, to the ledger")
    one.add_argument("hosts", metavar="HOST", nargs="*", help=f"{HOSTS} (default: this host)")
    one.add_argument("--name", help="this host's name in the ledger (default: its host name)")
    publish_options(one)
    _json(one)
    ledger_options(one)

    one = actions.add_parser("place", help="choose a host and its cells, and say why")
    from .place_options import guest_options

    one.add_argument("hosts", metavar="HOST", nargs="+", help=f"{HOSTS}, as published")
    guest_options(one)
    one.add_argument("--claim", action="store_true", help="claim it, race-free; prints the claim's uuid")
    one.add_argument("--uuid", metavar="UUID", help="of the guest, for its claim (default: a new one)")
    _json(one)
    ledger_options(one)

    one = actions.add_parser("release", help="release claims")
    one.add_argument("claims", metavar="UUID", nargs="*", help="of the claim")
    one.add_argument("--stale", action="store_true", help="those whose guest was never seen running")
    one.add_argument(
        "--older-than",
        type=float,
        default=STALE_SECONDS,
        metavar="S",
        help=f"with --stale: made at least S seconds ago (default: {STALE_SECONDS:.0f})",
    )
    one.add_argument("--host", action="append", metavar="NAME", help="with --stale: on this host only")
    _json(one)
    ledger_options(one)

    one = actions.add_parser("show", help="hosts and cells with what is left; how many more guests fit")
    one.add_argument(
        "--shape", action="append", metavar="NxSIZE", help="a guest to count: 8x32G is 8 vcpus and 32 GiB on one cell"
    )
    _json(one)
    ledger_options(one)

    one = actions.add_parser(
        "set-aside", help="mark hosts that were not published for a while, so that nothing is placed there"
    )
    one.add_argument("--minutes", type=float, required=True, metavar="N", help="not published for N minutes")
    _json(one)
    ledger_options(one)

    one = actions.add_parser("unpublish", help="remove hosts from the ledger")
    one.add_argument("names", metavar="NAME", nargs="+", help="as published")
    ledger_options(one)


def agent_options(parser: argparse.ArgumentParser) -> None:
    """Declare how ``numaprobe serve`` publishes its host."""
    group = parser.add_argument_group("publishing this host to a fleet's ledger (numaprobe[openstack])")
    group.add_argument("--fleet", action="store_true", help="publish it, at an interval and when cells or CPUs change")
    group.add_argument("--fleet-name", metavar="NAME", help="its name in the ledger (default: its host name)")
    group.add_argument(
        "--fleet-interval", type=float, default=60.0, metavar="S", help="seconds between two publications (default: 60)"
    )
    publish_options(group)
    ledger_options(parser)


def publish_options(parser: argparse._ActionsContainer) -> None:
    """Declare how a host is published."""
    parser.add_argument(
        "--reserve", metavar="SIZE", help="kept back in each cell (default: a 64th of its memory, at most 512M)"
    )
    parser.add_argument(
        "--cpu-ratio", type=float, default=1.0, metavar="R", help="floating vcpus for each CPU (default: 1)"
    )
    parser.add_argument("--dedicated", action="store_true", help="CPUs for pinned guests only (PCPU)")


def ledger_options(parser: argparse.ArgumentParser) -> None:
    """Declare where the ledger is."""
    group = parser.add_argument_group("which ledger")
    where = group.add_mutually_exclusive_group()
    where.add_argument("--os-cloud", metavar="NAME", help="of clouds.yaml (default: OS_CLOUD, or the OS_ variables)")
    where.add_argument("--placement", metavar="URL", help="a Placement without authentication (noauth2)")
    where.add_argument("--directory", metavar="DIR", help="the embedded one that fleet try made")
    group.add_argument("--os-region-name", metavar="NAME", help="with --os-cloud: its region")


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON")
