"""Renderings that several clients share."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable

import pytest

from numaprobe.cli import render_cache
from numaprobe.cli.render_cache import RenderCache


def cached(use: Callable[[RenderCache, list[float]], Awaitable[None]], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was rendered while a cache with answers of 2 s was used; the list is a clock that is set."""
    clock = [100.0]
    monkeypatch.setattr(render_cache, "monotonic", lambda: clock[0])
    rendered: list[str] = []

    def render(form: str) -> bytes:
        rendered.append(form)
        return f"{form} {len(rendered)}".encode()

    async def run() -> None:
        cache = RenderCache(render, max_age=2.0)
        await use(cache, clock)
        cache.close()

    asyncio.run(run())
    return rendered


def test_a_rendering_is_given_to_others_for_as_long_as_it_may_be_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the maximum age it is still given, and just beyond it is made anew, for each format on its own."""

    async def use(cache: RenderCache, clock: list[float]) -> None:
        assert await cache.body("a") == b"a 1"
        clock[0] += 2.0
        assert await cache.body("a") == b"a 1"
        clock[0] += 0.1
        assert await cache.body("a") == b"a 2"
        assert await cache.body("b") == b"b 3", "each format has its own"

    assert cached(use, monkeypatch) == ["a", "a", "b"]


def test_clients_at_once_share_one_rendering_compressed_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of six want gzip, which is made from the one text."""

    async def use(cache: RenderCache, _: list[float]) -> None:
        found = await asyncio.gather(*(cache.body("a", compressed=number % 2 == 1) for number in range(6)))
        assert found[::2] == [b"a 1"] * 3
        assert [gzip.decompress(body) for body in found[1::2]] == [b"a 1"] * 3

    assert cached(use, monkeypatch) == ["a"]


def test_an_error_is_raised_to_each_and_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing host is not read again for every client, and its error does not last."""
    clock = [100.0]
    monkeypatch.setattr(render_cache, "monotonic", lambda: clock[0])
    answers = iter([ValueError("broken"), b"whole"])

    def render(_: str) -> bytes:
        answer = next(answers)
        if isinstance(answer, ValueError):
            raise answer
        return answer

    async def run() -> None:
        cache = RenderCache(render, max_age=2.0)
        for _ in range(2):
            with pytest.raises(ValueError, match="broken"):
                await cache.body("a")
        clock[0] += 2.1
        assert await cache.body("a") == b"whole"
        cache.close()

    asyncio.run(run())
