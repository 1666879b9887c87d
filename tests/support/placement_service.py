"""Placement over PostgreSQL, as processes: the database with its defaults, the service with its own.

Run as a program it is the service: ``placement_service.py CONNECTION PORT``.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USER = "postgres"
# Each request may hold two of the 15 connections that a process of Placement has by default; with more threads they wait
# for one another.
THREADS = 7


def programs() -> Path | None:
    """Where Debian's PostgreSQL has its server, the newest version; None if it is not there."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class Postgres:
    """A database cluster in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.port = directory, free_port()
        bin_ = programs()
        assert bin_ is not None, "programs() says whether it is there"
        self._bin = bin_
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            shutil.chown(directory, USER)
        self._run("initdb", "-D", directory / "data", "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync")
        self.start()
        self._run("createdb", "-h", "127.0.0.1", "-p", self.port, "-U", USER, "placement")

    @property
    def address(self) -> str:
        return f"postgresql+psycopg2://{USER}@127.0.0.1:{self.port}/placement"

    def start(self) -> None:
        deadline = time.monotonic() + 30
        words = ["-c", "listen_addresses=127.0.0.1", "-p", str(self.port), "-k", str(self.directory)]
        # After a crash its other processes have to notice first.
        while not self._ready():
            if self._process is None or self._process.poll() is not None:
                with (self.directory / "log").open("ab") as out:
                    command = self._command("postgres", "-D", self.directory / "data", *words)
                    self._process = subprocess.Popen(command, stdout=out, stderr=out, cwd="/")
            assert time.monotonic() < deadline, (self.directory / "log").read_text()
            time.sleep(0.1)

    def kill(self) -> None:
        """As a crash does: nothing is shut down; what was committed must be there afterwards."""
        assert self._process is not None, "started"
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()

    def _ready(self) -> bool:
        return self._run("pg_isready", "-h", "127.0.0.1", "-p", self.port, check=False)

    def _command(self, name: str, *words: object) -> list[str]:
        command = [str(self._bin / name), *map(str, words)]
        # It refuses to run as root.
        return command if os.geteuid() else ["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups", *command]

    def _run(self, name: str, *words: object, check: bool = True) -> bool:
        command = self._command(name, *words)
        log = self.directory / f"{name}.out"
        with log.open("ab") as out:
            done = subprocess.run(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, check=False, cwd="/")
        assert not check or done.returncode == 0, log.read_text()
        return done.returncode == 0


@contextmanager
def postgres() -> Iterator[Postgres]:
    # Not below pytest's own directory, which nobody but its owner may enter.
    with tempfile.TemporaryDirectory(prefix="numaprobe-postgres-") as directory:
        found = Postgres(Path(directory))
        try:
            yield found
        finally:
            found.stop()


@contextmanager
def service(connection: str, log: Path) -> Iterator[str]:
    """The address of a Placement service in a process of its own."""
    port = free_port()
    with log.open("ab") as out:
        process = subprocess.Popen([sys.executable, __file__, connection, str(port)], stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 60
        while True:
            with socket.socket() as found:
                if not found.connect_ex(("127.0.0.1", port)):
                    break
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def main(connection: str, port: str) -> None:
    import waitress

    from numaprobe.contrib.openstack.embedded import load

    waitress.serve(load(connection), listen=f"127.0.0.1:{port}", threads=THREADS)


if __name__ == "__main__":
    main(*sys.argv[1:])
