"""``numaprobe serve``: a metrics endpoint for Prometheus, or a file for node_exporter's textfile directory."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from contextlib import suppress
from importlib import import_module

from ..atomic_file import replace
from ..errors import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    import socket
    from collections.abc import Callable
    from types import FrameType
    from typing import NoReturn, TextIO

    from prometheus_client.metrics_core import Metric as Family

    from ..contrib.prometheus import NumaCollector
    from .web_config import WebConfig

LISTEN = "127.0.0.1:9975"
# The oldest text format, which every client understands (Prometheus 2 and 3).
PLAIN = "text/plain; version=0.0.4; charset=utf-8"
TEXT, OPENMETRICS = "text", "openmetrics"
OPENMETRICS_1_0 = "application/openmetrics-text; version=1.0.0; charset=utf-8"
MAX_INTERVAL = 366 * 86400
# Seconds that the first answer may wait for what is otherwise read in the background.
PATIENCE = 10.0
# Seconds for which clients share a reading, whatever format they request.
MAX_AGE = 0.1
END = (signal.SIGTERM, signal.SIGINT)


def serve_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``numaprobe serve`` other than those of the host."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--listen", default=LISTEN, metavar="ADDR:PORT", help=f"address to listen on (default: {LISTEN}); [ADDR6]:PORT"
    )
    where.add_argument("--textfile", metavar="FILE", help="write FILE periodically instead, whole or not at all")
    parser.add_argument(
        "--web.config.file",
        dest="web_config",
        metavar="FILE",
        help="TLS and basic authentication, in the format of Prometheus's exporters (needs numaprobe[serve]); "
        "SIGHUP reads it again",
    )
    parser.add_argument(
        "--interval",
        type=float,
        default=15.0,
        metavar="S",
        help="seconds between two background readings, and between two files (default: 15)",
    )
    parser.add_argument(
        "--page", action="store_true", help="also show the host at /: a picture of its cells and guests, drawn anew"
    )
    parser.add_argument("--count", type=int, metavar="N", help="with --textfile: stop after N files")
    parser.add_argument("--no-domains", action="store_true", help="omit the guests")
    parser.add_argument(
        "--domains-limit",
        type=int,
        default=100,
        metavar="N",
        help="at most N guests, those with the lowest ids (default: 100)",
    )
    parser.add_argument(
        "--sampled", type=int, nargs="?", const=1024, metavar="PAGES", help="estimate guests' memory: domains --sampled"
    )
    parser.add_argument("--no-counters", action="store_true", help="omit the counters of numastat")
    parser.add_argument(
        "--no-distances", action="store_true", help="omit distances; they are always omitted above 64 cells"
    )
    parser.add_argument("--cpu-info", action="store_true", help="add a metric for every CPU")
    parser.add_argument("--meminfo", action="store_true", help="add every field of the nodes' meminfo")
    parser.add_argument("--vmstat", action="store_true", help="add every field of the nodes' vmstat")
    parser.add_argument("--usable", action="store_true", help="add what can be allocated of each cell: free --for")
    parser.add_argument("--traffic", action="store_true", help="add the counters of resctrl")
    import_module(".fleet_options", __package__).agent_options(parser)


def run(options: argparse.Namespace, out: TextIO) -> None:  # noqa: ARG001  # its data goes to clients
    # Before anything slow. Nothing is half done until the first file is written, so that there is nothing to undo; an
    # exception raised by a handler would surface wherever the program is, and be printed if that is in a callback.
    for number in END:
        signal.signal(number, _end)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if not 0 < options.interval <= MAX_INTERVAL:
        raise ValueError(f"--interval must be above 0 seconds and at most {MAX_INTERVAL}")
    if options.count is not None and (options.count < 1 or options.textfile is None):
        raise ValueError("--count must be at least 1, and requires --textfile")
    if options.web_config is not None and options.textfile is not None:
        raise ValueError("--web.config.file has no effect with --textfile")
    if options.page and options.textfile is not None:
        raise ValueError("--page has no effect with --textfile")
    try:
        from ..contrib.prometheus import NumaCollector
    except ModuleNotFoundError as error:
        raise ValueError("serve needs prometheus-client: pip install 'numaprobe[prometheus]'") from error
    collector = NumaCollector(
        options.root,
        recording=options.recording,
        source=options.source,
        domains=not options.no_domains,
        domains_limit=options.domains_limit,
        sampled=options.sampled,
        counters=not options.no_counters,
        distances=False if options.no_distances else None,
        cpu_info=options.cpu_info,
        meminfo=options.meminfo,
        vmstat=options.vmstat,
        usable=options.usable,
        traffic=options.traffic,
        interval=options.interval,
        patience=PATIENCE,
        max_age=MAX_AGE,
    )
    agent = None
    try:
        if options.fleet:
            agent = import_module(".fleet_agent", __package__).agent(options, _say).start()
        if options.textfile is None:
            _listen(options.listen, collector, options.web_config, _page(options) if options.page else None)
        else:
            _write(options.textfile, collector, options.interval, options.count)
    finally:
        if agent is not None:
            agent.close()
        collector.close()


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(0)


def _say(line: str) -> None:
    """A line on standard error, which may be closed."""
    if sys.stderr is not None:
        with suppress(OSError):
            sys.stderr.write(f"numaprobe: {printable(line)}\n".encode("ascii", "backslashreplace").decode())
            sys.stderr.flush()


def _check(collector: NumaCollector) -> None:
    """A host that cannot be read at the start is an error; one that cannot be read later is a metric."""
    collector.collect()
    if collector.error is not None:
        raise collector.error


def _page(options: argparse.Namespace) -> Callable[[str], bytes]:
    """Draws the host with its guests as they are when it is called."""
    from .draw import read
    from .endpoint import PAGE_SECONDS

    def page(form: str) -> bytes:
        found = read(options.root, options.recording, options.source, guests=not options.no_domains)
        return found.picture(form, reload_after=PAGE_SECONDS).encode("utf-8")

    return page


def _listen(
    address: str, collector: NumaCollector, web_config: str | None, page: Callable[[str], bytes] | None
) -> None:
    import asyncio

    from .endpoint import Endpoint
    from .listen import listening, name_of
    from .web_config import WebConfig

    _raise_descriptor_limit()
    web = WebConfig() if web_config is None else _loaded(web_config)
    found = listening(address)
    with found:
        _check(collector)
        _warn(found, web)
        base = f"{'http' if web.tls is None else 'https'}://{name_of(found)}"
        _say(f"metrics at {base}/metrics")
        if page is not None:
            _say(f"picture at {base}/")

        async def serve(found: socket.socket) -> None:
            stop = asyncio.Event()
            loop = asyncio.get_running_loop()
            endpoint = Endpoint(found, lambda form: rendered(collector.collect(), form), negotiated, web=web, page=page)
            for number in END:
                loop.add_signal_handler(number, stop.set)
            if web_config is not None:
                loop.add_signal_handler(signal.SIGHUP, lambda: _reload(endpoint, web_config))
            await endpoint.run(stop)

        def _reload(endpoint: Endpoint, path: str) -> None:
            try:
                fresh = _loaded(path)
            except (ValueError, OSError) as error:
                _say(f"{error}; the configuration read before stays in use")
                return
            endpoint.reconfigure(fresh)
            _say(f"{path} was read again")
            _warn(found, fresh)

        asyncio.run(serve(found))


def _loaded(path: str) -> WebConfig:
    from .web_config_file import load

    return load(path)


def _warn(found: socket.socket, web: WebConfig) -> None:
    """What this host runs is nobody else's business."""
    from .listen import is_loopback, name_of

    if is_loopback(found) or (web.tls is not None and (web.users or web.verifies_clients)):
        return
    if web.tls is not None:
        risk = "there is no password: whoever can reach it can read what this host runs"
    elif web.users:
        risk = "there is no TLS: passwords and metrics can be read on the way"
    else:
        risk = "there is neither TLS nor a password: whoever can reach it can read what this host runs"
    _say(f"warning: {name_of(found)} is not a loopback address, and {risk} (see --web.config.file)")


def _raise_descriptor_limit() -> None:
    """As high as is allowed, within reason: each cell takes two descriptors, each client one."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # A sandbox may forbid it; the present limit may do.
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def negotiated(accept: str) -> tuple[str, str]:
    """A format for ``rendered``, and its content type, for an ``Accept`` header.

    There are two formats, whatever clients write: names of metrics need no escaping, so that the schemes differ in
    the content type alone, and OpenMetrics is given in version 1.0.0.
    """
    from prometheus_client.exposition import choose_encoder

    try:
        content_type = choose_encoder(accept)[1]
    except (ValueError, TypeError):
        # A version that is not a number.
        return TEXT, PLAIN
    if not content_type.startswith("application/openmetrics-text"):
        return TEXT, content_type
    _, found, escaping = content_type.partition("; escaping=")
    return OPENMETRICS, f"{OPENMETRICS_1_0}{found}{escaping}"


def rendered(families: list[Family], form: str) -> bytes:
    """Families in one of the formats."""
    from prometheus_client.exposition import choose_encoder, generate_latest

    from ..metrics.prometheus import Collected

    encode = choose_encoder(OPENMETRICS_1_0)[0] if form == OPENMETRICS else generate_latest
    return encode(Collected(families))


def _write(name: str, collector: NumaCollector, interval: float, count: int | None) -> None:
    """Write the file periodically. It is for another user's program to read, whatever the umask.

    A file that cannot be written once the first has been, and a full disk at any time, is counted and tried again.
    """
    import errno

    from ..metrics.prometheus import families

    _check(collector)
    errors = turn = 0
    last: OSError | None = None
    due = time.monotonic()
    with _Stop() as stop:
        while not stop.requested:
            own = families({"numaprobe_textfile_errors_total": [((), errors)]})
            body = rendered([*collector.collect(), *own], TEXT)
            try:
                with replace(name, mode=0o644) as file:
                    file.write(body)
            except OSError as error:
                if turn == 0 and error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                errors += 1
                if last is None or last.errno != error.errno:
                    _say(f"cannot write {error.filename}: {error.strerror}; trying again every {interval:g} s")
                last = error
            else:
                last = None
            turn += 1
            if turn == count:
                if last is not None:
                    raise last
                return
            due = max(due + interval, time.monotonic())
            stop.pause(max(0.0, due - time.monotonic()))


class _Stop:
    """Whether SIGTERM or SIGINT has arrived; a file that is being written is finished first."""

    def __init__(self) -> None:
        self.requested = False
        self._reading, self._writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def __enter__(self) -> _Stop:
        self._before = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        for number in END:
            signal.signal(number, self._request)
        return self

    def __exit__(self, *_error: object) -> None:
        signal.set_wakeup_fd(self._before)
        os.close(self._reading)
        os.close(self._writing)

    def pause(self, seconds: float) -> None:
        """Wait, until a signal at most."""
        select.select([self._reading], [], [], seconds)

    def _request(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True
