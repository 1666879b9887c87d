"""The agent: publishes on its own, when something changes, again after a failure, and never makes anybody wait."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

pytest.importorskip("keystoneauth1", reason="needs numaprobe[openstack]")
pytest.importorskip("placement", reason="needs numaprobe[openstack-embedded]")

from fleets import guests, two_cells
from hosts import GIB, host

from numaprobe.contrib.openstack import Client, FleetError, Member, published
from numaprobe.contrib.openstack import agent as agents
from numaprobe.contrib.openstack.agent import Agent
from numaprobe.contrib.openstack.publish import providers
from numaprobe.contrib.openstack.tree import root_uuid

FIXTURE = Path(__file__).parents[1] / "fixtures" / "two-nodes-threads" / "host.tar.gz"


def until(true: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_it_publishes_on_an_interval(ledger: Client, prefix: str) -> None:
    """Three publications of an unchanged host, in the background and without an error."""
    agent = Agent(lambda: ledger, lambda: Member(f"{prefix}a", two_cells(), guests()), interval=0.05).start()
    until(lambda: agent.published >= 3)
    agent.close()
    assert agent.error is None
    assert f"{prefix}a" in published(ledger)


def test_it_publishes_as_soon_as_the_shape_changes(
    ledger: Client, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an interval of an hour only the change itself can have caused the second one."""
    monkeypatch.setattr(agents, "LOOK_SECONDS", 0.02)
    hosts = [two_cells()]
    agent = Agent(
        lambda: ledger,
        lambda: Member(f"{prefix}a", hosts[-1], guests()),
        interval=3600,
        shape=lambda: len(hosts[-1].cells),
    ).start()
    until(lambda: agent.published == 1)
    hosts.append(host([GIB, GIB, GIB]))
    until(lambda: agent.published == 2)
    agent.close()
    assert len(providers(ledger, root_uuid(f"{prefix}a"))) == 4


def test_it_waits_longer_after_each_failure_and_says_so_once(ledger: Client, prefix: str) -> None:
    """A ledger that is down for a day must neither be flooded nor fill the log."""
    lines: list[str] = []
    tries: list[float] = []

    def connect() -> Client:
        tries.append(time.monotonic())
        if len(tries) < 5:
            raise FleetError("the ledger cannot be queried")
        return ledger

    agent = Agent(connect, lambda: Member(f"{prefix}a", two_cells(), guests()), interval=0.05, say=lines.append).start()
    until(lambda: agent.published)
    agent.close()
    pauses = [after - before for before, after in pairwise(tries)]
    assert pauses[3] > 2 * pauses[0]
    assert agent.failures == 4
    assert lines[:2] == [
        "cannot publish: the ledger cannot be queried; trying again at growing intervals",
        "published again",
    ]


def test_starting_and_closing_wait_for_no_ledger(prefix: str) -> None:
    """A service's start and stop have time limits, and a connection may hang for 30 s."""

    def connect() -> Client:
        time.sleep(30)
        raise FleetError("never")

    began = time.monotonic()
    agent = Agent(connect, lambda: Member(f"{prefix}a", two_cells(), guests())).start()
    agent.close(patience=0.1)
    assert time.monotonic() - began < 5


def test_a_scrape_does_not_wait_for_a_ledger_that_accepts_and_never_answers() -> None:
    """Metrics must survive a ledger behind a broken load balancer, and so must shutdown."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        command = [sys.executable, "-m", "numaprobe", "serve", "--listen", "127.0.0.1:0", "--recording", str(FIXTURE)]
        more = ["--fleet", "--fleet-name", "silent", "--placement", url]
        process = subprocess.Popen([*command, *more], stderr=subprocess.PIPE, text=True, env=dict(os.environ))
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            # The agent is connected to it, and waits.
            silent.settimeout(20)
            silent.accept()
            began = time.monotonic()
            with urllib.request.urlopen(line.split()[-1], timeout=20) as answer:
                assert b"numaprobe_up 1" in answer.read()
            assert time.monotonic() - began < 10
        finally:
            process.terminate()
            assert process.wait(20) == 0


def test_a_ledger_that_is_none_is_found_out_before_the_host_is_read() -> None:
    """Each connection is checked once: a host is costly to read, and its error would hide that of the ledger."""
    asked: list[str] = []

    class Wrong:
        def check(self) -> None:
            asked.append("check")
            raise FleetError("this is no Placement")

    def member() -> Member:
        asked.append("member")
        raise AssertionError("not reached")

    agent = Agent(Wrong, member, interval=3600).start()  # type: ignore[arg-type]
    until(lambda: agent.failures)
    agent.close()
    assert asked == ["check"]
    assert str(agent.error) == "this is no Placement"
