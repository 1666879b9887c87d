"""The options of ``place`` and ``pin``, which ask for a plan in the same words."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

FORMATS = ("text", "json", "cpuset", "nodeset", "xl", "libvirt", "qemu", "numactl", "systemd")


def place_options(parser: argparse.ArgumentParser) -> None:
    """Declare what ``numaprobe place`` takes beside the host."""
    request_options(parser)
    parser.add_argument("--batch", metavar="FILE", help="several requests at once: a JSON list of such options")
    parser.add_argument("--format", choices=FORMATS, default="text", metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument(
        "--optimal", action="store_true", help="find the exact optimum for a batch (takes numaprobe[optimal])"
    )


def pin_options(parser: argparse.ArgumentParser) -> None:
    """Declare what ``numaprobe pin`` takes beside the host."""
    request_options(parser)
    parser.add_argument("--plan", metavar="FILE", help="a plan that place --format json wrote, instead of a guest")
    what = parser.add_argument_group("what is pinned")
    which = what.add_mutually_exclusive_group()
    which.add_argument("--pid", type=int, metavar="N", help="a process, and each vcpu's thread if it is a QEMU guest")
    which.add_argument("--domain", metavar="ID", help="a Xen domain's number; it has to be paused")
    what.add_argument("program", nargs="*", metavar="COMMAND", help="a command to run, after --")
    parser.add_argument("--dry-run", action="store_true", help="show what would be done, and do nothing")
    parser.add_argument("--force", action="store_true", help="even if the domain is domain 0, or is not paused")


def request_options(parser: argparse.ArgumentParser) -> None:
    """Declare what a guest is asked to have."""
    group = parser.add_argument_group("the guest")
    group.add_argument("--vcpus", type=int, metavar="N", help="how many vcpus")
    group.add_argument("--memory", metavar="SIZE", help="how much memory: 512M, 8G, 8GiB; a bare number is bytes")
    group.add_argument("--name", help="its name, for the formats that have one")
    group.add_argument("--huge-page", metavar="SIZE", help="memory in huge pages of this size: 2M, 1G")
    group.add_argument("--pinned", action="store_true", help="a cpu to itself for each vcpu")
    group.add_argument("--cores", action="store_true", help="a whole core for each vcpu, its other threads idle")
    group.add_argument("--cells", type=int, metavar="N", help="exactly N cells, with equal shares")
    group.add_argument("--max-cells", type=int, metavar="N", help="at most N cells")
    group.add_argument("--guest-cells", type=int, metavar="N", help="N NUMA cells in the guest, each on its own")
    group.add_argument("--near", metavar="ADDRESS", help="near a PCI device, dddd:bb:dd.f")
    group.add_argument("--away-from", action="append", metavar="DOMAIN", help="on none of a domain's cells")
    group.add_argument("--together-with", action="append", metavar="DOMAIN", help="on a domain's cells only")
    group.add_argument("--memory-only", action="store_true", help="cells without cpus may give memory")
    group.add_argument("--nearest", action="store_true", help="more cells than necessary if they are nearer")
    group.add_argument(
        "--policy", choices=("pack", "balance", "spread"), default="pack", help="which of cells that are alike"
    )
    room = parser.add_argument_group("what is free")
    room.add_argument(
        "--reserve", metavar="SIZE", help="kept back in each cell (default: a 64th of its memory, at most 512M)"
    )
    room.add_argument("--pool", type=int, metavar="N", help="cpus of this cpupool only (default: the lowest)")
    room.add_argument("--no-domains", action="store_true", help="do not look at the guests that run already")
