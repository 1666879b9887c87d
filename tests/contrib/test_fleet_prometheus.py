"""Where is room? Fifty exporters made from recordings, a real Prometheus, and the rules of the fleet."""

from __future__ import annotations

import json
import math
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from endpoints import free_port, running
from fleets import guest
from judges import program, said
from prometheus_client.exposition import generate_latest

import numaprobe
from numaprobe import Domains, Host
from numaprobe.metrics.prometheus import Collected, families
from numaprobe.metrics.rows import domain_rows, host_rows

ROOT = Path(__file__).parents[2]
DATA = ROOT / "numaprobe" / "contrib" / "data"
EXPORTERS = 50
FRAGMENTATION = "instance:numaprobe_room_fragmentation:ratio"
GIB = 1 << 30
# Recorded machines are small; this many times their memory is what hosts have.
SCALE = 64
MACHINES = ("fake-chiplets", "fake-wide", "two-nodes-threads", "memory-only-node", "sixteen-nodes-64-cpus", "one-node")


def larger(host: Host) -> Host:
    def memory(cell: numaprobe.Cell) -> numaprobe.Memory:
        known = cell.memory
        sizes = {
            name: size * SCALE for name in ("total", "free", "available") if (size := getattr(known, name)) is not None
        }
        return known._replace(**sizes)

    return host._replace(cells=tuple(cell._replace(memory=memory(cell)) for cell in host.cells))


def exporters() -> Iterator[tuple[Host, Domains]]:
    """Hosts, each with a guest that pins CPUs of its first cell with CPUs, and has not touched all its memory."""
    recorded = [
        larger(numaprobe.probe(recording=ROOT / "tests" / "fixtures" / one / "host.tar.gz")) for one in MACHINES
    ]
    for number, host in enumerate(islice(cycle(recorded), EXPORTERS)):
        cell = next(one for one in host.cells if one.cpus and len(one.cpus) > 1)
        assert cell.cpus is not None, "chosen by them"
        pinned = [[cpu] for cpu in cell.cpus[: number % len(cell.cpus)]][:12]
        held = {one.id: 0 for one in host.cells} | {cell.id: GIB}
        yield (
            host,
            Domains([guest(f"guest{number}", held, maximum=GIB * (1 + number % 7), vcpus=pinned or [cell.cpus])]),
        )


def roomy(host: Host, domains: Domains) -> bool:
    """Whether a host has any memory left; of none there is no part."""
    (domain,) = domains
    untouched = (domain.maximum or 0) - (domain.memory or 0)
    return any((cell.memory.available or cell.memory.free or 0) > untouched for cell in host.cells)


def expected(host: Host, domains: Domains, vcpus: int, memory: int) -> dict[str, int]:
    """How many guests fit on each cell, in the words of the page."""
    (domain,) = domains
    untouched = max(0, (domain.maximum or 0) - (domain.memory or 0))
    pinned = {cpu for vcpu in domain.each_vcpu or () if len(vcpu.cpus or ()) == 1 for cpu in vcpu.cpus or ()}
    out = {}
    for cell in host.cells:
        size = cell.memory.available if cell.memory.available is not None else cell.memory.free
        if size is not None and cell.cpus is not None:
            cpus = len([cpu for cpu in cell.cpus if cpu not in pinned])
            out[str(cell.id)] = min(cpus // vcpus, math.floor(max(0, size - untouched) / memory))
    return out


@contextmanager
def served(body: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def asked(port: int, query: str) -> list[Any]:
    with urlopen(f"http://127.0.0.1:{port}/api/v1/query?" + urlencode({"query": query}), timeout=10) as answer:
        found: list[Any] = json.load(answer)["data"]["result"]
        return found


def test_the_rules_are_rules() -> None:
    """The judge is promtool."""
    done = said(program("promtool", "prometheus"), "check", "rules", DATA / "fleet_rules.yml")
    assert "SUCCESS" in done.stdout, done.stderr


def test_the_panels_ask_for_what_the_rules_record(tmp_path: Path) -> None:
    """A panel of a series that no rule records stays empty; its PromQL is checked by promtool too."""
    dashboard = json.loads((DATA / "fleet_dashboard.json").read_text("utf-8"))
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    recorded = set(re.findall(r"record: (\S+)", (DATA / "fleet_rules.yml").read_text("utf-8")))
    assert {name for text in expressions for name in re.findall(r"\w+:numaprobe\w*:\w+", text)} <= recorded
    rules = [
        {"record": f"panel:{number}", "expr": re.sub(r"\$(job|instance)", ".*", text)}
        for number, text in enumerate(expressions)
    ]
    (tmp_path / "panels.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    done = said(program("promtool", "prometheus"), "check", "rules", tmp_path / "panels.yml")
    assert f"{len(rules)} rules found" in done.stdout, done.stderr


@pytest.mark.servers
def test_prometheus_says_where_a_guest_of_eight_vcpus_and_32_gib_fits(tmp_path: Path) -> None:
    """The oracle counts guests on each recorded host in Python; the rules must reach the same from metrics alone."""
    from contextlib import ExitStack

    prometheus = program("prometheus", "prometheus")
    truth: dict[str, dict[str, int]] = {}
    roomy_hosts = 0
    with ExitStack() as stack:
        for host, domains in exporters():
            rows = host_rows(host) | domain_rows(domains, host=host) | {"numaprobe_up": [((), 1)]}
            address = stack.enter_context(served(generate_latest(Collected(families(rows)))))
            roomy_hosts += roomy(host, domains)
            truth[address] = expected(host, domains, 8, 32 * GIB)
        (tmp_path / "prometheus.yml").write_text(
            json.dumps(
                {
                    "global": {"scrape_interval": "2s", "evaluation_interval": "1s"},
                    "rule_files": [str(DATA / "rules.yml"), str(DATA / "fleet_rules.yml")],
                    "scrape_configs": [{"job_name": "fleet", "static_configs": [{"targets": sorted(truth)}]}],
                }
            )
        )
        port = free_port()
        command = [prometheus, f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
        with running(*command, f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"):
            found: dict[str, dict[str, int]] = {}
            end = time.monotonic() + 60
            while time.monotonic() < end and found != truth:
                time.sleep(0.5)
                try:
                    rows_ = asked(port, 'instance_node:numaprobe_room:guests{shape="8x32GiB"}')
                except OSError:
                    continue
                found = {}
                for row in rows_:
                    found.setdefault(row["metric"]["instance"], {})[row["metric"]["node"]] = int(row["value"][1])
            assert found == truth
            fits = sum(count for cells in truth.values() for count in cells.values())
            assert fits > 0
            # Recorded from these by the next evaluation.
            counted = 'job:numaprobe_room:guests{shape="8x32GiB"}'
            while time.monotonic() < end + 20 and [int(one["value"][1]) for one in asked(port, counted)] != [fits]:
                time.sleep(0.5)
            assert [int(one["value"][1]) for one in asked(port, counted)] == [fits]
            while time.monotonic() < end + 20 and len(asked(port, FRAGMENTATION)) < roomy_hosts:
                time.sleep(0.5)
            assert len(asked(port, FRAGMENTATION)) == roomy_hosts
            (stranded,) = asked(port, "job:numaprobe_room_stranded:ratio")
            assert 0 <= float(stranded["value"][1]) <= 1
