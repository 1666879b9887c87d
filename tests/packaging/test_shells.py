"""Completions and the manual page: as the parser is now, and as shells and ``man`` take them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHARE = ROOT / "packaging" / "share"
BASH = SHARE / "bash-completion/completions/numaprobe"


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name} here (Debian's {name})")
    return found


def completed(*words: str) -> list[str]:
    """What bash offers for the last of these words."""
    script = f"""
        source {BASH}
        COMP_WORDS=({" ".join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}
        $(complete -p numaprobe | sed 's/.*-F \\([^ ]*\\).*/\\1/')
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    run = subprocess.run([program("bash"), "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return run.stdout.split()


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the words of argparse's usage differ between Pythons")
def test_they_are_what_the_parser_makes() -> None:
    """The generated files are committed, so a new option without them is found here."""
    pytest.importorskip("shtab")
    pytest.importorskip("build_manpages")
    command = [sys.executable, str(ROOT / "packaging/shells.py"), "--check"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=60)
    assert (run.returncode, run.stderr) == (0, "")


def test_bash_completes_commands_options_and_choices() -> None:
    """A real bash completes commands, options and the values of an option."""
    assert {"show", "free", "watch", "place", "serve"} <= set(completed("numaprobe", ""))
    assert completed("numaprobe", "wa") == ["watch"]
    assert {"--interval", "--cell", "--json"} <= set(completed("numaprobe", "watch", "--"))
    assert completed("numaprobe", "show", "--source", "x") == ["xen"]


@pytest.mark.parametrize(
    ("shell", "name"), [("zsh", "zsh/site-functions/_numaprobe"), ("fish", "fish/vendor_completions.d/numaprobe.fish")]
)
def test_zsh_and_fish_take_theirs(shell: str, name: str) -> None:
    """The shells themselves check the syntax of the files."""
    run = subprocess.run([program(shell), "-n", str(SHARE / name)], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")


def test_fish_completes_commands_and_options() -> None:
    """A real fish completes a word begun."""
    script = f"source {SHARE}/fish/vendor_completions.d/numaprobe.fish; complete -C 'numaprobe wa'"
    run = subprocess.run([program("fish"), "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.split()[0] == "watch"


def test_man_shows_every_command_and_the_statuses() -> None:
    """The judge is man itself, with the warnings of groff switched on."""
    command = [program("man"), "--warnings", "-l", str(SHARE / "man/man1/numaprobe.1")]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (run.returncode, run.stderr) == (0, "")
    words = " ".join(run.stdout.split())
    for name in ("show", "place", "serve", "export"):
        assert f"numaprobe {name}" in words
    assert "3 place: does not fit (pin and fleet place too)" in words
