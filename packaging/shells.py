"""Shell completions and the manual page, made from the parser: ``python packaging/shells.py [--check]``.

They are written to packaging/share, in the places below /usr/share where shells and ``man`` look; the wheel and the
Debian package install them from there. Requires shtab and argparse-manpage (the ``docs`` extra).
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

SHARE = Path(__file__).parent / "share"
COMPLETIONS = {
    "bash": "bash-completion/completions/numaprobe",
    "zsh": "zsh/site-functions/_numaprobe",
    "fish": "fish/vendor_completions.d/numaprobe.fish",
}
MANUAL = "man/man1/numaprobe.1"
DESCRIPTION = "NUMA cells of a host: CPUs, memory, guests and placement, on Linux and under Xen"


def parser() -> argparse.ArgumentParser:
    """The whole parser, with what is a file or a directory marked for shtab."""
    import shtab

    from numaprobe.cli.parser import whole

    # Help is wrapped to the terminal of whoever runs this.
    os.environ["COLUMNS"] = "100"
    top = whole()
    kinds = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY}
    waiting: list[argparse.ArgumentParser] = [top]
    while waiting:
        for action in waiting.pop()._actions:
            if isinstance(action, argparse._SubParsersAction):
                waiting += action.choices.values()
            elif action.metavar in kinds:
                action.complete = kinds[str(action.metavar)]  # type: ignore[attr-defined]
    return top


def manual() -> str:
    """The manual page; without a date, which would change it every day."""
    from build_manpages.manpage import Manpage

    top = parser()
    top.man_short_description = DESCRIPTION  # type: ignore[attr-defined]
    page = Manpage(top, format="single-commands-section")
    page.mf.project_name = "numaprobe"
    lines = str(page).splitlines()
    lines[0] = '.TH NUMAPROBE "1" "" "numaprobe" "User Commands"'
    text = "\n".join(line.rstrip() for line in lines) + "\n"
    return text.replace(".SH\nPOSITIONAL ARGUMENTS\n", ".SH COMMANDS\n")


def files() -> dict[Path, str]:
    """What is to be in packaging/share."""
    import shtab

    made = {SHARE / name: shtab.complete(parser(), shell).rstrip() + "\n" for shell, name in COMPLETIONS.items()}
    return {**made, SHARE / MANUAL: manual()}


def main() -> None:
    """Write the files, or with ``--check`` compare them."""
    check = "--check" in sys.argv[1:]
    for path, text in files().items():
        if check:
            if not path.exists() or path.read_text("utf-8") != text:
                raise SystemExit(f"{path}: not what the parser makes; run python packaging/shells.py")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
