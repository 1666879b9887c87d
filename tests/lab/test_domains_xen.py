"""Domains inside real control domains, beside xl of the same release and the debug key's own figures."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import pytest

import numaprobe

from .guest import Boot, Result
from .guests_xen import GUESTS, HOSTS, script

PAGE, MIB = 4096, 1 << 20


BOOTS = [Boot(host, partial(script, host)) for host in HOSTS]
pytestmark = pytest.mark.parametrize("machine", HOSTS, ids=[host.name for host in HOSTS])


def domains(result: Result, name: str = "domains") -> dict[int, dict[str, Any]]:
    return {domain["id"]: domain for domain in result.json(name)["domains"]}


def located(result: Result) -> dict[int, dict[str, int]]:
    """Bytes by node of every domain, from the last answer to debug key u that xl had."""
    found: dict[int, dict[str, int]] = {}
    for line in result.printed("xl-dmesg").rpartition("'u' pressed")[2].splitlines():
        if domain := re.search(r"(?:Domain |\bd)(\d+) \(total: \d+\):", line):
            found[int(domain[1])] = current = {}
        elif (node := re.search(r"    Node (\d+): (\d+)", line)) and found:
            current[node[1]] = int(node[2]) * PAGE
    return found


def rows(result: Result, name: str) -> list[list[str]]:
    return [line.split() for line in result.printed(name).splitlines()[1:]]


def test_the_guests_were_made(result: Result) -> None:
    """Without them all comparisons below would pass on nothing."""
    for name in GUESTS:
        result.printed(f"create-{name}")
    assert len(domains(result)) == 3


def test_names_memory_vcpus_and_states_are_those_of_xl(result: Result) -> None:
    """``xl list`` has the same domains, and their memory in whole MiB."""
    found = domains(result)
    for name, number, mib, vcpus, state, *_ in rows(result, "xl-list-n"):
        domain = found.pop(int(number))
        assert (domain["name"], domain["memory"] // MIB, domain["vcpus"]) == (name, int(mib), int(vcpus))
        assert domain["state"] == ("paused" if "p" in state else "running")
        assert domain["kind"] == "pv"
    assert found == {}


def test_uuids_are_those_of_xl(result: Result) -> None:
    """The control domain's consists of zeros."""
    for row in rows(result, "xl-list-v"):
        uuid = next(word for word in row if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", word))
        assert (domains(result)[int(row[1])]["uuid"] or "00000000-0000-0000-0000-000000000000") == uuid


def ids(written: str, every: set[int]) -> set[int]:
    """``4-5``, ``0,2`` or ``all``, as xl writes them."""
    if written in ("all", "any"):
        return every
    found: set[int] = set()
    for part in written.split(","):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def test_affinities_of_vcpus_are_those_of_xl(result: Result) -> None:
    """Hard and soft affinity of every vcpu of every domain."""
    every = set(range(result.machine.layout.cpus))
    seen = 0
    for row in rows(result, "xl-vcpu-list"):
        number, vcpu, cpu, state = int(row[1]), int(row[2]), row[3], row[4]
        hard, soft = "".join(row[6:]).split("/")
        found = next(one for one in domains(result)[number]["each_vcpu"] if one["id"] == vcpu)
        assert (set(found["cpus"]), set(found["soft_cpus"])) == (ids(hard, every), ids(soft, every))
        assert found["online"] == ("p" not in state)  # what xl calls paused here is a vcpu that was never brought up
        assert cpu == "-" or found["cpu"] in every
        seen += 1
    assert seen == sum(len(domain["each_vcpu"]) for domain in domains(result).values())


def test_node_affinities_are_those_of_xl(result: Result) -> None:
    """``xl list -n`` has them in its last column."""
    every = set(range(len(result.machine.layout.nodes)))
    for row in rows(result, "xl-list-n"):
        assert set(domains(result)[int(row[1])]["affinity"]["cells"]) == ids(row[-1], every)


def test_the_debug_key_is_read_as_xl_prints_it(result: Result) -> None:
    """Every page of every domain, and the sum is the domain's memory."""
    expected = located(result)
    assert expected
    found = domains(result, "domains-key")
    assert {number: domain["cells"] for number, domain in found.items()} == expected
    for domain in found.values():
        assert domain["unplaced"] == 0
        assert sum(domain["cells"].values()) == domain["memory"]


def test_without_the_key_nothing_is_said_but_what_is_certain(result: Result) -> None:
    """Deduced on a single node, where it is what the debug key says; unknown on two."""
    single = len(result.machine.layout.nodes) == 1
    for number, domain in domains(result).items():
        assert domain["how"] == ("deduced" if single else "unknown")
        assert domain["cells"] == (located(result)[number] if single else None)
    keyed = {domain["how"] for domain in domains(result, "domains-key").values()}
    assert keyed == ({"deduced"} if single else {"debug-key"})


def test_every_cells_columns_add_up(result: Result) -> None:
    """Free, the domains', Xen's own and what cannot be attributed are the cell's total."""
    for name in ("domains", "domains-key"):
        for cell in result.json(name)["cells"]:
            parts = [cell["free"], cell["pooled"], *(one["memory"] for one in cell["domains"])]
            assert sum(parts) + cell["host"] + cell["unattributed"] == cell["total"]
    assert sum(cell["unattributed"] for cell in result.json("domains-key")["cells"]) == 0


def test_the_debug_key_is_refused_for_a_domain_above_the_limit(result: Result) -> None:
    """The control domain is larger than 100 MiB; one line says so and nothing is pressed."""
    assert result.text("domains-limit.status").strip() == "1"
    assert "refused: a domain has" in result.text("domains-limit.stderr")


def test_a_recording_answers_as_the_machine_did(result: Result) -> None:
    """The plain one has all domains, and the anonymous one has them under other names and uuids."""
    result.printed("recorded")
    result.printed("anonymous")
    live = domains(result)
    for name in ("host", "anonymous"):
        recording = result.out / f"{name}.tar.gz"
        found = numaprobe.domains(numaprobe.probe(recording=recording), recording=recording)
        assert [domain.id for domain in found] == list(live)
        for domain in found:
            assert (domain.memory, domain.state, domain.how) == tuple(
                live[domain.id][key] for key in ("memory", "state", "how")
            )
            known = (live[domain.id]["name"], live[domain.id]["uuid"])
            assert ((domain.name, domain.uuid) == known) == (name == "host")
