"""Running ``numaprobe serve`` and other servers for a test."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def running(*command: object, **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **more)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(60)
        finally:
            process.kill()
            assert process.stderr is not None
            process.stderr.close()


@contextmanager
def serving(*words: object) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """``numaprobe serve`` in a process of its own, and its address as it says it itself."""
    command = (
        sys.executable,
        "-m",
        "numaprobe",
        "serve",
        *(() if "--listen" in words else ("--listen", "127.0.0.1:0")),
        *words,
    )
    with running(*command) as process:
        assert process.stderr is not None
        line = process.stderr.readline().decode()
        while "warning" in line:
            line = process.stderr.readline().decode()
        assert re.fullmatch(r"numaprobe: metrics at https?://[\d.]+:\d+/metrics\n", line), line
        yield process, line.split("//")[1].split("/")[0]
