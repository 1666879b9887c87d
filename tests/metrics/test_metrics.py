"""The table of metrics: names, units, what is unknown, and the texts that are made of it."""

from __future__ import annotations

import json
import re

import pytest
from hosts import GIB, MIB, cell, host, made
from hypothesis import given
from hypothesis import strategies as st
from metrics_data import DATA, ROOT, domain, expressions_of_dashboard

from numaprobe import Domain, HugePages, Hypervisor, PlacementSample, Traffic, Usable, UsablePages, Vcpu, export
from numaprobe.metrics import BY_NAME, METRICS
from numaprobe.metrics.rows import (
    counter_rows,
    domain_rows,
    host_rows,
    huge_page_rows,
    meminfo_rows,
    memory_rows,
    topology_rows,
    traffic_rows,
    usable_rows,
)
from numaprobe.model.domains import Domains
from numaprobe.sampling.values import Counters

# --- the table ---


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.short)
def test_a_name_is_built_as_prometheus_wants_it(metric) -> None:
    """Own prefix, base unit at the end, _total at the end of counters only, _info at that of infos only."""
    assert re.fullmatch(r"numaprobe(_[a-z]+)+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert metric.name.endswith("_info") == (metric.kind == "info")
    assert metric.kind in ("gauge", "counter", "info")
    if metric.unit:
        assert metric.family.endswith(f"_{metric.unit}")
    assert metric.help.endswith(".")
    assert "node" in metric.labels or not metric.name.startswith("numaprobe_memory_") or "claimed" in metric.name


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.short)
def test_the_name_for_opentelemetry_translates_to_the_one_for_prometheus(metric) -> None:
    """Dots become underscores, the unit's word and _total are appended; units in braces have no word."""
    translated = metric.dotted.replace(".", "_")
    translated += {"By": "_bytes", "s": "_seconds"}.get(metric.ucum, "")
    translated += "_total" if metric.kind == "counter" else ""
    assert translated == metric.name
    assert metric.ucum in ("", "By", "s") or re.fullmatch(r"\{[a-z]+\}", metric.ucum)


def test_names_are_unique() -> None:
    """Two metrics of one name would be merged by Prometheus or refused by OpenTelemetry."""
    assert len(BY_NAME) == len(METRICS) == len({metric.dotted for metric in METRICS})


def test_the_page_lists_every_metric_and_nothing_else() -> None:
    """The table in the docs is compared line by line with the one in the code."""
    page = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `numaprobe_")]
    assert rows == [
        f"| `{m.name}` | {m.kind} | {', '.join(f'`{label}`' for label in m.labels) or '-'} | {m.help} "
        f"| `{m.dotted}`, {f'`{m.ucum}`' if m.ucum else '-'} |"
        for m in METRICS
    ]
    assert set(re.findall(r"\bnumaprobe_[a-z_]+", page)) <= BY_NAME.keys()


def test_every_label_is_explained_on_the_page() -> None:
    """People write queries by labels, so each has a row of its own."""
    page = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    explained = {
        word
        for line in page.splitlines()
        if re.match(r"\| `[a-z]", line)
        for word in re.findall("`([a-z_]+)`", line.split("|")[1])
    }
    assert {label for metric in METRICS for label in metric.labels} <= explained


# --- rules and dashboard ---


def named_in(text: str) -> set[str]:
    """Metrics in an expression, without the rules' own, which have colons."""
    return {name for name in re.findall(r"[a-zA-Z_:]*numaprobe_[a-zA-Z_:]+", text) if ":" not in name}


def test_rules_and_panels_ask_for_metrics_that_exist() -> None:
    """Prometheus answers a query for a misspelt metric with nothing at all, and an alert on it never fires."""
    rules = (DATA / "rules.yml").read_text("utf-8")
    recorded = set(re.findall(r"record: (\S+)", rules))
    used = set(re.findall(r"[a-z_]+:numaprobe_[a-z_]+:[a-z0-9_]+", rules))
    assert used == recorded
    asked = named_in(re.sub(r"[a-z_]+:numaprobe_[a-z_]+:[a-z0-9_]+|numaprobe-[a-z]+", "", rules))
    assert asked
    assert asked <= BY_NAME.keys()
    expressions = expressions_of_dashboard()
    assert len(expressions) > 15
    for expression in expressions:
        assert named_in(expression)
        assert named_in(expression) <= BY_NAME.keys(), expression


def test_panels_group_and_filter_by_labels_that_the_metrics_have() -> None:
    """A filter by a label that does not exist matches no series, and the panel stays empty."""
    for expression in expressions_of_dashboard():
        for name, matchers in re.findall(r"(numaprobe_[a-z_]+)\{([^}]*)\}", expression):
            labels = set(re.findall(r"([a-z]+)=~", matchers)) - {"job", "instance"}
            assert labels <= set(BY_NAME[name].labels), expression


def test_the_dashboard_has_variables_for_source_instance_and_cell() -> None:
    """Panels fit Grafana's 24 columns, have ids of their own and use no undeclared variable."""
    dashboard = json.loads((DATA / "dashboard.json").read_text("utf-8"))
    names = [variable["name"] for variable in dashboard["templating"]["list"]]
    assert names == ["datasource", "job", "instance", "node"]
    for variable in dashboard["templating"]["list"][1:]:
        assert named_in(variable["definition"]) <= BY_NAME.keys()
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
    text = json.dumps(panels)
    assert set(re.findall(r"\$\{?([a-z]+)", text)) == {"datasource", "job", "instance", "node"}


# --- rows ---


def test_a_cell_has_its_memory_in_bytes_under_its_own_id() -> None:
    """The label is the id, 4, and not the position, 0."""
    rows = memory_rows([(4, 1000, 300)])
    assert rows == {
        "numaprobe_memory_total_bytes": [(("4",), 1000)],
        "numaprobe_memory_free_bytes": [(("4",), 300)],
        "numaprobe_memory_used_bytes": [(("4",), 700)],
    }


def test_what_is_unknown_has_no_row_and_nothing_is_a_fact() -> None:
    """A memoryless node has a total of 0, an unreadable one no series."""
    assert memory_rows([(0, None, 5), (1, 0, 0)]) == {
        "numaprobe_memory_total_bytes": [(("1",), 0)],
        "numaprobe_memory_free_bytes": [(("0",), 5), (("1",), 0)],
        "numaprobe_memory_used_bytes": [(("1",), 0)],
    }
    assert memory_rows([(0, None, None)]) == {}


def test_huge_pages_are_in_bytes() -> None:
    """Prometheus wants base units, so counts are multiplied by the page's size; an unknown surplus has no row."""
    rows = huge_page_rows([(1, (HugePages(2 * MIB, 3, 1, None), HugePages(GIB, 2, 0, 1)))])
    assert rows == {
        "numaprobe_huge_pages_total_bytes": [(("1", "2097152"), 6 * MIB), (("1", "1073741824"), 2 * GIB)],
        "numaprobe_huge_pages_free_bytes": [(("1", "2097152"), 2 * MIB), (("1", "1073741824"), 0)],
        "numaprobe_huge_pages_surplus_bytes": [(("1", "1073741824"), GIB)],
    }


def test_counters_that_the_kernel_does_not_print_are_left_out() -> None:
    """A counter of 0 is a series, None is not, nor is a cell without any."""
    assert counter_rows([(0, Counters(7, 0, None, None, None, None)), (1, None)]) == {
        "numaprobe_numa_hit_pages_total": [(("0",), 7)],
        "numaprobe_numa_miss_pages_total": [(("0",), 0)],
    }


def test_a_host_gives_its_topology_and_memory() -> None:
    """The default set: series for each CPU and for Xen's claims are not in it."""
    machine = host([2 * GIB, GIB], cpus=4, distances={0: [10, 21], 1: [31, 10]})
    rows = host_rows(machine)
    assert rows["numaprobe_distance"] == [(("0", "0"), 10), (("0", "1"), 21), (("1", "0"), 31), (("1", "1"), 10)]
    assert rows["numaprobe_memory_free_bytes"] == [(("0",), 2 * GIB), (("1",), GIB)]
    assert rows["numaprobe_node_info"] == [(("0", "", ""), 1), (("1", "", ""), 1)]
    assert rows["numaprobe_host_info"][0][0][:3] == ("linux", "", "")
    assert "numaprobe_cpu_info" not in rows
    assert "numaprobe_memory_claimed_bytes" not in rows
    assert rows.keys() <= BY_NAME.keys()


def test_a_distance_that_is_missing_and_a_cell_whose_cpus_are_unknown_have_no_row() -> None:
    """A cell of 0 CPUs would look like a memory expander."""
    machine = host([GIB, GIB])
    cells = (cell(0, GIB, [0], {0: 10, 1: None}), cell(1, GIB, [])._replace(cpus=None))
    rows = host_rows(machine._replace(cells=cells))
    assert rows["numaprobe_distance"] == [(("0", "0"), 10)]
    assert rows["numaprobe_cpus"] == [(("0",), 1)]


def test_distances_grow_with_the_square_and_end_at_64_cells_unless_asked_for() -> None:
    """65 cells are the first that are left out; True and False override the limit both ways."""
    one = host([GIB])
    wide = one._replace(cells=tuple(cell(i, GIB, [], {i: 10}) for i in range(65)))
    assert "numaprobe_distance" not in host_rows(wide)
    assert len(host_rows(wide, distances=True)["numaprobe_distance"]) == 65
    assert len(host_rows(wide._replace(cells=wide.cells[:64]))["numaprobe_distance"]) == 64
    assert "numaprobe_distance" not in host_rows(one, distances=False)


def test_claims_are_of_the_whole_host_and_only_xen_tells_them() -> None:
    """Xen does not say on which node it will take claimed memory, so there is no node label."""
    machine = host([GIB])._replace(source="xen", hypervisor=Hypervisor("xen", "4.17.7", None, None, 4096))
    rows = host_rows(machine)
    assert rows["numaprobe_memory_claimed_bytes"] == [((), 4096)]
    assert rows["numaprobe_host_info"][0][0][:3] == ("xen", "xen", "4.17.7")


def test_domains_are_placed_where_that_is_known() -> None:
    """A guest whose memory is nowhere attributed has only unplaced bytes, and no row of 0 for any cell."""
    rows = domain_rows(
        [
            domain(3, "web", cells=((0, 100), (1, 0)), unplaced=7, vcpus=2, memory=107),
            domain(4, None, cells=None, unplaced=50, memory=50, claimed=9, maximum=64, uuid="1-2"),
        ]
    )
    assert rows == {
        "numaprobe_domains": [((), 2)],
        "numaprobe_omitted_domains": [((), 0)],
        "numaprobe_domain_memory_bytes": [(("3", "web", "0"), 100), (("3", "web", "1"), 0)],
        "numaprobe_domain_unplaced_memory_bytes": [(("3", "web"), 7), (("4", ""), 50)],
        "numaprobe_domain_claimed_memory_bytes": [(("4", ""), 9)],
        "numaprobe_domain_configured_memory_bytes": [(("4", ""), 64)],
        "numaprobe_domain_vcpus": [(("3", "web"), 2)],
        "numaprobe_domain_info": [(("3", "web", "", "hvm"), 1), (("4", "", "1-2", "hvm"), 1)],
    }


def test_fields_of_meminfo_keep_the_kernel_s_names() -> None:
    """As a label value Active(anon) needs no translation, and documentation of the kernel applies."""
    rows = meminfo_rows([(0, (("AnonPages", 4096), ("Active(anon)", 0))), (1, None)])
    assert rows == {"numaprobe_meminfo_bytes": [(("0", "AnonPages"), 4096), (("0", "Active(anon)"), 0)]}


def test_what_is_usable_has_a_row_where_it_is_known() -> None:
    """A cell or page size of unknown figures has no row at all; pages are turned into bytes."""
    pages = (UsablePages(size=2 << 20, now=3), UsablePages(size=GIB))
    machine = host([GIB, GIB])
    known = machine.cells[0]._replace(usable=Usable(ordinary=7, pinned=5, pages=pages))
    rows = usable_rows(machine._replace(cells=(known, machine.cells[1]._replace(usable=Usable()))))
    assert rows == {
        "numaprobe_memory_usable_bytes": [(("0", "ordinary"), 7), (("0", "pinned"), 5)],
        "numaprobe_huge_pages_allocatable_bytes": [(("0", str(2 << 20)), 6 << 20)],
    }


def test_traffic_is_counted_by_group_cache_and_cell() -> None:
    """Unknown counters have no row, and the number of groups is limited as that of domains is."""
    rows = traffic_rows([Traffic("", 0, 1, 4096, 100, 60), Traffic("mon_groups/vm", 3)])
    assert rows == {
        "numaprobe_traffic_bytes_total": [(("", "0", "1"), 100)],
        "numaprobe_traffic_local_bytes_total": [(("", "0", "1"), 60)],
        "numaprobe_cache_occupancy_bytes": [(("", "0", "1"), 4096)],
    }
    many = [Traffic(f"g{number:03}", 0, None, 1) for number in range(200)]
    assert len(traffic_rows(many, 7)["numaprobe_cache_occupancy_bytes"]) == 7


def test_an_estimate_has_its_margin_next_to_it() -> None:
    """A placement may come from a sample of pages, and a graph without its error bar would look exact."""
    sample = PlacementSample(pages=1024, confidence=0.95, margins=((0, 3), (1, 4)))
    rows = domain_rows([domain(3, "web", cells=((0, 100), (1, 0)), memory=100, unplaced=0)._replace(sample=sample)])
    assert rows["numaprobe_domain_memory_margin_bytes"] == [(("3", "web", "0"), 3), (("3", "web", "1"), 4)]


def test_pinned_cpus_are_counted_by_cell_where_the_vcpus_are_known() -> None:
    """A vcpu with one CPU has it for itself; one that floats has none; an unknown affinity leaves no row."""
    machine = host([GIB, GIB], cpus=4)

    def guest(number: int, *cpus: tuple[int, ...] | None) -> Domain:
        return domain(number, each_vcpu=tuple(made(Vcpu, id=i, online=True, cpus=some) for i, some in enumerate(cpus)))

    pinned = guest(1, (0,), (1,), (5,))
    floating = guest(2, (0, 1, 2, 3), (0, 1, 2, 3))
    rows = domain_rows([pinned, floating, guest(3, (0,), None), domain(4)], host=machine)
    assert rows["numaprobe_domain_pinned_cpus"] == [
        (("1", "", "0"), 2),
        (("1", "", "1"), 1),
        (("2", "", "0"), 0),
        (("2", "", "1"), 0),
    ]


def test_domains_beyond_the_limit_are_counted() -> None:
    """A host of thousands of guests must not flood the database, and the omission itself is a metric."""
    rows = domain_rows([domain(i, cells=((0, 1),), unplaced=0) for i in range(5)], limit=2)
    assert rows["numaprobe_domains"] == [((), 5)]
    assert rows["numaprobe_omitted_domains"] == [((), 3)]
    assert [labels[0] for labels, _ in rows["numaprobe_domain_memory_bytes"]] == ["0", "1"]


def test_metrics_say_whether_the_domains_are_all_of_them() -> None:
    """A scrape from which guests are missing must not look like a host without them."""
    assert domain_rows(Domains(complete=False))["numaprobe_domains_complete"] == [((), 0)]


@given(st.text(min_size=1, max_size=400) | st.text(st.characters(categories=["Cs", "Cc", "Zl"]), min_size=1))
def test_a_name_of_a_guest_cannot_break_a_format(name: str) -> None:
    """Lone surrogates, newlines, quotes, backslashes, and names without an end."""
    from prometheus_client.exposition import generate_latest
    from prometheus_client.openmetrics.exposition import generate_latest as open_latest
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    from numaprobe.metrics.prometheus import Collected, families

    rows = domain_rows([domain(1, name, vcpus=1)])
    ((labels, _),) = rows["numaprobe_domain_vcpus"]
    assert len(labels[1]) <= 200
    assert labels[1].isprintable()
    assert not name.isprintable() or labels[1] == name[:200]
    plain = generate_latest(Collected(families(rows))).decode("utf-8")
    assert plain.count("\n") == sum(2 + len(values) for values in rows.values())
    read = text_string_to_metric_families(open_latest(Collected(families(rows))).decode("utf-8"))
    found = {sample.name: sample for family in read for sample in family.samples}
    assert found["numaprobe_domain_vcpus"].labels == {"domain": "1", "name": labels[1]}


# --- exports ---


def test_collectd_gets_a_value_for_each_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Host name and interval come from collectd's environment; a slash in the name would start another field."""
    monkeypatch.setenv("COLLECTD_HOSTNAME", "db 1/x")
    monkeypatch.setenv("COLLECTD_INTERVAL", "30")
    lines = export.render(host([GIB, None], distances={0: [10, 21], 1: [31, 10]}), "collectd").splitlines()
    assert 'PUTVAL "db_1_x/numaprobe-node0/gauge-memory_free_bytes" interval=30.000 N:1073741824' in lines
    assert 'PUTVAL "db_1_x/numaprobe-node1/gauge-distance-0" interval=30.000 N:31' in lines
    assert not [line for line in lines if "node1/gauge-memory_free" in line]


@pytest.mark.parametrize("interval", ["0", "-1", "nan", "inf", "soon"])
def test_an_interval_of_collectd_that_is_none_is_refused(interval: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is quoted in the message, as it comes from outside of the command line."""
    monkeypatch.setenv("COLLECTD_INTERVAL", interval)
    with pytest.raises(ValueError, match=f"COLLECTD_INTERVAL.*{interval}"):
        export.render(host([GIB]), "collectd")


def test_telegraf_gets_a_line_for_each_set_of_labels() -> None:
    """Commas, spaces and equals signs are escaped as line protocol requires, integers end in i."""
    machine = host([GIB])._replace(hypervisor=Hypervisor("xen", "4.17, a=b c\\", None, None, 5))
    lines = export.render(machine, "telegraf").splitlines()
    assert any(
        line.startswith("numaprobe,source=linux,hypervisor=xen,hypervisor_version=4.17\\,\\ a\\=b\\ c,")
        for line in lines
    )
    assert "numaprobe memory_claimed_bytes=5i" in lines
    (memory,) = [line for line in lines if "memory_free_bytes" in line]
    assert memory.startswith("numaprobe,node=0 ")
    assert "memory_free_bytes=1073741824i" in memory


def test_prometheus_without_its_client_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """From Python a ModuleNotFoundError, from the command one line and status 2."""
    import sys

    from commands import complaint

    monkeypatch.setitem(sys.modules, "prometheus_client.exposition", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'numaprobe\[prometheus\]'"):
        export.render(host([GIB]), "prometheus")
    words = ("export", "prometheus", "--recording", ROOT / "tests/fixtures/two-nodes-threads/host.tar.gz")
    line = complaint(2, *words)
    assert line == "numaprobe: export prometheus needs prometheus-client: pip install 'numaprobe[prometheus]'\n"


@pytest.mark.parametrize(("count", "given"), [(64, True), (65, False)])
def test_distances_are_left_out_above_64_cells_unless_requested(count: int, given: bool) -> None:
    """Their number grows with the square."""
    machine = host([GIB] * count, cpus=1)
    assert ("numaprobe_distance" in topology_rows(machine)) is given
    assert "numaprobe_distance" in topology_rows(machine, distances=True)
