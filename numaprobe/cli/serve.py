"""``numaprobe serve``: a metrics endpoint for Prometheus, or a file for node_exporter's textfile directory."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import suppress

from ..atomic_file import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    import socket
    from types import FrameType
    from typing import TextIO

    from ..contrib.prometheus import NumaCollector

LISTEN = "127.0.0.1:9975"
# The oldest text format, which everybody reads (Prometheus 2 and 3).
PLAIN = "text/plain; version=0.0.4; charset=utf-8"
MAX_INTERVAL = 366 * 86400
# Seconds that the first answer may wait for what is otherwise read in the background.
PATIENCE = 10.0


class Stopped(BaseException):
    """A signal that ends the program in good order; no error, so that nothing takes it for one."""


def serve_options(parser: argparse.ArgumentParser) -> None:
    """Declare what ``numaprobe serve`` takes beside the host."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--listen", default=LISTEN, metavar="ADDR:PORT", help=f"where to listen (default: {LISTEN}); [ADDR6]:PORT"
    )
    where.add_argument("--textfile", metavar="FILE", help="write FILE again and again instead, whole or not at all")
    parser.add_argument(
        "--interval",
        type=float,
        default=15.0,
        metavar="S",
        help="seconds between two readings in the background, and between two files (default: 15)",
    )
    parser.add_argument("--count", type=int, metavar="N", help="with --textfile: stop after N files")
    parser.add_argument("--no-domains", action="store_true", help="without the guests")
    parser.add_argument(
        "--domains-limit",
        type=int,
        default=100,
        metavar="N",
        help="at most N guests, those with the lowest ids (default: 100)",
    )
    parser.add_argument("--no-counters", action="store_true", help="without numastat's counters")
    parser.add_argument(
        "--no-distances", action="store_true", help="without distances; above 64 cells they are left out in any case"
    )
    parser.add_argument("--cpu-info", action="store_true", help="with a metric for every cpu")


def run(options: argparse.Namespace, out: TextIO) -> None:  # noqa: ARG001  # its data goes to clients
    if not 0 < options.interval <= MAX_INTERVAL:
        raise ValueError(f"an interval is more than 0 seconds and at most {MAX_INTERVAL}")
    if options.count is not None and (options.count < 1 or options.textfile is None):
        raise ValueError("a count is at least 1, and of files (--textfile)")
    try:
        from ..contrib.prometheus import NumaCollector
    except ModuleNotFoundError as error:
        raise ValueError("serve needs prometheus-client: pip install 'numaprobe[prometheus]'") from error
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    collector = None
    try:
        collector = NumaCollector(
            options.root,
            recording=options.recording,
            source=options.source,
            domains=not options.no_domains,
            domains_limit=options.domains_limit,
            counters=not options.no_counters,
            distances=False if options.no_distances else None,
            cpu_info=options.cpu_info,
            interval=options.interval,
            patience=PATIENCE,
        )
        if options.textfile is None:
            _listen(options.listen, collector)
        else:
            _write(options.textfile, collector, options.interval, options.count)
    except Stopped:
        pass
    finally:
        if collector is not None:
            collector.close()


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise Stopped


def _checked(collector: NumaCollector) -> None:
    """A host that cannot be read at the start is an error; one that cannot be later is a metric."""
    collector.collect()
    if collector.error is not None:
        raise collector.error


def _listen(address: str, collector: NumaCollector) -> None:
    import asyncio

    from .endpoint import Endpoint, listening, name_of

    _more_descriptors()
    found = listening(address)
    with found:
        _checked(collector)
        sys.stderr.write(f"numaprobe: metrics at http://{name_of(found)}/metrics\n")
        sys.stderr.flush()

        async def serve(found: socket.socket) -> None:
            stop = asyncio.Event()
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, stop.set)
            await Endpoint(found, lambda accept: rendered(collector, accept)).run(stop)

        asyncio.run(serve(found))


def _more_descriptors() -> None:
    """As many as may be had, within reason: each cell has two files open, each client one."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # A sandbox may forbid it; what there is may do.
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def rendered(collector: NumaCollector, accept: str) -> tuple[bytes, str]:
    """The metrics in the format that a client accepts, and its content type."""
    from prometheus_client.exposition import choose_encoder, generate_latest

    from ..metrics.prometheus import Collected

    found = Collected(collector.collect())
    try:
        encode, content_type = choose_encoder(accept)
        return encode(found), content_type
    except (ValueError, TypeError):
        # A version that is no number: what every client understands.
        return generate_latest(found), PLAIN


def _write(name: str, collector: NumaCollector, interval: float, count: int | None) -> None:
    """The file every so many seconds. It is for another user's program to read, whatever the umask."""
    _checked(collector)
    due = time.monotonic()
    turn = 0
    while True:
        body, _ = rendered(collector, "")
        with replace(name, mode=0o644) as file:
            file.write(body)
        turn += 1
        if turn == count:
            return
        due = max(due + interval, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
