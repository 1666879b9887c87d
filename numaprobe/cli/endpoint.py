"""A small HTTP server: ``/metrics``, ``/healthz`` and on request a page at ``/``; GET and HEAD, until it is stopped.

One thread waits for all clients, so that slow ones cost a descriptor and not a thread.
"""

from __future__ import annotations

import asyncio
import socket
from http import HTTPStatus

from .http_request import HEALTH, MAX_HEAD, METRICS, PAGE, Request
from .render_cache import RenderCache
from .web_config import Authenticator, WebConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .render_cache import Render

    # From an Accept header to a format for ``render``, and its content type.
    Negotiate = Callable[[str], tuple[str, str]]

# Seconds within which a request must have arrived, and a TLS handshake be done.
REQUEST_SECONDS = 3.0
# Seconds within which a client must have taken its answer.
ANSWER_SECONDS = 10.0
# Bytes of answers that the kernel buffers per client; by default it buffers megabytes for one that does not read.
SEND_BUFFER = 1 << 17
# Seconds that a connection may be idle between two requests.
IDLE_SECONDS = 60.0
# Seconds that a client has to close a TLS connection.
CLOSE_SECONDS = 1.0
# Seconds between two drawings of the page, and for which clients share one.
PAGE_SECONDS = 5
# The page is all that it needs; nothing may frame it or send it elsewhere.
PAGE_HEADERS = {
    "Content_Security_Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X_Content_Type_Options": "nosniff",
    "Referrer_Policy": "no-referrer",
    "Cache_Control": "no-store",
}
# Concurrent connections; the others wait in the kernel's queue.
MAX_CONNECTIONS = 512
# Seconds to wait when descriptors have run out.
NO_DESCRIPTORS_SECONDS = 0.1


class Endpoint:
    """A listening server; ``run`` serves until ``stop`` is set.

    ``render`` makes the body of a format, in a thread, one call at a time; ``negotiate`` chooses the format. ``page``
    makes the page, in a thread of its own, so that metrics do not wait for it; without one there is none.
    """

    def __init__(
        self,
        listening: socket.socket,
        render: Render,
        negotiate: Negotiate = lambda _accept: ("text", "text/plain"),
        *,
        web: WebConfig | None = None,
        page: Render | None = None,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self._listening = listening
        self._cache = RenderCache(render)
        self._negotiate = negotiate
        self._page = None if page is None else RenderCache(page, PAGE_SECONDS)
        self._routes = (METRICS, HEALTH) if page is None else (PAGE, METRICS, HEALTH)
        self._web = WebConfig() if web is None else web
        self._authenticator = Authenticator()
        self._free = asyncio.Semaphore(max_connections)
        self._clients: set[asyncio.Task[None]] = set()
        # Those between two requests, in the order in which they became idle.
        self._idle: dict[asyncio.Task[None], None] = {}

    def reconfigure(self, web: WebConfig) -> None:
        """Apply another configuration; idle connections, which were made under the old one, are closed."""
        self._web = web
        for client in self._idle:
            client.cancel()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until then; answers that are being sent are finished, for a fraction of a second."""
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
            self._cache.close()
            if self._page is not None:
                self._page.close()
            self._authenticator.close()

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
                # The connection that has been idle longest makes room; its client can connect again.
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
        writer = None
        web = self._web
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            reader, writer = await _streams(connection, web)
            if not web.client_allowed(writer.get_extra_info("peercert")):
                return
            first = await asyncio.wait_for(reader.readexactly(1), REQUEST_SECONDS)
            while await self._one(reader, writer, first):
                first = await self._next(reader)
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            # The client disconnected, or took too long: nothing can be reported to it.
            pass
        finally:
            if writer is None:
                connection.close()
            else:
                _close(writer)

    async def _next(self, reader: asyncio.StreamReader) -> bytes:
        """The first byte of another request: a connection may be idle, a request that has begun may not."""
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
            request = Request(b"", self._web.headers)
            request.send_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        else:
            request = Request(first + rest, self._web.headers)
            if request.valid:
                await self._answer(request)
        writer.write(request.sent)
        await asyncio.wait_for(writer.drain(), ANSWER_SECONDS)
        return not request.close_connection

    async def _answer(self, request: Request) -> None:
        users = self._web.users
        if users:
            allowed = await self._authenticator.allows(users, request.header("Authorization"))
            if allowed is None:
                request.close_connection = True
                request.answer(HTTPStatus.SERVICE_UNAVAILABLE, b"too many passwords to check\n", Retry_After="1")
                return
            if not allowed:
                request.answer(HTTPStatus.UNAUTHORIZED, b"Unauthorized\n", WWW_Authenticate="Basic")
                return
        route = request.route(self._routes)
        if route == HEALTH:
            request.answer(HTTPStatus.OK, b"ok\n")
        elif route == PAGE and self._page is not None:
            await self._drawn(request, self._page)
        elif route is not None:
            await self._metrics(request)

    async def _drawn(self, request: Request, page: RenderCache) -> None:
        compressed = request.accepts_gzip
        try:
            body = await page.body("html", compressed=compressed)
        except Exception:
            request.answer(HTTPStatus.INTERNAL_SERVER_ERROR, b"the host could not be drawn\n")
            return
        coding = {"Content_Encoding": "gzip"} if compressed else {}
        html = "text/html; charset=utf-8"
        request.answer(HTTPStatus.OK, body, content_type=html, Vary="Accept-Encoding", **PAGE_HEADERS, **coding)

    async def _metrics(self, request: Request) -> None:
        compressed = request.accepts_gzip
        try:
            form, content_type = self._negotiate(request.header("Accept"))
            body = await self._cache.body(form, compressed=compressed)
        except Exception:
            request.close_connection = True
            request.answer(HTTPStatus.INTERNAL_SERVER_ERROR, b"the metrics could not be rendered\n")
            return
        coding = {"Content_Encoding": "gzip"} if compressed else {}
        request.answer(HTTPStatus.OK, body, content_type=content_type, Vary="Accept, Accept-Encoding", **coding)


async def _streams(connection: socket.socket, web: WebConfig) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The two ends of an accepted connection, under TLS if that is configured."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=MAX_HEAD)
    protocol = asyncio.StreamReaderProtocol(reader)
    timeout = {} if web.tls is None else {"ssl_handshake_timeout": REQUEST_SECONDS}
    transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=web.tls, **timeout)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


def _close(writer: asyncio.StreamWriter) -> None:
    """Close a connection; what is still unsent is dropped, so that a client that does not read holds nothing."""
    transport = writer.transport
    if transport.get_write_buffer_size():
        transport.abort()
        return
    writer.close()
    if writer.get_extra_info("sslcontext") is not None:
        # TLS waits for the client to say goodbye.
        asyncio.get_running_loop().call_later(CLOSE_SECONDS, transport.abort)


async def _head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")
