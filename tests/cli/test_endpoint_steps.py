"""The HTTP server step by step, without a socket: answers, limits of a head, clients that go, and what is closed."""

from __future__ import annotations

import asyncio
import gzip
import io
from argparse import Namespace
from types import SimpleNamespace
from typing import Any

import pytest

from numaprobe.cli import endpoint, free, watch
from numaprobe.cli.endpoint import Endpoint
from numaprobe.cli.http_request import Request
from numaprobe.cli.live import compose
from numaprobe.cli.live.state import State
from numaprobe.cli.web_config import WebConfig


class Cache:
    """In place of a ``RenderCache``."""

    def __init__(self, body: bytes | Exception = b"body") -> None:
        self.answer = body
        self.asked: list[Any] = []
        self.closed = 0

    async def body(self, form: str, *, compressed: bool = False) -> bytes:
        self.asked.append((form, compressed))
        if isinstance(self.answer, Exception):
            raise self.answer
        return gzip.compress(self.answer) if compressed else self.answer

    def close(self) -> None:
        self.closed += 1


def made(*, page: bool = False, **web: Any) -> Any:
    listening: Any = SimpleNamespace(setblocking=lambda _: None, close=lambda: None)
    one: Any = Endpoint(
        listening,
        lambda _: b"",
        lambda accept: ("form", f"type/{accept or 'none'}"),
        web=WebConfig(**web),
        page=(lambda _: b"") if page else None,
    )
    for cache in (one._cache, one._page):
        if cache is not None:
            cache.close()
    one._cache, one._page = Cache(), Cache() if page else None
    return one


def asked(one: Any, line: str, *headers: str) -> Request:
    request = Request("\r\n".join([f"{line} HTTP/1.1", *headers, "", ""]).encode())
    assert request.valid
    asyncio.run(one._answer(request))
    return request


def parts(request: Request) -> tuple[str, set[str], bytes]:
    head, _, body = request.sent.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return status.partition(" ")[2], set(lines), body


def test_metrics_are_answered_in_the_form_that_was_negotiated() -> None:
    """Compressed for whoever accepts it; what cannot be rendered ends the connection."""
    one = made()
    status, lines, body = parts(request := asked(one, "GET /metrics", "Accept: x"))
    assert (status, body, request.close_connection) == ("200 OK", b"body", False)
    assert {"Content-Type: type/x", "Vary: Accept, Accept-Encoding", "Content-Length: 4"} <= lines
    assert not any(line.startswith("Content-Encoding") for line in lines)
    status, lines, body = parts(asked(one, "GET /metrics", "Accept-Encoding: gzip"))
    assert ("Content-Encoding: gzip" in lines, gzip.decompress(body)) == (True, b"body")
    assert one._cache.asked == [("form", False), ("form", True)]
    one._cache.answer = ValueError()
    status, lines, body = parts(request := asked(one, "GET /metrics"))
    assert (status, body, request.close_connection) == (
        "500 Internal Server Error",
        b"the metrics could not be rendered\n",
        True,
    )


def test_health_is_answered_without_a_reading() -> None:
    """And a path that does not exist with those that do."""
    one = made()
    assert parts(asked(one, "GET /healthz"))[::2] == ("200 OK", b"ok\n")
    assert parts(asked(one, "GET /"))[::2] == ("404 Not Found", b"only /metrics and /healthz exist\n")
    assert one._cache.asked == []
    assert parts(asked(made(page=True), "GET /x"))[2] == b"only /, /metrics and /healthz exist\n"


def test_the_page_has_headers_that_keep_it_to_itself() -> None:
    """It is drawn as HTML; an error is one of this request only."""
    one = made(page=True)
    status, lines, body = parts(asked(one, "GET /"))
    assert (status, body) == ("200 OK", b"body")
    assert {"Content-Type: text/html; charset=utf-8", "Vary: Accept-Encoding", "X-Content-Type-Options: nosniff", "Referrer-Policy: no-referrer",
            "Cache-Control: no-store"} <= lines  # fmt: skip
    assert any(line.startswith("Content-Security-Policy: default-src 'none'; ") for line in lines)
    status, lines, body = parts(asked(one, "GET /", "Accept-Encoding: gzip"))
    assert ("Content-Encoding: gzip" in lines, gzip.decompress(body)) == (True, b"body")
    assert one._page.asked == [("html", False), ("html", True)]
    one._page.answer = OSError()
    status, lines, body = parts(request := asked(one, "GET /"))
    assert (status, body, request.close_connection) == (
        "500 Internal Server Error",
        b"the host could not be drawn\n",
        False,
    )


@pytest.mark.parametrize(
    ("allowed", "status", "line", "closes"),
    [
        (True, "200 OK", None, False),
        (False, "401 Unauthorized", "WWW-Authenticate: Basic", False),
        (None, "503 Service Unavailable", "Retry-After: 1", True),
    ],
)
def test_who_is_not_allowed_is_told_and_asked_nothing(
    allowed: bool | None, status: str, line: str | None, closes: bool
) -> None:
    """Too many passwords to check end the connection."""
    one = made(users={"u": b"hash"})
    seen: list[Any] = []

    async def allows(users: Any, header: str) -> bool | None:
        seen.append((users, header))
        return allowed

    one._authenticator.close()
    one._authenticator = SimpleNamespace(allows=allows)
    found, lines, body = parts(request := asked(one, "GET /healthz", "Authorization: Basic x"))
    assert (found, request.close_connection) == (status, closes)
    assert line is None or line in lines
    assert body == {True: b"ok\n", False: b"Unauthorized\n", None: b"too many passwords to check\n"}[allowed]
    assert seen == [({"u": b"hash"}, "Basic x")]


class Writer:
    """Notes what is written."""

    def __init__(self) -> None:
        self.sent = b""
        self.drained = 0

    def write(self, content: bytes) -> None:
        self.sent += content

    async def drain(self) -> None:
        self.drained += 1


@pytest.mark.parametrize(
    ("content", "again", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\n\r\n", True, b"200"), (b"GET /healthz HTTP/1.0\r\n\r\n", False, b"200"), (b"nonsense\r\n\r\n", False, b"400"),
        (b"GET /healthz HTTP/1.1\r\nA: " + b"x" * 9000 + b"\r\n\r\n", False, b"431"),
    ],
)  # fmt: skip
def test_a_request_is_answered_and_another_may_follow(content: bytes, again: bool, status: bytes) -> None:
    """A head of more than 8 KiB is refused."""
    one, writer = made(headers=(("X-More", "1"),)), Writer()

    async def ask() -> bool:
        reader = asyncio.StreamReader(limit=8192)
        reader.feed_data(content[1:])
        found: bool = await one._one(reader, writer, content[:1])
        return found

    assert asyncio.run(ask()) is again
    assert writer.sent.startswith(b"HTTP/1.1 " + status)
    assert b"X-More: 1\r\n" in writer.sent
    assert writer.drained == 1


def test_a_head_has_eight_kibibytes_at_most() -> None:
    """Its end is found within the limit, or the connection has had its chance."""

    async def ask() -> int:
        here, there = endpoint.socket.socketpair()
        here.setblocking(False)
        reader, writer = await endpoint._streams(here, WebConfig())
        writer.close()
        there.close()
        return reader._limit  # type: ignore[attr-defined, no-any-return]

    assert asyncio.run(ask()) == 8192
    line = b"GET /" + b"x" * (8192 - len("GET / HTTP/1.1\r\n")) + b" HTTP/1.1\r\n"
    assert len(line) == 8192
    assert Request(line + b"\r\n").raw_requestline == line
    assert len(Request(b"x" * 9000).raw_requestline) == 8193


def test_a_connection_is_idle_between_two_requests_only() -> None:
    """The first byte of the next ends that, and so does an error."""
    one = made()

    async def ask() -> None:
        reader = asyncio.StreamReader()
        task = asyncio.create_task(one._next(reader))
        await asyncio.sleep(0)
        assert list(one._idle) == [task]
        reader.feed_data(b"GET")
        assert await task == b"G"
        assert not one._idle
        task = asyncio.create_task(one._next(asyncio.StreamReader()))
        await asyncio.sleep(0)
        one.reconfigure(web := WebConfig(headers=(("a", "b"),)))
        assert one._web is web
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not one._idle

    asyncio.run(ask())


@pytest.mark.parametrize(("certificate", "served"), [({"subjectAltName": (("DNS", "good"),)}, True), (None, False)])
def test_a_connection_is_served_and_closed(monkeypatch: pytest.MonkeyPatch, certificate: Any, served: bool) -> None:
    """A client without an allowed name is not; options of the socket are set before."""
    one, did = made(sans=frozenset({"good"})), []
    writer = Writer()
    writer.get_extra_info = lambda name: certificate if name == "peercert" else None  # type: ignore[attr-defined]

    async def streams(connection: Any, web: Any) -> Any:
        reader = asyncio.StreamReader()
        reader.feed_data(b"GET /healthz HTTP/1.1\r\n\r\nGET /healthz HTTP/1.1\r\nConnection: close\r\n\r\nGET ")
        return reader, writer

    monkeypatch.setattr(endpoint, "_streams", streams)
    monkeypatch.setattr(endpoint, "_close", lambda found: did.append(("closed", found is writer)))
    connection: Any = SimpleNamespace(
        setsockopt=lambda *what: did.append(what), close=lambda: did.append("connection closed")
    )
    asyncio.run(one._serve(connection))
    tcp, sol = endpoint.socket.IPPROTO_TCP, endpoint.socket.SOL_SOCKET
    assert did == [(tcp, endpoint.socket.TCP_NODELAY, 1), (sol, endpoint.socket.SO_SNDBUF, 131072), ("closed", True)]
    assert writer.sent.count(b"200 OK") == (2 if served else 0)

    async def fails(connection: Any, web: Any) -> Any:
        raise OSError

    monkeypatch.setattr(endpoint, "_streams", fails)
    did.clear()
    asyncio.run(one._serve(connection))
    assert did[2:] == ["connection closed"]


def test_what_is_served_is_closed_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients have a fraction of a second to be finished, and then they are cancelled."""
    one, did = made(page=True), []
    one._listening = SimpleNamespace(setblocking=did.append, close=lambda: did.append("closed"))
    one._authenticator.close()
    one._authenticator = SimpleNamespace(close=lambda: did.append("passwords"))
    cache, page = one._cache, one._page

    async def run() -> None:
        async def never() -> None:
            await asyncio.Event().wait()

        async def accept() -> None:
            for work in (never(), asyncio.sleep(0)):
                client = asyncio.create_task(work)  # type: ignore[arg-type, var-annotated]
                one._clients.add(client)
                await one._free.acquire()
                client.add_done_callback(one._gone)
            await never()

        monkeypatch.setattr(one, "_accept", accept)
        stop = asyncio.Event()
        task = asyncio.create_task(one.run(stop))
        await asyncio.sleep(0.01)
        assert len(one._clients) == 1
        stop.set()
        await task

    asyncio.run(run())
    assert did == [False, "closed", "passwords"]
    assert (cache.closed, page.closed, one._clients, one._free._value) == (1, 1, set(), 512)


def test_the_error_of_a_client_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asyncio would print it; that of a cancelled one would be raised."""
    one, asked_for = made(), []
    released = SimpleNamespace(release=lambda: asked_for.append("released"))
    one._free = released
    one._clients = set()

    class Client:
        def __init__(self, *, cancelled: bool) -> None:
            self.cancelled = lambda: cancelled

        def exception(self) -> None:
            asked_for.append("taken")

    for cancelled in (True, False):
        one._gone(Client(cancelled=cancelled))
    assert asked_for == ["released", "released", "taken"]


def test_connections_are_accepted_as_long_as_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that has been idle longest makes it; without descriptors it waits a moment."""
    one, waited, served = made(), [], []
    one._free = asyncio.Semaphore(1)
    answers: list[Any] = [OSError(), ("first", None), ("second", None)]

    async def run() -> None:
        loop = asyncio.get_running_loop()
        ended, sleep = asyncio.Event(), asyncio.sleep

        async def accept(listening: Any) -> Any:
            if not answers:
                ended.set()
                await asyncio.Event().wait()
            answer = answers.pop(0)
            await sleep(0)
            await sleep(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        async def waiting(seconds: float) -> None:
            waited.append(seconds)
            await sleep(0)

        async def serve(connection: Any) -> None:
            served.append(connection)
            if connection == "first":
                one._idle[asyncio.current_task()] = None
                try:
                    await asyncio.Event().wait()
                finally:
                    one._idle.clear()

        monkeypatch.setattr(loop, "sock_accept", accept)
        monkeypatch.setattr(endpoint.asyncio, "sleep", waiting)
        monkeypatch.setattr(one, "_serve", serve)
        task = asyncio.create_task(one._accept())
        await asyncio.wait_for(ended.wait(), 20)
        for _ in range(3):
            await sleep(0)
        task.cancel()

    asyncio.run(run())
    assert (waited, served) == ([0.1], ["first", "second"])


# --- two more of the screen ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "shown"), [(30, 3), (29, 1), (27, 1), (9, 1)])
def test_tabs_are_shown_together_or_the_chosen_one_alone(width: int, shown: int) -> None:
    """To the last column."""
    line = "".join(span.text for span in compose._tabs(State(), 1.0, width))
    assert sum(name in line for name in ("1 cells", "2 guests", "3 rates")) == shown


@pytest.mark.parametrize(
    ("width", "rest"),
    [(59, "   sorted by cell · every 1 s"), (58, "   sorted by cell"), (46, ""), (47, "   sorted by cell")],
)
def test_the_order_and_the_pace_are_said_where_there_is_room(width: int, rest: str) -> None:
    """To the last column."""
    line = "".join(span.text for span in compose._tabs(State(), 1.0, width))
    assert line == f" 1 cells   2 guests   3 rates {rest}"


def test_free_memory_that_is_watched_is_without_guests(monkeypatch: pytest.MonkeyPatch) -> None:
    """``free --watch`` is ``watch``."""
    seen: list[Any] = []
    monkeypatch.setattr(watch, "run", lambda options, out: seen.append(options.domains))
    free.run(Namespace(watch=True, purpose=None), io.StringIO())
    assert seen == [False]
