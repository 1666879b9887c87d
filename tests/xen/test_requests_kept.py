"""What is requested of a hypervisor, to the letter: each word of each operation that is not 0, and its buffers.

``tests/xen/requests.txt`` has it. A transcript answers only the same request, so that a change of it makes old
recordings useless. ``pytest tests/xen/test_requests_kept.py --rewrite`` writes it anew; read the difference before you
commit it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_domains import FakeDomain, FakeDomains, two_node_domains
from fake_xen import MIB, SRAT
from kept import agrees

from numaprobe.probing.domains import ask_xen
from numaprobe.xen.collect import collect

KEPT = Path(__file__).parent / "requests.txt"


def shown(given: bytes) -> str:
    """The bytes of a buffer; of one that is filled with the same how many there are."""
    return f"{len(given)}*{given[:1].hex()}" if len(set(given)) == 1 else given.hex()


class Written:
    """A port that writes down what it is asked."""

    def __init__(self, xen: FakeDomains) -> None:
        self.xen = xen
        self.lines: list[str] = []

    def call(
        self, number: int, command: int, op: bytes, buffers: tuple[tuple[int, bytes], ...] = ()
    ) -> tuple[int, bytes, tuple[bytes, ...]]:
        """Answers as the hypervisor does."""
        words = {at: int.from_bytes(op[at : at + 4], "little") for at in range(0, len(op), 4)}
        said = [f"{at}={word:#x}" for at, word in words.items() if word]
        said += [f"{at}:{shown(given)}" for at, given in buffers]
        self.lines.append(" ".join([f"({number}, {command}) {len(op)}", *said]))
        return self.xen.call(number, command, op, buffers)


def told(release: str) -> Iterator[str]:
    # 17 CPUs and 9 nodes are possible: one more than whole bytes of a bitmap.
    xen = two_node_domains(release, max_cpu_id=16, max_node_id=8, counts=True, pci={(0, 1, 8): 1, (0, 2, 8): 0})
    vnodes = ((64 * MIB, (0,)), (32 * MIB, (1,)))
    xen.domains = {0: FakeDomain({0: 1}), 5: FakeDomain({0: 2}, vcpus=((0,), (16,)), vnodes=vnodes)}
    port = Written(xen)
    collect(port, SRAT, ["0000:01:01.0", "0000:02:01.0"])
    ask_xen(port, debug_key=True)
    for line in port.lines:
        yield f"{release} {line}"


def test_what_is_requested_is_what_it_was(pytestconfig: pytest.Config) -> None:
    """Of the host and of its domains, in the order in which it is requested, of an old release and a new one."""
    agrees(KEPT, (line for release in ("4.2", "4.17") for line in told(release)), pytestconfig)
