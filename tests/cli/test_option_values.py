"""What people write on a command line, and what is written for them: sizes, packages."""

from __future__ import annotations

import pytest
from hosts import GIB, host, made

from numaprobe import Cpu
from numaprobe.cli.layout import page_size
from numaprobe.cli.place_options import near
from numaprobe.cli.show import cells
from numaprobe.cli.sizes import parse


@pytest.mark.parametrize(
    ("text", "meant"),
    [("eth0", "eth0"), ("cell:3", 3), ("cell:", "cell:"), ("cell:x", "cell:x"), ("cell", "cell"), ("node:3", "node:3")],
)
def test_near_is_a_cell_only_where_it_says_so_with_a_number(text: str, meant: str | int) -> None:
    """A device may have any name, even one like cell, so only cell:N is an id."""
    assert near(text) == meant


@pytest.mark.parametrize(
    ("size", "written"), [(1 << 30, "1G"), (16 << 30, "16G"), (2 << 20, "2M"), (64 << 10, "64K"), (1000, "1000")]
)
def test_a_huge_page_has_the_largest_unit_that_divides_it(size: int, written: str) -> None:
    """The text is accepted as a size again and loses no byte."""
    assert page_size(size) == written


def test_a_size_has_at_most_thirty_digits() -> None:
    """Python converts long integers slowly, so the length is limited before the conversion."""
    assert parse("8".rjust(30, "0")) == 8
    with pytest.raises(ValueError, match="not a size"):
        parse("8".rjust(31, "0"))


def test_a_cell_is_in_the_packages_of_its_cpus_as_far_as_they_are_known() -> None:
    """A CPU without a package adds none, and one without a cell adds its package to no cell."""
    cpus = (made(Cpu, id=0, cell=0, package=3), made(Cpu, id=1, cell=0), made(Cpu, id=2, package=4))
    heading, row = cells(host([4 * GIB])._replace(cpus=cpus), 80)
    assert row.split()[heading.split().index("package")] == "3"
