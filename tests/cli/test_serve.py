"""``numaprobe serve``: addresses, requests good and bad, clients slow and many, signals, and the textfile."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from commands import Plant, complaint, run, two_cells, unprivileged
from endpoints import free_port, serving
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from waiting import until

from numaprobe.cli import endpoint
from numaprobe.cli.endpoint import Endpoint
from numaprobe.cli.listen import is_loopback, listening, name_of, parsed
from numaprobe.cli.serve import negotiated

FIXTURE = Path(__file__).parents[1] / "fixtures" / "two-nodes-threads" / "host.tar.gz"


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    """Where an endpoint over a recording listens."""
    with serving("--recording", FIXTURE) as (_, where):
        host, port = where.split(":")
        yield host, int(port)


def asked(address: tuple[str, int], method: str, path: str, **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(*address, timeout=20)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    answer.body = answer.read()  # type: ignore[attr-defined]
    connection.close()
    return answer


def raw(address: tuple[str, int], sent: bytes) -> bytes:
    """What comes back until the server closes."""
    with socket.create_connection(address, timeout=20) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        found = b""
        while part := client.recv(65536):
            found += part
        return found


# --- requests ---


def test_metrics_are_text_for_whoever_says_nothing(address: tuple[str, int]) -> None:
    """As with curl: the content type names the text format's version as Prometheus expects it."""
    answer = asked(address, "GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b"\nnumaprobe_up 1.0\n" in answer.body  # type: ignore[attr-defined]


def test_openmetrics_is_given_to_whoever_accepts_it(address: tuple[str, int]) -> None:
    """Prometheus sends such a header; the judge is the client library's OpenMetrics parser."""
    answer = asked(address, "GET", "/metrics", Accept="application/openmetrics-text; version=1.0.0, text/plain;q=0.5")
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name for family in open_families(answer.body.decode())}  # type: ignore[attr-defined]
    assert "numaprobe_scrape_errors" in families


@pytest.mark.parametrize(
    "accept", ["application/openmetrics-text; version=x", "a" * 4000, "*/*;q=", ";;;,,,", "text/plain; version=1.x"]
)
def test_an_accept_that_makes_no_sense_gets_the_text(address: tuple[str, int], accept: str) -> None:
    """A broken header is no reason to lose a scrape."""
    answer = asked(address, "GET", "/metrics", Accept=accept)
    assert answer.status == 200
    assert b"numaprobe_up 1.0" in answer.body  # type: ignore[attr-defined]


def test_gzip_is_for_whoever_accepts_it(address: tuple[str, int]) -> None:
    """A weight of q=0 is an explicit refusal, and an answer that nobody can decode would be lost."""
    answer = asked(address, "GET", "/metrics", Accept_Encoding="deflate, gzip;q=0.8")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert b"numaprobe_up 1.0" in gzip.decompress(answer.body)  # type: ignore[attr-defined]
    answer = asked(address, "GET", "/metrics", Accept_Encoding="gzip;q=0, br")
    assert "Content-Encoding" not in answer.headers


def test_head_has_the_headers_of_get_and_no_body(address: tuple[str, int]) -> None:
    """Load balancers check with HEAD and compare Content-Length."""
    answer = asked(address, "HEAD", "/metrics")
    assert (answer.status, answer.body) == (200, b"")  # type: ignore[attr-defined]
    assert int(answer.headers["Content-Length"]) > 1000


def test_health_is_told_without_reading_anything(address: tuple[str, int]) -> None:
    """Probes come every second and must not touch the host; a query string changes nothing."""
    answer = asked(address, "GET", "/healthz?x=1")
    assert (answer.status, answer.body) == (200, b"ok\n")  # type: ignore[attr-defined]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW"])
def test_other_methods_are_not_allowed(address: tuple[str, int], method: str) -> None:
    """The endpoint only reads, and says with Allow what it takes."""
    answer = asked(address, method, "/metrics")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/", "/metrics/", "/metrics/../etc/passwd", "/favicon.ico", "*"])
def test_other_paths_are_not_found(address: tuple[str, int], path: str) -> None:
    """No path is ever resolved to a file, so dots lead nowhere."""
    assert asked(address, "GET", path).status == 404


def test_several_requests_go_over_one_connection(address: tuple[str, int]) -> None:
    """HTTP/1.1 stays open and is pipelined; HTTP/1.0 closes after its first answer."""
    one = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    assert raw(address, one * 3).count(b"HTTP/1.1 200 OK") == 3
    assert raw(address, b"GET /healthz HTTP/1.0\r\n\r\n" * 2).count(b"200 OK") == 1


def test_a_body_is_not_taken_for_a_request(address: tuple[str, int]) -> None:
    """Request smuggling: the body of a refused POST is itself a well-formed GET."""
    smuggled = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    head = b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(smuggled)
    found = raw(address, head + smuggled)
    assert found.count(b"HTTP/1.1") == 1
    assert b" 405 " in found


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /metrics HTTP/9.9\r\n\r\n", b"505"),
        (b"GET /metrics FTP/1.1\r\n\r\n", b"400"),
        (b"GET\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", b"400"),
        (b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 300 + b"\r\n", b"431"),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", b"431"),
        (b"GET /metrics HTTP/1.1\r\nX: " + b"a" * 9000 + b"\r\n\r\n", b"431"),
    ],
    ids=["version", "protocol", "short", "tls", "many-headers", "long-line", "long-header"],
)
def test_a_request_that_is_none_or_too_large_is_refused(address: tuple[str, int], sent: bytes, status: bytes) -> None:
    """Each gets its proper status within bounded memory, and the next client is served."""
    found = raw(address, sent)
    assert found.split(b" ")[1] == status
    assert b"Traceback" not in found
    assert asked(address, "GET", "/healthz").status == 200


def test_formats_that_are_negotiated_are_few_whatever_clients_accept() -> None:
    """Each unknown version or parameter would otherwise have a rendering of its own."""
    found = set()
    for number in range(2000):
        version = f"{number % 7}.{number}.{number % 3}"
        for kind in ("application/openmetrics-text", "text/plain", f"text/x{number}"):
            for escaping in ("dots", "underscores", "values", "allow-utf-8", f"x{number}"):
                form, content_type = negotiated(f"{kind};version={version};escaping={escaping};q=0.{number}")
                found.add(form)
                assert "x" + str(number) not in content_type
    assert found == {"text", "openmetrics"}


def test_clients_with_unique_accept_headers_share_a_rendering() -> None:
    """A hundred clients arrive before the first is answered: two renderings, never two at once."""
    made: list[str] = []
    running: list[str] = []
    at_once: list[int] = []
    arrived = Arrivals(101)

    def render(form: str) -> bytes:
        running.append(form)
        at_once.append(len(running))
        made.append(form)
        arrived.all.wait(20)
        time.sleep(0.01)  # a second one would have time to begin
        running.remove(form)
        return b"x 1\n"

    def negotiate(accept: str) -> tuple[str, str]:
        arrived.count()
        return negotiated(accept)

    with endpoint_of(render, negotiate=negotiate) as where:
        clients = [
            threading.Thread(target=asked, args=(where, "GET", "/metrics"), kwargs={"Accept": f"text/plain;v={number}"})
            for number in range(100)
        ]
        for client in clients:
            client.start()
        assert asked(where, "GET", "/metrics", Accept="application/openmetrics-text;version=1.0.0").status == 200
        for client in clients:
            client.join()
    assert arrived.all.is_set()
    assert sorted(made) == ["openmetrics", "text"]
    assert at_once == [1, 1]


# --- slow and many clients, in this process ---


class Arrivals:
    """Counts requests; ``all`` is set when so many of them have arrived."""

    def __init__(self, expected: int) -> None:
        self.all = threading.Event()
        self._missing = expected

    def count(self) -> None:
        self._missing -= 1
        if self._missing <= 0:
            self.all.set()


@contextmanager
def endpoint_of(render: Any, **options: Any) -> Iterator[tuple[str, int]]:
    """An endpoint in a thread of this process."""
    found = listening("127.0.0.1:0")
    where: tuple[str, int] = found.getsockname()
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    stops: list[asyncio.Event] = []

    async def serve() -> None:
        stops.append(asyncio.Event())
        ready.set()
        await Endpoint(found, render, **options).run(stops[0])

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    ready.wait(10)
    try:
        yield where
    finally:
        loop.call_soon_threadsafe(stops[0].set)
        thread.join(20)
        assert not thread.is_alive()
        loop.close()


def test_a_request_that_trickles_in_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline is for the whole request: a byte now and then does not put it off."""
    monkeypatch.setattr(endpoint, "REQUEST_SECONDS", 0.5)
    with endpoint_of(lambda _: b"x 1\n") as where, socket.create_connection(where, 10) as client:
        start = time.monotonic()
        client.sendall(b"GET /metrics HTTP/1.1\r\n")
        with pytest.raises((ConnectionResetError, BrokenPipeError)):  # noqa: PT012
            while time.monotonic() - start < 8:
                client.sendall(b"X")
                time.sleep(0.05)  # how slowly the client writes
        assert time.monotonic() - start < 5


@pytest.mark.crowds
def test_slow_clients_do_not_keep_others_out_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are more of them than connections, and each is closed at its deadline."""
    monkeypatch.setattr(endpoint, "REQUEST_SECONDS", 0.5)
    with endpoint_of(lambda _: b"x 1\n", max_connections=4) as where:
        slow = [socket.create_connection(where) for _ in range(8)]
        for client in slow:
            client.sendall(b"G")
        assert asked(where, "GET", "/metrics").status == 200
        for client in slow:
            client.close()


def test_connections_at_rest_make_room_for_others() -> None:
    """Idle keep-alive connections must not use up the limit; the one idle for longest is closed."""
    with endpoint_of(lambda _: b"x 1\n", max_connections=4) as where:
        resting = [http.client.HTTPConnection(*where, timeout=20) for _ in range(4)]
        for client in resting:
            client.request("GET", "/healthz")
            assert client.getresponse().read() == b"ok\n"
        start = time.monotonic()
        assert asked(where, "GET", "/metrics").status == 200
        assert time.monotonic() - start < 5
        # The one that had rested longest had to go; the last is still there.
        resting[3].request("GET", "/healthz")
        assert resting[3].getresponse().read() == b"ok\n"
        for client in resting:
            client.close()


def test_a_client_that_does_not_read_its_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 MB do not fit into socket buffers, so the only connection would be blocked for good."""
    monkeypatch.setattr(endpoint, "ANSWER_SECONDS", 0.3)
    large = b"x" * (64 << 20)
    with (
        endpoint_of(lambda _: large, max_connections=1) as where,
        socket.create_connection(where) as client,
    ):
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert asked(where, "GET", "/healthz").status == 200


def test_those_who_ask_at_once_share_one_rendering() -> None:
    """Thirty clients wait for the same text instead of rendering it thirty times."""
    made: list[str] = []
    running: list[int] = []
    arrived = Arrivals(30)

    def render(form: str) -> bytes:
        assert not running
        running.append(1)
        made.append(form)
        arrived.all.wait(20)
        running.pop()
        return b"x 1\n"

    def negotiate(_accept: str) -> tuple[str, str]:
        arrived.count()
        return "text", "text/plain"

    with endpoint_of(render, negotiate=negotiate) as where:
        statuses: list[int] = []
        clients = [
            threading.Thread(target=lambda: statuses.append(asked(where, "GET", "/metrics").status)) for _ in range(30)
        ]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        assert arrived.all.is_set()
        assert statuses == [200] * 30
        assert made == ["text"]


def test_what_cannot_be_rendered_is_an_error_of_that_request_only() -> None:
    """Status 500 without the error's text, which may name paths of the host, and recovery later on."""
    turns = iter([ValueError("broken"), None])

    def render(_form: str) -> bytes:
        error = next(turns)
        if error:
            raise error
        return b"x 1\n"

    with endpoint_of(render) as where:
        first = asked(where, "GET", "/metrics")
        assert (first.status, b"broken" in first.body) == (500, False)  # type: ignore[attr-defined]
        # The error is shared for as long as an answer is.
        assert until(lambda: asked(where, "GET", "/metrics").status, lambda status: status != 500) == 200


@pytest.mark.crowds
def test_a_crowd_is_served_and_nothing_is_left_of_it() -> None:
    """500 clients at once, then 1500 requests in a row: threads, descriptors and memory stay what they were."""
    with serving("--recording", FIXTURE) as (process, where):
        host, port = where.split(":")
        target = (host, int(port))
        asyncio.run(crowd(target, 50))
        before = state(process.pid)
        asyncio.run(crowd(target, 500))
        connection = http.client.HTTPConnection(*target, timeout=20)
        for number in range(1500):
            connection.request("GET", "/metrics")
            answer = connection.getresponse()
            assert b"numaprobe_up 1.0" in answer.read()
            if number % 10 == 0:
                connection.close()
        connection.close()
        after = until(lambda: state(process.pid), lambda now: now[0] <= before[0] + 1)
        assert after[0] <= before[0] + 1
        assert after[1] <= before[1] + 1
        assert after[2] - before[2] < 12 << 20


async def crowd(address: tuple[str, int], clients: int) -> None:
    async def one() -> bytes:
        # On a machine with more to do the deadline of a request may pass before the server comes to it.
        for _ in range(5):
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            found = await asyncio.wait_for(reader.read(), 50)
            writer.close()
            if found:
                break
        return found

    for answer in await asyncio.gather(*(one() for _ in range(clients))):
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert b"numaprobe_up 1.0" in answer


def state(process: int) -> tuple[int, int, int]:
    """Descriptors, threads, bytes resident."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return len(os.listdir(f"/proc/{process}/fd")), int(status["Threads"]), int(status["VmRSS"].split()[0]) << 10


# --- addresses, signals, errors ---


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("127.0.0.1:9975", ("127.0.0.1", 9975)),
        ("[::1]:0", ("::1", 0)),
        ("localhost:65535", ("localhost", 65535)),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, found: tuple[str, int]) -> None:
    """IPv6 needs brackets, and port 0 lets the system choose."""
    assert parsed(text) == found


@pytest.mark.parametrize(
    "text",
    ["", ":", "9975", ":9975", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1", "::1:9975",
     "[::1]", "[]:1", "[127.0.0.1]:1", "[::1:1", "::1]:1", "a:\u0661", "h:999999999999"],
)  # fmt: skip
def test_another_form_is_a_usage_error(text: str) -> None:
    """A bare port, as other tools take it, would not say on which addresses to listen."""
    line = complaint(2, "serve", "--recording", FIXTURE, f"--listen={text}")
    assert "the address to listen on must be ADDR:PORT" in line


def test_ipv6_is_listened_at() -> None:
    """The printed address has brackets again, so that it can be pasted into a URL."""
    try:
        with listening("[::1]:0") as found:
            assert name_of(found).startswith("[::1]:")
    except OSError:
        pytest.skip("no IPv6 loopback here")


@pytest.mark.parametrize(("address", "found"), [("127.0.0.1:0", True), ("127.1.2.3:0", True), ("0.0.0.0:0", False)])
def test_only_loopback_addresses_are_this_hosts_alone(address: str, found: bool) -> None:
    """All of 127/8 is loopback; the warning about a missing password depends on it."""
    with listening(address) as there:
        assert is_loopback(there) == found


def test_an_address_in_use_is_one_line() -> None:
    """The commonest fault at a service's start, with the address in the message."""
    with listening("127.0.0.1:0") as taken:
        where = name_of(taken)
        assert (
            complaint(1, "serve", "--recording", FIXTURE, "--listen", where)
            == f"numaprobe: cannot listen on {where}: Address already in use\n"
        )


def test_a_name_that_does_not_resolve_is_one_line() -> None:
    """Resolver errors have numbers of their own and yet the same form here."""
    assert "nowhere.invalid:9975" in complaint(1, "serve", "--recording", FIXTURE, "--listen", "nowhere.invalid:9975")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_status_0_and_nothing_more_is_said(number: int) -> None:
    """A client rests on its connection meanwhile, which must not delay the end."""
    with serving("--recording", FIXTURE) as (process, where):
        host, port = where.split(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200")
            process.send_signal(number)
            assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_a_host_that_cannot_be_read_at_the_start_is_an_error(tmp_path: Path) -> None:
    """A unit with a wrong path has to fail at once, whereas later faults only make up 0."""
    assert "No such file" in complaint(1, "serve", "--root", tmp_path / "x", "--listen", f"127.0.0.1:{free_port()}")


def test_without_its_library_it_says_what_to_install() -> None:
    """The module is hidden in a process of its own, which ends with status 2 and one line."""
    program = (
        "import sys; sys.modules['prometheus_client.registry'] = None\n"
        "from numaprobe.cli import main; sys.exit(main(['serve']))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert found.stderr == "numaprobe: serve needs prometheus-client: pip install 'numaprobe[prometheus]'\n"
    assert found.returncode == 2


@pytest.mark.parametrize(
    "words",
    [
        ("--interval", "0"),
        ("--interval", "nan"),
        ("--count", "1"),
        ("--textfile", "x", "--count", "0"),
        ("--domains-limit", "-1"),
    ],
)
def test_options_that_make_no_sense_are_a_usage_error(words: tuple[str, ...]) -> None:
    """Zero, NaN and options of the other mode are refused before anything listens."""
    complaint(2, "serve", "--recording", FIXTURE, *words)


# --- the textfile ---


def test_a_textfile_is_written_whole_and_for_others_to_read(plant: Plant, tmp_path: Path) -> None:
    """Prometheus's node_exporter runs as another user, so the mode is 644 whatever the umask."""
    root = plant(two_cells())
    target = tmp_path / "numaprobe.prom"
    before = os.umask(0o077)
    try:
        found = run("serve", "--root", root, "--textfile", target, "--count", "2", "--interval", "0.1")
    finally:
        os.umask(before)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    text = target.read_text()
    assert text.endswith("\n")
    assert 'numaprobe_memory_free_bytes{node="1"} 2.147483648e+09\n' in text
    assert 'numaprobe_distance{node="1",to="0"} 31.0\n' in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["numaprobe.prom", "root"]


def test_nothing_of_it_needs_root_on_linux(open_place: Path) -> None:
    """It runs as nobody, on the running host."""
    target = open_place / "numaprobe.prom"
    status, out, err = unprivileged(open_place, "serve", "--source", "linux", "--textfile", target, "--count", "1")
    assert (status, out, err) == (0, "", "")
    assert "\nnumaprobe_up 1.0\n" in target.read_text()


def test_a_textfile_is_kept_up_to_date_until_a_signal(plant: Plant, tmp_path: Path) -> None:
    """Each new inode is a whole file, and SIGTERM leaves the last one and no temporary."""
    root = plant(two_cells())
    target = tmp_path / "numaprobe.prom"
    command = [
        sys.executable,
        "-m",
        "numaprobe",
        "serve",
        "--root",
        str(root),
        "--textfile",
        str(target),
        "--interval",
        "0.05",
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        seen: set[int] = set()

        def look() -> int:
            if target.exists():
                seen.add(target.stat().st_ino)
                assert target.read_text().endswith("\n")
            return len(seen)

        assert until(look, lambda count: count >= 3) >= 3
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        process.stderr.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["numaprobe.prom", "root"]


def test_a_textfile_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """With --count 1, as from cron, the status is all that the caller sees."""
    line = complaint(1, "serve", "--recording", FIXTURE, "--textfile", tmp_path / "no" / "x.prom", "--count", "1")
    assert line == f"numaprobe: cannot write {tmp_path}/no/x.prom: No such file or directory\n"


def test_the_first_textfile_has_the_guests(tmp_path: Path) -> None:
    """They are read in the background, which the first file waits for."""
    target = tmp_path / "numaprobe.prom"
    assert run("serve", "--source", "linux", "--textfile", target, "--count", "1").returncode == 0
    assert "\nnumaprobe_domains " in target.read_text()


def test_a_full_disk_is_counted_and_tried_again(tmp_path: Path) -> None:
    """The disk may be full from the start or become full later; the textfile is written as soon as there is room."""
    program = (
        "import sys, errno, os\n"
        "from numaprobe import atomic_file\n"
        "real = os.fsync\n"
        "def fsync(descriptor):\n"
        "    if os.path.exists(sys.argv[1]):\n"
        "        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))\n"
        "    real(descriptor)\n"
        "os.fsync = fsync\n"
        "from numaprobe.cli import main\n"
        "sys.exit(main(sys.argv[2:]))\n"
    )
    full, target = tmp_path / "full", tmp_path / "numaprobe.prom"
    full.touch()
    words = ["serve", "--recording", FIXTURE, "--textfile", target, "--interval", "0.05"]
    command = [sys.executable, "-c", program, full, *words]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        line = process.stderr.readline().decode()
        assert line == f"numaprobe: cannot write {target}: No space left on device; trying again every 0.05 s\n"
        full.unlink()
        assert until(target.exists)
        text = target.read_text()
        count = float(text.split("\nnumaprobe_textfile_errors_total ")[1].split()[0])
        assert count >= 1
        process.terminate()
        assert process.wait(10) == 0
        assert process.stderr.read() == b""
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


@pytest.mark.crowds
@pytest.mark.parametrize("words", [("--listen", "127.0.0.1:0"), ("--textfile", "numaprobe.prom")])
def test_a_signal_in_the_first_moments_prints_nothing(words: tuple[str, str], tmp_path: Path) -> None:
    """It may come while modules are imported or while the host is read for the first time."""
    for number in range(25):
        process = subprocess.Popen(
            [sys.executable, "-m", "numaprobe", "serve", "--recording", str(FIXTURE), *words],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
        )
        time.sleep(0.012 * number)  # the moment itself is what is tried
        process.terminate()
        _, err = process.communicate(timeout=20)
        assert process.returncode in (0, -signal.SIGTERM)
        assert b"Traceback" not in err
        assert b"Exception" not in err
        assert [path for path in os.listdir(tmp_path) if path != "numaprobe.prom"] == []
