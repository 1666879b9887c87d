"""Replies that no hypervisor gives: truncated, oversized, random."""

from __future__ import annotations

import os

from fake_xen import SRAT, two_node_pc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from numaprobe.errors import NumaprobeError
from numaprobe.xen.collect import collect


class Scrambled:
    """A hypervisor that answers some calls with anything: other words, other lengths, any errno."""

    def __init__(self, data: st.DataObject, release: str) -> None:
        self.xen = two_node_pc(release)
        self.data = data
        self.left = 3000

    def call(
        self, number: int, command: int, op: bytes, buffers: tuple[tuple[int, bytes], ...] = ()
    ) -> tuple[int, bytes, tuple[bytes, ...]]:
        """The fake's answer, or a spoiled one."""
        self.left -= 1
        assert self.left, "the hypervisor is asked without end"
        result, reply, outs = self.xen.call(number, command, op, buffers)
        how = self.data.draw(st.sampled_from(["as it is", "as it is", "words", "bytes", "length", "errno"]))
        if how == "errno":
            code = self.data.draw(st.sampled_from([1, 2, 11, 12, 13, 14, 16, 22, 38, 95, 105]))
            raise OSError(code, os.strerror(code))
        if how == "words" and len(reply) >= 12:
            spoiled = bytearray(reply)
            for _ in range(self.data.draw(st.integers(1, 3))):
                at = 4 * self.data.draw(st.integers(0, len(reply) // 4 - 1))
                word = self.data.draw(st.sampled_from([0, 1, 2, 63, 300, 1 << 16, 1 << 31, 0xFFFFFFFE, 0xFFFFFFFF]))
                spoiled[at : at + 4] = word.to_bytes(4, "little")
            return result, bytes(spoiled), outs
        if how == "bytes":
            return (
                self.data.draw(st.integers(-(1 << 31), (1 << 31) - 1)),
                self.data.draw(st.binary(min_size=len(reply), max_size=len(reply))),
                tuple(self.data.draw(st.binary(max_size=64)).ljust(len(out), b"\x7f")[: len(out)] for out in outs),
            )
        if how == "length":
            return result, self.data.draw(st.binary(max_size=200)), tuple(out[:5] for out in outs[:1])
        return result, reply, outs


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data(), st.sampled_from(["4.2", "4.5", "4.6", "4.14", "4.17", "4.21"]))
def test_spoiled_replies_are_a_typed_error_or_sane_facts(data: st.DataObject, release: str) -> None:
    """They must cause no crash, no endless loop and no machine that contradicts itself."""
    try:
        facts = collect(Scrambled(data, release), SRAT, ["0000:00:01.0", "0000:00:02.0"])
    except NumaprobeError:
        return
    assert len(facts.distances) == len(facts.nodes)
    assert facts.cpuinfo is None or len(facts.cpuinfo) >= len(facts.cpus)
    assert all(len(row) == len(facts.nodes) for row in facts.distances)
    assert 0 <= facts.physinfo.free_pages <= facts.physinfo.total_pages
    if facts.present_pages is not None:
        assert sum(pages or 0 for pages in facts.present_pages) == facts.physinfo.total_pages
    if facts.online_cpus is not None:
        assert len(facts.online_cpus) == facts.physinfo.nr_cpus
