"""The command line in argparse: one parser for the command that was requested, or all of them."""

from __future__ import annotations

import argparse
from importlib import import_module

from .. import __version__
from .plain_options import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

DESCRIPTION = "A host's NUMA cells: their CPUs, memory and distances, on Linux and under Xen."
STATUS = "Exit status: 0 done, 1 the host could not be read or a file could not be written, 2 usage error"
EPILOG = f"numaprobe alone is numaprobe show. {STATUS}, 3 place: does not fit (pin and fleet place too)."
# Commands with a status of their own.
PLACING = ("place", "pin", "fleet")


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        from .usage import plainly

        sentence = plainly(message, self._option_string_actions)
        raise UsageError(f"{sentence} (try {self.prog} --help)")


def parsed(words: Sequence[str]) -> argparse.Namespace:
    """The options of a command line; ``words`` begin with the command. Raises ``UsageError``."""
    if words[0] == "help":
        words = [*(word for word in words[1:2] if word in COMMANDS), "--help"]
    command = COMMANDS.get(words[0])
    if command is None:
        # The help, the version, or a command that does not exist.
        return whole().parse_args(words)
    help_, declare = command
    parser = Parser(prog=f"numaprobe {words[0]}", description=_sentence(help_), epilog=_epilog(words[0]))
    declare(parser)
    return parser.parse_args(words[1:], argparse.Namespace(command=words[0]))


def whole() -> Parser:
    """The parser of every command."""
    top = Parser(prog="numaprobe", description=DESCRIPTION, epilog=EPILOG)
    top.add_argument("--version", action="version", version=f"numaprobe {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    for name, (help_, declare) in COMMANDS.items():
        declare(commands.add_parser(name, help=help_, description=_sentence(help_), epilog=_epilog(name)))
    return top


def _sentence(help_: str) -> str:
    return f"{help_[0].upper()}{help_[1:]}."


def _epilog(command: str) -> str:
    return f"{STATUS}, 3 it does not fit." if command in PLACING else f"{STATUS}."


def _show(parser: argparse.ArgumentParser) -> None:
    _host_options(parser)
    _json_option(parser)
    parser.add_argument(
        "--memory-state", action="store_true", help="also memory blocks and pages with memory errors, by cell (Linux)"
    )


def _free(parser: argparse.ArgumentParser) -> None:
    _host_options(parser)
    _json_option(parser)
    parser.add_argument("--cell", type=int, metavar="N", help="this cell only")
    parser.add_argument(
        "--for",
        dest="purpose",
        metavar="WHAT",
        help="what can be allocated now: ordinary, pinned (memory for devices, outside ZONE_MOVABLE), huge pages "
        "of a size (2M, 1G), or me: what this process may still allocate",
    )
    parser.add_argument("--watch", action="store_true", help="repeat, as numaprobe watch does")
    _watch_options(parser, " with --watch:")


def _watch(parser: argparse.ArgumentParser) -> None:
    _host_options(parser)
    _json_option(parser)
    parser.add_argument("--cell", type=int, metavar="N", help="this cell only")
    parser.add_argument(
        "--domains",
        action="store_true",
        help="who holds memory where, as numaprobe domains does; a terminal starts with it",
    )
    _remote_option(parser, "with --domains: ")
    _sampled_option(parser, "with --domains: ")
    _watch_options(parser)


def _traffic(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("which host")
    where = group.add_mutually_exclusive_group()
    where.add_argument("--root", metavar="DIR", help="a recorded tree: its counters, without rates")
    where.add_argument("--recording", metavar="FILE", help="a recording, or a tar archive of such a directory")
    _json_option(parser)
    parser.add_argument(
        "--interval", type=float, default=1.0, metavar="S", help="seconds between two readings (default: 1)"
    )


def _domains(parser: argparse.ArgumentParser) -> None:
    _host_options(parser)
    _json_option(parser)
    parser.add_argument("--pid", type=int, action="append", default=[], metavar="N", help="this process (Linux)")
    parser.add_argument("--cgroup", action="append", default=[], metavar="PATH", help="this control group (Linux)")
    _remote_option(parser)
    _sampled_option(parser)
    parser.add_argument(
        "--debug-key",
        action="store_true",
        help="use Xen's debug key u where nothing else reports the location of memory: Xen walks every page of every "
        "domain without a pause, for up to a second per 32 GiB, and handles nothing else until it is done; a walk of "
        "several seconds may trigger a watchdog and take the host down",
    )
    parser.add_argument(
        "--debug-key-limit",
        metavar="SIZE",
        default="32G",
        help="refuse if a domain is larger than this (default: 32G)",
    )


def _place(parser: argparse.ArgumentParser) -> None:
    _host_options(parser)
    import_module(".place_options", __package__).place_options(parser)


def _pin(parser: argparse.ArgumentParser) -> None:
    _host_options(parser)
    import_module(".place_options", __package__).pin_options(parser)


def _record(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="ends in .tar.gz, .tgz, .tar.xz, .tar.bz2 or .tar")
    _host_options(parser)
    parser.add_argument("--domains", action="store_true", help="include the domains, and what placing them needs")
    parser.add_argument(
        "--anonymous",
        "--anonymize",
        "--anonymise",
        action="store_true",
        help="replace the names and uuids of domains and the names of control groups",
    )
    parser.add_argument(
        "--allowed", action="store_true", help="include what this process may use, with names of control groups"
    )
    parser.add_argument(
        "--traffic",
        type=float,
        nargs="?",
        const=1.0,
        metavar="S",
        help="include the counters of resctrl, read twice this many seconds apart (default: 1)",
    )


def _draw(parser: argparse.ArgumentParser) -> None:
    _host_options(parser)
    import_module(".draw_options", __package__).draw_options(parser)


def _serve(parser: argparse.ArgumentParser) -> None:
    _host_options(parser)
    import_module(".serve", __package__).serve_options(parser)


def _export(parser: argparse.ArgumentParser) -> None:
    from .. import export

    parser.add_argument("format", metavar="FORMAT", choices=tuple(export.FORMATS), help=", ".join(export.FORMATS))
    parser.add_argument("-o", dest="output", metavar="FILE", help="write to FILE, whole or not at all")
    parser.add_argument(
        "--libvirt-version",
        type=int,
        choices=(9, 11),
        metavar="9|11",
        help="libvirt: version of the schema to write for (default: 9)",
    )
    parser.add_argument(
        "--arch", metavar="NAME", help="libvirt, hwloc: the architecture, for a recording that does not contain it"
    )
    parser.add_argument("--name", metavar="NAME", help="dra, nrt, slurm: the node's name (default: this live host's)")
    parser.add_argument(
        "--driver", metavar="NAME", help="dra: the driver's name, a DNS name that you own (default: numaprobe)"
    )
    parser.add_argument(
        "--numa-list", action="store_const", const=True, help="dra: list the device's own node and those nearest to it"
    )
    _host_options(parser)


def _fleet(parser: argparse.ArgumentParser) -> None:
    import_module(".fleet_options", __package__).fleet_options(parser)


def _doctor(parser: argparse.ArgumentParser) -> None:
    _host_options(parser)
    _json_option(parser)


def _diff(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", metavar="A", help="a recording, or a directory with a recorded tree")
    parser.add_argument("b", metavar="B", nargs="?", help="the host to compare with (default: this host)")
    parser.add_argument("--source", choices=("auto", "linux", "xen"), default="auto", help="for both hosts, as in show")
    _json_option(parser)


def _host_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("which host")
    where = group.add_mutually_exclusive_group()
    where.add_argument("--root", metavar="DIR", help="a recorded tree: a directory with sys/ and proc/")
    where.add_argument("--recording", metavar="FILE", help="a recording, or a tar archive of such a directory")
    group.add_argument(
        "--source", choices=("auto", "linux", "xen"), default="auto", help="auto: Xen in a control domain, else Linux"
    )


def _watch_options(parser: argparse.ArgumentParser, when: str = "") -> None:
    words = f"{when} seconds between two updates (default: 1)", f"{when} stop after N updates"
    parser.add_argument("--interval", type=float, metavar="S", help=words[0].strip())
    parser.add_argument("--count", type=int, metavar="N", help=words[1].strip())


def _remote_option(parser: argparse.ArgumentParser, when: str = "") -> None:
    parser.add_argument(
        "--remote", action="store_true", help=f"{when}how much of each guest's memory accesses leave the vcpu's cell"
    )


def _sampled_option(parser: argparse.ArgumentParser, when: str = "") -> None:
    parser.add_argument(
        "--sampled",
        type=int,
        nargs="?",
        const=1024,
        metavar="PAGES",
        help=f"{when}estimate from this many random pages of each guest (default: 1024) what would be counted page "
        "by page (Linux; a margin says how good the estimate is)",
    )


def _json_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON")


COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "show": ("the host: cells, CPUs, memory, distances, notes", _show),
    "free": ("memory per cell: total, free, available, allocated, huge pages", _free),
    "watch": ("memory per cell, guests and rates, live; q ends it", _watch),
    "domains": ("who holds memory where: guests, or the processes and control groups named", _domains),
    "traffic": ("memory traffic by group and last-level cache, from resctrl", _traffic),
    "place": ("where a domain should run, and why", _place),
    "pin": ("apply a plan: run a command under it, or move a process or a paused domain", _pin),
    "doctor": ("configuration that costs performance, with evidence and remedy; changes nothing", _doctor),
    "diff": ("what was added, removed and changed from one host to another", _diff),
    "record": ("write a recording of this host", _record),
    "draw": ("a picture: SVG, a web page, or bars of text", _draw),
    "serve": ("a metrics endpoint for Prometheus, or a file for node_exporter", _serve),
    "fleet": ("many hosts: publish, place and claim over OpenStack Placement", _fleet),
    "export": ("the host in another program's format", _export),
}
