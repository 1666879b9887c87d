"""A small HTTP server for metrics: ``/metrics`` and ``/healthz``, GET and HEAD, for as long as it is not told to stop.

One thread waits for all clients, so that slow ones cost a descriptor and not a thread; requests are parsed by
``http.server`` once they are whole, and answered from one rendering that all who ask within a moment share.
"""

from __future__ import annotations

import asyncio
import gzip
import socket
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    # The body and its type, for what a client accepts.
    Render = Callable[[str], tuple[bytes, str]]

# A request line and its headers, in bytes; Prometheus sends some 400.
MAX_HEAD = 8192
# Seconds in which a request has to be there as a whole, and its answer to be taken; and between two of a connection.
REQUEST_SECONDS = 3.0
ANSWER_SECONDS = 30.0
IDLE_SECONDS = 60.0
# Connections at once; the others wait in the kernel's queue.
MAX_CONNECTIONS = 512
QUEUE = 1024
# Seconds that a rendering is given to others who ask.
MOMENT = 0.1
# Clients may ask for any version of a format; not every answer is kept.
MAX_KEPT = 8
# What a moment's rest costs when descriptors have run out.
NO_DESCRIPTORS_SECONDS = 0.1


class Request(BaseHTTPRequestHandler):
    """One request that is there as a whole, parsed by the standard library; ``answer`` makes the bytes to send."""

    protocol_version = "HTTP/1.1"
    wanted: str | None = None

    def __init__(self, head: bytes) -> None:  # the base class's would talk to a socket
        self.rfile = BytesIO(head)
        self.wfile = self._out = BytesIO()
        self.client_address = ("", 0)
        self.request_version = ""
        self.requestline = ""
        self.command = ""
        self.close_connection = True
        self.raw_requestline = self.rfile.readline(MAX_HEAD + 1)
        if not head or not self.parse_request():
            return
        # A body is not read, and must not be taken for the next request.
        if "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
            self.close_connection = True
        path = self.path.partition("?")[0]
        if path not in ("/metrics", "/healthz"):
            self.answer(HTTPStatus.NOT_FOUND, b"there are /metrics and /healthz\n")
        elif self.command not in ("GET", "HEAD"):
            self.answer(HTTPStatus.METHOD_NOT_ALLOWED, b"GET and HEAD are allowed\n", Allow="GET, HEAD")
        else:
            self.wanted = path

    def answer(self, status: HTTPStatus, body: bytes, **headers: str) -> None:
        """Write the answer; to HEAD without its body."""
        self.send_response(status)
        self.send_header("Content-Type", headers.pop("content_type", "text/plain; charset=utf-8"))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """What the parser refuses: one line, and the connection ends."""
        self.close_connection = True
        # The base class takes what has no version for HTTP/0.9, whose answers have no headers.
        self.request_version = self.protocol_version
        self.answer(HTTPStatus(code), f"{message or HTTPStatus(code).phrase}\n".encode("ascii", "backslashreplace"))

    def version_string(self) -> str:
        """Who answers, without the versions that an attacker would look for."""
        return "numaprobe"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing is logged."""

    @property
    def sent(self) -> bytes:
        """What there is to send, status line first."""
        return self._out.getvalue()

    @property
    def accept(self) -> str:
        """What formats the client accepts."""
        return str(self.headers.get("Accept", ""))

    @property
    def accepts_gzip(self) -> bool:
        """Whether the client takes a compressed answer (RFC 9110, 12.5.3: with a quality of 0 it does not)."""
        for part in str(self.headers.get("Accept-Encoding", "")).split(","):
            coding, _, weight = part.replace(" ", "").lower().partition(";q=")
            if coding == "gzip":
                return weight.strip("0.") != "" if weight else True
        return False


class Pages:
    """Renderings of the metrics, one at a time in a thread of its own; whoever asks within a moment shares one."""

    def __init__(self, render: Render) -> None:
        self._render = render
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="numaprobe-render")
        self._kept: dict[tuple[str, bool], tuple[float, asyncio.Future[tuple[bytes, str]]]] = {}

    async def page(self, accept: str, *, compressed: bool) -> tuple[bytes, str]:
        """The body and its type."""
        now = monotonic()
        began, page = self._kept.get((accept, compressed), (0.0, None))
        if page is None or (page.done() and now - began > MOMENT):
            self._forget(now)
            page = asyncio.get_running_loop().run_in_executor(self._thread, self._made, accept, compressed)
            self._kept[accept, compressed] = (now, page)
        # One client that goes away must not take the page from the others.
        return await asyncio.shield(page)

    def _forget(self, now: float) -> None:
        self._kept = {
            key: (at, page) for key, (at, page) in self._kept.items() if now - at <= MOMENT or not page.done()
        }
        while len(self._kept) >= MAX_KEPT:
            del self._kept[next(iter(self._kept))]

    def _made(self, accept: str, compressed: bool) -> tuple[bytes, str]:
        body, content_type = self._render(accept)
        return gzip.compress(body, 6) if compressed else body, content_type

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


class Endpoint:
    """A listening server; ``run`` serves until ``stop`` is set. ``render`` is called in a thread, one at a time."""

    def __init__(self, listening: socket.socket, render: Render, *, most: int = MAX_CONNECTIONS) -> None:
        self._listening = listening
        self._pages = Pages(render)
        self._free = asyncio.Semaphore(most)
        self._clients: set[asyncio.Task[None]] = set()
        # Those between two requests, the longest at rest first.
        self._idle: dict[asyncio.Task[None], None] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until then; answers that are being sent are finished, for a second at most."""
        self._listening.setblocking(False)
        accepting = asyncio.create_task(self._accept())
        try:
            await stop.wait()
        finally:
            accepting.cancel()
            self._listening.close()
            if self._clients:
                await asyncio.wait(self._clients, timeout=0.2)
            for client in self._clients:
                client.cancel()
            await asyncio.gather(accepting, *self._clients, return_exceptions=True)
            self._pages.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(self._listening)
            except OSError:
                # The client has gone already, or descriptors have run out: both pass.
                await asyncio.sleep(NO_DESCRIPTORS_SECONDS)
                continue
            if self._free.locked() and self._idle:
                # Who only rests has to make room; a client asks again when its connection is gone.
                next(iter(self._idle)).cancel()
            try:
                await self._free.acquire()
            except BaseException:
                connection.close()
                raise
            client = asyncio.create_task(self._serve(connection))
            self._clients.add(client)
            client.add_done_callback(self._gone)

    def _gone(self, client: asyncio.Task[None]) -> None:
        self._clients.discard(client)
        self._free.release()
        if not client.cancelled():
            client.exception()

    async def _serve(self, connection: socket.socket) -> None:
        reader, writer = None, None
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            reader, writer = await asyncio.open_connection(sock=connection, limit=MAX_HEAD)
            first = await asyncio.wait_for(reader.readexactly(1), REQUEST_SECONDS)
            while await self._one(reader, writer, first):
                first = await self._next(reader)
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            # The client went away, or took too long: nothing can be told to it.
            pass
        finally:
            # What is still unsent is dropped, so that a client that does not read holds nothing.
            if writer is None:
                connection.close()
            else:
                writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    async def _next(self, reader: asyncio.StreamReader) -> bytes:
        """The first byte of another request: between two a connection may rest, a request that has begun may not."""
        task = asyncio.current_task()
        assert task is not None
        self._idle[task] = None
        try:
            return await asyncio.wait_for(reader.readexactly(1), IDLE_SECONDS)
        finally:
            del self._idle[task]

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes) -> bool:
        """Answer one request; whether there may be another on this connection."""
        try:
            rest = await asyncio.wait_for(_head(reader), REQUEST_SECONDS)
        except asyncio.LimitOverrunError:
            request = Request(b"")
            request.send_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        else:
            request = Request(first + rest)
            if request.wanted == "/healthz":
                request.answer(HTTPStatus.OK, b"ok\n")
            elif request.wanted is not None:
                await self._metrics(request)
        writer.write(request.sent)
        await asyncio.wait_for(writer.drain(), ANSWER_SECONDS)
        return not request.close_connection

    async def _metrics(self, request: Request) -> None:
        compressed = request.accepts_gzip
        try:
            body, content_type = await self._pages.page(request.accept, compressed=compressed)
        except Exception:
            request.close_connection = True
            request.answer(HTTPStatus.INTERNAL_SERVER_ERROR, b"the metrics could not be rendered\n")
            return
        coding = {"Content_Encoding": "gzip"} if compressed else {}
        request.answer(HTTPStatus.OK, body, content_type=content_type, Vary="Accept, Accept-Encoding", **coding)


async def _head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


def listening(address: str) -> socket.socket:
    """A socket that listens at ``ADDR:PORT`` or ``[ADDR6]:PORT``; port 0 takes one that is free.

    Raises ``ValueError`` for another form, and ``OSError`` with the address as its file name if that cannot be had.
    """
    host, port = parsed(address)
    errors: list[OSError] = []
    for family, kind, protocol, where in _resolved(address, host, port):
        found = None
        try:
            found = socket.socket(family, kind, protocol)
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(where)
            found.listen(QUEUE)
        except OSError as error:
            if found is not None:
                found.close()
            errors.append(error)
        else:
            return found
    raise OSError(errors[0].errno, errors[0].strerror, address)


def parsed(address: str) -> tuple[str, int]:
    """Host and port of ``ADDR:PORT``; the brackets of IPv6 are left out. Raises ``ValueError``."""
    host, colon, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    bare = host[1:-1] if bracketed else host
    well_formed = bool(colon and bare) and (":" in bare) == bracketed and not set("[]") & set(bare)
    if not well_formed or not (port.isascii() and port.isdigit() and int(port[:6]) <= 65535 and len(port) <= 5):
        raise ValueError(f"an address to listen at is ADDR:PORT or [ADDR6]:PORT, not {address!r}")
    return bare, int(port)


def _resolved(
    address: str, host: str, port: int
) -> Iterator[tuple[socket.AddressFamily, socket.SocketKind, int, tuple[str, int] | tuple[str, int, int, int]]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a name"
        raise OSError(None, reason, address) from None
    for family, kind, protocol, _, where in found:
        yield family, kind, protocol, where  # type: ignore[misc]


def name_of(found: socket.socket) -> str:
    """``ADDR:PORT`` of a socket that listens."""
    host, port = found.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
