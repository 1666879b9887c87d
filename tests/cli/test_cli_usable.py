"""``numaprobe free --for``: what can be allocated, and how that is known."""

from __future__ import annotations

import json

import pytest
from commands import Plant, complaint, run
from rich import rich
from schemas import check


@pytest.mark.parametrize("purpose", ["ordinary", "pinned", "me", "2M"])
def test_each_purpose_has_a_row_per_cell_and_says_how_it_is_known(plant: Plant, purpose: str) -> None:
    """The last column names the source, and for this process the cpuset that excludes cell 2."""
    done = run("free", "--for", purpose, "--root", plant(rich()))
    assert (done.returncode, done.stderr) == (0, "")
    heading, *rows = done.stdout.splitlines()
    assert heading.split()[-1] == "how"
    assert [row.split()[0] for row in rows] == ["0", "1", "2"]
    if purpose == "me":
        assert rows[2].endswith("not in the cpuset")
    else:
        assert all("zoneinfo" in row for row in rows)


def test_the_document_has_it_for_every_cell_and_only_then(plant: Plant) -> None:
    """Without --for the JSON stays as other programs know it."""
    root = plant(rich())
    found = json.loads(run("free", "--for", "me", "--json", "--root", root).stdout)
    check("free", found)
    (pages,) = found["cells"][0]["usable"]["pages"]
    assert (pages["size"], pages["pool"]) == (2 << 20, 4)
    assert "usable" not in json.loads(run("free", "--json", "--root", root).stdout)["cells"][0]


def test_a_purpose_that_is_none_and_a_size_that_is_not_there_are_refused(plant: Plant) -> None:
    """The message lists what is possible, down to the sizes that this host has."""
    root = plant(rich())
    assert "--for is ordinary, pinned, me or the size" in complaint(2, "free", "--for", "fun", "--root", root)
    assert "no huge pages of 1G on this host (sizes: 2M)" in complaint(2, "free", "--for", "1G", "--root", root)
    assert "cannot be combined with --watch" in complaint(2, "free", "--for", "me", "--watch", "--root", root)
