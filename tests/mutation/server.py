"""Runs tests in forks of one process that has imported what they need, numaprobe itself excepted.

Reads a line of JSON for each run from standard input, ``{"words": [...], "chosen": FILE, "output": FILE, "seconds": S}``,
and writes pytest's exit status in a line: -1 when it took longer. Each run is in a session of its own, so that nothing
that a fault leaves stays behind.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import time

# What takes most of the time of an import and starts no threads.
IMPORTED = ("_pytest.fixtures", "pytest", "xdist", "hypothesis.extra.pytestplugin", "hypothesis.strategies", "sybil.parsers.markdown",
            "coverage", "yaml", "prometheus_client", "jsonschema", "lxml.etree", "rich.console", "keystoneauth1.session",
            "numpy", "scipy.optimize", "asyncio", "http.server", "urllib.request", "xml.etree.ElementTree")  # fmt: skip


def serve() -> None:
    """Until the end of the input."""
    for name in IMPORTED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for line in sys.stdin:
        run = json.loads(line)
        child = os.fork()
        if not child:
            _test(run["words"], run["chosen"], run["output"])
        status = _waited(child, run["seconds"])
        sys.stdout.write(f"{status}\n")
        sys.stdout.flush()


def _test(words: list[str], chosen: str, output: str) -> None:
    """In the fork."""
    os.setsid()
    nothing, written = os.open(os.devnull, os.O_RDONLY), os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for source, target in ((nothing, 0), (written, 1), (written, 2)):
        os.dup2(source, target)
    os.environ["MUTATION_CHOSEN"] = chosen
    try:
        import pytest

        status = int(pytest.main(words))
        sys.stdout.flush()
        os._exit(status)
    finally:
        os._exit(3)


def _waited(child: int, seconds: float) -> int:
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        return -1
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)


if __name__ == "__main__":
    serve()
