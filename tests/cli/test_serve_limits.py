"""Options and their defaults; and ``numaprobe serve`` piece by piece: requests, addresses, warnings, files, signals."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import os
import resource
import signal
import socket
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from numaprobe import SourceError
from numaprobe.cli import endpoint, fleet_agent, listen, render_cache, serve, web_config
from numaprobe.cli.http_request import Request
from numaprobe.cli.parser import COMMANDS, parsed, whole
from numaprobe.cli.place_options import ids, near, seconds
from numaprobe.cli.plain_options import UsageError, plain_options
from numaprobe.cli.web_config import Authenticator, WebConfig

# --- options ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "defaults"),
    [
    ('show', {'json': False, 'memory_state': False}),
    ('free', {'json': False, 'cell': None, 'purpose': None, 'watch': False, 'interval': None, 'count': None}),
    ('domains', {'json': False, 'pid': [], 'cgroup': [], 'remote': False, 'sampled': None, 'debug_key': False, 'debug_key_limit': '32G'}),
    ('watch', {'json': False, 'cell': None, 'domains': False, 'remote': False, 'sampled': None, 'interval': None, 'count': None}),
    ('place', {'vcpus': None, 'memory': None, 'name': None, 'huge_page': None, 'pinned': False, 'pinned_vcpus': None, 'emulator': None, 'smt': None, 'cores': False, 'vfio': False, 'cells': None, 'max_cells': None, 'guest_cells': None, 'near': None, 'away_from': None, 'together_with': None, 'memory_only': False, 'kinds': None, 'fewest': False, 'nearest': False, 'policy': 'pack', 'reserve': None, 'pool': None, 'ignore_allowed': False, 'no_domains': False, 'format': 'text', 'soft': False, 'batch': None, 'partial': False, 'optimal': False, 'seconds': None, 'moves': None, 'without': None, 'rebalance': False, 'claim': False, 'claim_seconds': 300.0, 'claim_pid': None, 'claim_domain': None, 'claims': False, 'release': None, 'ledger': None}),
    ('pin', {'vcpus': None, 'memory': None, 'name': None, 'huge_page': None, 'pinned': False, 'pinned_vcpus': None, 'emulator': None, 'smt': None, 'cores': False, 'vfio': False, 'cells': None, 'max_cells': None, 'guest_cells': None, 'near': None, 'away_from': None, 'together_with': None, 'memory_only': False, 'kinds': None, 'fewest': False, 'nearest': False, 'policy': 'pack', 'reserve': None, 'pool': None, 'ignore_allowed': False, 'no_domains': False, 'plan': None, 'pid': None, 'domain': None, 'program': [], 'dry_run': False, 'force': False, 'batch': None, 'partial': False, 'optimal': False, 'seconds': None, 'format': 'text', 'claim': False, 'ledger': None}),
    ('record x.tar', {'file': 'x.tar', 'domains': False, 'anonymous': False, 'allowed': False, 'traffic': None}),
    ('draw', {'output': None, 'format': None}),
    ('serve', {'listen': '127.0.0.1:9975', 'textfile': None, 'web_config': None, 'interval': 15.0, 'page': False, 'count': None, 'no_domains': False, 'domains_limit': 100, 'sampled': None, 'no_counters': False, 'no_distances': False, 'cpu_info': False, 'meminfo': False, 'vmstat': False, 'usable': False, 'traffic': False, 'fleet': False, 'fleet_name': None, 'fleet_interval': 60.0, 'reserve': None, 'cpu_ratio': 1.0, 'dedicated': False, 'os_cloud': None, 'placement': None, 'directory': None, 'os_region_name': None}),
    ('doctor', {'json': False}),
    ('diff a', {'a': 'a', 'b': None, 'json': False}),
    ('traffic', {'json': False, 'interval': 1.0}),
    ('export json', {'format': 'json', 'output': None, 'libvirt_version': None, 'arch': None, 'name': None, 'driver': None, 'numa_list': None}),
    ],
)  # fmt: skip
def test_what_a_command_line_does_not_say_has_its_default(words: str, defaults: dict[str, Any]) -> None:
    """As its help says, and in the short way of reading options too."""
    found = vars(parsed(words.split()))
    hosts = {name: found.pop(name) for name in ("root", "recording", "source") if name in found}
    assert set(hosts.values()) <= {None, "auto"}
    assert found.pop("command") == words.split(maxsplit=1)[0]
    assert found == defaults
    plain = plain_options(words.split())
    if plain is not None:
        assert {name: getattr(plain, name) for name in defaults} == defaults
        assert (plain.root, plain.recording, plain.source) == (None, None, "auto")


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        ("record f --traffic", "traffic", 1.0), ("record f --traffic 2.5", "traffic", 2.5), ("record f --anonymise", "anonymous", True),
        ("domains --sampled", "sampled", 1024), ("watch --sampled 64", "sampled", 64), ("serve --sampled", "sampled", 1024),
        ("domains --pid 3 --pid 4", "pid", [3, 4]), ("domains --cgroup /a --cgroup /b", "cgroup", ["/a", "/b"]),
        ("free --for me", "purpose", "me"), ("export libvirt --libvirt-version 11", "libvirt_version", 11),
        ("export dra --numa-list", "numa_list", True), ("place --json", "format", "json"), ("place --emulator-cpus 1-2", "emulator", (1, 2)),
        ("place --near cell:1 --near eth0", "near", [1, "eth0"]), ("place --kind DRAM", None, None), ("diff a b", "b", "b"),
        ("place --claim-seconds 1e6", "claim_seconds", 1e6), ("serve --web.config.file f", "web_config", "f"), ("traffic --interval 2", "interval", 2.0),
        ("free --cell 999999999", "cell", 999999999), ("free --cell=7", "cell", 7), ("show --source=xen", "source", "xen"),
    ],
)  # fmt: skip
def test_options_have_the_values_that_are_written(words: str, name: str | None, value: Any) -> None:
    """Those that may stand alone have a value of their own."""
    if name is None:
        with pytest.raises((UsageError, SystemExit)):
            parsed(words.split())
        return
    assert getattr(parsed(words.split()), name) == value
    plain = plain_options(words.split())
    assert plain is None or getattr(plain, name) == value


@pytest.mark.parametrize(
    "words",
    ["show --root a --recording b", "free --cell x", "free --cell 1234567890", "free --cell", "free --cell=-1", "show --source no", "show --cell 1",
     "show x", "show --root", "show --jsn", "place --vcpus 1", "free --cell ²", "show -j", "show --root= a"],
)  # fmt: skip
def test_what_is_not_plain_is_left_to_the_whole_parser(words: str) -> None:
    """Which has the errors."""
    assert plain_options(words.split()) is None


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("show --root a", ("a", None, False)),
        ("show --recording=b --json", (None, "b", True)),
        ("domains --json --root=a=b", ("a=b", None, True)),
    ],
)
def test_plain_options_are_read_without_argparse(words: str, found: tuple[Any, ...]) -> None:
    """A value may have an equals sign."""
    plain = plain_options(words.split())
    assert (plain.root, plain.recording, plain.json) == found


@pytest.mark.parametrize("words", [["--root", "a", "--recording", "b"], ["--source", "x"], ["--for"]])
def test_options_that_cannot_be_are_usage_errors(words: list[str]) -> None:
    """With what to try, without argparse's own line."""
    with pytest.raises(UsageError, match=r"\(try numaprobe free --help\)$"):
        parsed(["free", *words])


def test_help_is_of_a_command_or_of_all(capsys: pytest.CaptureFixture[str]) -> None:
    """Those that place have a status more."""
    for words, start in (
        (["help", "free"], "usage: numaprobe free"),
        (["help"], "usage: numaprobe "),
        (["help", "nothing"], "usage: numaprobe "),
    ):
        with pytest.raises(SystemExit):
            parsed(words)
        assert capsys.readouterr().out.startswith(start)
    for name in COMMANDS:
        with pytest.raises(SystemExit):
            parsed([name, "--help"])
        found = " ".join(capsys.readouterr().out.split())
        assert ("3 it does not fit" in found) is (name in ("place", "pin", "fleet"))
        assert COMMANDS[name][0][1:].split(":")[0][:20] in found
    with pytest.raises(UsageError):
        whole().parse_args([])


@pytest.mark.parametrize(
    ("text", "found"),
    [("0", (0,)), ("0-3,8", (0, 1, 2, 3, 8)), ("8,0-1,1", (0, 1, 8)), ("5-5", (5,)), ("65535", (65535,)), ("3-2", None), ("", None), ("1-", None),
     ("-1", None), ("1--2", None), ("x", None), ("1234567890", None), ("²", None)],
)  # fmt: skip
def test_ids_are_a_list_of_numbers_and_ranges(text: str, found: tuple[int, ...] | None) -> None:
    """Ascending and without repetition."""
    if found is None:
        with pytest.raises(ValueError, match=f"not a list of ids: '{text}'"):
            ids(text)
    else:
        assert ids(text) == found
    assert near("cell:²") == "cell:²"


@pytest.mark.parametrize(
    ("text", "value"), [("1e6", 1e6), ("0.001", 0.001), ("0", None), ("-1", None), ("1000001", None), ("nan", None)]
)
def test_a_time_is_above_0_and_at_most_a_million_seconds(text: str, value: float | None) -> None:
    """Which is some days."""
    if value is None:
        with pytest.raises(ValueError, match=f"not a time: '{text}'"):
            seconds(text)
    else:
        assert seconds(text) == value


# --- requests -----------------------------------------------------------------------------------------------------------


def request(text: str, *extra: tuple[str, str]) -> Request:
    return Request(text.replace("\n", "\r\n").encode(), extra)


@pytest.mark.parametrize(
    "text",
    [
        "GET / HTTP/2.0\nHost: x\n\n",
        "GET / HTTP/1.1\nA: b\n c\n\n",
        "GET / HTTP/1.1\nA: b\n\tc\n\n",
        "GET / HTTP/1.1\n: b\n\n",
        "GET /\n\n",
        "nonsense\n\n",
    ],
)
def test_what_is_no_strict_request_is_answered_once_and_closed(text: str) -> None:
    """Also what the standard library would let pass."""
    found = request(text)
    assert not found.valid
    assert found.close_connection
    assert found.sent.startswith(b"HTTP/1.1 ")
    assert found.sent.count(b"HTTP/1.1 ") == 1
    assert b"Connection: close\r\n" in found.sent
    assert b"Server: numaprobe\r\n" in found.sent


@pytest.mark.parametrize(
    ("head", "closes"),
    [("GET / HTTP/1.1\n\n", False), ("GET / HTTP/1.0\n\n", True), ("GET / HTTP/1.1\nConnection: close\n\n", True),
     ("GET / HTTP/1.1\nContent-Length: 0\n\n", True), ("GET / HTTP/1.1\nTransfer-Encoding: chunked\n\n", True),
     ("GET / HTTP/1.0\nConnection: keep-alive\n\n", False)],
)  # fmt: skip
def test_a_connection_is_kept_unless_something_ends_it(head: str, closes: bool) -> None:
    """A body would be taken for the next request."""
    found = request(head)
    assert found.valid
    assert found.close_connection is closes


@pytest.mark.parametrize(
    ("line", "route", "status"),
    [("GET /metrics", "/metrics", None), ("HEAD /healthz", "/healthz", None), ("GET /metrics?x=/y", "/metrics", None), ("GET /", None, 404),
     ("POST /metrics", None, 405), ("GET /metricsx", None, 404), ("DELETE /", None, 404)],
)  # fmt: skip
def test_a_route_is_one_of_those_that_exist(line: str, route: str | None, status: int | None) -> None:
    """The others are said, and what is allowed."""
    found = request(f"{line} HTTP/1.1\n\n")
    assert found.route() == route
    assert (b" %d " % (status or 0) in found.sent) is (status is not None)
    if status == 404:
        assert found.sent.endswith(b"\r\n\r\nonly /metrics and /healthz exist\n")
    if status == 405:
        assert b"Allow: GET, HEAD\r\n" in found.sent
        assert found.sent.endswith(b"only GET and HEAD are allowed\n")
    assert request("GET /x HTTP/1.1\n\n").route(("/", "/metrics", "/healthz")) is None


def test_an_answer_has_its_headers_and_the_configured_ones() -> None:
    """To HEAD the same without a body."""
    for method, body in (("GET", b"hello"), ("HEAD", b"")):
        found = request(f"{method} / HTTP/1.1\n\n", ("X-More", "1"))
        found.answer(endpoint.HTTPStatus.OK, b"hello", content_type="text/html", X_Own="2")
        head, _, rest = found.sent.partition(b"\r\n\r\n")
        assert rest == body
        lines = head.decode().split("\r\n")
        assert lines[0] == "HTTP/1.1 200 OK"
        assert {"Content-Type: text/html", "X-Own: 2", "X-More: 1", "Content-Length: 5"} <= set(lines)
        assert "Connection: close" not in lines


@pytest.mark.parametrize(
    ("accept", "found"),
    [("", False), ("gzip", True), ("GZIP", True), ("br, gzip", True), ("gzip;q=1", True), ("gzip; q=0.5", True), ("gzip;q=0", False), ("gzip;q=0.000", False),
     ("identity", False), ("x-gzip", False)],
)  # fmt: skip
def test_gzip_is_accepted_unless_its_quality_is_0(accept: str, found: bool) -> None:
    """As RFC 9110 has it."""
    one = request(f"GET / HTTP/1.1\nAccept-Encoding: {accept}\n\n")
    assert one.accepts_gzip is found
    assert one.header("Missing") == ""


# --- addresses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "found"),
    [("a:1", ("a", 1)), ("a:0", ("a", 0)), ("a:65535", ("a", 65535)), ("[::1]:9", ("::1", 9)), ("a:65536", None), ("a:000001", None), ("a:00001", ("a", 1)),
     (":1", None), ("a", None), ("a:", None), ("::1:9", None), ("[a]:9", None), ("[]:9", None), ("[[::1]]:9", None), ("a]:1", None), ("a:-1", None), ("a:²", None)],
)  # fmt: skip
def test_an_address_is_parted_into_host_and_port(address: str, found: tuple[str, int] | None) -> None:
    """Brackets are for IPv6 and for nothing else."""
    if found is None:
        with pytest.raises(ValueError, match="the address to listen on must be ADDR:PORT or"):
            listen.parsed(address)
    else:
        assert listen.parsed(address) == found


def test_the_first_address_that_can_be_listened_on_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of the first is that of all; what failed is closed."""
    made: list[Any] = []

    class Socket:
        def __init__(self, family: Any, kind: Any, protocol: Any) -> None:
            self.did: list[Any] = [(family, kind, protocol)]
            made.append(self)

        def setsockopt(self, *what: Any) -> None:
            self.did.append(what)

        def bind(self, where: Any) -> None:
            self.did.append(where)
            if where == "bad":
                raise OSError(98, "in use")

        def listen(self, backlog: int) -> None:
            self.did.append(backlog)

        def close(self) -> None:
            self.did.append("closed")

    monkeypatch.setattr(listen.socket, "socket", Socket)
    monkeypatch.setattr(listen, "_resolved", lambda address, host, port: [(1, 2, 3, "bad"), (4, 5, 6, (host, port))])
    reuse = (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    assert listen.listening("a:9") is made[1]
    assert [one.did for one in made] == [[(1, 2, 3), reuse, "bad", "closed"], [(4, 5, 6), reuse, ("a", 9), 1024]]
    monkeypatch.setattr(listen, "_resolved", lambda *_: [(1, 2, 3, "bad")])
    with pytest.raises(OSError, match="in use") as caught:
        listen.listening("a:9")
    assert (caught.value.errno, caught.value.filename) == (98, "a:9")


@pytest.mark.parametrize(
    ("name", "text", "own"),
    [(("127.0.0.1", 9), "127.0.0.1:9", True), (("::1", 9, 0, 0), "[::1]:9", True), (("::ffff:127.1.2.3", 9, 0, 0), "[::ffff:127.1.2.3]:9", True),
     (("0.0.0.0", 9), "0.0.0.0:9", False), (("::", 9, 0, 0), "[::]:9", False), (("fe80::1%lo", 9, 0, 1), "[fe80::1%lo]:9", False), (("1.127.0.1", 9), "1.127.0.1:9", False)],
)  # fmt: skip
def test_an_address_is_written_and_judged(name: Any, text: str, own: bool) -> None:
    """Only loopback is this host's own."""
    found: Any = SimpleNamespace(getsockname=lambda: name)
    assert listen.name_of(found) == text
    assert listen.is_loopback(found) is own


# --- serve --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "tls", "users", "clients", "risk"),
    [
        (True, False, False, False, None), (False, True, True, False, None), (False, True, False, True, None),
        (False, True, False, False, "there is no password: whoever can reach it can read what this host runs"),
        (False, False, True, False, "there is no TLS: passwords and metrics can be read on the way"),
        (False, False, False, False, "there is neither TLS nor a password: whoever can reach it can read what this host runs"),
    ],
)  # fmt: skip
def test_an_open_address_is_warned_of(
    capsys: pytest.CaptureFixture[str], own: bool, tls: bool, users: bool, clients: bool, risk: str | None
) -> None:
    """By what is missing."""
    context: Any = "tls" if tls else None
    web = WebConfig(tls=context, users={"a": b"b"} if users else None, verifies_clients=clients)
    found: Any = SimpleNamespace(getsockname=lambda: ("127.0.0.1" if own else "10.0.0.1", 9))
    serve._warn(found, web)
    text = f"numaprobe: warning: 10.0.0.1:9 is not a loopback address, and {risk} (see --web.config.file)\n"
    assert capsys.readouterr().err == ("" if risk is None else text)


def test_a_line_is_said_where_there_is_a_standard_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Escaped, flushed, and without an error if it cannot be written."""
    serve._say("a\x1bé")
    assert capsys.readouterr().err == "numaprobe: a\\x1b\\xe9\n"

    flushed: list[str] = []

    class Full(io.StringIO):
        def flush(self) -> None:
            flushed.append(self.getvalue())
            raise OSError

    monkeypatch.setattr(sys, "stderr", Full())
    serve._say("x")
    assert flushed == ["numaprobe: x\n"]
    monkeypatch.setattr(sys, "stderr", None)
    serve._say("x")


INFINITE = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("limits", "wanted"),
    [((1024, 4096), 4096), ((1024, 65536), 65536), ((1024, 100000), 65536), ((1024, INFINITE), 65536), ((4096, 4096), None), ((65536, 100000), None),
     ((INFINITE, INFINITE), None), ((70000, 100000), None)],
)  # fmt: skip
def test_descriptors_are_raised_as_far_as_is_useful(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], wanted: int | None
) -> None:
    """Never lowered; a sandbox may forbid it."""
    asked: list[Any] = []
    monkeypatch.setattr(resource, "getrlimit", lambda what: limits if what == resource.RLIMIT_NOFILE else None)
    monkeypatch.setattr(resource, "setrlimit", lambda *what: asked.append(what))
    serve._raise_descriptor_limit()
    assert asked == ([] if wanted is None else [(resource.RLIMIT_NOFILE, (wanted, limits[1]))])

    def forbids(*_: Any) -> None:
        raise ValueError

    monkeypatch.setattr(resource, "setrlimit", forbids)
    serve._raise_descriptor_limit()


def test_a_host_that_cannot_be_read_at_first_is_an_error() -> None:
    """Later it is a metric."""
    asked: list[int] = []
    good: Any = SimpleNamespace(collect=lambda: asked.append(1), error=None)
    serve._check(good)
    assert asked == [1]
    with pytest.raises(SourceError):
        serve._check(SimpleNamespace(collect=lambda: None, error=SourceError("x", 5)))  # type: ignore[arg-type]


def options(**more: Any) -> Namespace:
    return Namespace(**{**vars(parsed(["serve"])), **more})


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Signals as they were before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"interval": 0}, "--interval must be above 0 seconds and at most 31622400"), ({"interval": 31622401}, "--interval must be above"),
        ({"count": 0, "textfile": "f"}, "--count must be at least 1, and requires --textfile"), ({"count": 1}, "--count must be at least 1, and requires"),
        ({"web_config": "c", "textfile": "f"}, "--web.config.file has no effect with --textfile"), ({"page": True, "textfile": "f"}, "--page has no effect with"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_refused(quiet: None, more: dict[str, Any], text: str) -> None:
    """Before anything is read."""
    with pytest.raises(ValueError, match=text):
        serve.run(options(**more), io.StringIO())


@pytest.mark.parametrize("textfile", [None, "f"])
@pytest.mark.parametrize("fleet", [True, False])
def test_what_is_served_is_what_the_options_say(
    quiet: None, monkeypatch: pytest.MonkeyPatch, textfile: str | None, fleet: bool
) -> None:
    """And everything is closed in the end, whatever it was."""
    pytest.importorskip("prometheus_client")
    from numaprobe.contrib import prometheus

    did: list[Any] = []
    collector = SimpleNamespace(close=lambda: did.append("collector closed"))
    agent = SimpleNamespace(close=lambda: did.append("agent closed"))
    monkeypatch.setattr(prometheus, "NumaCollector", lambda root, **what: did.append((root, what)) or collector)
    monkeypatch.setattr(
        fleet_agent, "agent", lambda options, say: SimpleNamespace(start=lambda: did.append("started") or agent)
    )
    monkeypatch.setattr(serve, "_page", lambda options: "page")
    monkeypatch.setattr(serve, "_listen", lambda *what: did.append(("listen", *what[:1], *what[2:])))
    monkeypatch.setattr(serve, "_write", lambda *what: did.append(("write", what[0], *what[2:])))
    flags = {
        "no_domains": fleet,
        "no_counters": fleet,
        "no_distances": fleet,
        "page": not textfile and fleet,
        "count": 3 if textfile else None,
    }
    serve.run(options(textfile=textfile, fleet=fleet, **flags, interval=31622400), io.StringIO())
    given = {
        "recording": None, "source": "auto", "domains": not fleet, "domains_limit": 100, "sampled": None, "counters": not fleet,
        "distances": False if fleet else None, "cpu_info": False, "meminfo": False, "vmstat": False, "usable": False, "traffic": False,
        "interval": 31622400, "patience": 10.0, "max_age": 0.1,
    }  # fmt: skip
    done = ("write", "f", 31622400, 3) if textfile else ("listen", "127.0.0.1:9975", None, "page" if fleet else None)
    assert did == [
        (None, given),
        *(["started"] if fleet else []),
        done,
        *(["agent closed"] if fleet else []),
        "collector closed",
    ]
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGTERM) is signal.getsignal(signal.SIGINT) is serve._end
    ended: list[int] = []
    monkeypatch.setattr(serve.os, "_exit", ended.append)
    serve._end(15, None)
    assert ended == [0]


class Clock:
    """Time that passes where it is waited for."""

    def __init__(self) -> None:
        self.now, self.waited = 100.0, []

    waited: list[float]

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += seconds


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, quiet: None) -> tuple[Clock, list[Any]]:
    """A clock, and what is written; an error among the answers is raised instead."""
    clock, did = Clock(), []
    monkeypatch.setattr(serve.time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(serve._Stop, "pause", lambda self, seconds: clock.wait(seconds))
    monkeypatch.setattr(serve, "_check", lambda collector: did.append("checked"))
    monkeypatch.setattr(serve, "rendered", lambda families, form: f"{[str(one) for one in families]}{form}".encode())
    return clock, did


def writing(monkeypatch: pytest.MonkeyPatch, did: list[Any], *answers: OSError | None) -> None:
    left = list(answers)

    @contextlib.contextmanager
    def replace(name: str, *, mode: int) -> Iterator[io.BytesIO]:
        error = left.pop(0) if left else None
        if error is not None:
            did.append("failed")
            raise error
        file = io.BytesIO()
        yield file
        did.append((name, mode, file.getvalue()[-4:]))

    monkeypatch.setattr(serve, "replace", replace)


COLLECTOR: Any = SimpleNamespace(collect=lambda: ["one"])
FULL = OSError(errno.ENOSPC, "No space left on device", "f")


def test_a_file_is_written_so_often(monkeypatch: pytest.MonkeyPatch, written: tuple[Clock, list[Any]]) -> None:
    """At the interval, readable by others."""
    pytest.importorskip("prometheus_client")
    clock, did = written
    writing(monkeypatch, did)
    serve._write("f", COLLECTOR, 5.0, 3)
    assert did == ["checked", *[("f", 0o644, b"text")] * 3]
    assert clock.waited == [5.0, 5.0]


def test_a_full_disk_is_said_once_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, written: tuple[Clock, list[Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Another error of the first file ends it; that of the last one too."""
    pytest.importorskip("prometheus_client")
    _, did = written
    quota = OSError(errno.EDQUOT, "Quota", "f")
    writing(monkeypatch, did, FULL, FULL, quota, None, FULL)
    with pytest.raises(OSError, match="No space"):
        serve._write("f", COLLECTOR, 5.0, 5)
    assert did == ["checked", "failed", "failed", "failed", ("f", 0o644, b"text"), "failed"]
    assert capsys.readouterr().err.splitlines() == [
        "numaprobe: cannot write f: No space left on device; trying again every 5 s", "numaprobe: cannot write f: Quota; trying again every 5 s",
        "numaprobe: cannot write f: No space left on device; trying again every 5 s",
    ]  # fmt: skip
    denied = OSError(errno.EACCES, "Permission denied", "f")
    writing(monkeypatch, did, denied)
    with pytest.raises(OSError, match="Permission denied"):
        serve._write("f", COLLECTOR, 5.0, 5)
    did.clear()
    writing(monkeypatch, did, None, denied, None)
    serve._write("f", COLLECTOR, 5.0, 3)
    assert did == ["checked", ("f", 0o644, b"text"), "failed", ("f", 0o644, b"text")]


def test_a_signal_ends_the_files_and_restores_what_was(quiet: None) -> None:
    """A pause ends with it; the one that is being written is finished."""
    descriptors = len(os.listdir("/proc/self/fd"))
    with serve._Stop() as stop:
        assert not stop.requested
        signal.raise_signal(signal.SIGTERM)
        assert stop.requested
        stop.pause(60)
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert signal.set_wakeup_fd(-1) == -1


def test_a_page_is_drawn_anew_every_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the guests unless they are left out."""
    from numaprobe.cli import draw

    asked: list[Any] = []
    picture = SimpleNamespace(picture=lambda form, **more: asked.append((form, more)) or "é")
    monkeypatch.setattr(draw, "read", lambda *host, **more: asked.append((host, more)) or picture)
    assert serve._page(options(no_domains=True, root="r"))("html") == "é".encode()
    serve._page(options())("svg")
    assert asked == [
        (("r", None, "auto"), {"guests": False}), ("html", {"reload_after": 5}), ((None, None, "auto"), {"guests": True}), ("svg", {"reload_after": 5}),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("more", "text"),
    [({"fleet_interval": 0.9}, "--fleet-interval must be from 1 to 86400 seconds, not 0.9"), ({"fleet_interval": 86401}, "--fleet-interval must be from 1 to"),
     ({"root": "r"}, "a recorded host is published under a name: --fleet-name NAME"), ({"recording": "r"}, "a recorded host is published under a name"),
     ({"fleet_interval": 1}, None), ({"fleet_interval": 86400}, None), ({"root": "r", "fleet_name": "n"}, None)],
)  # fmt: skip
def test_a_host_is_published_at_an_interval_and_under_a_name(
    monkeypatch: pytest.MonkeyPatch, more: dict[str, Any], text: str | None
) -> None:
    """From a second to a day."""
    pytest.importorskip("keystoneauth1")
    from importlib import import_module

    agents = import_module("numaprobe.contrib.openstack.agent")
    made: list[Any] = []
    monkeypatch.setattr(agents, "Agent", lambda connect, member, **what: made.append(what) or "agent")
    monkeypatch.setattr(agents, "LiveShape", lambda **where: where)
    given = options(placement="http://x", **more)
    if text is not None:
        with pytest.raises(ValueError, match=text):
            fleet_agent.agent(given, print)
        assert made == []
        return
    assert fleet_agent.agent(given, print) == "agent"
    assert made == [{"interval": given.fleet_interval, "shape": {"root": given.root, "recording": None, "source": "auto"}, "say": print,
                     "reserve": None, "cpu_ratio": 1.0, "cpu_class": "VCPU"}]  # fmt: skip


# --- the endpoint's limits ------------------------------------------------------------------------------------------------


def test_the_endpoints_limits_are_those_of_its_page() -> None:
    """Seconds and bytes."""
    assert (endpoint.REQUEST_SECONDS, endpoint.ANSWER_SECONDS, endpoint.IDLE_SECONDS, endpoint.CLOSE_SECONDS) == (
        3.0,
        10.0,
        60.0,
        1.0,
    )
    assert (endpoint.SEND_BUFFER, endpoint.MAX_CONNECTIONS, endpoint.PAGE_SECONDS, endpoint.NO_DESCRIPTORS_SECONDS) == (
        131072,
        512,
        5,
        0.1,
    )
    assert (web_config.MAX_CHECKS, web_config.MAX_REMEMBERED, render_cache.MAX_AGE) == (16, 100, 0.1)


def test_a_writer_is_closed_and_what_is_unsent_dropped() -> None:
    """TLS has a moment for its goodbye."""

    def closed(size: int, tls: bool) -> list[Any]:
        did: list[Any] = []
        transport = SimpleNamespace(get_write_buffer_size=lambda: size, abort=lambda: did.append("aborted"))
        writer: Any = SimpleNamespace(transport=transport, close=lambda: did.append("closed"),
                                      get_extra_info=lambda name: "tls" if tls and name == "sslcontext" else None)  # fmt: skip

        async def close() -> None:
            loop = asyncio.get_running_loop()
            loop.call_later = lambda seconds, call: did.append((seconds, call))  # type: ignore[method-assign, assignment, return-value]
            endpoint._close(writer)

        loop = asyncio.new_event_loop()
        loop.run_until_complete(close())
        loop.close()
        return [(one[0] if isinstance(one, tuple) else one) for one in did]

    assert closed(1, False) == closed(1, True) == ["aborted"]
    assert closed(0, False) == ["closed"]
    assert closed(0, True) == ["closed", 1.0]


@pytest.mark.parametrize(
    ("sans", "certificate", "allowed"),
    [((), None, True), (("a",), None, False), (("a",), {}, False), (("a",), {"subjectAltName": (("DNS", "a"),)}, True),
     (("a",), {"subjectAltName": (("DNS", "b"), ("IP", "a"))}, True), (("a",), {"subjectAltName": (("DNS", "b"),)}, False)],
)  # fmt: skip
def test_a_client_has_one_of_the_names_that_are_listed(sans: tuple[str, ...], certificate: Any, allowed: bool) -> None:
    """Of any kind, in its verified certificate."""
    assert WebConfig(sans=frozenset(sans)).client_allowed(certificate) is allowed


@pytest.mark.parametrize(
    ("header", "found"),
    [("Basic dTpw", ("u", b"p")), ("basic  dTpw ", ("u", b"p")), ("Basic dTpwOnE=", ("u", b"p:q")), ("Basic dXA=", (None, b"")), ("Bearer dTpw", (None, b"")),
     ("Basic ???", (None, b"")), ("", (None, b"")), ("Basic /zpw", (None, b""))],
)  # fmt: skip
def test_credentials_are_a_user_and_a_password(header: str, found: tuple[str | None, bytes]) -> None:
    """The password may have a colon, the user is text."""
    assert web_config._credentials(header) == found


def test_so_many_passwords_are_remembered_and_checked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest makes room; a wrong one is checked each time."""
    import base64

    checked: list[bytes] = []
    monkeypatch.setattr(web_config, "_matches", lambda password, hashed: checked.append(password) or hashed == b"right")
    users = {f"u{number}": b"right" for number in range(101)} | {"bad": b"wrong"}

    def header(user: str) -> str:
        return "Basic " + base64.b64encode(f"{user}:{user}".encode()).decode()

    async def ask() -> None:
        checks = Authenticator()
        for number in range(100):
            assert await checks.allows(users, header(f"u{number}")) is True
        assert await checks.allows(users, header("u0")) is True
        assert len(checked) == 100
        assert await checks.allows(users, header("u100")) is True
        assert await checks.allows(users, header("u1")) is True
        assert len(checked) == 101
        assert await checks.allows(users, header("u0")) is True
        assert len(checked) == 102
        for user in ("bad", "nobody", "bad"):
            assert await checks.allows(users, header(user)) is False
        assert len(checked) == 105
        assert await checks.allows(users, "") is False
        checks._waiting = 16
        assert await checks.allows(users, header("bad")) is None
        assert await checks.allows(users, header("u0")) is True
        checks._waiting = 15
        assert await checks.allows(users, header("bad")) is False
        assert checks._waiting == 15
        checks.close()

    asyncio.run(ask())


def test_a_configuration_file_has_a_place(tmp_path: Path) -> None:
    """One that is not there is named."""
    pytest.importorskip("yaml")
    with pytest.raises((OSError, ValueError), match=r"none\.yml"):
        serve._loaded(str(tmp_path / "none.yml"))
