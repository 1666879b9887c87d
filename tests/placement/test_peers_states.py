"""Beside other placers in their own states: for no guest is numaprobe's choice there dearer than theirs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
if not (ROOT / "benchmarks").is_dir():
    pytest.skip("the benchmarks are not beside the tests", allow_module_level=True)
# Last, so that an installed numaprobe comes before the checkout.
sys.path.append(str(ROOT))

from benchmarks.placement.dearer import SAME, peers, walked  # noqa: E402
from benchmarks.placement.mixes import HOSTS, stream  # noqa: E402
from benchmarks.placement.world import World  # noqa: E402


@pytest.mark.parametrize("mix", ["large", "wide", "guest cells"])
@pytest.mark.parametrize("host", ["4 asymmetric", "8 two packages"])
@pytest.mark.parametrize("peer", ["incus", "kubelet", "xapi 2025", "libxl", "first-fit"])
def test_a_peer_has_no_cheaper_cells_for_a_guest_in_the_same_state(peer: str, host: str, mix: str) -> None:
    """What a row of the published table still loses comes from earlier guests, or from cells with whole cores."""
    guests = stream(mix, World(HOSTS[host]), 7, 24)
    world = World(HOSTS[host])
    theirs = walked(world, guests, peers(world, peer), asking=True)
    assert theirs.dearer, "guests were accepted"
    assert [number for number, more in theirs.dearer.items() if more > SAME and number not in theirs.for_cores] == []
