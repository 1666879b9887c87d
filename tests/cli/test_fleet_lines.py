"""``numaprobe fleet``: what each action passes on, and what it says; the ledger itself is tested in tests/contrib."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from argparse import ArgumentParser, Namespace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from commands import complaint
from hosts import GIB, MIB, host

from numaprobe import Plan, place
from numaprobe.cli import fleet, main
from numaprobe.cli.fleet_options import agent_options, fleet_options

pytest.importorskip("keystoneauth1", reason="needs numaprobe[openstack]")

from numaprobe.contrib.openstack.overview import Shape
from numaprobe.contrib.openstack.publish import Report
from numaprobe.version import SCHEMA

# By import_module, because the package has functions of the same names.
choose, claims, embedded, hosts, many, members, overview, publish, room, session = (
    import_module(f"numaprobe.contrib.openstack.{name}")
    for name in (
        "choose", "claims", "embedded", "hosts", "many", "members", "overview", "publish", "room", "session",
    )
)  # fmt: skip


def said(*words: object) -> str:
    """Standard output of a command that succeeds."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(["fleet", *map(str, words)]) == 0
    return out.getvalue()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What was done to the ledger, which is one that is named and never asked."""
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(fleet, "ledger", lambda options: calls.append(("ledger", options.placement)) or "client")
    monkeypatch.setattr(fleet, "connect", lambda options: lambda: ("client of", options.placement))
    return calls


URL = ("--placement", "http://ledger")


def plan(cells: int = 1) -> Plan:
    return place(host([GIB] * cells), vcpus=2, memory=128 * MIB, reserve=0)


def choice(name: str, number: int = 0) -> Any:
    whole = plan()
    return SimpleNamespace(name=name, plan=whole, amounts={number: {"VCPU": 2, "MEMORY_MB": 128}})


def chosen(*names: str, **refusals: str) -> Any:
    return SimpleNamespace(choices=tuple(choice(name) for name in names), refusals=refusals)


def reasons() -> str:
    return "".join(f"  {reason}\n" for reason in plan().reasons)


@pytest.fixture
def chooses(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What ``choose`` answers next, after which it has what it was asked."""
    answers: list[Any] = []

    def answer(fleet: Any, room: Any, request: Any) -> Any:
        found = answers.pop()
        answers.append((fleet, room, request))
        return found

    monkeypatch.setattr(choose, "choose", answer)
    monkeypatch.setattr(choose, "known", lambda found: ("known", found))
    monkeypatch.setattr(room, "room_for", lambda client, request: ("room", client, request.vcpus))
    monkeypatch.setattr(members, "read", lambda word: SimpleNamespace(name=word.partition("=")[0]))
    return answers


@pytest.mark.parametrize(
    ("names", "refusals", "rest"),
    [
        (("a",), {}, ""),
        (("a", "b"), {"c": "full"}, "or b, cell 0: 128 MiB on cell 0\n1 host without room\n"),
        (tuple("abcde"), {}, "".join(f"or {name}, cell 0: 128 MiB on cell 0\n" for name in "bcde")),
        (tuple("abcdef"), {}, "".join(f"or {name}, cell 0: 128 MiB on cell 0\n" for name in "bcde") + "or 1 other host\n"),
        (
            tuple("abcdefg"),
            {"x": "full", "y": "full"},
            "".join(f"or {name}, cell 0: 128 MiB on cell 0\n" for name in "bcde")
            + "or 2 other hosts\n2 hosts without room\n",
        ),
    ],
)  # fmt: skip
def test_the_best_host_is_said_with_its_reasons_and_four_others_by_name(
    made: list[Any], chooses: list[Any], names: tuple[str, ...], refusals: dict[str, str], rest: str
) -> None:
    """Of more hosts only their number matters."""
    chooses.append(chosen(*names, **refusals))
    out = said("place", "h1=x", "h2=y", "--vcpus", 2, "--memory", "128M", *URL)
    assert out == f"a, cell 0: 128 MiB on cell 0\n{reasons()}{rest}"
    assert reasons()
    assert made == [("ledger", "http://ledger")]
    ((_, found), asked_room, request) = chooses[0]
    assert [one.name for one in found] == ["h1", "h2"]
    assert asked_room == ("room", "client", 2)
    assert (request.vcpus, request.memory) == (2, 128 * MIB)


def test_a_choice_as_a_document_has_the_others_and_the_refusals(made: list[Any], chooses: list[Any]) -> None:
    """The plan is that of ``numaprobe place``; what it takes of the ledger is by cell."""
    chooses.append(chosen("a", "b", c="full"))
    document = json.loads(said("place", "h1=x", "--vcpus", 2, "--memory", "128M", "--json", *URL))
    assert document == {
        "schema": SCHEMA,
        "fits": True,
        "host": "a",
        "plan": json.loads(json.dumps(plan().to_dict())),
        "takes": {"0": {"VCPU": 2, "MEMORY_MB": 128}},
        "claim": None,
        "others": [{"host": "b", "cells": [0]}],
        "refused": {"c": "full"},
    }


def test_a_guest_that_fits_nowhere_has_the_first_eight_reasons(
    made: list[Any], chooses: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """The document has them all, and the status is that of a guest that does not fit."""
    refusals = {f"h{number}": f"full {number}" for number in range(9)}
    words = ["fleet", "place", "h1=x", "--vcpus", "2", "--memory", "128M", *URL]
    chooses.append(chosen(**refusals))
    assert main([*words, "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert document == {"schema": SCHEMA, "fits": False, "host": None, "others": [], "refused": refusals}
    chooses[:] = [chosen(**refusals)]
    assert main(words) == 3
    found = capsys.readouterr()
    assert found.out == ""
    assert "h0: full 0" in found.err
    assert "h7: full 7" in found.err
    assert "full 8" not in found.err


@pytest.mark.parametrize("as_json", [True, False])
def test_a_claim_is_said_with_its_uuid(
    made: list[Any], chooses: list[Any], monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    """The guest's own uuid is passed on, and nothing is chosen a second time."""
    asked = []

    def claim(client: Any, fleet: Any, request: Any, *, consumer: str | None) -> Any:
        asked.append((client, fleet[0], request.vcpus, consumer))
        return SimpleNamespace(choice=choice("a"), consumer="the-uuid")

    monkeypatch.setattr(claims, "claim", claim)
    more = ["--json"] if as_json else []
    out = said("place", "h1=x", "--vcpus", 2, "--memory", "128M", "--claim", "--uuid", "mine", *more, *URL)
    assert asked == [("client", "known", 2, "mine")]
    if as_json:
        document = json.loads(out)
        assert (document["claim"], document["host"], document["fits"]) == ("the-uuid", "a", True)
        assert "others" not in document
    else:
        assert out == f"a, cell 0: 128 MiB on cell 0\n{reasons()}claimed as the-uuid\n"


def test_hosts_are_published_with_what_was_done(made: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each host's report is a line, with a line for each note; a document has the same."""
    asked: list[Any] = []
    reports = [Report("a", 3, 1, 0, ()), Report("b", 1, 2, 1, ("first\x1b", "second"))]

    def publish_all(connect: Any, found: Any, *, connections: int, **how: Any) -> Any:
        asked.append((connect(), [one.name for one in found], connections, how))
        return iter(reports)

    monkeypatch.setattr(many, "publish_all", publish_all)
    monkeypatch.setattr(members, "read", lambda word: SimpleNamespace(name=word))
    monkeypatch.setattr(members, "live", lambda name: SimpleNamespace(name=f"live {name}"))
    out = said("publish", "a", "b", *URL)
    assert out == (
        "a: published (3 requests, 1 write, 0 guests)\n"
        "b: published (1 request, 2 writes, 1 guest)\n  first\\x1b\n  second\n"
    )
    document = json.loads(
        said("publish", *"abcdef", "--json", "--reserve", "1G", "--cpu-ratio", 2, "--dedicated", *URL)
    )
    assert document == {
        "schema": SCHEMA,
        "hosts": [
            {"name": "a", "requests": 3, "writes": 1, "guests": 0, "notes": []},
            {"name": "b", "requests": 1, "writes": 2, "guests": 1, "notes": ["first\x1b", "second"]},
        ],
    }
    said("publish", "--name", "me", "--directory", "there")
    plain = {"reserve": None, "cpu_ratio": 1.0, "cpu_class": "VCPU"}
    assert asked == [
        (("client of", "http://ledger"), ["a", "b"], 2, plain),
        (("client of", "http://ledger"), list("abcdef"), 4, {"reserve": GIB, "cpu_ratio": 2.0, "cpu_class": "PCPU"}),
        (("client of", None), ["live me"], 1, plain),
    ]
    assert made == [("ledger", "http://ledger"), ("ledger", "http://ledger"), ("ledger", None)]


@pytest.mark.parametrize(("ratio", "good"), [(0.01, True), (1000, True), (0.0099, False), (1000.1, False), (0, False)])
def test_a_ratio_of_vcpus_is_from_a_hundredth_to_a_thousand(ratio: float, good: bool) -> None:
    """Another one is a slip."""
    options = Namespace(cpu_ratio=ratio, reserve=None, dedicated=False)
    if good:
        assert fleet.publishing(options)["cpu_ratio"] == ratio
    else:
        with pytest.raises(ValueError, match=f"--cpu-ratio must be from 0.01 to 1000, not {ratio}"):
            fleet.publishing(options)


def test_claims_are_given_back_by_name_or_by_age(made: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a stale one was and how old it is, is said."""
    asked: list[Any] = []
    stale = [SimpleNamespace(consumer="c1", age=1234.6, where=("h cell 0", "h cell 1"))]

    def release_stale(client: Any, *, older_than: float, hosts: Any) -> Any:
        asked.append((client, older_than, hosts))
        return stale

    monkeypatch.setattr(claims, "release", lambda client, one: asked.append((client, one)))
    monkeypatch.setattr(claims, "release_stale", release_stale)
    assert said("release", "c1", "c2", *URL) == "released c1\nreleased c2\n"
    assert json.loads(said("release", "c3", "--json", *URL)) == {"schema": SCHEMA, "released": [{"claim": "c3"}]}
    assert said("release", "--stale", *URL) == "released c1 (h cell 0, h cell 1, 1235 s old)\n"
    assert json.loads(said("release", "--stale", "--older-than", 7, "--host", "h", "--json", *URL)) == {
        "schema": SCHEMA,
        "released": [{"claim": "c1", "age": 1234.6, "where": ["h cell 0", "h cell 1"]}],
    }
    stale.clear()
    assert said("release", "--stale", *URL) == "no stale claims\n"
    assert asked == [
        ("client", "c1"), ("client", "c2"), ("client", "c3"), ("client", 900.0, None), ("client", 7.0, ["h"]),
        ("client", 900.0, None),
    ]  # fmt: skip


def test_hosts_are_shown_with_what_is_left_of_each_class(made: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A host without room, or one that is set aside, has a row of its own; shapes are counted below."""
    asked = []
    document = {
        "schema": SCHEMA,
        "hosts": [
            {"name": "a", "cells": [{"cell": 0, "capacity": {"VCPU": 8, "MEMORY_MB": 1000},
                                     "used": {"VCPU": 3, "MEMORY_MB": 0}}]},
            {"name": "b", "cells": None},
            {"name": "c", "cells": []},
        ],
        "shapes": [{"vcpus": 2, "memory": GIB, "fits": 5, "stranded": 3 * MIB}],
    }  # fmt: skip

    def over(client: Any) -> Any:
        return SimpleNamespace(document=lambda shapes: asked.append((client, shapes)) or document)

    monkeypatch.setattr(overview, "overview", over)
    assert said("show", "--shape", "2x1G", *URL).splitlines() == [
        "host  cell  class                     offered  held  left",
        "a        0  VCPU                            8     3     5",
        "a        0  MEMORY_MB                    1000     0  1000",
        "b        -  no memory left, or stale        -     -     -",
        "5 more of 2 vcpus and 1 GiB fit; 3 MiB are left that none of them can use",
    ]
    assert json.loads(said("show", "--json", *URL)) == document
    assert asked == [("client", [Shape(2, GIB)]), ("client", [])]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1x1", (1, 1)), ("8x32G", (8, 32 * GIB)), ("65535x1M", (65535, MIB)), ("65536x1M", None), ("0x1M", None),
        ("x1M", None), ("8", None), ("8x0", None), ("²x1M", None), ("-1x1M", None),
    ],
)  # fmt: skip
def test_a_shape_is_a_number_of_vcpus_and_a_size(text: str, found: tuple[int, int] | None) -> None:
    """At least one of each, and fewer vcpus than any host can have."""
    if found is None:
        with pytest.raises(ValueError, match=f"not a shape: '{text}' "):
            fleet._shape(text)
    else:
        assert fleet._shape(text) == Shape(*found)


def test_hosts_are_set_aside_after_so_many_minutes(made: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were are said with their age, where it is known."""
    asked = []
    seen = [hosts.Seen("a", 99.6, True), hosts.Seen("b", None, True), hosts.Seen("c", 5.0, False)]

    def set_aside(client: Any, *, older_than: float) -> Any:
        asked.append((client, older_than))
        return seen

    monkeypatch.setattr(hosts, "set_aside", set_aside)
    assert said("set-aside", "--minutes", 1.5, *URL) == (
        "a is set aside (published 100 s ago)\nb is set aside (published - s ago)\n2 of 3 hosts set aside\n"
    )
    assert json.loads(said("set-aside", "--minutes", 2, "--json", *URL)) == {
        "schema": SCHEMA,
        "hosts": [
            {"name": "a", "age": 99.6, "stale": True}, {"name": "b", "age": None, "stale": True},
            {"name": "c", "age": 5.0, "stale": False},
        ],
    }  # fmt: skip
    assert asked == [("client", 90.0), ("client", 120.0)]
    assert "--minutes must be above 0" in complaint(2, "fleet", "set-aside", "--minutes", 0, *URL)


def test_hosts_are_unpublished_by_name(made: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with the number of providers that were removed."""
    monkeypatch.setattr(hosts, "unpublish", lambda client, name: {"a": 3, "b": 1}[name])
    assert said("unpublish", "a", "b", *URL) == "a: 3 providers removed\nb: 1 provider removed\n"


def test_a_fleet_is_tried_with_a_guest_of_two_vcpus(
    chooses: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The ledger is checked before anything is written to it, and its folder is said for the next command."""
    done: list[Any] = []

    class Client:
        def check(self) -> None:
            done.append("checked")

    monkeypatch.setitem(
        sys.modules, "numaprobe.contrib.openstack.examples", SimpleNamespace(examples=lambda: ["example"])
    )
    monkeypatch.setattr(embedded, "embedded", lambda directory: done.append(directory) or Client())
    monkeypatch.setattr(publish, "publish", lambda _, one: done.append(one) or Report("it", 1, 1, 0, ()))
    for words, published in (
        ((), ["example"]),
        (("h1=x", "h2=y"), [SimpleNamespace(name="h1"), SimpleNamespace(name="h2")]),
    ):
        chooses[:] = [chosen()]
        done.clear()
        out = said("try", *words, "--directory", tmp_path / "a b")
        assert done == [str(tmp_path / "a b"), "checked", *published]
        assert out == (
            "it: published (1 request, 1 write, 0 guests)\n" * len(published)
            + "\nWhere does a guest of 2 vcpus and 128 MiB fit?\nnowhere\n"
            + f"\nThe ledger is in {tmp_path / 'a b'}: numaprobe fleet show --directory '{tmp_path / 'a b'}'\n"
        )
        request = chooses[0][2]
        assert (request.vcpus, request.memory, request.nearest) == (2, 128 * MIB, True)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("place", "h=x", "--vcpus", 1, "--memory", "1G", "--uuid", "u"), "--uuid requires --claim"),
        (("place", "h=x", "--vcpus", 1, "--memory", "1G", "--away-from", "g"), "--away-from and --together-with are for one"),
        (("place", "h=x", "--vcpus", 1, "--memory", "1G", "--together-with", "g"), "--away-from and --together-with are"),
        (("release",), "release takes the uuids of claims, or --stale"),
        (("release", "c", "--stale"), "release takes the uuids of claims, or --stale"),
        (("release", "c", "--host", "h"), "--host requires --stale"),
        (("publish", "h=x", "--name", "n"), "--name is for this host; name others as NAME=FILE"),
    ],
)  # fmt: skip
def test_options_that_do_not_go_together_are_refused(made: list[Any], words: tuple[Any, ...], text: str) -> None:
    """Before the ledger is asked."""
    assert text in complaint(2, "fleet", *words, *URL)
    assert made == []


@pytest.mark.parametrize(
    ("options", "environment", "client"),
    [
        ({"directory": "there"}, {}, ("embedded", "there")),
        ({"placement": "http://x"}, {}, ("at", "http://x")),
        ({"os_cloud": "mine"}, {}, ("cloud", "mine", None)),
        ({"os_cloud": "mine", "os_region_name": "r"}, {}, ("cloud", "mine", "r")),
        ({}, {"OS_CLOUD": "env"}, ("cloud", None, None)),
        ({}, {"OS_AUTH_URL": "http://y"}, ("cloud", None, None)),
        ({}, {}, None),
    ],
)
def test_the_ledger_is_the_one_that_is_named(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, str], environment: dict[str, str], client: Any
) -> None:
    """By an option, or by the environment as other clients of OpenStack read it."""
    for name in ("OS_CLOUD", "OS_AUTH_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(embedded, "embedded", lambda directory: ("embedded", directory))
    monkeypatch.setattr(session, "at", lambda url: ("at", url))
    monkeypatch.setattr(session, "cloud", lambda name, *, region: ("cloud", name, region))
    given = Namespace(**{"directory": None, "placement": None, "os_cloud": None, "os_region_name": None, **options})
    if client is None:
        with pytest.raises(ValueError, match="no ledger: use"):
            fleet.connect(given)
    else:
        assert fleet.connect(given)() == client


def test_what_is_not_said_of_a_fleet_has_its_default() -> None:
    """As the pages have them."""
    parser = ArgumentParser()
    agent_options(parser)
    assert vars(parser.parse_args([])) == {
        "fleet": False, "fleet_name": None, "fleet_interval": 60.0, "reserve": None, "cpu_ratio": 1.0,
        "dedicated": False, "os_cloud": None, "placement": None, "directory": None, "os_region_name": None,
    }  # fmt: skip
    parser = ArgumentParser()
    fleet_options(parser)
    found = vars(parser.parse_args(["release"]))
    assert (found["older_than"], found["stale"], found["host"], found["claims"]) == (900.0, False, None, [])
    found = vars(parser.parse_args(["publish"]))
    assert (found["hosts"], found["name"], found["cpu_ratio"], found["dedicated"]) == ([], None, 1.0, False)
    for wrong in (["place"], ["set-aside"], ["unpublish"], []):
        with pytest.raises(SystemExit), contextlib.redirect_stderr(io.StringIO()):
            parser.parse_args(wrong)


def test_this_host_is_the_only_one_unless_others_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of one name are refused, because each is one provider."""
    monkeypatch.setattr(members, "live", lambda name: SimpleNamespace(name=f"live {name}"))
    monkeypatch.setattr(members, "read", lambda word: SimpleNamespace(name=word))
    assert [one.name for one in fleet.members([], "me")] == ["live me"]
    assert [one.name for one in fleet.members([])] == ["live None"]
    assert [one.name for one in fleet.members(["a", "b"])] == ["a", "b"]
    with pytest.raises(ValueError, match="two hosts are named a: name them, as in NAME=FILE"):
        fleet.members(["a", "b", "a"])
