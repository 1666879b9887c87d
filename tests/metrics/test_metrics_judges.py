"""What other programs make of the metrics: promtool, Prometheus, the clients' own parsers, collectd."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from endpoints import free_port, running, serving
from hosts import GIB, made
from hosts import host as a_host
from metrics_data import DATA, ROOT, domain, expressions_of_dashboard
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric as Family

import numaprobe
from numaprobe import Domains, PlacementSample, RemoteShare, Traffic, Usable, UsablePages, Vcpu, export
from numaprobe.contrib.prometheus import NumaCollector
from numaprobe.metrics import BY_NAME, METRICS
from numaprobe.metrics.prometheus import Collected, families
from numaprobe.metrics.rows import domain_rows, meminfo_rows, traffic_rows, usable_rows, vmstat_rows

FIXTURES = ROOT / "tests" / "fixtures"
# Of a machine with more cpus than anybody would want a metric for each, there is none.
MAX_CPUS = 1000
MACHINES = sorted(path.parent.name for path in FIXTURES.glob("*/host.tar.gz"))


def program(name: str, package: str) -> str:
    """The path of a judge, or a skip that says what is missing."""
    found = shutil.which(name, path="/usr/bin:/usr/sbin:/usr/local/bin")
    if found is None:
        pytest.skip(f"no {name} here (Debian: {package})")
    return found


def promtool(*words: object, given: bytes | None = None) -> str:
    """What promtool says, which is satisfied."""
    command = [program("promtool", "prometheus"), *map(str, words)]
    run = subprocess.run(command, input=given, capture_output=True, timeout=60, check=False)
    said = (run.stdout + run.stderr).decode()
    assert run.returncode == 0, said
    return said


@cache
def collected(machine: str) -> tuple[Any, ...]:
    """The families that a collector over a recording has."""
    recording = FIXTURES / machine / "host.tar.gz"
    few = len(numaprobe.probe(recording=recording).cpus) <= MAX_CPUS
    collector = NumaCollector(recording=recording, patience=60, cpu_info=few)
    try:
        found = tuple(collector.collect())
        assert collector.error is None
        return found
    finally:
        collector.close()


def values(families: Any) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.mark.parametrize("machine", MACHINES)
def test_every_recorded_machine_is_read_back_by_the_parsers_of_the_client(machine: str) -> None:
    """Both formats give the figures of the probe, and no series for what it does not know."""
    from prometheus_client.openmetrics.exposition import generate_latest as open_latest
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
    from prometheus_client.parser import text_string_to_metric_families as plain_families

    recording = FIXTURES / machine / "host.tar.gz"
    host = numaprobe.probe(recording=recording)
    found = values(open_families(open_latest(Collected(list(collected(machine)))).decode("utf-8")))
    assert found == values(plain_families(generate_latest(Collected(list(collected(machine)))).decode("utf-8")))
    once = values(plain_families(export.render(host, "prometheus")))
    assert {name for name, _ in found} <= BY_NAME.keys()
    assert found["numaprobe_up", frozenset()] == 1
    for cell in host.cells:
        node = frozenset({("node", str(cell.id))})
        for name in ("total", "free", "available"):
            expected = getattr(cell.memory, name)
            assert once.get((f"numaprobe_memory_{name}_bytes", node)) == expected
            assert found.get((f"numaprobe_memory_{name}_bytes", node)) == expected
        expected = None if cell.cpus is None else len(cell.cpus)
        assert found.get(("numaprobe_cpus", node)) == once.get(("numaprobe_cpus", node)) == expected
        for pages in cell.huge_pages:
            labels = node | {("size", str(pages.size))}
            for name in ("total", "free", "surplus"):
                count = getattr(pages, name)
                expected = None if count is None else count * pages.size
                assert found.get((f"numaprobe_huge_pages_{name}_bytes", labels)) == expected
        for to, cost in cell.distances or ():
            if len(host.cells) <= 64:
                assert found.get(("numaprobe_distance", node | {("to", str(to))})) == cost
    infos = [labels for name, labels in found if name == "numaprobe_cpu_info"]
    assert len(infos) == (sum(cpu.online is not False for cpu in host.cpus) if len(host.cpus) <= MAX_CPUS else 0)


def test_promtool_finds_nothing_to_complain_of_on_any_recorded_machine() -> None:
    """All machines in one exposition, told apart by a label."""
    program("promtool", "prometheus")
    together: dict[str, Any] = {}
    vcpu = made(Vcpu, id=0, online=True, cpus=(0,))
    known = {"cells": ((0, 1),), "unplaced": 0, "claimed": 2, "maximum": 3, "vcpus": 1, "each_vcpu": (vcpu,)}
    known["remote"] = (RemoteShare(source="run time", share=0.5, how="estimated"),)
    known["sample"] = PlacementSample(pages=64, confidence=0.95, margins=((0, 1),))
    rows = domain_rows(Domains([domain(1, 'a "name"', **known)]), host=a_host([GIB]))
    rows |= traffic_rows([Traffic("a", 0, 0, 1, 2, 1)]) | meminfo_rows([(0, (("Active(anon)", 1),))])
    rows |= vmstat_rows([(0, (("nr_hugetlb", 1), ("pgdemote_kswapd", 2)))])
    usable = Usable(ordinary=1, pinned=1, pages=(UsablePages(size=2 << 20, now=1),))
    machine_ = a_host([GIB])
    rows |= usable_rows(machine_._replace(cells=(machine_.cells[0]._replace(usable=usable),)))
    guests = families(rows | {"numaprobe_textfile_errors_total": [((), 1)]})
    for machine, found in [*((machine, collected(machine)) for machine in MACHINES), ("guests", guests)]:
        for family in found:
            whole = together.setdefault(
                family.name, Family(family.name, family.documentation, family.type, family.unit)
            )
            whole.samples += [sample._replace(labels=sample.labels | {"machine": machine}) for sample in family.samples]
    assert set(together) == {metric.family for metric in METRICS}
    body = generate_latest(Collected(list(together.values())))
    assert body.count(b"machine=") > 1000
    assert promtool("check", "metrics", given=body) == ""


def test_promtool_would_complain_of_a_bad_name() -> None:
    """A judge that never complains would prove nothing."""
    tool = program("promtool", "prometheus")
    bad = b"# HELP numaprobe_free_total x\n# TYPE numaprobe_free_total gauge\nnumaprobe_free_total 1\n"
    assert subprocess.run([tool, "check", "metrics"], input=bad, capture_output=True, check=False).returncode != 0


def test_the_rules_are_rules_and_say_what_their_tests_expect() -> None:
    """The judge is promtool, with series that make each alert fire and stay silent."""
    assert "SUCCESS" in promtool("check", "rules", DATA / "rules.yml")
    assert "SUCCESS" in promtool("test", "rules", ROOT / "tests" / "support" / "metrics_rules.yml")


def test_every_alert_has_a_test() -> None:
    """An alert without one could never fire, and nobody would know."""
    alerts = set(re.findall(r"alert: (\w+)", (DATA / "rules.yml").read_text("utf-8")))
    assert (
        set(re.findall(r"alertname: (\w+)", (ROOT / "tests" / "support" / "metrics_rules.yml").read_text("utf-8")))
        == alerts
    )


def test_the_panels_ask_in_prometheus_own_language(tmp_path: Path) -> None:
    """Each expression as a recording rule, with Grafana's variables filled in."""
    rules = [
        {
            "record": f"panel:{number}",
            "expr": re.sub(r"\$__rate_interval", "5m", re.sub(r"\$(job|instance|node)", ".*", text)),
        }
        for number, text in enumerate(expressions_of_dashboard())
    ]
    (tmp_path / "panels.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", tmp_path / "panels.yml")


def asked(port: int, query: str) -> list[Any]:
    url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": query})
    with urllib.request.urlopen(url, timeout=10) as answer:
        found: list[Any] = json.load(answer)["data"]["result"]
        return found


@pytest.mark.servers
def test_prometheus_scrapes_the_endpoint_and_answers_for_it(tmp_path: Path) -> None:
    """A real Prometheus with the rules loaded, after promtool has checked its configuration."""
    prometheus = program("prometheus", "prometheus")
    machine = FIXTURES / "sparse-nodes" / "host.tar.gz"
    host = numaprobe.probe(recording=machine)
    with serving("--recording", machine) as (_, address):
        (tmp_path / "prometheus.yml").write_text(
            json.dumps(
                {
                    "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                    "rule_files": [str(DATA / "rules.yml")],
                    "scrape_configs": [{"job_name": "numaprobe", "static_configs": [{"targets": [address]}]}],
                }
            )
        )
        assert "SUCCESS" in promtool("check", "config", tmp_path / "prometheus.yml")
        port = free_port()
        command = [prometheus, f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
        with running(*command, f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"):
            free: dict[str, float] = {}
            used: list[Any] = []
            end = time.monotonic() + 30
            while time.monotonic() < end and not (free and used):
                time.sleep(0.2)
                try:
                    free = {
                        row["metric"]["node"]: float(row["value"][1])
                        for row in asked(port, "numaprobe_memory_free_bytes")
                    }
                    used = asked(port, "instance_node:numaprobe_memory_used:ratio")
                except OSError:
                    continue
            assert free == {str(cell.id): cell.memory.free for cell in host.cells}
            assert len(used) == sum(bool(cell.memory.total) for cell in host.cells)
            (up,) = asked(port, 'up{job="numaprobe"}')
            assert up["value"][1] == "1"


def test_other_recorded_machines_are_read_back_too(recorded_machine: tuple[Path, str]) -> None:
    """What cannot be read as a machine is a collector's ``up`` of 0, and nothing else."""
    from prometheus_client.parser import text_string_to_metric_families

    folder, name = recorded_machine
    recording = folder / f"{name}.tar.gz"
    try:
        host = numaprobe.probe(recording=recording)
    except numaprobe.NumaprobeError:
        collector = NumaCollector(recording=recording, patience=60)
        found = {family.name for family in collector.collect()}
        collector.close()
        assert isinstance(collector.error, numaprobe.NumaprobeError)
        itself = ("numaprobe_up", "numaprobe_scrape", "numaprobe_refresh", "numaprobe_shape")
        assert [name for name in found if not name.startswith(itself)] == []
        return
    once = values(text_string_to_metric_families(export.render(host, "prometheus")))
    for cell in host.cells:
        node = frozenset({("node", str(cell.id))})
        for figure in ("total", "free", "available"):
            assert once.get((f"numaprobe_memory_{figure}_bytes", node)) == getattr(cell.memory, figure)
        assert once.get(("numaprobe_cpus", node)) == (None if cell.cpus is None else len(cell.cpus))
        if len(host.cells) <= 64:
            costs = {labels: cost for (name, labels), cost in once.items() if name == "numaprobe_distance"}
            for to, cost in cell.distances or ():
                assert costs.get(node | {("to", str(to))}) == cost
    telegraf = export.render(host, "telegraf")
    assert telegraf.count("memory_free_bytes=") == sum(cell.memory.free is not None for cell in host.cells)


@pytest.mark.parametrize("machine", MACHINES)
def test_every_machine_is_line_protocol_to_a_parser_of_it(machine: str) -> None:
    """A parser written by others reads every recorded machine, and free memory must come out the same."""
    parser = pytest.importorskip("line_protocol_parser", reason="no line-protocol-parser here (PyPI)")
    host = numaprobe.probe(recording=FIXTURES / machine / "host.tar.gz")
    free = {}
    for line in export.render(host, "telegraf").splitlines():
        point = parser.parse_line(line)
        assert point["measurement"] == "numaprobe"
        if "memory_free_bytes" in point["fields"]:
            free[point["tags"]["node"]] = point["fields"]["memory_free_bytes"]
    assert free == {str(cell.id): cell.memory.free for cell in host.cells if cell.memory.free is not None}


@pytest.mark.servers
def test_collectd_takes_every_value(open_place: Path) -> None:
    """The daemon runs a program that prints the export, and writes what it took as CSV."""
    collectd = program("collectd", "collectd-core")
    tmp_path = open_place
    # collectd refuses to run programs as root.
    user = "nobody" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    host = numaprobe.probe(recording=FIXTURES / "two-nodes-threads" / "host.tar.gz")
    lines = export.render(host, "collectd")
    (tmp_path / "lines").write_text(lines)
    (tmp_path / "collectd.conf").write_text(
        f"""
        Hostname "judge"
        BaseDir "{tmp_path}"
        PIDFile "{tmp_path}/pid"
        Interval 1
        TypesDB "/usr/share/collectd/types.db"
        LoadPlugin logfile
        LoadPlugin exec
        LoadPlugin csv
        <Plugin logfile>
          LogLevel "info"
          File "{tmp_path}/log"
        </Plugin>
        <Plugin exec>
          Exec "{user}" "/bin/cat" "{tmp_path}/lines"
        </Plugin>
        <Plugin csv>
          DataDir "{tmp_path}/csv"
        </Plugin>
        """
    )
    expected = {
        match[1]: float(match[2])
        for line in lines.splitlines()
        if (match := re.fullmatch(r'PUTVAL "[^/]+/([^"]+)" interval=[\d.]+ N:(\S+)', line))
    }
    assert expected
    found: dict[str, float] = {}
    with running(collectd, "-f", "-C", tmp_path / "collectd.conf"):
        end = time.monotonic() + 30
        while time.monotonic() < end and found.keys() != expected.keys():
            time.sleep(0.3)
            for path in (tmp_path / "csv").rglob("numaprobe*/*"):
                last = path.read_text().splitlines()[-1].split(",")
                if last[0] != "epoch":
                    name = path.name[: -len("-2026-01-01")]
                    found[f"{path.parent.name}/{name}"] = float(last[1])
    log = (tmp_path / "log").read_text()
    assert found == expected, log
    assert not re.search(r"exec plugin.*(error|fail|unable)", log, re.IGNORECASE), log
