"""The picture as one web page that needs nothing else."""

from __future__ import annotations

from html import escape

from .svg import headline
from .svg import render as render_svg

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .scene import Scene


def render(scene: Scene, width: int, *, reload_after: int | None = None) -> str:
    """The page; with ``reload_after`` it reloads itself after that many seconds."""
    reload = "" if reload_after is None else f'<meta http-equiv="refresh" content="{reload_after}">'
    notes = "".join(f"<li><code>{escape(note.where)}</code> {escape(note.text)}</li>" for note in scene.host.notes)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"{reload}<title>{escape(headline(scene))}</title>"
        "<style>body{margin:0;background:Canvas;color:CanvasText;font:14px system-ui,sans-serif}"
        "svg{max-width:100%;height:auto;display:block;margin:auto}ul{max-width:1200px;margin:1em auto}</style>"
        f"</head><body>\n{render_svg(scene, width)}" + (f"<ul>{notes}</ul>" if notes else "") + "</body></html>\n"
    )
