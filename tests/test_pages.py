"""The pages: every public name has an entry, every link leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import numaprobe

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])


def test_every_public_name_has_an_entry_in_the_page_of_the_python_api() -> None:
    """The page is made from the docstrings; a name that is left out of it would be found by nobody."""
    page = (ROOT / "docs" / "python.md").read_text("utf-8")
    entries = set(re.findall(r"^### (\w+)$", page, re.MULTILINE))
    assert set(numaprobe.__all__) - {"__version__", "export", "pin"} <= entries


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_files_lead_somewhere(page: Path) -> None:
    """Addresses of other hosts are not followed."""
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []
