"""numaprobe inside an agent: what a collector and OpenTelemetry's instruments give, cost, and survive."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import waiting
from commands import Plant, two_cells
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from trees import NODE, machine, meminfo, plant

from numaprobe.contrib.observer import Observer
from numaprobe.contrib.prometheus import NumaCollector
from numaprobe.metrics import METRICS
from numaprobe.metrics.rows import domain_rows

Found = dict[tuple[str, ...], float]


@contextmanager
def observed(*words: Any, **options: Any) -> Iterator[Observer]:
    observer = Observer(*words, **{"patience": 30, **options})
    try:
        yield observer
    finally:
        observer.close()


@contextmanager
def registered(*words: Any, **options: Any) -> Iterator[CollectorRegistry]:
    collector = NumaCollector(*words, **{"patience": 30, **options})
    registry = CollectorRegistry(auto_describe=True)
    registry.register(collector)
    try:
        yield registry
    finally:
        collector.close()


def figures(registry: CollectorRegistry) -> Found:
    """Values by name and the values of their labels in alphabetical order."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode("utf-8"))
        for sample in family.samples
    }


def until(wanted: Callable[[], object]) -> None:
    """Wait for what a thread does."""
    assert waiting.until(wanted), "not in time"


# --- the collector ---


def test_registering_reads_nothing_and_starts_nothing() -> None:
    """It succeeds even if there is nothing to read, so an agent can register before a mount is there."""
    before = threading.active_count()
    collector = NumaCollector("/nonexistent")
    CollectorRegistry(auto_describe=True).register(collector)
    assert collector.describe() == []
    assert threading.active_count() == before
    assert collector.error is None


def test_a_scrape_has_the_figures_of_the_host(plant: Plant) -> None:
    """One scrape has a sample of each kind: memory, distances, CPUs, huge pages and the collector's own health."""
    tree = two_cells()
    tree[f"{NODE}/node0/meminfo"] = meminfo(0, 4 << 20, 2 << 20).replace("HugePages_Total:     0", "HugePages_Total: 3")
    with registered(plant(tree)) as registry:
        found = figures(registry)
    assert found["numaprobe_up",] == 1
    assert found["numaprobe_memory_total_bytes", "1"] == 4 << 30
    assert found["numaprobe_memory_used_bytes", "1"] == 2 << 30
    assert found["numaprobe_distance", "1", "0"] == 31
    assert found["numaprobe_cpus", "0"] == 4
    assert found["numaprobe_huge_pages_total_bytes", "0", "2097152"] == 3 * (2 << 20)
    assert found["numaprobe_scrape_errors_total", "memory"] == 0
    assert 0 < found["numaprobe_scrape_duration_seconds",] < 30
    assert {key[1] for key in found if key[0] == "numaprobe_refresh_age_seconds"} >= {"details", "host"}


def test_what_costs_more_is_there_on_request(plant: Plant) -> None:
    """Optional groups of metrics, each with its error counter and age, and none of them without the options."""
    tree = two_cells()
    tree["proc/zoneinfo"] = (
        "Node 0, zone   Normal\n  pages free     100\n        min      10\n        managed  1048576\n"
        "        protection: (0)\n"
    )
    tree["proc/buddyinfo"] = "Node 0, zone   Normal 4 0 0 0 0 0 0 0 0 0 0\n"
    for name in ("llc_occupancy", "mbm_total_bytes", "mbm_local_bytes"):
        tree[f"sys/fs/resctrl/mon_groups/vm/mon_data/mon_L3_07/{name}"] = "5\n"
        tree[f"sys/fs/resctrl/mon_data/mon_L3_07/{name}"] = "9\n"
    tree[f"{NODE}/node1/vmstat"] = "nr_hugetlb 7\npgdemote_kswapd 5\nworkingset_nodes 2\nnr_dirtied 9\n"
    root = plant(tree)
    with registered(root, meminfo=True, vmstat=True, usable=True, traffic=True) as registry:
        found = figures(registry)
    assert found["numaprobe_meminfo_bytes", "MemTotal", "0"] == found["numaprobe_memory_total_bytes", "0"]
    assert {key: value for key, value in found.items() if "vmstat" in key[0]} == {
        ("numaprobe_vmstat_level", "nr_hugetlb", "1"): 7,
        ("numaprobe_vmstat_level", "workingset_nodes", "1"): 2,
        ("numaprobe_vmstat_events_total", "pgdemote_kswapd", "1"): 5,
        ("numaprobe_vmstat_events_total", "nr_dirtied", "1"): 9,
    }
    assert found["numaprobe_traffic_bytes_total", "7", "mon_groups/vm", ""] == 5
    assert found["numaprobe_traffic_bytes_total", "7", "", ""] == 9
    assert found["numaprobe_scrape_errors_total", "usable"] == found["numaprobe_scrape_errors_total", "traffic"] == 0
    assert {"usable", "traffic"} <= {key[1] for key in found if key[0] == "numaprobe_refresh_age_seconds"}
    with registered(root) as registry:
        plain = figures(registry)
    assert not [
        key for key in plain if "traffic" in key[0] or "usable" in key[0] or "meminfo" in key[0] or "vmstat" in key[0]
    ]


def test_a_host_without_resctrl_is_counted_as_an_error_of_that_part(plant: Plant) -> None:
    """Who requested traffic has to see that there is none, while the host itself stays up."""
    with registered(plant(two_cells()), traffic=True) as registry:
        found = figures(registry)
    assert found["numaprobe_scrape_errors_total", "traffic"] >= 1
    assert found["numaprobe_up",] == 1


def test_a_scrape_sees_what_has_changed_since_the_last_one(plant: Plant) -> None:
    """Free memory is read at each scrape, while topology may be cached."""
    root = plant(two_cells())
    with registered(root) as registry:
        assert figures(registry)["numaprobe_memory_free_bytes", "0"] == 2 << 30
        (root / NODE / "node0" / "meminfo").write_text(meminfo(0, 4 << 20, 1 << 20))
        assert figures(registry)["numaprobe_memory_free_bytes", "0"] == 1 << 30


def test_counters_are_read_with_every_scrape_unless_they_are_not_wanted(plant: Plant) -> None:
    """Node 0 has no numastat and thus no series; a 0 would be a false fact."""
    tree = two_cells() | {f"{NODE}/node1/numastat": "numa_hit 5\nnuma_miss 1\nnuma_foreign 0\n"}
    root = plant(tree)
    with registered(root) as registry:
        found = figures(registry)
        assert found["numaprobe_numa_hit_pages_total", "1"] == 5
        assert ("numaprobe_numa_hit_pages_total", "0") not in found
        assert ("numaprobe_numa_local_pages_total", "1") not in found
    with registered(root, counters=False) as registry:
        assert not [key for key in figures(registry) if key[0].startswith("numaprobe_numa_")]


def test_what_is_given_without_a_word_is_what_the_page_says(plant: Plant) -> None:
    """Counters are, and each CPU is not."""
    tree = two_cells()
    tree[f"{NODE}/node0/numastat"] = tree[f"{NODE}/node1/numastat"] = "numa_hit 7\nnuma_miss 0\n"
    with registered(plant(tree)) as registry:
        names = {key[0] for key in figures(registry)}
    assert "numaprobe_numa_hit_pages_total" in names
    assert "numaprobe_cpu_info" not in names


def test_a_metric_for_each_cpu_only_if_it_is_asked_for(plant: Plant) -> None:
    """A series for each CPU is too much for most setups, so it is off by default."""
    root = plant(two_cells())
    with registered(root, cpu_info=True, distances=False) as registry:
        found = figures(registry)
        assert ("numaprobe_cpu_info", "0", "2", "", "0", "0") not in found
        assert len([key for key in found if key[0] == "numaprobe_cpu_info"]) == 8
        assert not [key for key in found if key[0] == "numaprobe_distance"]


def test_a_recording_without_its_processes_does_not_say_that_there_are_no_domains(plant: Plant) -> None:
    """An absent series is unknown; 0 domains would raise false alarms."""
    with observed(plant(two_cells())) as observer:
        observer.reading()
        until(lambda: "domains" in observer._state._refresher.answers)
        assert "numaprobe_domains" not in observer.reading().rows


def test_this_host_is_asked_for_its_domains() -> None:
    """On the running host they are collected in the background, unless switched off along with their error counter."""
    with observed(source="linux") as observer:
        observer.reading()
        until(lambda: "domains" in observer._state._refresher.answers)
        assert observer.reading().rows["numaprobe_omitted_domains"] == [((), 0)]
    with observed(source="linux", domains=False) as observer:
        reading = observer.reading()
        assert "numaprobe_domains" not in reading.rows
        assert [labels for labels, _ in reading.rows["numaprobe_scrape_errors_total"]] == [
            ("memory",),
            ("counters",),
            ("details",),
            ("host",),
        ]


# --- what goes wrong ---


def test_a_host_that_cannot_be_read_is_a_figure_and_no_error(tmp_path: Path) -> None:
    """A scrape must not fail with an exception: up is 0 until the host can be read."""
    collector = NumaCollector(tmp_path / "nothing", patience=30)
    registry = CollectorRegistry()
    registry.register(collector)
    found = figures(registry)
    assert found["numaprobe_up",] == 0
    assert found["numaprobe_scrape_errors_total", "memory"] == 1
    assert not [key for key in found if key[0].startswith(("numaprobe_memory", "numaprobe_node"))]
    assert "No such file" in str(collector.error)
    assert figures(registry)["numaprobe_scrape_errors_total", "memory"] == 2
    # It is there after all: the next scrape has it.
    plant(tmp_path / "nothing", two_cells())
    found = figures(registry)
    assert found["numaprobe_up",] == 1
    assert found["numaprobe_memory_total_bytes", "0"] == 4 << 30
    assert collector.error is None
    collector.close()


def test_a_file_that_makes_no_sense_is_counted_until_it_does(plant: Plant) -> None:
    """Each scrape that meets the broken file adds one error, and the first good one adds none."""
    root = plant(two_cells())
    path = root / NODE / "node1" / "meminfo"
    sense = path.read_text()
    with registered(root) as registry:
        assert figures(registry)["numaprobe_up",] == 1
        path.write_text("Node 1 MemTotal: lots kB\n")
        found = figures(registry)
        assert found["numaprobe_up",] == 1, "the other cell's figures are good"
        assert found["numaprobe_scrape_errors_total", "memory"] == 1
        path.write_text(sense)
        assert figures(registry)["numaprobe_scrape_errors_total", "memory"] == 1


def test_a_closed_collector_says_so(plant: Plant) -> None:
    """A registry may still scrape it at shutdown, which must give up 0 and no exception."""
    collector = NumaCollector(plant(two_cells()), patience=30)
    collector.collect()
    collector.close()
    collector.close()
    rows = {family.name: family.samples for family in collector.collect()}
    assert rows["numaprobe_up"][0].value == 0
    assert str(collector.error) == "the observer is closed"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"interval": 0}, "interval"),
        ({"interval": float("nan")}, "interval"),
        ({"domains_limit": -1}, "domains_limit"),
        ({"source": "windows"}, "'windows'"),
        ({"patience": -1}, "patience"),
        ({"max_age": float("nan")}, "max_age"),
        ({"recording": "b"}, "cannot be combined"),
    ],
)
def test_a_bad_argument_is_refused_at_once(options: dict[str, Any], words: str) -> None:
    """The agent fails at its start instead of at the first scrape, where nobody looks."""
    with pytest.raises(ValueError, match=words):
        NumaCollector("a", **options)


@pytest.mark.parametrize("module", ["prometheus", "opentelemetry"])
def test_what_is_missing_is_named_with_how_to_get_it(module: str) -> None:
    """The import of an extra's module without its library ends in the pip command to run."""
    library = {"prometheus": "prometheus_client", "opentelemetry": "opentelemetry"}[module]
    program = f"import sys; sys.modules[{library!r}] = None; import numaprobe.contrib.{module}"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert f"pip install 'numaprobe[{module}]'" in run.stderr.splitlines()[-1]


# --- change ---


def test_a_cell_that_comes_is_there_at_once_and_the_host_is_probed_anew(plant: Plant) -> None:
    """Until the new probe is done there is no topology rather than the old one."""
    root = plant(two_cells())
    with registered(root, interval=3600) as registry:
        assert figures(registry)["numaprobe_shape_changes_total",] == 0
        more = machine(
            {0: [0, 1, 2, 3], 1: [4, 5, 6, 7], 5: []}, distances={0: [10, 21, 40], 1: [31, 10, 40], 5: [40, 40, 10]}
        )
        for path, text in more.items():
            if "/node5/" in path or path.endswith(("/online", "/distance")):
                (root / path).parent.mkdir(exist_ok=True)
                (root / path).write_text(str(text))
        until(lambda: ("numaprobe_memory_free_bytes", "5") in figures(registry))
        until(lambda: figures(registry).get(("numaprobe_distance", "5", "1")) == 40)
        found = figures(registry)
        assert found["numaprobe_cpus", "5"] == 0
        assert found["numaprobe_shape_changes_total",] >= 1


def test_answers_of_another_shape_are_not_given(plant: Plant) -> None:
    """Distances of the old set of cells would be attributed to the new ones."""
    root = plant(two_cells())
    with observed(root, interval=3600) as observer:
        assert "numaprobe_distance" in observer.reading().topology
        refresher = observer._state._refresher
        host = refresher.answers["host"]
        refresher.answers["host"] = host._replace(key=((0,), host.key[1]))
        assert observer.reading().topology == {}


def test_answers_that_are_too_old_are_not_given_but_their_age_is(plant: Plant) -> None:
    """If the background thread hangs, series disappear and the growing age can raise an alert."""
    with observed(plant(two_cells()), interval=3600) as observer:
        observer.reading()
        refresher = observer._state._refresher
        old = time.monotonic() - 5 * 3600 - 60
        refresher.answers["host"] = refresher.answers["host"]._replace(at=old)
        reading = observer.reading()
        assert reading.topology == {}
        ages = {labels[0]: age for labels, age in reading.rows["numaprobe_refresh_age_seconds"]}
        assert ages["host"] > 5 * 3600


def test_the_topology_is_made_once_for_each_shape(plant: Plant) -> None:
    """64 cells have 4096 distances, so an equal probe keeps the very same metric family."""
    collector = NumaCollector(plant(two_cells()), patience=30, interval=0.05)
    first = {family.name: family for family in collector.collect()}
    state = collector._observer._state
    assert state is not None
    answer = state._refresher.answers["host"]
    until(lambda: state._refresher.answers["host"] is not answer)
    second = {family.name: family for family in collector.collect()}
    collector.close()
    assert first["numaprobe_distance"] is second["numaprobe_distance"]
    assert first["numaprobe_memory_free_bytes"] is not second["numaprobe_memory_free_bytes"]


# --- threads, forks, cost ---


def test_a_scrape_does_not_wait_for_what_is_read_in_the_background(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hypervisor that takes long costs the agent nothing, once the first wait is over."""
    import numaprobe

    held, begun = threading.Event(), threading.Event()

    def slow(*_words: Any, **_options: Any) -> tuple[()]:
        begun.set()
        held.wait(30)
        return ()

    monkeypatch.setattr(numaprobe, "domains", slow)
    with observed(plant(two_cells()), interval=0.01, patience=0.2) as observer:
        observer.reading()
        assert begun.wait(20)
        start = time.monotonic()
        for _ in range(5):
            assert observer.reading().error is None
        assert time.monotonic() - start < 2
        held.set()


def test_the_first_scrape_waits_no_longer_than_it_is_patient(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is served at once, and topology follows when the slow probe is done."""
    import numaprobe

    held = threading.Event()
    probe = numaprobe.probe

    def slow(*words: Any, **options: Any) -> Any:
        held.wait(30)
        return probe(*words, **options)

    monkeypatch.setattr(numaprobe, "probe", slow)
    with observed(plant(two_cells()), patience=0.05) as observer:
        reading = observer.reading()
        assert reading.topology == {}
        assert len(reading.rows["numaprobe_memory_free_bytes"]) == 2
        held.set()
        until(lambda: observer.reading().topology)


class CountingLock:
    """A lock that knows how many have come to it while somebody else had it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.waiting = 0

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            self.waiting += 1
            self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_those_who_ask_at_once_share_a_reading(plant: Plant) -> None:
    """Several Prometheus servers may scrape together; fifty threads get one reading of the host."""
    with observed(plant(two_cells()), max_age=60) as observer:
        assert observer.reading() is observer.reading()
    with observed(plant(two_cells())) as observer:
        assert observer.reading() is not observer.reading()
        found: list[Any] = []
        threads = [threading.Thread(target=lambda: found.append(observer.reading())) for _ in range(50)]
        lock = observer._state.lock = CountingLock()
        with lock:
            for thread in threads:
                thread.start()
            until(lambda: lock.waiting == 50)
        for thread in threads:
            thread.join()
        assert len({id(reading) for reading in found}) == 1


def test_a_child_that_was_forked_begins_anew(plant: Plant) -> None:
    """Even if the parent was in the middle of a reading, whose lock nobody in the child would ever give back."""
    collector = NumaCollector(plant(two_cells()), patience=30)
    collector.collect()
    with collector._observer._state.lock:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                found = {family.name: family.samples for family in collector.collect()}
                fine = found["numaprobe_up"][0].value == 1 and "numaprobe_distance" in found
                status = 0 if fine and threading.active_count() == 2 else 2
            finally:
                os._exit(status)
        done = waiting.until(lambda: os.waitpid(child, os.WNOHANG), lambda found: found != (0, 0))
    assert done == (child, 0)
    collector.close()


def test_nothing_is_left_of_a_collector_that_nobody_has_any_more(plant: Plant) -> None:
    """Its thread holds only a weak reference, so garbage collection ends it and closes the files."""
    root = plant(two_cells())

    def threads() -> int:
        return len([thread for thread in threading.enumerate() if thread.name == "numaprobe"])

    gc.collect()  # what other tests left
    until(lambda: threads() == 0)
    descriptors = len(os.listdir("/proc/self/fd"))
    collector = NumaCollector(root, patience=30, interval=3600)
    collector.collect()
    until(lambda: threads() == 1)
    del collector
    gc.collect()
    until(lambda: threads() == 0)
    assert len(os.listdir("/proc/self/fd")) <= descriptors


def test_many_scrapes_do_not_grow(plant: Plant) -> None:
    """Descriptors, threads and memory after the first hundreds are those after the next thousand."""
    with registered(plant(two_cells()), interval=0.2) as registry:
        for _ in range(400):
            generate_latest(registry)
        before = (len(os.listdir("/proc/self/fd")), threading.active_count())
        memory = resident()
        for _ in range(1000):
            generate_latest(registry)
        assert threading.active_count() == before[1]
        assert resident() - memory < 2 << 20
        until(lambda: len(os.listdir("/proc/self/fd")) <= before[0])


def resident() -> int:
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_scrape_of_64_cells_costs_milliseconds(plant: Plant) -> None:
    """The best of many is under 3 ms with all distances, as a busy machine shows it: without rendering."""
    cells = {number: list(range(number * 4, number * 4 + 4)) for number in range(64)}
    tree = machine(cells) | {f"{NODE}/node{number}/numastat": "numa_hit 5\nnuma_miss 1\n" for number in cells}
    collector = NumaCollector(plant(tree), patience=30, interval=3600)
    assert sum(len(family.samples) for family in collector.collect()) > 64 * 64
    taken = []
    for _ in range(50):
        start = time.perf_counter()
        collector.collect()
        taken.append(time.perf_counter() - start)
    collector.close()
    assert min(taken) < 0.003


# --- OpenTelemetry ---


def collected(reader: Any) -> dict[str, Any]:
    data = reader.get_metrics_data()
    return {
        metric.name: metric
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def test_opentelemetry_gets_the_same_figures(plant: Plant) -> None:
    """The SDK's own reader shows names, units and types, and one collection reads the host once."""
    sdk = pytest.importorskip("opentelemetry.sdk.metrics", reason="no opentelemetry-sdk here (PyPI)")
    from opentelemetry.sdk.metrics.export import Gauge, InMemoryMetricReader, Sum

    from numaprobe.contrib.opentelemetry import instrument

    root = plant(two_cells() | {f"{NODE}/node1/numastat": "numa_hit 5\n"})
    reader = InMemoryMetricReader()
    provider = sdk.MeterProvider([reader], shutdown_on_exit=False)
    observer = instrument(provider.get_meter("test"), root, patience=30)
    found = collected(reader)
    table = {metric.dotted: metric for metric in METRICS}
    assert found.keys() <= table.keys()
    for name, metric in found.items():
        assert metric.unit == table[name].ucum
        assert metric.description == table[name].help
        assert isinstance(metric.data, Sum if table[name].kind == "counter" else Gauge)
    points = {point.attributes["node"]: point.value for point in found["numaprobe.memory.free"].data.data_points}
    assert points == {"0": 2 << 30, "1": 2 << 30}
    (hits,) = found["numaprobe.numa.hit_pages"].data.data_points
    assert (dict(hits.attributes), hits.value) == ({"node": "1"}, 5)
    assert found["numaprobe.numa.hit_pages"].data.is_monotonic
    (host,) = found["numaprobe.host_info"].data.data_points
    assert "hypervisor" not in host.attributes
    assert host.attributes["source"] == "linux"
    # The next collection reads anew, and one collection only once.
    (root / NODE / "node0" / "meminfo").write_text(meminfo(0, 4 << 20, 1 << 20))
    readings = []
    read = observer.reading
    observer.reading = lambda: readings.append(None) or read()  # type: ignore[method-assign,func-returns-value]
    again = collected(reader)
    points = {point.attributes["node"]: point.value for point in again["numaprobe.memory.free"].data.data_points}
    assert points == {"0": 1 << 30, "1": 2 << 30}
    assert len(readings) == 1
    observer.close()
    (up,) = collected(reader)["numaprobe.up"].data.data_points
    assert up.value == 0
    provider.shutdown()


def test_counters_that_cannot_be_read_any_more_are_counted(plant: Plant) -> None:
    """A kernel has them for every node or for none; without them from the start there is nothing to count."""
    root = plant(two_cells())
    counters = root / "sys/devices/system/node/node1/numastat"
    with observed(root) as observer:

        def errors() -> float:
            rows = observer.reading().rows["numaprobe_scrape_errors_total"]
            return dict(rows)[("counters",)]

        if "numaprobe_numa_hit_pages_total" not in observer.reading().rows:
            counters.write_text("numa_hit 1\n")
            (root / "sys/devices/system/node/node0/numastat").write_text("numa_hit 1\n")
            observer._state._sampler.close()
            observer._state._sampler = None
        assert errors() == 0
        counters.unlink()
        counters.write_text("")
        observer._state._sampler.close()
        observer._state._sampler = None
        assert errors() == 1
        assert errors() == 2


def test_the_completeness_of_domains_is_a_metric_where_it_is_known() -> None:
    """A list cut short by permissions is 0; a list that does not say has no series."""

    class Found(tuple[Any, ...]):
        complete = False

    assert domain_rows(Found())["numaprobe_domains_complete"] == [((), 0)]
    assert "numaprobe_domains_complete" not in domain_rows([])


def test_what_a_scrape_could_not_make_sense_of_is_counted_by_part(plant: Plant) -> None:
    """A row of distances that is junk takes its series away, and that is seen."""
    tree = two_cells()
    with registered(plant(tree)) as registry:
        assert figures(registry)["numaprobe_notes", "host"] == 0
    tree[f"{NODE}/node1/distance"] = "junk\n"
    with registered(plant(tree)) as registry:
        found = figures(registry)
    assert found["numaprobe_notes", "host"] == 1
    assert found["numaprobe_notes", "memory"] == 0
