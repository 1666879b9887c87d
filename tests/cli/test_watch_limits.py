"""``numaprobe watch`` piece by piece, without a terminal: keys, spans, bars, readings, turns and the screen's calls."""

from __future__ import annotations

import argparse
import io
import json
import os
import select
import signal
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from hosts import GIB, MIB, cell, domain, host

from numaprobe import Cell, CellUse, Domains, HugePages, Note, RemoteShare, SourceError
from numaprobe.cli import sampled, watch
from numaprobe.cli.domains import Observed
from numaprobe.cli.live import bars, compose, readings, spans, terminal, views
from numaprobe.cli.live.readings import Reader, Reading
from numaprobe.cli.live.spans import Column, Span
from numaprobe.cli.live.state import State
from numaprobe.sampling.rates import CellRates, Rates
from numaprobe.sampling.sample import Origin, Sample
from numaprobe.sampling.sample import made as made_sample
from numaprobe.sampling.values import CellSample, Collected, Counters, FiguresFrom, Shape


def text(line: Any) -> str:
    return "".join(span.text for span in line)


# --- keys ---------------------------------------------------------------------------------------------------------------


def pressed(*keys: str, view: str = "cells", page: int = 7) -> State:
    state = State(view)
    state.page = page
    for key in keys:
        state.key(key)
    return state


@pytest.mark.parametrize(
    ("keys", "top"),
    [
        (["Down"], 1), (["j"], 1), (["Down", "Up"], 0), (["j", "j", "k"], 1), (["Up"], 0), (["k"], 0), (["PageDown"], 7),
        (["PageDown", "PageDown", "PageUp"], 7), (["PageUp"], 0), (["End"], 1 << 30), (["End", "Home"], 0), (["x"], 0),
        (["Down", ""], 1), (["Down", "2"], 0), (["Down", "1"], 1),
    ],
)  # fmt: skip
def test_rows_are_scrolled_by_one_by_a_page_and_to_the_ends(keys: list[str], top: int) -> None:
    """Another view begins at its first row, the same one stays where it is."""
    assert pressed(*keys).top == top


@pytest.mark.parametrize(
    ("keys", "view"),
    [([], "cells"), (["1"], "cells"), (["2"], "guests"), (["3"], "rates"), (["Tab"], "guests"), (["Tab", "Tab"], "rates"),
     (["Tab", "Tab", "Tab"], "cells"), (["3", "1"], "cells")],
)  # fmt: skip
def test_views_are_chosen_by_number_or_in_turn(keys: list[str], view: str) -> None:
    """After the last the first follows."""
    assert pressed(*keys).view == view


@pytest.mark.parametrize(
    ("view", "keys", "sort", "descending"),
    [
        ("cells", [], "cell", False), ("cells", ["s"], "free", True), ("cells", ["s", "s"], "available", True),
        ("cells", ["s", "s", "s"], "allocated", True), ("cells", ["s"] * 4, "cell", False), ("cells", ["r"], "cell", True),
        ("cells", ["s", "r"], "free", False), ("cells", ["r", "r"], "cell", False), ("guests", [], "memory", True),
        ("guests", ["s"], "id", False), ("guests", ["s", "s"], "name", False), ("rates", [], "cell", False),
        ("rates", ["s"], "other", True), ("rates", ["s", "s"], "remote", True), ("rates", ["s", "s", "s"], "miss", True),
        ("cells", ["s", "2"], "memory", True), ("cells", ["s", "2", "1"], "free", True), ("cells", ["r", "2"], "memory", True),
    ],
)  # fmt: skip
def test_each_view_has_its_own_order(view: str, keys: list[str], sort: str, descending: bool) -> None:
    """Sizes and rates begin with the largest, names and numbers with the first."""
    state = pressed(*keys, view=view)
    assert (state.sort, state.descending) == (sort, descending)


def test_other_keys_stop_end_and_help() -> None:
    """Any key ends the help, and the one that shows it too."""
    for key in ("q", "Q"):
        assert pressed(key).ended
    for key in ("?", "h", "F1"):
        assert pressed(key).help
        assert not pressed(key, key).help
        assert not pressed(key, "x").help
    assert pressed("Space").stopped
    assert not pressed("Space", "Space").stopped
    assert [pressed(*keys).left for keys in (["Right"], ["Left"], ["Right", "Right", "Left"])] == [1, 0, 1]
    assert pressed("Right", "2").left == 0
    start = State()
    assert (start.view, start.top, start.left, start.page) == ("cells", 0, 0, 1)
    assert (start.help, start.stopped, start.ended) == (False, False, False)


# --- spans --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "room", "shown"),
    [
        ("abcdef", 6, "abcdef"), ("abcdefg", 6, "abc…fg"), ("abcdefgh", 5, "ab…gh"), ("abcdef", 4, "…"), ("abcdef", 1, "…"),
        ("abcdef", 0, ""), ("日本語日本語", 12, "日本語日本語"), ("日本語日本語", 11, "日本…本語"), ("日本語日本語", 8, "日本…語"),
        ("é" * 3, 3, "é" * 3), ("e\u0301" * 3, 3, "e\u0301" * 3),
    ],
)  # fmt: skip
def test_a_name_is_shortened_in_its_middle(words: str, room: int, shown: str) -> None:
    """By the columns that its characters take; below five there is no room for both ends."""
    assert spans.elided(words, room) == shown
    assert spans.width_of(spans.elided(words, room)) <= max(room, 0)


def test_the_width_of_text_is_that_on_a_screen() -> None:
    """Two columns for a wide character, none for an accent."""
    assert [spans.width_of(one) for one in ("", "abc", "日", "é", "e\u0301", "Ａ")] == [0, 3, 2, 1, 1, 2]


@pytest.mark.parametrize(
    ("room", "shown"),
    [(100, "aa  bb  cc"), (10, "aa  bb  cc"), (9, "aa  bb"), (6, "aa  bb"), (5, "aa"), (2, "aa"), (1, "")],
)
def test_as_many_parts_are_joined_as_fit(room: int, shown: str) -> None:
    """The gap counts between two of them alone."""
    assert text(spans.joined([Span("aa"), Span("bb"), Span("cc")], room)) == shown


@pytest.mark.parametrize(
    ("room", "lines"), [(8, ["aa bb cc"]), (7, ["aa bb", "cc"]), (5, ["aa bb", "cc"]), (4, ["aa", "bb", "cc"])]
)
def test_words_are_wrapped_and_not_cut(room: int, lines: list[str]) -> None:
    """One that is longer than a line is shortened."""
    assert spans.wrapped("aa bb  cc", room) == lines
    assert spans.wrapped("abcdefgh", 5) == ["ab…gh"]
    assert spans.wrapped("", 5) == []


@pytest.mark.parametrize(
    ("room", "names"), [(10, "abcd"), (9, "acd"), (7, "acd"), (6, "ac"), (4, "ac"), (3, "a"), (0, "a")]
)
def test_columns_of_the_highest_rank_are_left_out_first(room: int, names: str) -> None:
    """Of two equal ones the later."""
    columns = [Column("a", ["1"], 0), Column("b", ["2"], 9), Column("c", ["3"], 5), Column("d", ["4"], 5)]
    assert "".join(one.name for one in spans.fitted(columns, room)) == names


def test_a_table_has_a_gap_of_two_between_columns() -> None:
    """To the right, or to the left where a column says so, with the column's style."""
    heading, rows = spans.table(
        [Column("id", ["7", "123"], 0, style="head"), Column("name", ["x", "yy"], 1, left=True)]
    )
    assert text(heading) == " id  name"
    assert [text(row) for row in rows] == ["  7  x   ", "123  yy  "]
    assert [[span.style for span in row] for row in (heading, rows[0])] == [["heading", "heading"], ["head", ""]]
    assert spans.table([]) == ([], [])


def test_a_line_is_clipped_at_the_last_column() -> None:
    """What has no room is empty, and keeps its style."""
    line = spans.clipped([Span("abcdef", "head"), Span("ghijklmn", "quiet"), Span("x")], 11)
    assert [(span.text, span.style) for span in line] == [("abcdef", "head"), ("gh…mn", "quiet"), ("", "")]


# --- bars and views -----------------------------------------------------------------------------------------------------


def sized(total: int | None, free: int | None, available: int | None = None, *pages: tuple[int, int | None]) -> Cell:
    found = tuple(HugePages(size=size, total=9, free=free_pages, surplus=0) for size, free_pages in pages)
    one = cell(0, free, (), total=total, available=available)
    return one._replace(memory=one.memory._replace(total=total), huge_pages=found)


@pytest.mark.parametrize(
    ("one", "found"),
    [
        (sized(100, 40), (60, 0, 0, 40)), (sized(100, 40, 40), (60, 0, 0, 40)), (sized(100, 40, 55), (45, 0, 15, 40)),
        (sized(100, 40, 30), (60, 0, 0, 40)), (sized(100, 40, 200), (0, 0, 60, 40)), (sized(100, 40, 55, (10, 2)), (25, 20, 15, 40)),
        (sized(100, 40, 100, (10, 2)), (0, 20, 40, 40)), (sized(100, 40, None, (10, 9)), (0, 60, 0, 40)),
        (sized(100, 40, None, (10, None), (5, 2)), (50, 10, 0, 40)), (sized(0, 0), (0, 0, 0, 0)),
    ],
)  # fmt: skip
def test_the_kinds_of_memory_of_a_bar_add_up(one: Cell, found: tuple[int, ...]) -> None:
    """What can be reclaimed is at most what is in use and not in huge pages."""
    kinds = bars.parts(one)
    assert kinds == dict(zip(("used", "pooled", "reclaimable", "free"), found, strict=True))


def test_a_bar_is_as_long_as_its_share_of_the_largest_cell() -> None:
    """Without a total it is a question mark, with its legend."""
    one = sized(100, 40, 55, (10, 2))
    assert text(bars.bar(one, 100, 22)) == "[#####====+++........]"
    assert text(bars.bar(one, 200, 22)) == "[##==++....]          "
    assert [span.style for span in bars.bar(one, 100, 22)] == ["", "used", "pooled", "reclaimable", "free", ""]
    for unknown in (sized(None, 40), sized(100, None)):
        assert text(bars.bar(unknown, 100, 12)) == "[?         ]"
        assert bars.parts(unknown) is None
        assert [span.text for span in bars.legend((unknown,))] == ["? unknown"]
    assert text(bars.bar(one, 0, 12)) == "[?         ]"
    assert [span.text for span in bars.legend((one,))] == [
        "# in use", "= huge pages, unused", "+ in use, can be reclaimed", ". free",
    ]  # fmt: skip
    assert [span.text for span in bars.legend((sized(9, 9),))] == [". free"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"), (0, "0"), (9999, "9999"), (10000, "10k"), (9999999, "10000k"), (1e7, "10M"), (1e10, "10G"),
        (-9999, "-9999"), (-10000, "-10k"), (1.4e9, "1400M"), (12e9, "12G"),
    ],
)  # fmt: skip
def test_a_rate_has_at_most_six_characters(value: float | None, shown: str) -> None:
    """Thousands, millions and thousands of millions."""
    assert views.per_second(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "-"), (0, "0 B"), (0.4, "0 B"), (-0.5, "0 B"), (0.6, "+1 B"), (1, "+1 B"), (-1, "-1 B"), (-1536, "-1.5 KiB")]
)  # fmt: skip
def test_a_change_has_its_sign(value: float | None, shown: str) -> None:
    """Nothing has none."""
    assert views.signed(value) == shown


def rate(number: int, counters: Counters | None = None, used: float | None = 0) -> CellRates:
    return CellRates(id=number, total=0, free=0, used=used, counters=counters, vmstat=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("local", "other", "share"),
    [(75, 25, 0.25), (0, 5, 1.0), (5, 0, 0.0), (0, 0, None), (None, 5, None), (5, None, None)],
)
def test_the_remote_share_needs_both_counters(local: Any, other: Any, share: float | None) -> None:
    """And at least one page."""
    assert views.remote_share(rate(0, Counters(0, 0, 0, 0, local, other))) == share
    assert views.remote_share(rate(0)) is None


def reading(cells: int = 2, **more: Any) -> Reading:
    moment: Any = SimpleNamespace(time=None)
    return Reading(sample=moment, host=host([(number + 1) * GIB for number in range(cells)], cpus=1, threads=1), **more)


def test_cells_have_a_change_only_with_rates() -> None:
    """Per second, and its sum."""
    state = State()
    page = views.view(reading(), state, 200)
    assert "change/s" not in text(page.heading)
    assert [text(row).split()[0] for row in page.rows] == ["0", "1"]
    assert text(page.sums[0]).split()[:1] == ["all"]
    rates = Rates(2.0, (rate(0, used=4 * MIB), rate(1, used=-2 * MIB)), ())
    page = views.view(reading(rates=rates), state, 200)
    assert text(page.heading).split()[-1] == "change/s"
    assert [text(row).split()[-2:] for row in page.rows] == [["+2.0", "MiB"], ["-1.0", "MiB"]]
    assert text(page.sums[0]).split()[-2:] == ["+1.0", "MiB"]
    page = views.view(reading(rates=Rates(2.0, (rate(0, used=MIB),), ())), state, 200)
    assert text(page.rows[1]).split()[-1] == "-"
    assert views.view(reading(), state, 200, only=1).sums == ()
    assert [text(row).split()[0] for row in views.view(reading(), state, 200, only=1).rows] == ["1"]


def test_rates_say_why_there_are_none() -> None:
    """And where a source counts no pages."""
    state = State("rates")
    assert views.view(reading(without_rates="why"), state, 99).remarks == ("why",)
    noted = tuple(Note("w", str(number)) for number in range(4))
    page = views.view(reading(rates=Rates(2.0, (rate(0), rate(1)), noted)), state, 99)
    assert page.remarks == ["linux reports no numastat", "w: 0", "w: 1", "w: 2"]
    counted = Rates(2.0, (rate(0, Counters(1, 2, 3, 4, 30, 10), MIB), rate(1, used=None)), ())
    page = views.view(reading(rates=counted), state, 200)
    assert text(page.heading).split() == [
        "cell",
        "remote",
        "local/s",
        "other/s",
        "hit/s",
        "miss/s",
        "foreign/s",
        "interleave/s",
        "memory/s",
    ]
    assert text(page.rows[0]).split() == ["0", "25%", "30", "10", "1", "2", "3", "4", "+512.0", "KiB"]
    assert text(page.rows[1]).split() == ["1", "-", "-", "-", "-", "-", "-", "-", "-"]
    assert page.remarks == ["pages allocated (numastat); remote: by processes that run on another cell"]
    assert [text(row).split()[0] for row in views.view(reading(rates=counted), state, 200, only=1).rows] == ["1"]


def test_guests_have_rows_below_them_for_what_is_left() -> None:
    """Kinds of which there is nothing are left out, free memory is not."""
    state = State("guests")
    assert views.view(reading(), state, 99).remarks == ("reading the guests ...",)
    assert views.view(reading(error="broken"), state, 99).remarks == ()
    of = host([GIB, GIB], cpus=1, threads=1)
    uses = (CellUse(0, GIB, 0, MIB, (), 2 * MIB, 0), CellUse(1, GIB, 0, 0, (), 0, 0))
    web = domain("web", 2, id=7, how="exact", memory=3 * MIB, cells=((1, 3 * MIB),))
    found = Observed(
        host=of,
        domains=Domains([web, web._replace(id=8, name=None, memory=None, vcpus=None, cells=None)]),
        uses=uses,
        time=None,
    )
    page = views.view(reading(guests=found), state, 99)
    assert [text(row).split() for row in page.rows] == [
        ["7", "web", "-", "2", "3M", ".", "3M", "exact"], ["8", "-", "-", "-", "-", "-", "-", "exact"],
    ]  # fmt: skip
    assert [text(row).split() for row in page.sums] == [
        ["free", ".", ".", "."], ["free", "huge", "pages", "1M", "1M", "."], ["host", "itself", "2M", "2M", "."],
        ["total", "2G", "1G", "1G"],
    ]  # fmt: skip
    shared = web._replace(remote=(RemoteShare(source="x", share=0.5, how_from="y"),))
    other = Observed(host=of, domains=Domains([shared, web._replace(id=8, memory=1)]), uses=uses, time=None)
    page = views.view(reading(guests=other), state, 99)
    assert "50% by x" in text(page.rows[0])
    assert text(page.rows[1]).index("  -       ") > 0, "to the left, as words are"
    state.left = 9
    page = views.view(reading(guests=found), state, 99)
    assert state.left == 1
    assert page.remarks[0] == "cell 1 to cell 1 of 2 (Left, Right)"
    state.left = 0
    page = views.view(reading(guests=found), state, 10)
    assert page.remarks[0] == "cell 0 to cell 0 of 2 (Left, Right)"
    page = views.view(reading(guests=found), state, 4)
    assert page.remarks[0] == "no room for cells"


# --- readings -----------------------------------------------------------------------------------------------------------


class Source:
    """A sampler of which each sample is a second later; an answer that is an error is raised."""

    def __init__(self, *errors: Exception | None) -> None:
        self.errors = list(errors)
        self.asked: list[dict[str, bool]] = []

    def sample(self, **what: bool) -> Sample:
        self.asked.append(what)
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        number = len(self.asked)
        shape = Shape(number=1, cells=(0,), since=(1,), totals=(GIB,))
        return made_sample(
            Origin("linux", shape), number * 10**9, number * 10**9, Collected(cells=(CellSample(0, GIB, MIB),))
        )


def reader_of(source: Any, **more: Any) -> tuple[Reader, list[int]]:
    woken: list[int] = []
    options = {"interval": 0.0, "count": None, "view": "cells", **more}
    return Reader(source, (None, "r", "auto"), wake=lambda: woken.append(1), **options), woken


def test_the_first_reading_has_no_rates_and_the_others_have() -> None:
    """What is asked of the sampler is all that the views show."""
    source = Source()
    reader, woken = reader_of(source, count=3)
    assert (reader.latest.rates, reader.latest.without_rates) == (None, "rates need a second reading")
    reader._run()
    assert source.asked == [{"huge_pages": True, "available": True, "counters": True}] * 3
    assert reader.latest.rates is not None
    assert reader.latest.rates.seconds == 1.0
    assert reader.ended
    assert len(woken) == 3, "two readings, and the end"
    assert (reader.latest.guests, reader.latest.error) == (None, None)


def test_one_reading_is_the_first_one() -> None:
    """Nothing is waited for."""
    reader, woken = reader_of(Source(), count=1, interval=99.0)
    assert not reader.ended
    reader._run()
    assert (reader.ended, len(woken)) == (True, 1)


def test_an_error_of_a_later_reading_is_shown_with_the_figures_before() -> None:
    """That of the first one is the caller's."""
    reader, _ = reader_of(Source(None, SourceError("it", 5, "is broken"), OSError("bad")), count=3)
    before = reader.latest
    reader._run()
    assert (reader.latest.error, reader.latest.host) == ("bad", before.host)
    with pytest.raises(SourceError):
        reader_of(Source(SourceError("it", 5, "is broken")))


def test_a_reader_that_is_stopped_reads_nothing() -> None:
    """Until it is closed; then its thread ends without a word."""
    source = Source()
    reader, woken = reader_of(source, interval=99.0)
    reader.start()
    reader.stopped = True
    reader.again()
    reader.close()
    assert not reader._thread.is_alive()
    assert (len(source.asked), woken, reader.ended) == (1, [], False)
    assert reader._thread.daemon
    assert reader._thread.name == "numaprobe-watch"


def test_a_reading_that_is_asked_for_early_does_not_count() -> None:
    """And the next one is due when it was."""
    source = Source()
    reader, woken = reader_of(source, interval=99.0, count=2)
    reader.again()
    waits = []
    wait = reader._again.wait

    def waiting(seconds: float) -> bool:
        waits.append(seconds)
        return wait(0) if len(waits) == 1 else False

    reader._again.wait = waiting  # type: ignore[method-assign, assignment]
    reader._run()
    assert (len(source.asked), len(woken), reader._left) == (3, 3, 0)
    assert all(98 < seconds <= 99 for seconds in waits)


def test_guests_are_asked_for_in_their_view_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what the command line said of them."""
    asked: list[Any] = []
    monkeypatch.setattr(readings.domains, "observe", lambda *host, **what: asked.append((host, what)) or "guests")
    reader, _ = reader_of(Source(), view="guests", guests={"remote": True})
    assert reader.latest.guests == "guests"
    assert asked == [((None, "r", "auto"), {"remote": True})]
    reader, _ = reader_of(Source(), view="rates")
    assert reader.latest.guests is None


# --- turns and lines ----------------------------------------------------------------------------------------------------


def test_turns_come_at_an_interval_and_are_not_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that takes longer than the interval delays the next one, and no turn is done twice."""
    now = [100.0]
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(watch.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(watch.time, "sleep", sleep)
    turns = watch._ticks(2.0, 5)
    assert next(turns) == 0
    now[0] += 0.5
    assert (next(turns), slept) == (1, [1.5])
    now[0] += 5
    assert (next(turns), slept) == (2, [1.5, 0.0])
    assert (next(turns), slept) == (3, [1.5, 0.0, 2.0])
    assert next(turns) == 4
    with pytest.raises(StopIteration):
        next(turns)
    endless = watch._ticks(0.0, None)
    assert [next(endless) for _ in range(4)] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"interval": 0}, "--interval must be above 0 seconds and at most 31622400"), ({"interval": -1}, "--interval"),
        ({"interval": 31622400.1}, "--interval"), ({"count": 0}, "--count must be at least 1"),
        ({"domains": True, "cell": 0}, "--cell and --domains cannot be combined"),
        ({"remote": True}, "--remote requires --domains"), ({"sampled": 64}, "--sampled requires --domains"),
        ({"interval": 31622400}, None), ({"count": 1}, None), ({"interval": 1e-9}, None),
        ({"domains": True, "remote": True, "sampled": 64}, None),
    ],
)  # fmt: skip
def test_what_cannot_be_watched_is_refused(
    monkeypatch: pytest.MonkeyPatch, words: dict[str, Any], said: str | None
) -> None:
    """Before anything is read."""
    done: list[str] = []
    monkeypatch.setattr(watch, "_memory_of_cells", lambda options, out: done.append("cells"))
    monkeypatch.setattr(watch, "_domains", lambda options, out: done.append("domains"))
    plain = {
        "interval": None,
        "count": None,
        "domains": False,
        "cell": None,
        "json": False,
        "remote": False,
        "sampled": None,
    }
    options = argparse.Namespace(**{**plain, **words})
    if said is None:
        watch.run(options, io.StringIO())
        assert done == ["domains" if options.domains else "cells"]
        assert options.interval == words.get("interval", 1.0)
    else:
        with pytest.raises(ValueError, match=said):
            watch.run(options, io.StringIO())
        assert done == []


def test_a_cell_that_is_not_there_cannot_be_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a screen and in lines."""

    class Sampler:
        shape = SimpleNamespace(cells=(0, 1))

        def __init__(self, *_: Any, **__: Any) -> None:
            pass

        def __enter__(self) -> Sampler:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(watch, "Sampler", Sampler)
    monkeypatch.setattr(terminal, "run", lambda *_, **__: None)
    options = argparse.Namespace(
        root=None, recording=None, source="auto", cell=2, domains=False, interval=1.0, count=1, json=False
    )
    for show in (lambda: watch._live(options), lambda: watch._memory_of_cells(options, io.StringIO())):
        with pytest.raises(ValueError, match="there is no cell 2; the cells of this host are 0, 1"):
            show()


@pytest.mark.parametrize("as_json", [True, False])
def test_guests_are_watched_with_what_was_asked_of_them(monkeypatch: pytest.MonkeyPatch, as_json: bool) -> None:
    """A document on each line, or the table with an empty line after it."""
    from numaprobe.cli import domains

    asked: list[Any] = []
    found = SimpleNamespace(document=lambda: {"a": 1}, lines=lambda width: [f"{width}", "x"])
    monkeypatch.setattr(domains, "observe", lambda *where, **what: asked.append((where, what)) or found)
    monkeypatch.setattr(watch, "_ticks", lambda interval, count: iter(range(2)))
    out = io.StringIO()
    watch._domains(
        argparse.Namespace(
            root="r", recording=None, source="auto", interval=1.0, count=2, remote=True, sampled=64, json=as_json
        ),
        out,
    )
    assert out.getvalue() == ('{"a": 1}\n' if as_json else "160\nx\n\n") * 2
    assert asked == [(("r", None, "auto"), {"remote": True, "sampled": 64})] * 2


class Terminal(io.StringIO):
    """Says that it is one."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("out", "into", "term", "can", "screen"),
    [
        (True, True, "xterm", True, True), (False, True, "xterm", True, False), (True, False, "xterm", True, False),
        (True, None, "xterm", True, False), (True, True, "dumb", True, False), (True, True, None, True, False),
        (True, True, "xterm", False, False),
    ],
)  # fmt: skip
def test_a_screen_needs_a_terminal_on_both_ends(
    monkeypatch: pytest.MonkeyPatch, out: bool, into: bool | None, term: str | None, can: bool, screen: bool
) -> None:
    """That can move its cursor; everything else gets lines."""
    monkeypatch.setattr(sys, "stdin", None if into is None else Terminal() if into else io.StringIO())
    monkeypatch.delenv("TERM") if term is None else monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(terminal, "can_draw", lambda: can)
    assert watch._is_a_screen(Terminal() if out else io.StringIO()) is screen


def test_a_python_without_curses_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """As some builds of it are."""
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setitem(sys.modules, "numaprobe.cli.live.terminal", None)
    assert watch._is_a_screen(Terminal()) is False


def sample_of(time: float | None) -> Sample:
    shape = Shape(number=1, cells=(0, 5), since=(1, 1), totals=(GIB, GIB))
    origin = Origin("linux", shape, figures_from=FiguresFrom("t", "f", "a"))
    pages = (HugePages(2 * MIB, 1, 1, 0),)
    cells = (CellSample(0, GIB, MIB, pages, 2 * MIB), CellSample(5, GIB, None, None))
    return made_sample(origin, -1 if time is None else int(time * 1e9), 1, Collected(cells=cells))


def test_a_line_of_each_cell_makes_sense_on_its_own() -> None:
    """Time, cell, and figures by name."""
    out = io.StringIO()
    watch._lines(iter([sample_of(None)]), None, out)
    assert out.getvalue() == (
        "-  cell 0  total 1.0 GiB  free 1.0 MiB  available 2.0 MiB  allocated 1023.0 MiB\n"
        "-  cell 5  total 1.0 GiB  free -  available -  allocated -\n"
    )
    out = io.StringIO()
    watch._lines(iter([sample_of(None)]), 5, out)
    assert out.getvalue().startswith("-  cell 5")
    assert out.getvalue().count("\n") == 1
    out = io.StringIO()
    watch._documents(iter([sample_of(2.5), sample_of(None)]), 0, out)
    first, second = map(json.loads, out.getvalue().splitlines())
    assert [one["id"] for one in first["cells"]] == [0]
    assert first["time"] == 2.5
    assert second["time"] is None


def test_a_sample_as_a_host_has_its_sources_where_it_has_figures() -> None:
    """What a sample does not contain is None or empty."""
    found = sampled.host_of(sample_of(None))
    first, second = found.cells
    assert (first.memory.total, first.memory.free, first.memory.available) == (GIB, MIB, 2 * MIB)
    assert (first.memory.total_from, first.memory.free_from, first.memory.available_from) == ("t", "f", "a")
    assert (second.memory.total_from, second.memory.free_from, second.memory.available_from) == ("t", None, None)
    assert (first.huge_pages, second.huge_pages) == ((HugePages(2 * MIB, 1, 1, 0),), ())
    assert (found.source, found.hypervisor, found.cpus, found.notes) == ("linux", None, (), ())
    assert sampled.time_of(sample_of(None)) == "-"
    assert sampled.time_of(sample_of(0.0), "%Y") in ("1969", "1970")


# --- the screen ---------------------------------------------------------------------------------------------------------


class Window:
    """Notes what is drawn; keys are answered until there are none."""

    def __init__(self, *keys: Any) -> None:
        self.keys = list(keys)
        self.did: list[Any] = []

    def get_wch(self) -> Any:
        if not self.keys:
            raise terminal.curses.error
        return self.keys.pop(0)

    def getmaxyx(self) -> tuple[int, int]:
        return 24, 80

    def addstr(self, *what: Any) -> None:
        self.did.append(what)
        raise terminal.curses.error

    def __getattr__(self, name: str) -> Any:
        return lambda *values: self.did.append((name, *values))


def screen_of(window: Window) -> Any:
    screen = terminal._Screen()
    screen._window, screen._encoding, screen._styles = window, "ascii", {"head": 7}  # type: ignore[assignment]
    return screen


def test_keys_have_names() -> None:
    """Letters are their own, what has no name is empty and means nothing."""
    curses = terminal.curses
    keys = ["\t", " ", "x", curses.KEY_UP, curses.KEY_DOWN, curses.KEY_LEFT, curses.KEY_RIGHT, curses.KEY_PPAGE, curses.KEY_NPAGE,
            curses.KEY_HOME, curses.KEY_END, curses.KEY_F1, curses.KEY_F10, curses.KEY_F2]  # fmt: skip
    assert screen_of(Window(*keys)).pressed() == [
        "Tab", "Space", "x", "Up", "Down", "Left", "Right", "PageUp", "PageDown", "Home", "End", "F1", "q", "",
    ]  # fmt: skip
    assert screen_of(Window()).pressed() == []


def test_lines_are_drawn_span_by_span() -> None:
    """What the terminal cannot write is a question mark; the last column's error is none."""
    window = Window()
    screen_of(window).draw([[Span("ab", "head"), Span("é")], [Span("c", "none")]])
    plain = terminal.curses.A_NORMAL
    assert window.did == [("erase",), (0, 0, "ab", 7), (0, 2, "?", plain), (1, 0, "c", plain), ("refresh",)]


@pytest.mark.parametrize(
    ("size", "found"), [((80, 24), (24, 80)), ((81, 24), (24, 81)), ((80, 25), (25, 80)), ((0, 0), (1, 1))]
)
def test_a_window_follows_the_size_of_its_terminal(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], found: tuple[int, int]
) -> None:
    """It is cleared when that changed, and has at least one column and line."""
    window = Window()
    monkeypatch.setattr(terminal.os, "get_terminal_size", lambda _: os.terminal_size(size))
    monkeypatch.setattr(terminal.curses, "resizeterm", lambda *to: window.did.append(("resized", *to)), raising=False)
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(fileno=lambda: 1))
    assert screen_of(window).size() == found
    assert window.did == ([] if size == (80, 24) else [("resized", *found), ("clear",)])


@pytest.mark.parametrize(("no_color", "has", "coloured"), [("", True, True), ("1", True, False), ("", False, False)])
def test_colours_are_added_to_styles_unless_they_are_unwanted(
    monkeypatch: pytest.MonkeyPatch, no_color: str, has: bool, coloured: bool
) -> None:
    """Bold, underlined and reverse stay without them."""
    curses = terminal.curses
    pairs: list[Any] = []
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setattr(curses, "has_colors", lambda: has)
    monkeypatch.setattr(curses, "start_color", lambda: pairs.append("start"))
    monkeypatch.setattr(curses, "use_default_colors", lambda: pairs.append("default"))
    monkeypatch.setattr(curses, "init_pair", lambda *pair: pairs.append(pair))
    monkeypatch.setattr(curses, "color_pair", lambda pair: pair << 20)
    styles = terminal._Screen()._made_styles()
    assert (styles[""], styles["head"], styles["chosen"]) == (curses.A_NORMAL, curses.A_BOLD, curses.A_REVERSE)
    assert styles["quiet"] == curses.A_NORMAL
    if coloured:
        assert pairs == ["start", "default", (1, 4, -1), (2, 5, -1), (3, 3, -1), (4, 2, -1), (5, 6, -1), (6, 1, -1)]
        assert styles["used"] == 1 << 20
        assert styles["heading"] == curses.A_UNDERLINE | 5 << 20
        assert styles["error"] == curses.A_BOLD | 6 << 20
    else:
        assert pairs == []
        assert (styles["heading"], styles["error"]) == (curses.A_UNDERLINE, curses.A_BOLD)
        assert "used" not in styles


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is asked of curses, in order."""
    found: list[Any] = []
    names = ("noecho", "cbreak", "nocbreak", "echo", "endwin", "curs_set", "set_escdelay")
    for name in names:
        monkeypatch.setattr(
            terminal.curses, name, lambda *values, name=name: found.append((name, *values)), raising=False
        )
    window = Window()
    window.did = found
    monkeypatch.setattr(terminal.curses, "initscr", lambda: window)
    monkeypatch.setattr(terminal.locale, "setlocale", lambda *what: found.append(what))
    monkeypatch.setattr(terminal._Screen, "_made_styles", lambda self: {})
    return found


def test_the_terminal_is_restored_whatever_happens(calls: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that cannot hide its cursor is no error; another failure restores it at once."""
    with terminal._Screen():
        entered = list(calls)
    assert entered == [
        (terminal.locale.LC_ALL, ""),
        ("set_escdelay", 50), ("noecho",), ("cbreak",), ("keypad", True), ("nodelay", True), ("curs_set", 0),
    ]  # fmt: skip
    assert calls[len(entered) :] == [("keypad", False), ("nocbreak",), ("echo",), ("endwin",)]

    def fails(_: int) -> None:
        raise terminal.curses.error

    monkeypatch.setattr(terminal.curses, "curs_set", fails)
    with terminal._Screen():
        pass

    def breaks() -> None:
        raise OSError("no")

    monkeypatch.setattr(terminal.curses, "cbreak", breaks)
    calls.clear()
    with pytest.raises(OSError, match="no"):
        terminal._Screen().__enter__()
    assert calls[-1] == ("endwin",)


class Quiet:
    """A reader that notes what is asked of it."""

    def __init__(self, ended: bool = False) -> None:
        self.latest = reading()
        self.view, self.stopped, self.ended = "cells", False, ended
        self.early = 0

    def again(self) -> None:
        self.early += 1


class Shown:
    """A screen with keys for each time that it is asked."""

    def __init__(self, *keys: list[str]) -> None:
        self.keys = list(keys)
        self.drawn: list[Any] = []

    def size(self) -> tuple[int, int]:
        return 9, 70

    def draw(self, lines: Any) -> None:
        self.drawn.append([text(line) for line in lines])

    def pressed(self) -> list[str]:
        return self.keys.pop(0)


def looped(monkeypatch: pytest.MonkeyPatch, screen: Shown, reader: Quiet, *events: dict[int, int]) -> State:
    """The loop with these events of the terminal (0) and of the pipe (1)."""
    pipe, writing = os.pipe()
    found = list(events)
    keyboard = 10_000

    class Poll:
        def __init__(self) -> None:
            self.registered: list[Any] = []

        def register(self, what: Any, mask: int) -> None:
            self.registered.append((what, mask))

        def poll(self) -> list[tuple[int, int]]:
            assert self.registered == [(sys.stdin, select.POLLIN), (pipe, select.POLLIN)]
            now = found.pop(0)
            if 1 in now:
                os.write(writing, b"\0")
            return [((keyboard, pipe)[which], mask) for which, mask in now.items()]

    state = State()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", SimpleNamespace(fileno=lambda: keyboard))
            patch.setattr(terminal.select, "poll", Poll)
            terminal._loop(screen, reader, state, pipe, [], interval=2.0, only=None)  # type: ignore[arg-type]
    finally:
        os.close(pipe)
        os.close(writing)
    assert not found
    return state


IN = select.POLLIN


def test_the_loop_draws_and_obeys_until_q(monkeypatch: pytest.MonkeyPatch) -> None:
    """The view that was chosen is read, early where guests have to be."""
    screen, reader = Shown(["3"], ["2"], ["Space"], ["Space"], [], ["q"]), Quiet()
    looped(monkeypatch, screen, reader, {0: IN}, {0: IN}, {0: IN}, {0: IN}, {1: IN}, {0: IN, 1: IN})
    assert (reader.view, reader.stopped) == ("guests", False)
    assert reader.early == 3, "for guests, when stopped, and when going on"
    assert len(screen.drawn) == 6
    assert "every 2 s" in screen.drawn[0][1]


@pytest.mark.parametrize("mask", [select.POLLHUP, select.POLLERR, select.POLLHUP | IN])
def test_a_terminal_that_has_gone_ends_the_loop(monkeypatch: pytest.MonkeyPatch, mask: int) -> None:
    """Without a key and without a signal."""
    screen = Shown()
    state = looped(monkeypatch, screen, Quiet(), {0: mask})
    assert not state.ended
    assert len(screen.drawn) == 1


def test_the_last_reading_is_drawn_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without waiting for a key."""
    screen = Shown()
    looped(monkeypatch, screen, Quiet(ended=True))
    assert len(screen.drawn) == 1


def test_while_it_is_stopped_the_same_reading_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it goes on."""
    reader = Quiet()

    class Changing(Shown):
        def draw(self, lines: Any) -> None:
            super().draw(lines)
            reader.latest = reading(len(self.drawn) + 2)

    screen = Changing(["Space"], [], ["Space"], ["q"])
    looped(monkeypatch, screen, reader, {0: IN}, {1: IN}, {0: IN}, {0: IN})
    assert [drawn[0].partition(" · ")[2].partition(" · ")[0] for drawn in screen.drawn] == [
        "2 cells",
        "2 cells",
        "2 cells",
        "5 cells",
    ]


@pytest.mark.parametrize("number", [None, signal.SIGTERM, signal.SIGHUP])
def test_what_ends_the_screen_is_undone_before_the_process_ends(
    calls: list[Any], monkeypatch: pytest.MonkeyPatch, number: signal.Signals | None
) -> None:
    """The handlers and the pipe are restored; a signal then ends it as it would have."""
    killed: list[Any] = []
    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGHUP, signal.SIGWINCH)}

    def loop(*_: Any, **__: Any) -> None:
        if number is not None:
            signal.raise_signal(number)
        signal.raise_signal(signal.SIGWINCH)

    monkeypatch.setattr(terminal, "_loop", loop)
    monkeypatch.setattr(terminal.os, "kill", lambda *what: killed.append((*what, signal.getsignal(what[1]))))
    descriptors = len(os.listdir("/proc/self/fd"))
    terminal.run(Source(), (None, "r", "auto"), interval=99.0, count=None, view="cells", only=None)  # type: ignore[arg-type]
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert killed == ([] if number is None else [(os.getpid(), number, signal.SIG_DFL)])
    if number is not None:
        signal.signal(number, before[number])
    assert {one: signal.getsignal(one) for one in before} == before
    assert signal.set_wakeup_fd(-1) == -1
    assert calls[-1] == ("endwin",)


def test_a_terminal_that_curses_does_not_know_cannot_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor one that cannot move its cursor."""

    def fails() -> None:
        raise terminal.curses.error

    monkeypatch.setattr(terminal.curses, "tigetstr", {"cup": b"x"}.get)
    monkeypatch.setattr(terminal.curses, "setupterm", lambda: None)
    assert terminal.can_draw()
    monkeypatch.setattr(terminal.curses, "tigetstr", lambda _: None)
    assert not terminal.can_draw()
    monkeypatch.setattr(terminal.curses, "tigetstr", lambda _: b"x")
    monkeypatch.setattr(terminal.curses, "setupterm", fails)
    assert not terminal.can_draw()


# --- whole screens ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("height", range(1, 19))
def test_a_low_screen_gives_way_in_one_order(height: int) -> None:
    """Blank lines, the legend, remarks, sums, title, tabs, heading, and last of all the error."""
    state = State()
    lines = [text(line) for line in compose.compose(reading(9, error="an error"), state, 90, height, interval=1.0)]
    assert len(lines) == height
    words = {
        "title": "linux · 9 cells", "tabs": "1 cells", "heading": "available", "sums": " all ", "legend": ". free", "error": "an error",
    }  # fmt: skip
    there = {name for name, word in words.items() if any(word in line for line in lines)}
    order = ["error", "heading", "tabs", "title", "sums", "legend"]
    # Three rows, the footer, and as many of these as there is room for.
    kept = set(order[: max(height - 4, 0)])
    assert there == (kept if height > 1 else set())
    assert state.page == max(sum(line.strip()[:1].isdigit() and "GiB" in line for line in lines) - 1, 1)


def test_rows_are_scrolled_back_into_range() -> None:
    """And the footer says which are shown."""
    state = State()
    state.top = 99
    lines = [text(line) for line in compose.compose(reading(30), state, 90, 14, interval=1.0)]
    shown = [line for line in lines if "GiB" in line and line.strip()[:1].isdigit()]
    assert state.top == 30 - len(shown)
    assert lines[-1].startswith(f"{state.top + 1}-30 of 30  q quit  ? keys  Tab view  s sort  r reverse  Space stop")
    state.top = 0
    lines = [text(line) for line in compose.compose(reading(2), state, 90, 14, interval=1.0)]
    assert lines[-1].startswith("q quit")
    assert lines[0] == "linux · 2 cells · 3.0 GiB of 3.0 GiB free · a recording"
    assert "sorted by cell · every 1 s" in lines[1]
    state.key("s")
    state.key("Space")
    lines = [text(line) for line in compose.compose(reading(2), state, 90, 14, interval=1.0)]
    assert "sorted by free, largest first · stopped (Space)" in lines[1]
    narrow = text(compose._tabs(State(), 1.0, 24))
    assert narrow.startswith(" 1 cells ")
    assert "guests" not in narrow
    assert "2 guests" in text(compose._tabs(State(), 1.0, 31))


def test_the_keys_are_a_screen_of_their_own() -> None:
    """Each with what it does."""
    state = State()
    state.key("?")
    lines = [text(line) for line in compose.compose(reading(2), state, 90, 24, interval=1.0)]
    assert any(line.split() == ["q", "quit", "(also", "Ctrl-C)"] for line in lines)
    assert any(line.split() == ["Space", "pause", "and", "resume"] for line in lines)
