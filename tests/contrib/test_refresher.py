"""The pace of background readings: each part has its own, and no answer expires before its successor is due."""

from __future__ import annotations

from typing import Any

import pytest
from commands import Plant, two_cells

import numaprobe
from numaprobe.contrib import refresher
from numaprobe.contrib.refresher import Options, Refresher


class Clock:
    """A monotonic clock that moves only when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def paced(root: Any, **options: Any) -> Refresher:
    chosen = dict.fromkeys(Options._fields) | {"root": root, "source": "linux", "domains": True, "domains_limit": 100}
    return Refresher(Options(**{**chosen, "interval": 15.0, **options}))


def test_slow_guests_do_not_make_available_memory_old(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """A walk of 100 s uses a tenth of a CPU, so it is due after 900 s; the cells are read every interval meanwhile."""
    clock = Clock()
    walks = []

    def walk(*_words: Any, **_options: Any) -> Any:
        clock.now += 100
        walks.append(clock.now)
        return found

    found = numaprobe.Domains(())
    monkeypatch.setattr(refresher, "monotonic", clock)
    monkeypatch.setattr(numaprobe, "domains", walk)
    made = paced(plant(two_cells()))
    ages = []
    for _ in range(20):
        pause = made.turn()
        assert 0 <= pause <= 15
        ages.append(clock.now - made.answers["details"].at)
        clock.now += pause
    assert len(walks) == 1
    assert ages[1:] == [0] * 19
    clock.now = walks[0] + 900
    made.turn()
    assert len(walks) == 2
    answer = made.answers["details"]
    assert clock.now - answer.at < made.limit(answer)


def test_a_change_of_the_host_makes_every_part_due(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guests may have moved with the memory that was added."""
    walks = []
    monkeypatch.setattr(numaprobe, "domains", lambda *_words, **_options: walks.append(1) or numaprobe.Domains(()))
    made = paced(plant(two_cells()), interval=3600.0)
    made.turn()
    made.turn()
    assert len(walks) == 1
    made.hurry()
    made.turn()
    assert len(walks) == 2


def test_a_part_that_fails_keeps_its_pace_and_its_last_answer(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure is counted, and the answer before it is reported until it is too old."""
    clock = Clock()
    monkeypatch.setattr(refresher, "monotonic", clock)
    made = paced(plant(two_cells()), domains=False)
    made.turn()
    first = made.answers["details"]

    def failing(*_words: Any, **_options: Any) -> Any:
        raise numaprobe.SourceError("node0/meminfo", 5)

    monkeypatch.setattr(numaprobe, "Sampler", failing)
    clock.now += made.turn()
    made.turn()
    assert made.errors["details"] == 1
    assert made.answers["details"] is first
    assert clock.now - first.at <= made.limit(first)
    clock.now += 5 * 15 + 1
    assert clock.now - first.at > made.limit(first)
