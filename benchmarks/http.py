"""``numaprobe serve`` and well-kept HTTP servers with the same metrics: ``python -m benchmarks.http [SERVER ...]``.

Needs ``pip install uvicorn hypercorn granian waitress cheroot``; a server that is not installed is omitted. Each has
limits as strict as its options allow. Prints a Markdown table; takes about half a minute per server.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
FIXTURE = ROOT / "tests" / "fixtures" / "two-nodes-threads" / "host.tar.gz"
SLOW_CLIENTS = 700
SCRAPES = 1000
DEAF_CLIENTS = 600
# Seconds after which an honest client's scrape counts as lost, and a server as one that does not end.
PATIENCE = 20.0
DEAF_PATIENCE = 60.0

COMMON = f"""
import os
from numaprobe.contrib.prometheus import NumaCollector
from numaprobe.cli.serve import negotiated, rendered
collector = NumaCollector(recording={str(FIXTURE)!r}, max_age=0.1)
def page(accept):
    form, kind = negotiated(accept)
    return rendered(collector.collect(), form), kind
async def asgi(scope, receive, send):
    if scope['type'] != 'http':
        return
    headers = {{name.lower(): value for name, value in scope['headers']}}
    status, body, kind = 200, b'', 'text/plain'
    if scope['path'] == '/metrics' and scope['method'] in ('GET', 'HEAD'):
        body, kind = page(headers.get(b'accept', b'').decode('latin-1'))
    elif scope['path'] != '/healthz':
        status = 404
    elif scope['method'] not in ('GET', 'HEAD'):
        status = 405
    if scope['path'] == '/metrics' and scope['method'] not in ('GET', 'HEAD'):
        status = 405
    await send({{'type': 'http.response.start', 'status': status, 'headers': [
        (b'content-type', kind.encode()), (b'content-length', str(len(body)).encode())]}})
    await send({{'type': 'http.response.body', 'body': body if scope['method'] != 'HEAD' else b''}})
def wsgi(environ, start):
    status, body, kind = '200 OK', b'', 'text/plain'
    if environ['PATH_INFO'] not in ('/metrics', '/healthz'):
        status = '404 Not Found'
    elif environ['REQUEST_METHOD'] not in ('GET', 'HEAD'):
        status = '405 Method Not Allowed'
    elif environ['PATH_INFO'] == '/metrics':
        body, kind = page(environ.get('HTTP_ACCEPT', ''))
    start(status, [('Content-Type', kind), ('Content-Length', str(len(body)))])
    return [body]
"""

# Program text for each server; %d is the port.
PROGRAMS = {
    "numaprobe": None,
    "uvicorn": COMMON
    + "import uvicorn\nuvicorn.run(asgi, host='127.0.0.1', port=%d, log_level='critical', access_log=False, "
    "limit_concurrency=512, timeout_keep_alive=60, timeout_graceful_shutdown=1, backlog=1024, lifespan='off')\n",
    "hypercorn": COMMON
    + "import asyncio, signal\nfrom hypercorn.asyncio import serve\nfrom hypercorn.config import Config\n"
    "config = Config()\nconfig.bind = ['127.0.0.1:%d']\nconfig.backlog = 1024\nconfig.read_timeout = 3\n"
    "config.keep_alive_timeout = 60\nconfig.graceful_timeout = 1\nconfig.h11_max_incomplete_size = 8192\n"
    "config.loglevel = 'CRITICAL'\nasync def main():\n    stop = asyncio.Event()\n"
    "    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)\n"
    "    await serve(asgi, config, shutdown_trigger=stop.wait)\nasyncio.run(main())\n",
    "granian": COMMON + "from granian import Granian\nfrom granian.http import HTTP1Settings\n"
    "if __name__ == '__main__':\n    import sys\n    Granian(sys.argv[1] + ':asgi', address='127.0.0.1', port=%d, "
    "interface='asginl', log_enabled=False, backlog=1024, backpressure=512, http='1', "
    "http1_settings=HTTP1Settings(header_read_timeout=3000, max_buffer_size=8192), "
    "workers_kill_timeout=2).serve()\n",
    "waitress": COMMON + "import waitress, signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
    "waitress.serve(wsgi, host='127.0.0.1', port=%d, connection_limit=512, backlog=1024, channel_timeout=3, "
    "cleanup_interval=1, max_request_header_size=8192, threads=4, _quiet=True)\n",
    "cheroot": COMMON + "import signal, sys\nfrom cheroot.wsgi import Server\n"
    "server = Server(('127.0.0.1', %d), wsgi, numthreads=10, max=10, request_queue_size=1024, timeout=3, "
    "shutdown_timeout=1)\nserver.max_request_header_size = 8192\n"
    "def stop(*_):\n    raise SystemExit(0)\nsignal.signal(signal.SIGTERM, stop)\n"
    "try:\n    server.start()\nfinally:\n    server.stop()\n",
}

GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n"
# What no server may answer with 200: each line of a request in turn is not one, too large, or ambiguous.
MALFORMED: dict[str, bytes] = {
    "empty lines": b"\r\n\r\n\r\n\r\n",
    "no version": b"GET /metrics\r\n\r\n",
    "method only": b"GET\r\n\r\n",
    "version 9.9": b"GET /metrics HTTP/9.9\r\nHost: x\r\n\r\n",
    "version 2.0": b"GET /metrics HTTP/2.0\r\nHost: x\r\n\r\n",
    "version 0.9": b"GET /metrics HTTP/0.9\r\nHost: x\r\n\r\n",
    "version 1.10": b"GET /metrics HTTP/1.10x\r\nHost: x\r\n\r\n",
    "version x": b"GET /metrics HTTP/x\r\nHost: x\r\n\r\n",
    "protocol": b"GET /metrics FTP/1.1\r\nHost: x\r\n\r\n",
    "lower case protocol": b"GET /metrics http/1.1\r\nHost: x\r\n\r\n",
    "four words": b"GET /metrics x HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "binary": bytes(range(256)) + b"\r\n\r\n",
    "NUL in path": b"GET /met\0rics HTTP/1.1\r\nHost: x\r\n\r\n",
    "NUL in method": b"GE\0T /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
    "space before header": b"GET /metrics HTTP/1.1\r\n Host: x\r\n\r\n",
    "other path": b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n",
    "parent path": b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    "encoded parent": b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    "long path": b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "long method": b"A" * 70000 + b" /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
    "long header": GET + b"X: " + b"a" * 70000 + b"\r\n\r\n",
    "long header name": GET + b"a" * 70000 + b": x\r\n\r\n",
    "many headers": GET + b"".join(b"X-%d: y\r\n" % i for i in range(9000)) + b"\r\n",
    "endless head": GET + b"X: y\r\n" * 30000,
    "POST": b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "DELETE": b"DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
    "PUT with body": b"PUT /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nabcd",
    "TRACE": b"TRACE /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
    "CONNECT": b"CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "OPTIONS *": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "lower case method": b"get /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
    "unknown method": b"BREW /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
    "negative length": b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "length x": b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
    "two lengths": b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\nabcde",
    "length and chunks":
        b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bad chunk": b"POST /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "huge length": b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "unknown coding": b"POST /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: x\r\n\r\n",
    "expect": b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    "upgrade h2c": b"POST /metrics HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n",
    "smuggled":
        b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 38\r\n\r\n"
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n",
    "only CR": b"GET /metrics HTTP/1.1\rHost: x\r\r",
    "cut off": GET[:-9],
}  # fmt: skip


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Server:
    """A server in processes of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        self.port = free_port()
        text = PROGRAMS[name]
        if text is None:
            words = ["-m", "numaprobe", "serve", "--recording", str(FIXTURE), "--listen", f"127.0.0.1:{self.port}"]
        else:
            path = folder / f"served_by_{name}.py"
            path.write_text(text % self.port)
            words = [str(path), path.stem]
        self.errors = folder / f"{name}.err"
        start = time.perf_counter()
        with open(self.errors, "wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, *words], cwd=folder, stdout=errors, stderr=errors, start_new_session=True,
                env={**os.environ, "PYTHONPATH": f"{ROOT}:{folder}:{os.environ.get('PYTHONPATH', '')}"},
            )  # fmt: skip
        while not self.scrape(1.0):
            time.sleep(0.01)
            if time.perf_counter() - start > PATIENCE or self.process.poll() is not None:
                raise RuntimeError(f"{name} does not start: {self.errors.read_text()[-400:]}")
        self.start_seconds = time.perf_counter() - start

    def scrape(self, patience: float) -> float | None:
        """Seconds of an honest scrape, or None."""
        start = time.perf_counter()
        try:
            with socket.create_connection(("127.0.0.1", self.port), patience) as client:
                client.settimeout(patience)
                client.sendall(GET + b"Connection: close\r\n\r\n")
                found = b""
                while part := client.recv(65536):
                    found += part
                    if time.perf_counter() - start > patience:
                        return None
        except OSError:
            return None
        return time.perf_counter() - start if b"numaprobe_up 1.0" in found else None

    def members(self) -> list[int]:
        """The processes of its session: some servers have several."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError, ValueError):
                if int(path.read_text().rpartition(")")[2].split()[3]) == self.process.pid:
                    found.append(int(path.parent.name))
        return found

    def resident(self) -> float:
        """Private and proportional memory of all its processes, MiB."""
        total = 0
        for pid in self.members():
            with contextlib.suppress(OSError):
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return total / 1024

    def descriptors(self) -> int:
        total = 0
        for pid in self.members():
            with contextlib.suppress(OSError):
                total += len(os.listdir(f"/proc/{pid}/fd"))
        return total

    def kill(self) -> None:
        for pid in self.members():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()


def malformed(server: Server) -> str:
    """How many were refused; which were answered with 200 or kept the connection for more than 5 seconds."""
    bad = []
    for name, sent in MALFORMED.items():
        found = b""
        start = time.perf_counter()
        try:
            with socket.create_connection(("127.0.0.1", server.port), 5) as client:
                client.settimeout(5)
                with contextlib.suppress(ConnectionError):
                    client.sendall(sent)
                while len(found) < 1 << 20 and (part := client.recv(65536)):
                    found += part
                    if b"\r\n\r\n" in found:
                        break
        except TimeoutError:
            bad.append(f"{name}: no answer in 5 s")
            continue
        except OSError:
            pass
        if found.startswith((b"HTTP/1.1 2", b"HTTP/1.0 2")) or found[:4] not in (b"", b"HTTP"):
            bad.append(f"{name}: {found[:15].decode('latin-1')!r}")
        elif time.perf_counter() - start > 5:
            bad.append(f"{name}: slow")
    if server.scrape(PATIENCE) is None:
        bad.append("no scrape afterwards")
    return f"{len(MALFORMED) - len(bad)} of {len(MALFORMED)}" + (f" ({'; '.join(bad)})" if bad else "")


def slow(server: Server) -> tuple[str, str, int]:
    """What honest clients get while many others send a byte each half second; memory and descriptors then."""
    clients: list[socket.socket] = []
    for _ in range(SLOW_CLIENTS):
        with contextlib.suppress(OSError):
            client = socket.create_connection(("127.0.0.1", server.port), 0.2)
            client.setblocking(False)
            clients.append(client)
    end = time.perf_counter() + PATIENCE
    first: float | None = None
    begun = time.perf_counter()
    honest = asyncio.new_event_loop()
    descriptors = server.descriptors()
    memory = server.resident()
    head = GET + b"X: " + b"y" * 400

    async def drip() -> None:
        position = 0
        while True:
            for client in clients:
                with contextlib.suppress(OSError):
                    client.send(head[position : position + 1])
            position = (position + 1) % len(head)
            await asyncio.sleep(0.5)

    async def measure() -> float | None:
        task = asyncio.create_task(drip())
        await asyncio.sleep(0.6)
        nonlocal begun
        begun = time.perf_counter()
        found = None
        while found is None and time.perf_counter() < end:
            if await asyncio.to_thread(server.scrape, max(0.1, end - time.perf_counter())):
                found = time.perf_counter() - begun
        task.cancel()
        return found

    first = honest.run_until_complete(measure())
    honest.close()
    descriptors, memory = max(descriptors, server.descriptors()), max(memory, server.resident())
    for client in clients:
        client.close()
    return (f"{first:.1f} s" if first is not None else f"none in {PATIENCE:.0f} s"), f"{memory:.0f}", descriptors


async def crowd(port: int, number: int) -> int:
    """How many of so many scrapes at once are answered."""

    async def one() -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET + b"Connection: close\r\n\r\n")
            found = await reader.read(-1)
            writer.close()
        except OSError:
            return False
        return b"numaprobe_up 1.0" in found

    tasks = [asyncio.create_task(one()) for _ in range(number)]
    await asyncio.wait(tasks, timeout=PATIENCE * 2)
    answered = sum(task.done() and task.result() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return answered


def scrapes(server: Server) -> str:
    start = time.perf_counter()
    found = asyncio.run(crowd(server.port, SCRAPES))
    return f"{found} in {time.perf_counter() - start:.1f} s"


def deaf(server: Server) -> str:
    """What an honest client gets while others request the metrics again and again, and never read an answer."""
    clients = []
    for _ in range(DEAF_CLIENTS):
        with contextlib.suppress(OSError):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(0.2)
            client.connect(("127.0.0.1", server.port))
            client.setblocking(False)
            clients.append(client)
    for client in clients:
        with contextlib.suppress(OSError):
            client.send((GET + b"\r\n") * 2000)
    start = time.perf_counter()
    time.sleep(1)
    found = server.scrape(DEAF_PATIENCE)
    took = time.perf_counter() - start
    for client in clients:
        client.close()
    return f"{took:.1f} s" if found is not None else f"none in {DEAF_PATIENCE:.0f} s"


def ends(server: Server) -> str:
    """What SIGTERM does under load, with clients that are connected and say nothing."""
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]

    async def loaded() -> float | None:
        load = asyncio.create_task(crowd(server.port, 100))
        await asyncio.sleep(0.05)
        start = time.perf_counter()
        server.process.send_signal(signal.SIGTERM)
        while server.process.poll() is None and time.perf_counter() - start < PATIENCE:
            await asyncio.sleep(0.01)
        took = time.perf_counter() - start
        load.cancel()
        await asyncio.gather(load, return_exceptions=True)
        return took if server.process.poll() is not None else None

    took = asyncio.run(loaded())
    for client in idle:
        client.close()
    if took is None:
        return f"not in {PATIENCE:.0f} s"
    trace = ", traceback" if "Traceback" in server.errors.read_text() else ""
    return f"{took:.1f} s, status {server.process.returncode}{trace}"


def rows(names: list[str], folder: Path) -> Iterator[list[str]]:
    for name in names:
        measured: list[str] = []
        server = Server(name, folder)
        try:
            measured += [name, f"{server.start_seconds * 1000:.0f}", f"{server.resident():.0f}"]
            tests: tuple[Callable[[Server], str], ...] = (malformed, scrapes)
            for test in tests:
                measured.append(test(server))
            honest, memory, descriptors = slow(server)
            measured += [honest, f"{memory}, {descriptors}", deaf(server), ends(server)]
        finally:
            server.kill()
        yield measured


def main() -> None:
    import resource
    import tempfile

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    names = [name for name in sys.argv[1:] or PROGRAMS if name == "numaprobe" or find_spec(name) is not None]
    columns = [
        "server", "start, ms", "memory, MiB", "malformed, refused", f"{SCRAPES} scrapes at once",
        f"an honest scrape among {SLOW_CLIENTS} slow clients", "memory, MiB, and descriptors then",
        f"among {DEAF_CLIENTS} that do not read",
        "SIGTERM under load",
    ]  # fmt: skip
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    with tempfile.TemporaryDirectory() as folder:
        for row in rows(names, Path(folder)):
            print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
