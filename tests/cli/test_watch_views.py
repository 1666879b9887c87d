"""The views of ``numaprobe watch`` without a terminal: they fit every size, and never show the unknown as 0."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hosts import GIB, MIB, cell, domain, host
from hypothesis import given, settings
from hypothesis import strategies as st

import numaprobe
from numaprobe import CellUse, Host, HugePages, PlacementSample, RemoteShare, SourceUnavailable
from numaprobe.cli.domains import Observed
from numaprobe.cli.live.bars import bar, parts
from numaprobe.cli.live.compose import compose
from numaprobe.cli.live.readings import Reader, Reading
from numaprobe.cli.live.spans import elided, length, width_of, wrapped
from numaprobe.cli.live.state import VIEWS, State
from numaprobe.cli.live.views import per_second, remote_share, signed, view
from numaprobe.sampling.rates import CellRates, Rates
from numaprobe.sampling.values import Counters

KEYS = ["q", "?", "1", "2", "3", "Tab", "s", "r", "Space", "Left", "Right"]
KEYS += ["Up", "Down", "PageUp", "PageDown", "Home", "End", "x", ""]


class Moment:
    """As much of a sample as the screen uses."""

    time = 1.0


def text(line: Any) -> str:
    return "".join(span.text for span in line)


def rates(found: Host, *counters: Counters | None) -> Rates:
    given = [*counters, *[None] * len(found.cells)]
    return Rates(
        seconds=2.0,
        cells=tuple(
            CellRates(id=one.id, total=0, free=-MIB, used=MIB, counters=each, vmstat=None)
            for one, each in zip(found.cells, given, strict=False)
        ),
        notes=(),
    )


def observed(found: Host, guests: int) -> Observed:
    there = [
        domain(f"guest{'-long' * (number % 5)}-{number}", 1)._replace(id=number, memory=number * MIB)
        for number in range(1, guests + 1)
    ]
    uses = tuple(CellUse(one.id, one.memory.total, one.memory.free, 0, (), 0, 0) for one in found.cells)
    return Observed(host=found, domains=numaprobe.Domains(there), uses=uses, time=1.0)


def reading(found: Host, **more: Any) -> Reading:
    return Reading(sample=Moment(), host=found, **{"rates": rates(found), **more})


@settings(max_examples=200, deadline=None)
@given(
    width=st.integers(1, 220),
    height=st.integers(1, 70),
    cells=st.integers(1, 70),
    guests=st.one_of(st.none(), st.integers(0, 30)),
    keys=st.lists(st.sampled_from(KEYS), max_size=12),
    error=st.one_of(st.none(), st.text(max_size=90)),
)
def test_every_screen_fits_its_terminal_whatever_is_pressed(
    width: int, height: int, cells: int, guests: int | None, keys: list[str], error: str | None
) -> None:
    """Any size from 1 by 1, any keys and any error text: as many lines as rows, and none too wide."""
    found = host([GIB] * cells, cpus=2)
    now = reading(found, guests=None if guests is None else observed(found, guests), error=error)
    state = State()
    for key in keys:
        state.key(key)
        lines = compose(now, state, width, height, interval=1.0)
        assert len(lines) == height
        assert max(length(line) for line in lines) <= width


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("width", [24, 40, 60, 80, 120])
def test_columns_are_left_out_whole(name: str, width: int) -> None:
    """What a narrow screen shows is also on a wide one, so no figure is cut into another one."""
    found = host([GIB] * 3)
    now = reading(found, rates=rates(found, Counters(1, 2, 3, 4, 5, 6)), guests=observed(found, 3))
    wide = view(now, State(name), 300)
    narrow = view(now, State(name), width)
    words = set(text(wide.heading).split())
    assert set(text(narrow.heading).split()) <= words
    assert len(text(narrow.heading).rstrip()) <= width
    assert len(narrow.rows) == len(wide.rows)


def test_guests_show_their_remote_share_and_an_estimate_its_margin() -> None:
    """Of several shares the known one is shown with its source; a sampled placement has its error."""
    found = host([GIB] * 2)
    guests = observed(found, 2)
    shares = (RemoteShare(source="hint faults"), RemoteShare(source="run time", share=0.98, how="estimated"))
    sample = PlacementSample(pages=1024, confidence=0.95, margins=((0, MIB // 32), (1, 0)))
    first, second = guests.domains
    there = numaprobe.Domains(
        [first._replace(remote=shares, how="sampled", sample=sample), second._replace(remote=(shares[0],))]
    )
    page = view(reading(found, guests=guests._replace(domains=there)), State("guests"), 160)
    rows = "\n".join(text(row) for row in page.rows)
    assert "remote" in text(page.heading)
    assert "98% by run time" in rows
    assert "sampled +-3.1%" in rows


def test_what_guests_are_asked_is_what_watch_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Options such as --remote have to reach the reader of guests unchanged."""
    given: list[dict[str, Any]] = []
    monkeypatch.setattr("numaprobe.cli.domains.observe", lambda *_, **more: given.append(more))
    with numaprobe.Sampler(source="linux") as sampler:
        options = {"remote": True, "sampled": 64}
        Reader(sampler, (None, None, "linux"), interval=1, count=1, view="guests", guests=options, wake=lambda: None)
    assert given == [options]


def test_a_bar_has_a_mark_for_each_kind_and_adds_up() -> None:
    """The kinds are in use, huge pages without a user, reclaimable and free."""
    one = cell(0, 2 * GIB, [0], total=8 * GIB, available=3 * GIB)._replace(
        huge_pages=(HugePages(size=GIB, total=3, free=2, surplus=0),)
    )
    assert parts(one) == {"used": 3 * GIB, "pooled": 2 * GIB, "reclaimable": GIB, "free": 2 * GIB}
    assert text(bar(one, 8 * GIB, 18)) == "[######====++....]"
    assert text(bar(one, 16 * GIB, 18)) == "[###==+..]" + " " * 8


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 150), st.integers(0, 50), st.integers(10, 120))
def test_every_bar_has_its_length(total: int, free: int, available: int, pages: int, room: int) -> None:
    """Rounding must not break it, even if available memory is below free or huge pages exceed what is in use."""
    one = cell(0, min(free, total) * MIB, [0], total=total * MIB, available=available * MIB)._replace(
        huge_pages=(HugePages(size=2 * MIB, total=pages, free=pages, surplus=0),)
    )
    found = parts(one)
    assert found is not None
    assert sum(found.values()) == total * MIB
    assert min(found.values()) >= 0
    assert length(bar(one, 100 * MIB, room)) == room


def test_unknown_memory_is_a_question_mark() -> None:
    """An empty bar would look like a cell that is all free."""
    one = cell(0, None, [0], total=GIB)
    assert parts(one) is None
    assert text(bar(one, GIB, 12)).strip() == "[?" + " " * 9 + "]"
    found = host([GIB, GIB])
    found = found._replace(cells=(found.cells[0], one._replace(id=1)))
    page = view(reading(found), State(), 100)
    assert "?" in text(page.rows[1])
    assert " - " in text(page.rows[1])
    assert "? unknown" in text(page.legend)


@pytest.mark.parametrize("key", ["", "r"])
def test_what_is_unknown_is_sorted_last_in_either_direction(key: str) -> None:
    """It is neither the largest nor the smallest, so reversing must not move it to the top."""
    found = host([GIB, 2 * GIB, 3 * GIB])
    unknown = found.cells[1]._replace(memory=numaprobe.Memory(total=4 * GIB))
    found = found._replace(cells=(found.cells[0], unknown, found.cells[2]))
    state = State()
    state.key("s")
    state.key(key)
    ids = [text(row).split()[0] for row in view(reading(found), state, 100).rows]
    assert ids == (["0", "2", "1"] if key else ["2", "0", "1"])


def test_the_remote_share_is_that_of_pages_that_others_allocated_here() -> None:
    """By numastat it is other / (local + other); without allocations it is a dash."""
    found = host([GIB] * 3)
    known = Counters(hit=90.0, miss=0, foreign=0, interleave=0, local=75.0, other=25.0)
    idle = known._replace(local=0, other=0)
    now = rates(found, known, idle, None)
    assert [remote_share(one) for one in now.cells] == [0.25, None, None]
    page = view(reading(found, rates=now), State("rates"), 120)
    assert [text(row).split()[:2] for row in page.rows] == [["0", "25%"], ["1", "-"], ["2", "-"]]


def test_a_source_without_numastat_says_so() -> None:
    """Otherwise the empty rates under Xen would look like a fault."""
    found = host([GIB])._replace(source="xen")
    assert "xen reports no numastat" in view(reading(found), State("rates"), 80).remarks


def test_guests_scroll_sideways_over_the_cells() -> None:
    """40 columns do not fit 80 characters; pressing on past the end stays at the last cell."""
    found = host([GIB] * 40, cpus=2)
    now = reading(found, guests=observed(found, 2))
    state = State("guests")
    first = text(view(now, state, 80).heading)
    assert "cell 0" in first
    for _ in range(45):
        state.key("Right")
    last = text(view(now, state, 80).heading)
    assert "cell 39" in last
    assert "cell 38" not in last


@given(st.text(max_size=40), st.integers(0, 30))
def test_names_of_unknown_origin_take_the_room_that_they_have(name: str, room: int) -> None:
    """Wide, combining and control characters are counted in columns and not in code points."""
    shown = elided(name, room)
    assert width_of(shown) <= room
    assert shown.isprintable()
    assert all(width_of(line) <= max(room, 1) for line in wrapped(name, max(room, 1)))


def test_rates_in_words() -> None:
    """The boundaries of rounding, and a change too small to show, which has no sign."""
    assert [per_second(value) for value in (None, 0, 12.4, 9999, 12345, 12345678)] == [
        "-", "0", "12", "9999", "12k", "12M",
    ]  # fmt: skip
    assert [signed(value) for value in (None, 0.2, MIB, -MIB)] == ["-", "0 B", "+1.0 MiB", "-1.0 MiB"]


class Failing:
    """A sampler that answers once, then fails, then answers again."""

    def __init__(self) -> None:
        self.turn = 0

    def sample(self, **_asked: object) -> Any:
        self.turn += 1
        if self.turn == 2:
            raise SourceUnavailable("node0/meminfo", 5)
        with numaprobe.Sampler() as sampler:
            return sampler.sample()


def test_an_error_later_on_is_shown_and_the_host_read_again() -> None:
    """The figures shown with the error are those of the previous reading."""
    woken = threading.Semaphore(0)
    reader = Reader(
        Failing(),  # type: ignore[arg-type]
        (None, None, "linux"),
        interval=0.01,
        count=3,
        view="cells",
        wake=woken.release,
    )
    first = reader.latest
    found = []
    thread = threading.Thread(target=reader._run)
    reader._wake = lambda: found.append(reader.latest)
    thread.start()
    thread.join(10)
    assert reader.ended
    assert found[0].error is not None
    assert "node0/meminfo" in found[0].error
    assert found[0].host == first.host
    assert found[1].error is None
    assert any("node0/meminfo" in text(line) for line in compose(found[0], State(), 80, 24, interval=1.0))
