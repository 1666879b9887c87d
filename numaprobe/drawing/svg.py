"""The picture as SVG: a card for each cell, a map of distances, a legend. Every shape has its words as a title.

All text is monospaced, so that what fits is known without a browser: a character is 0.6 of its size wide.
"""

from __future__ import annotations

from html import escape

from ..wording import amount, count, id_list
from .style import CSS, HATCH, guest_class

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..model.host import Cell, Cpu
    from .scene import Core, Scene

MARGIN, GAP, PAD = 16, 12, 10
CHARACTER = 0.6
BAR = 20
HEAD = 13
SMALL = 11


def render(scene: Scene, width: int) -> str:
    """The picture as one SVG document."""
    if width < 640:
        raise ValueError(f"a picture must be at least 640 pixels wide, not {width}")
    body: list[str] = []
    y: float = MARGIN + HEAD
    body.append(text(MARGIN, y, headline(scene), HEAD, "head"))
    y = _cards(scene, width, y + GAP, body)
    y = _elsewhere(scene, width, y, body)
    y = _distances(scene, width, y, body)
    y = _legend(scene, width, y, body)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="numaprobe" viewBox="0 0 {width} {y + MARGIN:.0f}" '
        f'width="{width}" height="{y + MARGIN:.0f}" role="img"><title>{escape(headline(scene))}</title>'
    )
    return "\n".join(
        [head, f"<style>{CSS}</style>", HATCH, '<rect class="page" width="100%" height="100%"/>', *body, "</svg>\n"]
    )


def headline(scene: Scene) -> str:
    """The host in one line."""
    host = scene.host
    name = f"xen {host.hypervisor.version}" if host.hypervisor else host.source
    totals = [cell.memory.total for cell in host.cells]
    known = None if any(total is None for total in totals) else sum(total or 0 for total in totals)
    cpus = count(len(host.cpus), "cpu") if host.cpus else "cpus unknown"
    return f"{name} · {count(len(host.cells), 'cell')} · {cpus} · {amount(known)}"


def text(x: float, y: float, words: str, size: int, kind: str = "", *, end: bool = False) -> str:
    """One line of text with its base line at ``y``."""
    anchor = ' text-anchor="end"' if end else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" class="{kind}"{anchor}>{escape(words)}</text>'


def box(x: float, y: float, w: float, h: float, kind: str, title: str = "") -> str:
    """A rectangle, with a title for the pointer that rests on it."""
    inner = f"<title>{escape(title)}</title>" if title else ""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(w, 0):.1f}" height="{h:.1f}" class="{kind}">{inner}</rect>'


def fitting(words: str, room: float, size: int) -> str:
    """As much of a text as there is room for, with an ellipsis where it is more."""
    most = int(room / (size * CHARACTER))
    return words if len(words) <= most else words[: max(most - 1, 0)] + "…"


def columns_for(cells: int) -> int:
    """Cards in a row: large ones for few cells, small ones for many."""
    for limit, columns in ((1, 1), (4, 2), (9, 3), (16, 4)):
        if cells <= limit:
            return columns
    return 8


def _cards(scene: Scene, width: int, top: float, body: list[str]) -> float:
    cells = scene.host.cells
    columns = columns_for(len(cells))
    card = (width - 2 * MARGIN - GAP * (columns - 1)) / columns
    y = top
    for start in range(0, len(cells), columns):
        row = cells[start : start + columns]
        drawn = [_card(scene, cell, MARGIN + number * (card + GAP), y, card) for number, cell in enumerate(row)]
        height = max(high for high, _ in drawn)
        for number, (_, shapes) in enumerate(drawn):
            body.append(box(MARGIN + number * (card + GAP), y, card, height, "card"))
            body += shapes
        y += height + GAP
    return y


def _card(scene: Scene, cell: Cell, x: float, top: float, width: float) -> tuple[float, list[str]]:
    """A cell's shapes and how high they are."""
    inner, left = width - 2 * PAD, x + PAD
    small = width < 200
    y = top + PAD + HEAD
    badges = " · ".join(_badges(scene, cell))
    shapes = [text(left, y, fitting(f"cell {cell.id}", inner, HEAD), HEAD, "head")]
    if badges and not small:
        shapes.append(text(left + inner, y, fitting(badges, inner * 0.7, SMALL), SMALL, "quiet", end=True))
    y += 8
    shapes += _bar(scene, cell, left, y, inner)
    y += BAR + SMALL + 4
    figure = f"{amount(cell.memory.free)} of {amount(cell.memory.total)} free"
    if small:
        figure = f"{amount(cell.memory.free)} free"
    shapes.append(text(left, y, fitting(figure, inner, SMALL), SMALL, "quiet"))
    for line in [] if small else _more(scene, cell):
        y += SMALL + 4
        shapes.append(text(left, y, fitting(line, inner, SMALL), SMALL, "quiet"))
    y += 8
    cores = scene.cores(cell)
    if cores is None:
        shapes.append(text(left, y + SMALL, "cpus ?", SMALL, "quiet"))
        y += SMALL
    elif not cores:
        shapes.append(text(left, y + SMALL, "no cpus", SMALL, "quiet"))
        y += SMALL
    else:
        high, squares = _cores(cores, left, y, inner)
        shapes += squares
        y += high
    return y + PAD - top, shapes


def _badges(scene: Scene, cell: Cell) -> list[str]:
    words = [cell.kind] if cell.kind else []
    if cell.tier is not None and len({one.tier for one in scene.host.cells}) > 1:
        words.append(f"tier {cell.tier}")
    if cell.stand_in:
        words.append("whole machine")
    words += [f"{amount(cache.size)} memory-side cache" for cache in cell.side_caches]
    return words


def _more(scene: Scene, cell: Cell) -> list[str]:
    """Lines below the bar: huge pages, guests with what they hold here, and devices by name."""
    lines = [
        f"huge pages of {amount(page.size)}: {'?' if page.free is None else page.free} of {page.total} free"
        for page in cell.huge_pages
        if page.total
    ]
    guests = scene.guests_of(cell)
    if guests:
        lines.append("guests: " + ", ".join(f"{name} {amount(size)}" for name, size in guests))
    devices = scene.devices(cell.id)
    return [*lines, f"devices: {', '.join(devices)}"] if devices else lines


def _bar(scene: Scene, cell: Cell, x: float, y: float, width: float) -> list[str]:
    total = cell.memory.total
    parts = scene.parts(cell)
    if parts is None or total is None or not scene.scale:
        reason = "total or free memory is unknown"
        return [box(x, y, width, BAR, "unknown", reason), text(x + 6, y + BAR - 5, "?", HEAD, "head")]
    shapes, taken = [], 0
    scale = width / scene.scale
    for part in parts:
        kind = part.kind if part.colour is None else guest_class(part.colour)
        title = f"cell {cell.id}: {part.label}: {amount(part.bytes)}"
        shapes.append(box(x + taken * scale, y, part.bytes * scale, BAR, f"part {kind}", title))
        taken += part.bytes
    if total == 0:
        shapes.append(text(x, y + BAR - 5, "no memory", SMALL, "quiet"))
    else:
        shapes.append(box(x, y, total * scale, BAR, "outline"))
    return shapes


def _cores(cores: list[Core], x: float, top: float, width: float) -> tuple[float, list[str]]:
    """Cores as frames with a square for each thread; a gap parts those of different last-level caches."""
    side = _side(cores, width)
    shapes: list[str] = []
    at, y = x, top
    before = cores[0].cache
    for core in cores:
        wide = len(core.threads) * (side + 1) + 1
        if core.cache != before:
            at += side
        before = core.cache
        if at + wide > x + width and at > x:
            at, y = x, y + side + 4
        if len(core.threads) > 1:
            shapes.append(box(at - 1, y - 1, wide + 1, side + 2, "core"))
        for number, cpu in enumerate(core.threads):
            left = at + number * (side + 1)
            shapes.append(box(left, y, side, side, _kind(cpu), _words(cpu, core)))
            if side == 20:
                shapes.append(text(left + side / 2, y + side / 2 + 3, str(cpu.id), 8, "id"))
        at += wide + 2
    return y + side - top, shapes


def _side(cores: list[Core], width: float) -> int:
    """The largest side of a square with which the cores fill at most four rows."""
    threads = sum(len(core.threads) for core in cores)
    for side in (20, 14, 10, 7):
        if threads * (side + 1) + len(cores) * 3 <= width * 4:
            return side
    return 5


def _kind(cpu: Cpu) -> str:
    if cpu.online is False:
        return "cpu offline"
    if cpu.online is None:
        return "cpu unknown"
    return "cpu isolated" if cpu.isolated else "cpu"


def _words(cpu: Cpu, core: Core) -> str:
    words = [f"cpu {cpu.id}"]
    words += [f"{name} {value}" for name in ("package", "die", "core") if (value := getattr(cpu, name)) is not None]
    if len(core.threads) > 1:
        words.append(f"threads {id_list(thread.id for thread in core.threads)}")
    if cpu.kind:
        words.append(cpu.kind)
    if cpu.isolated:
        words.append("isolated")
    if cpu.online is not True:
        words.append("offline" if cpu.online is False else "online or not is unknown")
    return " · ".join(words)


def _elsewhere(scene: Scene, width: int, top: float, body: list[str]) -> float:
    """Cpus and devices that are in no cell."""
    cores, devices = scene.elsewhere(), scene.devices(None)
    if cores:
        body.append(text(MARGIN, top + SMALL, "cpus in no cell, or offline", SMALL, "quiet"))
        high, squares = _cores(cores, MARGIN, top + SMALL + 8, width - 2 * MARGIN)
        body += squares
        top += SMALL + 8 + high + GAP
    if devices:
        words = f"devices whose cell is unknown: {', '.join(devices)}"
        body.append(text(MARGIN, top + SMALL, fitting(words, width - 2 * MARGIN, SMALL), SMALL, "quiet"))
        top += SMALL + GAP
    return top


def _distances(scene: Scene, width: int, top: float, body: list[str]) -> float:
    """A square for each way; a row is read from the cell on the left to the one above."""
    cells = scene.host.cells
    rows = {cell.id: dict(cell.distances) for cell in cells if cell.distances is not None}
    if len(cells) < 2 or not rows:
        return top
    ids = [cell.id for cell in cells]
    known = [cost for row in rows.values() for cost in row.values() if cost is not None]
    low, high = min(known, default=10), max(known, default=10)
    digits = max(len(str(one)) for one in [*ids, *known])
    side = max(digits * SMALL * CHARACTER + 8, 20)
    side = min(side, (width - 2 * MARGIN) / (len(ids) + 1))
    shown = side >= digits * SMALL * CHARACTER + 2
    y = top + SMALL
    body.append(text(MARGIN, y, "distances, from the cell at the left to the cell above (10 is local)", SMALL, "quiet"))
    y += 6
    for column, end in enumerate(ids):
        if shown:
            body.append(text(MARGIN + (column + 1.5) * side, y + SMALL, str(end), SMALL, "label"))
    y += SMALL + 5
    for start in ids:
        if shown:
            body.append(text(MARGIN + side / 2, y + side / 2 + 4, str(start), SMALL, "label"))
        for column, end in enumerate(ids):
            cost = rows.get(start, {}).get(end)
            heat = "heat unknown" if cost is None else f"heat heat{_heat(cost, low, high)}"
            x = MARGIN + (column + 1) * side
            back = rows.get(end, {}).get(start)
            title = f"cell {start} to cell {end}: {'unknown' if cost is None else cost}"
            if back != cost:
                title += f" (back: {'unknown' if back is None else back})"
            body.append(box(x, y, side - 1, side - 1, heat, title))
            if shown:
                body.append(text(x + side / 2, y + side / 2 + 4, "?" if cost is None else str(cost), SMALL, "cost"))
        y += side
    return y + GAP


def _heat(cost: int, low: int, high: int) -> int:
    """One of five steps between the least and the greatest cost."""
    return 0 if high == low else round((cost - low) * 4 / (high - low))


def _legend(scene: Scene, width: int, top: float, body: list[str]) -> float:
    entries = [
        (f"part {guest_class(number)}", f"{name} {amount(size)}")
        for number, (name, size) in enumerate(zip(scene.colours, scene.held, strict=True))
    ]
    found = {part.kind for cell in scene.host.cells for part in scene.parts(cell) or ()}
    words = {
        "host": "the host's own",
        "used": "in use",
        "unattributed": "the host's or a guest's",
        "pooled": "huge pages, unused",
        "free": "free",
    }
    entries += [(f"part {kind}", label) for kind, label in words.items() if kind in found]
    if any(scene.parts(cell) is None for cell in scene.host.cells):
        entries.append(("unknown", "unknown"))
    if any(cpu.isolated for cpu in scene.host.cpus):
        entries.append(("cpu isolated", "isolated cpu"))
    if any(cpu.online is False for cpu in scene.host.cpus):
        entries.append(("cpu offline", "offline cpu"))
    x, y = float(MARGIN), top
    for kind, label in entries:
        shown = fitting(label, 240, SMALL)
        wide = 14 + 6 + len(shown) * SMALL * CHARACTER + 18
        if x + wide > width - MARGIN:
            x, y = float(MARGIN), y + 20
        body.append(box(x, y, 14, 14, kind, label))
        body.append(text(x + 20, y + 11, shown, SMALL, "quiet"))
        x += wide
    bottom = y + 14 if entries else top
    if scene.remark is not None:
        bottom += 18
        body.append(text(MARGIN, bottom, fitting(scene.remark, width - 2 * MARGIN, SMALL), SMALL, "quiet"))
    return bottom
