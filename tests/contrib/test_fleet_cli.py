"""``numaprobe fleet``: the ledger in a directory, one command after another, and one line for whatever is wrong."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from commands import complaint, run
from schemas import check

pytest.importorskip("keystoneauth1", reason="needs numaprobe[openstack]")
pytest.importorskip("placement", reason="needs numaprobe[openstack-embedded]")

FIXTURES = Path(__file__).parents[1] / "fixtures"
THREADS = FIXTURES / "two-nodes-threads" / "host.tar.gz"
XEN = FIXTURES / "xen-4.20-two-nodes-hole" / "host.tar.gz"


@pytest.mark.servers
def test_a_fleet_is_tried_with_one_command_and_used_with_the_next_ones(tmp_path: Path) -> None:
    """The tutorial of the docs as a test: try, place with a claim, show, release and unpublish."""
    directory = tmp_path / "ledger"
    tried = run("fleet", "try", "--directory", directory)
    assert tried.returncode == 0, tried.stderr
    assert "Where does a guest of 2 vcpus and 128 MiB fit?" in tried.stdout
    assert "is large enough on its own" in tried.stdout
    assert f"numaprobe fleet show --directory {directory}" in tried.stdout

    placed = run("fleet", "place", f"two-nodes-threads={THREADS}", "--vcpus", 2, "--memory", "100M", "--claim", "--json",
                 "--directory", directory)  # fmt: skip
    assert placed.returncode == 0, placed.stderr
    document = json.loads(placed.stdout)
    check("fleet-place", document)
    assert document["host"] == "two-nodes-threads"
    check("place", document["plan"])

    shown = run("fleet", "show", "--shape", "2x100M", "--json", "--directory", directory)
    listed = json.loads(shown.stdout)
    check("fleet-show", listed)
    (cell,) = document["plan"]["cells"]
    (host,) = [one for one in listed["hosts"] if one["name"] == "two-nodes-threads"]
    (held,) = [one["used"] for one in host["cells"] if one["cell"] == cell]
    assert held == {"VCPU": 2, "MEMORY_MB": 100}
    assert "two-nodes-threads" in run("fleet", "show", "--directory", directory).stdout

    released = run("fleet", "release", document["claim"], "--directory", directory)
    assert released.stdout == f"released {document['claim']}\n"
    gone = run("fleet", "unpublish", "two-nodes-threads", "--directory", directory)
    assert gone.stdout == "two-nodes-threads: 3 providers removed\n"


def test_recordings_and_documents_are_published_under_the_names_given(tmp_path: Path) -> None:
    """A fleet can be planned from files alone: NAME=FILE names one, otherwise the file does."""
    document = tmp_path / "made.json"
    document.write_text(run("show", "--recording", THREADS, "--json").stdout)
    done = run("fleet", "publish", f"xen={XEN}", document, "--json", "--directory", tmp_path / "ledger")
    assert done.returncode == 0, done.stderr
    assert [one["name"] for one in json.loads(done.stdout)["hosts"]] == ["xen", "made"]


# --- what is wrong is one line, and nothing is written -------------------------------------------------------------


@pytest.fixture
def silent_port() -> Iterator[int]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        yield found.getsockname()[1]


def serve(body: bytes, status: int = 200) -> HTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.server.seen.append(self.path)  # type: ignore[attr-defined]
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_PUT = do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.seen = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def test_an_endpoint_that_does_not_answer(silent_port: int) -> None:
    """Nothing listens at the port; the line has the address to check."""
    line = complaint(1, "fleet", "publish", THREADS, "--placement", f"http://127.0.0.1:{silent_port}")
    assert line.rstrip().endswith("cannot be queried: Connection refused")
    assert f"127.0.0.1:{silent_port}" in line


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"<html>hello</html>", "no JSON"),
        (b'{"hello": 1}', "does not answer as Placement does"),
        (b'{"versions": [{"id": "v1.0", "max_version": "1.30", "min_version": "1.0"}]}', "1.38 is needed"),
    ],
)
def test_an_endpoint_that_is_none_or_too_old_is_asked_once_and_nothing_is_written(body: bytes, word: str) -> None:
    """A web server at that address, or a Placement without consumer types, is found out by the first request."""
    server = serve(body)
    try:
        line = complaint(1, "fleet", "publish", THREADS, "--placement", f"http://127.0.0.1:{server.server_port}")
        assert word in line
        assert server.seen == ["/"]  # type: ignore[attr-defined]
    finally:
        server.shutdown()


def test_a_document_of_a_newer_schema_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    """The other host is fine, and yet nothing is published: half a command is worse than none."""
    newer = tmp_path / "newer.json"
    newer.write_text(json.dumps({"schema": "numaprobe/2", "cells": []}))
    server = serve(b"{}")
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        line = complaint(2, "fleet", "publish", THREADS, newer, "--placement", url)
        assert "its schema is 'numaprobe/2', and this numaprobe reads numaprobe/1" in line
        assert server.seen == []  # type: ignore[attr-defined]
    finally:
        server.shutdown()


@pytest.mark.parametrize(
    ("words", "status", "part"),
    [
        (["publish", THREADS], 2, "no ledger: use"),
        (["publish", THREADS, "--placement", "placement:8778"], 1, "is not the address of a Placement service"),
        (["publish", THREADS, THREADS, "--placement", "http://x"], 2, "two hosts are named two-nodes-threads"),
        (["publish", "--cpu-ratio", "0", "--placement", "http://x"], 2, "--cpu-ratio"),
        (["publish", "/nowhere.json", "--placement", "http://x"], 2, "cannot be read"),
        (["publish", "/nowhere.tar.gz", "--placement", "http://x"], 1, "/nowhere.tar.gz"),
        (["place", THREADS, "--placement", "http://x"], 2, "place takes --vcpus and --memory"),
        (["place", THREADS, "--vcpus", "1", "--memory", "1G", "--uuid", "x", "--placement", "http://x"], 2, "--claim"),
        (["release", "--placement", "http://x"], 2, "uuids of claims, or --stale"),
        (["show", "--shape", "big", "--placement", "http://x"], 2, "not a shape: 'big'"),
        (["show", "--os-cloud", "nowhere"], 1, "cloud nowhere"),
        (["bogus"], 2, "there is no action 'bogus'; actions: try, publish"),
    ],
)
def test_bad_options_are_one_line(words: list[object], status: int, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong options are status 2, wrong files and clouds status 1, and none prints a library's traceback."""
    for name in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(name)
    assert part in complaint(status, "fleet", *words)


def test_without_the_extra_the_line_says_what_to_install() -> None:
    """Only fleet needs keystoneauth1, which is hidden here in a process of its own."""
    code = "import sys; sys.modules['keystoneauth1'] = None; from numaprobe.cli import main; sys.exit(main(['fleet', 'show']))"
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "numaprobe: numaprobe.contrib.openstack needs keystoneauth1: pip install 'numaprobe[openstack]'\n"
    )
