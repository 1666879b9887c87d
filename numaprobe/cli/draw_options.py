"""Options of ``numaprobe draw``, apart from the command so that the others do not load it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

FORMS = ("svg", "html", "text")


def draw_options(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("-o", dest="output", metavar="FILE", help="write to FILE: .svg, or .html for a page")
    parser.add_argument("--format", choices=FORMS, help="default: by the end of FILE, and bars of text without one")
