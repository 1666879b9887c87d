"""The pages: every public name has an entry, every link leads somewhere, every command line is one that is taken."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from pathlib import Path

import pytest
import schemas

import numaprobe
from numaprobe.cli.parser import COMMANDS, Parser, parsed

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


def _blocks(page: Path) -> list[tuple[str, str]]:
    """The code blocks of a page, fenced with their language and indented with none."""
    text = page.read_text("utf-8")
    fenced = re.findall(r"^ *```(\w*)\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    rest = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    return fenced + [("", block) for block in re.findall(r"(?<=\n\n)((?: {4}[^\n]*\n)+)", rest)]


def _commands(page: Path) -> list[list[str]]:
    """The command lines of numaprobe in the blocks of a page, without what the shell takes."""
    found = []
    for _, block in _blocks(page):
        for written in block.splitlines():
            line = written.strip().removeprefix("$ ").removeprefix("$(")
            if re.match(r"numaprobe [a-z-]", line):
                words = shlex.split(re.split(r" > ?| >>| &|\) |  ", line)[0], comments=True)
                found.append(words[1 : words.index("--") if "--" in words else None])
    return found


@pytest.mark.parametrize("page", [page for page in PAGES if _commands(page)], ids=lambda page: page.name)
def test_command_lines_in_blocks_are_taken(page: Path) -> None:
    """A reader types them as they stand; the output next to them is made by cog."""
    for words in _commands(page):
        if not words[0].startswith("-"):
            parsed(words)


def _options() -> dict[str, set[str]]:
    """The options of each command, and of those that have actions of each action."""
    found: dict[str, set[str]] = {}
    for name, (_, declare) in COMMANDS.items():
        parser = Parser(prog=name)
        declare(parser)
        parsers = [parser]
        for one in parsers:
            found.setdefault(name, set()).update(one._option_string_actions)
            for action in one._actions:
                if isinstance(action, argparse._SubParsersAction):
                    parsers += [sub for sub in action.choices.values() if sub not in parsers]
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_named_in_the_text_exist(page: Path) -> None:
    """``place --near eth0`` in a sentence: a renamed option would stay in the text for ever."""
    options = _options()
    text = re.sub(
        r"<!-- \[\[\[cog.*?\[\[\[end\]\]\] -->|^ *```.*?^ *```", "", page.read_text("utf-8"), flags=re.S | re.M
    )
    for code in re.findall(r"`([^`\n]+)`", text):
        words = code.removeprefix("numaprobe ").split(" -- ")[0].split()
        if words and words[0] in options:
            named = {word.partition("=")[0].rstrip(",.") for word in words[1:] if word.startswith("--")}
            assert named <= options[words[0]], code


def test_data_in_blocks_is_of_its_form() -> None:
    """YAML and TOML are parsed, and the batch of the page of placement is of its schema."""
    for page in PAGES:
        for language, block in _blocks(page):
            if language == "yaml":
                pytest.importorskip("yaml").safe_load(block)
            elif language == "toml":
                pytest.importorskip("tomllib").loads(block)
            elif block.lstrip().startswith("[{"):
                schemas.check("batch", json.loads(block))
