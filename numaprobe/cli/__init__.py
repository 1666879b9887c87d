"""The command line: options, exit statuses and one-line errors over the public API.

Status 0: done. 1: the host could not be read, or a file not written. 2: wrong use. 3: ``place`` found no fit.
"""

from __future__ import annotations

import argparse
import os
import sys

from .. import __version__
from .. import export as formats
from ..errors import DoesNotFit, NumaprobeError, printable
from .draw_options import draw_options
from .place_options import pin_options, place_options
from .serve import serve_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn, TextIO


class WrongUse(Exception):
    """The command line asks for what cannot be; its text is the line for standard error."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        raise WrongUse(f"{message} (try {self.prog} --help)")


def _parser() -> Parser:
    top = Parser(
        prog="numaprobe",
        description="A host's NUMA cells: their cpus, memory and distances, on Linux and under Xen.",
        epilog="numaprobe alone is numaprobe show. Exit status: 0 done, 1 the host could not be read, 2 wrong use.",
    )
    top.add_argument("--version", action="version", version=f"numaprobe {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)

    show = commands.add_parser("show", help="the host: cells, cpus, memory, distances, notes")
    _host_options(show)
    _json_option(show)

    free = commands.add_parser("free", help="memory per cell: total, free, available, allocated, huge pages")
    _host_options(free)
    _json_option(free)
    free.add_argument("--cell", type=int, metavar="N", help="this cell only")
    free.add_argument("--watch", action="store_true", help="again and again, as numaprobe watch does")
    _watch_options(free)

    watch = commands.add_parser("watch", help="memory per cell, or who holds it, live; Ctrl-C ends it")
    _host_options(watch)
    _json_option(watch)
    watch.add_argument("--cell", type=int, metavar="N", help="this cell only")
    watch.add_argument("--domains", action="store_true", help="who holds memory where, as numaprobe domains")
    _watch_options(watch)

    domains = commands.add_parser("domains", help="who holds memory where: guests, or the processes and groups named")
    _host_options(domains)
    _json_option(domains)
    domains.add_argument("--pid", type=int, action="append", default=[], metavar="N", help="this process (Linux)")
    domains.add_argument("--cgroup", action="append", default=[], metavar="PATH", help="this control group (Linux)")
    domains.add_argument(
        "--debug-key",
        action="store_true",
        help="let Xen's debug key u tell where memory is that nothing else tells of: Xen walks every page of every "
        "domain without a pause, up to a second for each 32 GiB, holding up whatever else asks it; a walk of several "
        "seconds may trip a watchdog and take the host down",
    )
    domains.add_argument(
        "--debug-key-limit", metavar="SIZE", default="32G", help="not if a domain is larger than this (default: 32G)"
    )

    place = commands.add_parser("place", help="where a domain should run, and why")
    _host_options(place)
    place_options(place)

    pin = commands.add_parser("pin", help="apply a plan: run a command under it, or move a process or paused domain")
    _host_options(pin)
    pin_options(pin)

    record = commands.add_parser("record", help="write a recording of this host")
    record.add_argument("file", metavar="FILE", help="ends in .tar.gz, .tgz, .tar.xz, .tar.bz2 or .tar")
    _host_options(record)
    record.add_argument("--domains", action="store_true", help="also the domains, and what is needed to place them")
    record.add_argument(
        "--anonymous",
        "--anonymize",
        "--anonymise",
        action="store_true",
        help="other names and uuids for the domains, and other names for control groups",
    )
    record.add_argument(
        "--allowed", action="store_true", help="also what this process may use; names of control groups are then in it"
    )

    draw = commands.add_parser("draw", help="a picture: SVG, a web page, or bars of text")
    _host_options(draw)
    draw_options(draw)

    serve = commands.add_parser("serve", help="a metrics endpoint for Prometheus, or a file for node_exporter")
    _host_options(serve)
    serve_options(serve)

    to = commands.add_parser("export", help="the host in another program's format")
    to.add_argument("format", metavar="FORMAT", choices=tuple(formats.FORMATS), help=", ".join(formats.FORMATS))
    to.add_argument("-o", dest="output", metavar="FILE", help="write to FILE, whole or not at all")
    to.add_argument(
        "--libvirt-version",
        type=int,
        choices=(9, 11),
        metavar="9|11",
        help="libvirt: whose schema to write for (default: 9)",
    )
    to.add_argument(
        "--arch", metavar="NAME", help="libvirt, hwloc: the architecture, for a recording that does not tell"
    )
    to.add_argument("--name", metavar="NAME", help="nrt, slurm: the node's name (default: this live host's)")
    _host_options(to)
    return top


def _host_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("which host")
    where = group.add_mutually_exclusive_group()
    where.add_argument("--root", metavar="DIR", help="a recorded tree: a directory with sys/ and proc/")
    where.add_argument("--recording", metavar="FILE", help="a recording, or a tar archive of such a directory")
    group.add_argument(
        "--source", choices=("auto", "linux", "xen"), default="auto", help="auto: Xen in a control domain, else Linux"
    )


def _watch_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--interval", type=float, default=1.0, metavar="S", help="seconds between two (default: 1)")
    parser.add_argument("--count", type=int, metavar="N", help="stop after N")


def _json_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON")


def _command(name: str) -> Callable[[argparse.Namespace, TextIO], None]:
    if name == "show":
        from .show import run
    elif name == "free":
        from .free import run
    elif name == "domains":
        from .domains import run
    elif name == "watch":
        from .watch import run
    elif name == "place":
        from .place import run
    elif name == "pin":
        from .pin import run
    elif name == "record":
        from .record import run
    elif name == "draw":
        from .draw import run
    elif name == "serve":
        from .serve import run
    else:
        from .export import run
    return run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit status. Errors go to standard error as one line, data to standard output."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if sys.stdout is None:
        return _complain("standard output is closed", 1)
    # What the terminal's encoding lacks is written out; it is no reason to give no answer.
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
    # Options of show may stand alone: numaprobe --json.
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help", "--version")):
        words.insert(0, "show")
    try:
        options = _parser().parse_args(words)
        _command(options.command)(options, sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of a pipe has gone, which is not ours to complain of; keep the interpreter from trying again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except WrongUse as error:
        return _complain(error, 2)
    except DoesNotFit as error:
        return _complain(error, 3)
    except NumaprobeError as error:
        return _complain(error, 1)
    except ValueError as error:
        return _complain(error, 2)
    except OSError as error:
        return _complain(f"{error.filename}: {error.strerror}" if error.filename else error, 1)
    except KeyboardInterrupt:
        return 130
    return 0


def _complain(error: object, status: int) -> int:
    if sys.stderr is not None:
        line = printable(" ".join(str(error).split()))
        sys.stderr.write(f"numaprobe: {line}\n".encode("ascii", "backslashreplace").decode())
    return status
