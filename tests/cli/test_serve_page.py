"""``numaprobe serve --page``: off unless requested, complete in itself, and drawn anew with scripts and without."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trees
from commands import Plant, complaint
from endpoints import running, serving
from waiting import until

import numaprobe
from numaprobe.cli import draw
from numaprobe.cli.endpoint import Endpoint
from numaprobe.cli.listen import listening, name_of

FIXTURE = Path(__file__).parents[1] / "fixtures" / "four-nodes-asymmetric" / "host.tar.gz"


def get(where: str, path: str, method: str = "GET", **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection(where, timeout=20)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def test_there_is_no_page_unless_requested() -> None:
    """A metrics endpoint should not start to show a picture of the host after an upgrade."""
    with serving("--recording", FIXTURE) as (_, where):
        assert get(where, "/")[0] == 404
        assert get(where, "/metrics")[0] == 200


def test_the_page_is_beside_the_metrics_and_loads_nothing() -> None:
    """Admin networks are often offline, so the page refers to no other resource, and its policy forbids any."""
    with serving("--page", "--recording", FIXTURE) as (_, where):
        status, headers, body = get(where, "/")
        assert status == 200
        assert headers["Content-Type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        page = body.decode()
        host = numaprobe.probe(recording=FIXTURE)
        assert all(f">cell {cell.id}</text>" in page for cell in host.cells)
        assert not re.search(r"(?:src|href)\s*=|@import|url\((?!#)|https?://(?!www\.w3\.org/2000/svg)", page)
        assert get(where, "/metrics")[0] == get(where, "/healthz")[0] == 200
        assert get(where, "/favicon.ico")[2] == b"only /, /metrics and /healthz exist\n"
        assert get(where, "/", "POST")[0] == 405
        assert get(where, "/", "HEAD")[2] == b""
        assert gzip.decompress(get(where, "/", Accept_Encoding="gzip")[2]).startswith(b"<!doctype html>")


@pytest.mark.parametrize("path", ["/", "/metrics"])
def test_an_answer_is_compressed_only_for_whom_takes_it(path: str) -> None:
    """And then says so, or the client would show the bytes."""
    with endpoint(lambda _form: b"page") as where:
        plain = get(where, path)
        packed = get(where, path, Accept_Encoding="gzip")
        assert (plain[1]["Content-Encoding"], packed[1]["Content-Encoding"]) == (None, "gzip")
        assert "Accept-Encoding" in plain[1]["Vary"]
        assert gzip.decompress(packed[2]) == plain[2] == (b"page" if path == "/" else b"metrics\n")


def test_a_page_and_a_textfile_exclude_each_other(tmp_path: Path) -> None:
    """With a textfile nothing listens, so nobody could see the page."""
    assert "--page has no effect with --textfile" in complaint(2, "serve", "--page", "--textfile", tmp_path / "x.prom")


def test_a_host_that_cannot_be_drawn_is_an_error_of_the_page_alone() -> None:
    """Metrics matter more than the picture, and are served all the same."""

    def page(_form: str) -> bytes:
        raise numaprobe.SourceUnavailable("sys", 2)

    with endpoint(page) as where:
        status, _, body = get(where, "/")
        assert (status, body) == (500, b"the host could not be drawn\n")
        assert get(where, "/metrics")[0] == 200


@contextmanager
def endpoint(page: object) -> Iterator[str]:
    """An endpoint in a thread of this process."""
    found = listening("127.0.0.1:0")
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    server = Endpoint(found, lambda _form: b"metrics\n", page=page)  # type: ignore[arg-type]
    thread = threading.Thread(target=lambda: loop.run_until_complete(server.run(stop)))
    thread.start()
    try:
        yield name_of(found)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


@pytest.fixture
def browser(tmp_path: Path) -> list[str]:
    """The start of a command line; ``tmp_path / "profile"`` is the browser's own folder."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("no chromium here (Debian's chromium): tests/lab/install installs it")
    return [found, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]


class Drawn:
    """Draws a machine whose second cell has more free memory from the second drawing on."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.times = 0

    def __call__(self, form: str) -> bytes:
        self.times += 1
        if self.times > 1:
            meminfo = self._root / "sys/devices/system/node/node1/meminfo"
            meminfo.write_text(re.sub(r"MemFree: *\d+", f"MemFree: {3 << 20}", meminfo.read_text()))
        return draw.read(str(self._root), None, "linux").picture(form, reload_after=1).encode()


@pytest.fixture
def drawn(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> Drawn:
    monkeypatch.setattr("numaprobe.cli.endpoint.PAGE_SECONDS", 0)
    return Drawn(plant(trees.machine({0: [0, 1], 1: [2, 3]}, memory_kb=4 << 20)))


@pytest.mark.servers
def test_a_browser_shows_what_has_changed_since(browser: list[str], drawn: Drawn) -> None:
    """Chromium, headless: memory that was freed after the page was loaded is on the page a second later."""
    with endpoint(drawn) as where:
        command = [*browser, "--virtual-time-budget=3500", "--dump-dom", f"http://{where}/"]
        run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert "3.0 GiB of 4.0 GiB free" in run.stdout, run.stderr[-500:]
    assert "2.0 GiB of 4.0 GiB free" in run.stdout
    assert run.stdout.count("<main>") == run.stdout.count("<svg ") == 1


@pytest.mark.servers
def test_a_browser_without_scripts_loads_it_again(browser: list[str], drawn: Drawn, tmp_path: Path) -> None:
    """With JavaScript off in Chromium's profile, the refresh of the page itself has to do it."""
    preferences = tmp_path / "profile" / "Default" / "Preferences"
    preferences.parent.mkdir(parents=True)
    preferences.write_text('{"profile": {"default_content_setting_values": {"javascript": 2}}}')
    with endpoint(drawn) as where:
        command = [*browser, "--virtual-time-budget=3500", "--dump-dom", f"http://{where}/"]
        with running(*command) as process:
            until(lambda: drawn.times > 2 or process.poll() is not None)
    assert drawn.times > 2
