"""The documentation names what there is, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numaprobe
from numaprobe.model import host, traffic, usable

ROOT = Path(__file__).parents[2]


def documented() -> dict[str, set[str]]:
    """Fields by the heading they stand under in fields.md."""
    found: dict[str, set[str]] = {}
    heading = ""
    for line in (ROOT / "docs" / "fields.md").read_text().splitlines():
        if line.startswith("## "):
            heading = line[3:]
        elif line.startswith("| `"):
            found.setdefault(heading, set()).add(line.split("`")[1])
    return found


def test_fields_md_has_every_field_of_the_model_and_no_other() -> None:
    """A field without a source in the documentation is a figure that nobody can check."""
    types = {
        name: set(value._fields)
        for model in (host, traffic, usable)
        for name, value in vars(model).items()
        if isinstance(value, type) and issubclass(value, tuple) and value.__module__ == model.__name__
    }
    assert documented() == types


def test_every_public_name_has_a_docstring() -> None:
    """Users read them by help(), and the page of the API is made from them."""
    without = [name for name in numaprobe.__all__ if not name.startswith("_") and not getattr(numaprobe, name).__doc__]
    assert without == []


def test_every_link_between_pages_leads_to_a_file() -> None:
    """Pages are moved and renamed, and a link is easily forgotten."""
    missing = []
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        for part in page.read_text().split("](")[1:]:
            target = part.partition(")")[0].partition("#")[0]
            if target and "://" not in target and not (page.parent / target).exists():
                missing.append(f"{page.name}: {target}")
    assert missing == []
