"""Colours and strokes of the picture, light and dark."""

from __future__ import annotations

# Eight hues that people with any colour vision can distinguish (Okabe and Ito 2008), then the same again, lighter.
GUESTS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7a68a6", "#b8a800")


def guest_class(number: int) -> str:
    """The class of a guest's colour."""
    return f"guest{number % (2 * len(GUESTS))}"


_GUESTS = "".join(
    f".guest{number}{{fill:{colour}}}.guest{number + len(GUESTS)}{{fill:{colour};opacity:.55}}"
    for number, colour in enumerate(GUESTS)
)
_HEAT = ("#e8f1fa", "#b9d6ee", "#82b3dc", "#4a8cc2", "#1f5f99")

CSS = (
    ".numaprobe{--page:#fff;--card:#f6f8fa;--line:#c8d0d8;--ink:#1c2733;--quiet:#4d5b69;--host:#8a97a4;--free:#fff;"
    "--cpu:#5f7285;--isolated:#d55e00;font-family:ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace}"
    "@media (prefers-color-scheme:dark){.numaprobe{--page:#12171d;--card:#1a2129;--line:#3a4653;--ink:#e6edf3;"
    "--quiet:#a9b6c2;--host:#6d7a87;--free:#0c1015;--cpu:#8ea2b5;--isolated:#f08c3a}}"
    ".page{fill:var(--page)}.card{fill:var(--card);stroke:var(--line)}text{fill:var(--ink)}.head{font-weight:600}"
    ".quiet{fill:var(--quiet)}.id{fill:var(--page);text-anchor:middle}.label{fill:var(--quiet);text-anchor:middle}"
    ".cost{text-anchor:middle;fill:#0c1015}.outline{fill:none;stroke:var(--quiet)}"
    ".unknown{fill:none;stroke:var(--quiet);stroke-dasharray:4 3}.host,.used{fill:var(--host)}"
    ".unattributed{fill:url(#hatch)}.pooled{fill:var(--line)}.free{fill:var(--free);stroke:var(--line)}.core{fill:none;stroke:var(--line)}"
    ".cpu{fill:var(--cpu)}.isolated{fill:var(--isolated)}.offline{fill:none;stroke:var(--quiet)}"
    ".cpu.unknown{fill:none}"
    + "".join(f".heat{step}{{fill:{colour}}}" for step, colour in enumerate(_HEAT))
    + ".heat4+text,.heat3+text{fill:#fff}"
    + _GUESTS
)

HATCH = (
    '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect width="6" height="6" fill="#d9dee3"/><rect width="2.5" height="6" fill="#8a97a4"/></pattern></defs>'
)
