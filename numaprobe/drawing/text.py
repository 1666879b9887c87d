"""Bars of characters: a line per cell, for any terminal and for logs."""

from __future__ import annotations

from ..wording import amount, id_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .scene import Scene

# Guests by letter, so that the picture needs no colours.
LETTERS = "abcdefghijklmnopqrstuvwxyz"
MARKS = {"host": "#", "used": "#", "unattributed": "/", "pooled": "=", "free": "."}
WORDS = {
    "host": "the host's own",
    "used": "in use",
    "unattributed": "the host's or a guest's",
    "pooled": "huge pages, unused",
    "free": "free",
}


def render(scene: Scene, columns: int) -> str:
    """The picture as lines, at most so wide."""
    if columns < 40:
        raise ValueError(f"a picture must be at least 40 columns wide, not {columns}")
    labels = [f"cell {cell.id}" for cell in scene.host.cells]
    figures = [_figure(cell.memory.free, cell.memory.total) for cell in scene.host.cells]
    left, right = max(map(len, labels), default=0), max(map(len, figures), default=0)
    room = max(columns - left - right - 4, 1)
    lines, used = [], set()
    for cell, label, figure in zip(scene.host.cells, labels, figures, strict=True):
        bar, marks = _bar(scene, cell, room)
        used |= marks
        lines.append(f"{label:<{left}}  {bar:<{room}}  {figure:>{right}}")
        if cell.cpus is not None:
            lines.append(_cut(f"{'':<{left}}  cpus {id_list(cell.cpus, none='none')}", columns))
        if devices := scene.devices(cell.id):
            lines.append(_cut(f"{'':<{left}}  devices {', '.join(devices)}", columns))
    legend = [
        f"{letter} {name} {amount(size)}"
        for letter, name, size in zip(LETTERS, scene.colours, scene.held, strict=False)
    ]
    legend += [f"{MARKS[kind]} {WORDS[kind]}" for kind in MARKS if kind in used]
    if any(cell.memory.total is None or cell.memory.free is None for cell in scene.host.cells):
        legend.append("? unknown")
    remark = [] if scene.remark is None else [_cut(scene.remark, columns)]
    return "\n".join([*lines, "", *_wrapped(legend, columns), *remark]) + "\n"


def _figure(free: int | None, total: int | None) -> str:
    return f"{amount(free)} of {amount(total)} free"


def _bar(scene: Scene, cell: object, room: int) -> tuple[str, set[str]]:
    parts = scene.parts(cell)  # type: ignore[arg-type]
    if parts is None or not scene.scale:
        return "?", set()
    bar, taken, done = "", 0, 0
    for part in parts:
        taken += part.bytes
        # Edges are rounded, not widths, so that the bar is as long as its total.
        end = round(taken * room / scene.scale)
        mark = MARKS.get(part.kind, "?")
        if part.colour is not None:
            mark = LETTERS[part.colour] if part.colour < len(LETTERS) else "*"
        bar += mark * (end - done)
        done = end
    return bar, {part.kind for part in parts}


def _cut(line: str, columns: int) -> str:
    return line if len(line) <= columns else line[: columns - 3] + "..."


def _wrapped(words: list[str], columns: int) -> list[str]:
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + 3 + len(word) <= columns:
            lines[-1] += f"   {word}"
        else:
            lines.append(_cut(word, columns))
    return lines
