"""The parts of an agent's module, one by one, with clocks and threads replaced: nothing waits and nothing is read."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from numaprobe import SourceDenied
from numaprobe.contrib import observer, refresher
from numaprobe.contrib.observer import Observer, Reading, _merged, _ProcessState
from numaprobe.contrib.refresher import Answer, Options, Refresher, key_of
from numaprobe.sampling.values import Counters, Shape

MOST = threading.TIMEOUT_MAX


class Clock:
    """A monotonic clock that moves only when it is told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    one = Clock()
    for module in (observer, refresher):
        monkeypatch.setattr(module, "monotonic", one)
    return one


@pytest.mark.parametrize(
    "asked",
    [
        {"interval": MOST},
        {"interval": 0.001},
        {"domains_limit": 0},
        {"patience": 0},
        {"patience": MOST},
        {"max_age": 0},
        {"source": "linux"},
        {"source": "xen"},
        {"root": "/"},
        {"recording": "x"},
    ],
)
def test_arguments_at_their_limits(asked: dict[str, Any]) -> None:
    """Nothing is read before the first reading, so that a recording need not be there yet."""
    assert Observer(**asked)._closed is False


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"interval": 0}, "interval must be a number of seconds above 0, not 0"),
        ({"interval": MOST * 2}, "interval must be a number of seconds above 0"),
        ({"interval": float("nan")}, "interval must be a number of seconds above 0, not nan"),
        ({"domains_limit": -1}, "domains_limit must be at least 0, not -1"),
        ({"patience": -1}, "patience and max_age are seconds and must be at least 0"),
        ({"patience": MOST * 2}, "patience and max_age are seconds and must be at least 0"),
        ({"max_age": -0.1}, "patience and max_age are seconds and must be at least 0"),
        ({"max_age": float("nan")}, "patience and max_age are seconds and must be at least 0"),
        ({"source": "hyperv"}, "source must be auto, linux or xen, not 'hyperv'"),
        ({"root": "/", "recording": "x"}, "root and recording cannot be combined"),
    ],
)
def test_arguments_beyond_their_limits(asked: dict[str, Any], text: str) -> None:
    """At once, and not with the first reading."""
    with pytest.raises(ValueError, match=f"^{text}"):
        Observer(**asked)


def test_what_is_not_said_is_what_the_page_says() -> None:
    """Guests and counters, every 15 seconds; all else on request."""
    options = Observer()._options
    assert options._asdict() == {
        **dict.fromkeys(("root", "recording", "sampled", "distances")),
        **dict.fromkeys(("cpu_info", "meminfo", "vmstat", "usable", "traffic"), False),
        "source": "auto", "domains": True, "domains_limit": options.domains_limit, "counters": True, "interval": 15.0,
    }  # fmt: skip
    assert (Observer()._patience, Observer()._max_age) == (0.5, 0.0)


def state_of(asked: Observer, reads: Callable[..., Reading]) -> None:
    asked._state = _ProcessState(asked._options)
    asked._state.read = reads  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("max_age", "seconds", "again"), [(0.0, 0.0, False), (0.0, 0.1, True), (5.0, 5.0, False), (5.0, 5.1, True)]
)
def test_a_reading_is_shared_until_it_is_too_old(clock: Clock, max_age: float, seconds: float, again: bool) -> None:
    """Those who ask while it is made share it in any case."""
    made: list[tuple[float, bool]] = []
    one = Observer(max_age=max_age, patience=0.25)

    def read(patience: float, *, closed: bool) -> Reading:
        made.append((patience, closed))
        return Reading(rows={}, topology={}, began=clock.now, error=None)

    state_of(one, read)
    first = one.reading()
    clock.now += seconds
    assert (one.reading() is not first) is again
    assert made == [(0.25, False)] * (1 + again)
    one.close()
    assert one.reading() is not first
    assert made[1 + again :] == [(0.25, True)], "a closed one reads, and reports, each time"


def test_a_forked_child_begins_anew_and_keeps_what_it_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Collecting that would wake a thread which the child does not have; nor does it close its parent's files."""
    one = Observer()
    own = os.getpid()
    closed: list[str] = []

    def read(_patience: float, *, closed: bool) -> Reading:
        return Reading(rows={}, topology={}, began=0.0, error=None)

    state_of(one, read)
    parent = one._state
    assert parent is not None
    parent.close = lambda: closed.append("parent")  # type: ignore[method-assign]
    inherited = list(observer._INHERITED)
    monkeypatch.setattr(observer, "_INHERITED", [])
    monkeypatch.setattr(os, "getpid", lambda: own + 1)
    monkeypatch.setattr(_ProcessState, "read", lambda _self, *_, **__: Reading({}, {}, 0.0, None))
    one.close()
    assert closed == []
    one.reading()
    assert one._state is not parent
    assert [parent] == observer._INHERITED
    monkeypatch.undo()
    assert inherited == observer._INHERITED
    one._state = parent
    one.close()
    assert closed == ["parent"]
    Observer().close()


def test_the_thread_is_started_once_and_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by an observer that is closed; what fails is counted and is the answer."""
    one = _ProcessState(Observer()._options)
    calls: list[Any] = []
    one._refresher.start = lambda: calls.append("start")  # type: ignore[method-assign]
    one._refresher.stop = lambda: calls.append("stop")  # type: ignore[method-assign]
    one._refresher.ready = SimpleNamespace(wait=calls.append)  # type: ignore[assignment]
    sampler = SimpleNamespace(close=lambda: calls.append("closed"))

    def fails(**_: Any) -> None:
        raise SourceDenied("x", 13, "no")

    monkeypatch.setattr(observer.numaprobe, "Sampler", lambda *_, **__: SimpleNamespace(**vars(sampler), sample=fails))
    found = one.read(0.5, closed=True)
    assert (str(found.error), calls) == ("the observer is closed", [])
    for failures in (2, 3):
        found = one.read(0.5, closed=False)
        assert isinstance(found.error, SourceDenied)
        assert (found.rows["numaprobe_up"], found.topology) == ([((), 0)], {})
        assert found.rows["numaprobe_scrape_errors_total"] == [
            (("memory",), failures), (("counters",), 0), (("details",), 0), (("host",), 0), (("domains",), 0),
        ]  # fmt: skip
        assert "numaprobe_notes" not in found.rows
        assert found.rows["numaprobe_shape_changes_total"] == [((), 0)]
    assert calls == ["start", 0.5, "closed", "closed"], "the sampler is opened anew each time"
    one.close()
    one._sampler = sampler  # type: ignore[assignment]
    one.close()
    assert calls[4:] == ["stop", "stop", "closed"]


def shape(
    number: int, cells: tuple[int, ...] = (0, 1), since: tuple[int, ...] = (0, 0), cpus: Any = (0,), totals: Any = ()
) -> Shape:
    return Shape(number, cells, since, cpus, totals)


def test_changes_of_the_shape_are_counted(clock: Clock) -> None:
    """Of cells or CPUs also forget what was read before; another sampler's first shape counts if it differs."""
    one = _ProcessState(Observer()._options)
    hurried: list[float] = []
    one._refresher.hurry = lambda: hurried.append(clock.now)  # type: ignore[method-assign]
    first, second = object(), object()

    def compare(sampler: Any, found: Shape) -> tuple[int, int, float]:
        clock.now += 1
        one._compare(sampler, found)
        return one._changes, len(hurried), one._changed_at

    start = shape(0)
    assert compare(first, start) == (0, 0, float("-inf"))
    assert compare(first, start) == (0, 0, float("-inf"))
    assert compare(first, shape(2, totals=(5,))) == (2, 0, float("-inf")), "memory alone"
    assert compare(first, shape(3, cpus=(0, 1))) == (3, 1, clock.now)
    assert compare(first, shape(4, cells=(0, 2), cpus=(0, 1))) == (4, 2, clock.now)
    assert compare(first, shape(5, cells=(0, 2), since=(0, 5), cpus=(0, 1))) == (5, 3, clock.now)
    same = shape(0, cells=(0, 2), since=(0, 5), cpus=(0, 1))
    assert compare(second, same) == (5, 4, clock.now), "another sampler's numbers say nothing"
    assert compare(first, shape(9, cells=(0, 2), since=(0, 5), cpus=(0,))) == (6, 5, clock.now)


def test_counters_that_were_lost_are_counted() -> None:
    """Of some cells, or of all after some had them; a kernel without any loses none."""
    one = _ProcessState(Observer()._options)
    full, empty = Counters(hit=1), Counters()

    def lost(*counters: Counters | None) -> int:
        one._count_lost(list(counters))
        return one._counters_lost

    assert [lost(None, empty), lost(full, full), lost(full, None), lost(empty, full), lost(None, None), lost(full)] == [
        0, 0, 1, 2, 3, 3,
    ]  # fmt: skip


def answer(at: float, rows: Any = None, key: Any = ((0,), None), seconds: float = 0.0) -> Answer:
    return Answer(rows=rows or {}, key=key, at=at, seconds=seconds)


def test_answers_are_reported_of_this_shape_and_until_they_are_too_old(clock: Clock) -> None:
    """Five intervals, or of what takes long five of its own, and what was requested before a change not at all."""
    one = _ProcessState(Observer(interval=10)._options)
    key = ((0,), None)
    host, details = {"topology": [((), 1)]}, {"free": [(("1",), 7), (("0",), 9)]}
    one._refresher.answers = {
        "host": answer(1000.0, host),
        "details": answer(1000.0, details),
        "domains": answer(1000.0, {"domains": [((), 2)]}),
        "usable": answer(1000.0, {"usable": [((), 3)]}),
        "traffic": answer(1000.0, {"traffic": [((), 4)]}),
    }

    def background(wanted: Any = key) -> tuple[Any, set[str], Any]:
        rows: Any = {"free": [(("0",), 5)]}
        topology = one._background(rows, wanted)
        return rows.pop("free"), set(rows), topology

    everything = ([(("0",), 5), (("1",), 7)], {"domains", "usable", "traffic"}, host)
    clock.now = 1050.0
    assert background() == everything
    assert background(((1,), None)) == ([(("0",), 5)], {"domains", "usable", "traffic"}, {})
    one._changed_at = 1000.0
    assert background() == everything
    one._changed_at = 1000.1
    assert background() == ([(("0",), 5)], set(), {})
    one._changed_at = float("-inf")
    clock.now = 1050.1
    assert background() == ([(("0",), 5)], set(), {})
    one._refresher.slowest = 0.2
    assert background() == everything
    assert one._fresh(None) is None


@pytest.mark.parametrize(
    ("interval", "seconds", "slowest", "limit"),
    [(15.0, 0.0, 0.0, 75.0), (15.0, 1.5, 0.0, 75.0), (15.0, 2.0, 0.0, 100.0), (15.0, 2.0, 3.0, 103.0)],
)
def test_an_answer_that_takes_long_is_reported_longer(
    interval: float, seconds: float, slowest: float, limit: float
) -> None:
    """A tenth of a CPU at most, so that two seconds are spent every twenty."""
    one = Refresher(Observer(interval=interval)._options)
    one.slowest = slowest
    assert one.limit(answer(0.0, seconds=seconds)) == pytest.approx(limit)


def test_rows_that_are_read_now_replace_those_of_the_same_labels() -> None:
    """By number of their labels, not by their text."""
    now, before = [(("2",), 5)], [(("10",), 1), (("2",), 9)]
    assert _merged(now, before) == [(("2",), 5), (("10",), 1)]
    assert _merged(None, before) is before
    assert _merged([], before) is before


def test_own_metrics_are_those_of_what_was_read(clock: Clock) -> None:
    """Notes and ages by part, in order; without counters none are counted."""
    one = _ProcessState(Observer(counters=False)._options)
    one._notes, one._changes, one._failures = 3, 2, 1
    one._refresher.notes = {"host": 4}
    one._refresher.answers = {"host": answer(990.0, seconds=0.5), "details": answer(980.0, seconds=0.25)}
    rows: Any = {}
    one._add_own_metrics(rows, None)
    assert rows == {
        "numaprobe_notes": [(("memory",), 3), (("host",), 4)],
        "numaprobe_up": [((), 1)],
        "numaprobe_shape_changes_total": [((), 2)],
        "numaprobe_scrape_errors_total": [(("memory",), 1), (("details",), 0), (("host",), 0), (("domains",), 0)],
        "numaprobe_refresh_age_seconds": [(("details",), 20.0), (("host",), 10.0)],
        "numaprobe_refresh_duration_seconds": [(("details",), 0.25), (("host",), 0.5)],
    }
    rows.clear()
    one._add_own_metrics(rows, ValueError())
    assert (rows["numaprobe_notes"], rows["numaprobe_up"]) == ([(("host",), 4)], [((), 0)])


# --- the background thread ----------------------------------------------------------------------------------------


def paced(**options: Any) -> Refresher:
    chosen = dict.fromkeys(Options._fields) | {"domains": True, "interval": 15.0}
    one = Refresher(Options(**{**chosen, **options}))
    one.took = {}  # type: ignore[attr-defined]
    return one


def test_each_part_is_read_when_it_is_due(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every interval, or nine times as long as it took after that; a change makes all of them due once."""
    one = paced(usable=True)
    read: list[str] = []
    took = {"details": 1.0, "host": 0.5, "domains": 2.0, "usable": 0.0}

    def tried(part: str, _read: object) -> None:
        read.append(part)
        clock.now += took[part]

    monkeypatch.setattr(one, "_tried", tried)
    assert one.errors == {"details": 0, "host": 0, "domains": 0, "usable": 0}
    assert not one.ready.is_set()
    assert one.turn() == pytest.approx(13.0), "the cells are due 15 s after 1001.5, and it is 1003.5"
    assert (read, one.ready.is_set(), one.slowest) == (["details", "host", "domains", "usable"], True, 3.5)
    read.clear()
    clock.now = 1016.4
    assert one.turn() == pytest.approx(0.1)
    assert read == []
    clock.now = 1016.5
    assert one.turn() == pytest.approx(0.5), "usable is due at 1018.5, and it is 1018"
    assert read == ["details", "host"]
    read.clear()
    one.hurry()
    one.turn()
    assert read == ["details", "host", "domains", "usable"]
    read.clear()
    one.turn()
    assert (read, one.slowest) == ([], 3.5)
    one.stop()
    one.hurry()
    one.turn()
    assert read == []


def test_what_fails_is_counted_and_its_last_answer_stays(clock: Clock) -> None:
    """Of any kind; an answer has the moment at which it was requested, and how long it took."""
    one = paced()

    def read() -> Any:
        clock.now += 2.0
        return {"a": []}, ((0,), None)

    def fails() -> Any:
        raise RuntimeError

    assert one._tried("host", read) == ((0,), None)
    expected = answer(1000.0, {"a": []}, seconds=2.0)
    assert (one.answers, one.errors["host"]) == ({"host": expected}, 0)
    assert one._tried("host", fails) is None
    assert (one.answers, one.errors["host"]) == ({"host": expected}, 1)
    assert key_of(shape(7, cells=(0, 3), cpus=(1,))) == ((0, 3), (1,))


def test_the_thread_ends_with_its_refresher() -> None:
    """Or when it is stopped; otherwise it waits for what the last turn said."""
    waited: list[float] = []
    turns = iter([5.0, 7.0])
    stopped = threading.Event()
    wake: Any = SimpleNamespace(wait=waited.append, clear=lambda: waited.append(-1.0))

    def turn() -> float:
        pause = next(turns, None)
        if pause is None:
            stopped.set()
        return pause or 0.0

    refresher._run(lambda: SimpleNamespace(turn=turn), wake, stopped)  # type: ignore[arg-type, return-value]
    assert waited == [0.0, -1.0, 5.0, -1.0, 7.0, -1.0, 0.0, -1.0]
    refresher._run(lambda: None, wake, threading.Event())  # type: ignore[arg-type]


# --- instruments --------------------------------------------------------------------------------------------------


def test_one_collection_shares_one_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until an instrument asks a second time, or a second has passed."""
    module = pytest.importorskip("numaprobe.contrib.opentelemetry", reason="needs numaprobe[opentelemetry]")
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock)
    made: list[Reading] = []

    def reading() -> Reading:
        made.append(Reading(rows={}, topology={}, began=clock.now, error=None))
        return made[-1]

    shared = module._Shared(SimpleNamespace(reading=reading))
    assert shared.reading("a") is shared.reading("b") is made[0]
    assert shared.reading("a") is shared.reading("b") is made[1]
    clock.now += 1.0
    assert shared.reading("c") is made[1]
    clock.now += 0.1
    assert shared.reading("d") is made[2]
    assert len(made) == 3


def test_labels_are_dropped_with_their_topology(monkeypatch: pytest.MonkeyPatch) -> None:
    """And beyond 50,000 of them, because guests come and go."""
    module = pytest.importorskip("numaprobe.contrib.prometheus", reason="needs numaprobe[prometheus]")
    one = module.NumaCollector()
    topology: dict[str, Any] = {}
    given: list[Any] = [Reading(rows={}, topology=topology, began=0.0, error=None)]
    closed: list[bool] = []
    one._observer = SimpleNamespace(reading=lambda: given[0], close=lambda: closed.append(True))
    one.collect()
    assert (one.error, one.describe()) == (None, [])
    for labels, kept in ((50_000, True), (50_001, False)):
        one._labels = {"x": dict.fromkeys(range(labels))}
        one.collect()
        assert bool(one._labels) is kept
    one._labels = {"x": {1: 2}}
    given[0] = Reading(rows={}, topology={}, began=0.0, error=ValueError("e"))
    one.collect()
    assert (one._labels, str(one.error)) == ({}, "e")
    one.close()
    assert closed == [True]


# --- the agent of a fleet -----------------------------------------------------------------------------------------


class Stop:
    """An event that is set after so many waits, and keeps how long they were."""

    def __init__(self, clock: Clock, most: int) -> None:
        self.clock, self.most, self.waits = clock, most, []  # type: ignore[var-annotated]

    def is_set(self) -> bool:
        return len(self.waits) >= self.most

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.clock.now += seconds

    def set(self) -> None:
        self.most = 0


def agent(monkeypatch: pytest.MonkeyPatch, clock: Clock, answers: list[Any], *, waits: int, **known: Any) -> Any:
    """Its publications are these, one after the other and the last one again; what it says is kept."""
    module = pytest.importorskip("numaprobe.contrib.openstack.agent", reason="needs numaprobe[openstack]")
    monkeypatch.setattr(module, "monotonic", clock)
    monkeypatch.setattr(random, "uniform", lambda least, most: (least + most) / 2)
    connected: list[str] = []
    memories: list[Any] = []

    def publish(_client: Any, member: Any, *, memory: Any, **how: Any) -> Any:
        assert (member, how) == ("member", {"reserve": 5})
        memories.append(memory)
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(module, "publish", publish)
    client = SimpleNamespace(check=lambda: connected.append("checked"))
    one = module.Agent(
        lambda: connected.append("made") or client,
        lambda: "member",
        say=connected.append,
        reserve=5,
        **{"interval": 60.0, **known},
    )
    one._stop = Stop(clock, waits)
    one.heard, one.memories = connected, memories
    return one


def test_an_agent_publishes_every_interval(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    """It looks at the shape every two seconds meanwhile, through one client."""
    one = agent(monkeypatch, clock, ["report"], waits=61, interval=61.0)
    one._run()
    assert one._stop.waits == [*[2.0] * 30, 1.0, *[2.0] * 30]
    assert one.memories[0] is one.memories[1]
    assert (one.published, one.failures, one.report, one.error, one.heard) == (
        2,
        0,
        "report",
        None,
        ["made", "checked"],
    )


def test_an_agent_waits_ever_longer_after_failures_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """Twice as long each time, less up to a quarter, an hour at most; the client is made anew."""
    pauses: list[float] = []
    answers: list[Any] = [*[OSError("gone")] * 3, "report"]
    one = agent(monkeypatch, clock, answers, waits=0)
    one._wait = lambda seconds, seen: pauses.append(seconds) or (one._stop.set() if len(pauses) == 4 else None) or seen
    one._stop.most = 1
    one._run()
    assert pauses == pytest.approx([120 * 0.875, 240 * 0.875**2, 480 * 0.875**3, 60])
    assert (one.published, one.failures, one.error) == (1, 3, None)
    assert len(set(map(id, one.memories))) == 4, "what was read before a failure is not believed after it"
    assert one.heard == [
        "made", "checked", "cannot publish: gone; trying again at growing intervals",
        "made", "checked", "made", "checked", "made", "checked", "published again",
    ]  # fmt: skip
    pauses.clear()
    one = agent(monkeypatch, clock, [OSError("gone")], waits=1, interval=3000.0)
    one._wait = lambda seconds, seen: pauses.append(seconds) or (one._stop.set() if len(pauses) == 2 else None) or seen
    one._run()
    assert pauses == pytest.approx([3600 * 0.875] * 2)


def test_a_change_of_the_shape_is_published_at_once_unless_publishing_fails(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """A shape that cannot be read is no change from one that could not be read either."""
    shapes = iter([1, 1, 2, 2])
    one = agent(monkeypatch, clock, ["report"], waits=99, shape=lambda: next(shapes))
    assert one._look() == 1
    assert one._wait(60.0, 1) == 2
    assert one._stop.waits == [2.0, 2.0]
    one._shape = lambda: 3
    one.error = OSError()
    assert one._wait(5.0, 2) == 2
    assert one._stop.waits == [2.0, 2.0, 2.0, 2.0, 1.0]

    def unreadable() -> object:
        raise OSError

    one._shape = unreadable
    assert one._look() is None
    one._shape = None
    assert one._look() is None


def test_an_agent_is_a_daemon_that_ends_when_it_is_closed(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    """It is waited for as long as it was said; one that was never started is not waited for."""
    one = agent(monkeypatch, clock, ["report"], waits=1)
    joined: list[Any] = []
    thread = one._thread
    assert (thread.daemon, thread.name) == (True, "numaprobe-fleet")
    one._thread = SimpleNamespace(
        start=lambda: joined.append("started"), is_alive=lambda: len(joined) == 1, join=joined.append
    )
    one.close()
    assert joined == []
    one._stop.most = 5
    assert one.start() is one
    one.close(2.5)
    one.close()
    assert (joined, one._stop.is_set()) == (["started", 2.5], True)


@pytest.mark.parametrize(
    ("interval", "allowed"), [(0, False), (-1, False), (0.5, True), (MOST, True), (MOST * 2, False)]
)
def test_an_agent_needs_an_interval_that_can_be_waited_for(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, interval: float, allowed: bool
) -> None:
    """As a thread can wait."""
    if allowed:
        assert agent(monkeypatch, clock, [], waits=1, interval=interval).published == 0
    else:
        with pytest.raises(ValueError, match=r"^interval must be a number of seconds above 0, not "):
            agent(monkeypatch, clock, [], waits=1, interval=interval)


def test_the_shape_of_a_live_host_is_read_through_one_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is closed, and opened anew, after a failure."""
    module = pytest.importorskip("numaprobe.contrib.openstack.agent", reason="needs numaprobe[openstack]")
    done: list[Any] = []
    found: list[Any] = [shape(3)]

    def sample() -> Any:
        if isinstance(found[0], Exception):
            raise found[0]
        return SimpleNamespace(shape=found[0])

    def sampler(**where: Any) -> Any:
        done.append(where)
        return SimpleNamespace(sample=sample, close=lambda: done.append("closed"))

    monkeypatch.setattr(module.numaprobe, "Sampler", sampler)
    one = module.LiveShape("/root")
    assert one() == one() == ((0, 1), (0,))
    found[0] = OSError("gone")
    with pytest.raises(OSError, match="gone"):
        one()
    found[0] = shape(4, cells=(0,))
    assert one() == ((0,), (0,))
    where = {"root": "/root", "recording": None, "source": "auto"}
    assert done == [where, "closed", where]

    def fails(**_: Any) -> Any:
        raise OSError("none")

    monkeypatch.setattr(module.numaprobe, "Sampler", fails)
    with pytest.raises(OSError, match="none"):
        module.LiveShape()()
