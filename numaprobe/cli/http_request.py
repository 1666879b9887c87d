"""One HTTP request, parsed by the standard library once all of it has arrived, and its answer."""

from __future__ import annotations

from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BytesIO

# Bytes of a request line and its headers; Prometheus sends some 400.
MAX_HEAD = 8192
METRICS, HEALTH, PAGE = "/metrics", "/healthz", "/"


class Request(BaseHTTPRequestHandler):
    """A complete request; ``answer`` writes the bytes to send, which ``sent`` returns.

    ``valid`` is False for what is not a request: it has been answered with its error. ``extra`` are headers that are
    added to every answer.
    """

    protocol_version = "HTTP/1.1"

    def __init__(self, head: bytes, extra: tuple[tuple[str, str], ...] = ()) -> None:
        # The base class's constructor would read from a socket.
        self.rfile = BytesIO(head)
        self.wfile = self._out = BytesIO()
        self.client_address = ("", 0)
        self.request_version = ""
        self.requestline = ""
        self.command = ""
        self.close_connection = True
        self._extra = extra
        self.raw_requestline = self.rfile.readline(MAX_HEAD + 1)
        self.valid = bool(head) and self.parse_request() and self._is_strict(head)
        # A body is not read, and must not be taken for the next request.
        if self.valid and ("Content-Length" in self.headers or "Transfer-Encoding" in self.headers):
            self.close_connection = True

    def _is_strict(self, head: bytes) -> bool:
        """Whether it is also what the base class lets pass: of HTTP/1, and without continued or nameless headers."""
        if not self.request_version.startswith("HTTP/1.") or b"\n " in head or b"\n\t" in head or self.headers.defects:
            self.send_error(HTTPStatus.BAD_REQUEST)
            return False
        return True

    def route(self, routes: tuple[str, ...] = (METRICS, HEALTH)) -> str | None:
        """One of ``routes``; None if the request has been answered with an error."""
        path = self.path.partition("?")[0]
        if path not in routes:
            there = f"only {', '.join(routes[:-1])} and {routes[-1]} exist\n"
            self.answer(HTTPStatus.NOT_FOUND, there.encode())
        elif self.command not in ("GET", "HEAD"):
            self.answer(HTTPStatus.METHOD_NOT_ALLOWED, b"only GET and HEAD are allowed\n", Allow="GET, HEAD")
        else:
            return path
        return None

    def answer(self, status: HTTPStatus, body: bytes, **headers: str) -> None:
        """Write the answer; to HEAD without its body."""
        self.send_response(status)
        self.send_header("Content-Type", headers.pop("content_type", "text/plain; charset=utf-8"))
        for name, value in (*headers.items(), *self._extra):
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Answer what the parser refuses with one line, and end the connection."""
        self.close_connection = True
        # The base class takes a request without a version for HTTP/0.9, whose answers have no headers.
        self.request_version = self.protocol_version
        self.answer(HTTPStatus(code), f"{message or HTTPStatus(code).phrase}\n".encode("ascii", "backslashreplace"))

    def version_string(self) -> str:
        """The ``Server`` header, without the versions that help an attacker."""
        return "numaprobe"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing is logged."""

    @property
    def sent(self) -> bytes:
        """The whole answer, status line first."""
        return self._out.getvalue()

    def header(self, name: str) -> str:
        """The value of a header, empty if it is missing."""
        return str(self.headers.get(name, ""))

    @property
    def accepts_gzip(self) -> bool:
        """Whether the client accepts a compressed answer (RFC 9110, 12.5.3: not with a quality of 0)."""
        for part in self.header("Accept-Encoding").split(","):
            coding, _, weight = part.replace(" ", "").lower().partition(";q=")
            if coding == "gzip":
                return weight.strip("0.") != "" if weight else True
        return False
