"""The doctor on recorded machines (``--machines``): nothing is found but what is argued for in docs/doctor.md."""

from __future__ import annotations

from pathlib import Path

import pytest

import numaprobe

PAGE = Path(__file__).parents[2] / "docs" / "doctor.md"


def argued() -> dict[str, list[str]]:
    """Ids of findings by machine, from the table of the page."""
    found: dict[str, list[str]] = {}
    section = PAGE.read_text("utf-8").partition("## On recorded machines")[2]
    for line in section.splitlines():
        if line.startswith("| `") and "/" in line.split("|")[1]:
            machine, ids = (cell.split("`")[1::2] for cell in line.split("|")[1:3])
            for name in machine:
                found.setdefault(name, []).extend(ids)
    return found


def test_the_page_argues_for_each_finding() -> None:
    """An id in the table that no check has would be an argument for nothing."""
    table = PAGE.read_text("utf-8").partition("## Cost")[0]
    assert argued()
    for ids in argued().values():
        assert all(f"| `{one}` |" in table for one in ids)


def test_a_recorded_machine_has_the_findings_that_are_argued_for_and_no_other(
    recorded_machine: tuple[Path, str],
) -> None:
    """A finding on a machine of which nobody complains has to be argued for on the page."""
    folder, name = recorded_machine
    try:
        diagnosis = numaprobe.diagnose(recording=folder / f"{name}.tar.gz", source="linux")
    except numaprobe.NumaprobeError as error:
        pytest.skip(f"no machine: {error}")
    assert sorted(finding.id for finding in diagnosis.findings) == sorted(argued().get(name, []))
