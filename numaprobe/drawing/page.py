"""The picture as one web page that needs nothing else."""

from __future__ import annotations

from html import escape

from .svg import headline
from .svg import render as render_svg

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .scene import Scene


# Draws the page anew in place, so that neither the scroll position nor the title under the pointer is lost. What cannot
# be fetched stays as it is, and its heading says since when.
SCRIPT = """
setInterval(async () => {
  const main = document.querySelector('main');
  try {
    const answer = await fetch(location.href, {cache: 'no-store'});
    if (!answer.ok) throw answer.status;
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    main.innerHTML = page.querySelector('main').innerHTML;
    document.title = page.title;
  } catch (error) {
    const stale = document.getElementById('stale');
    if (stale.hidden) stale.textContent = 'not drawn anew since ' + new Date().toLocaleTimeString();
    stale.hidden = false;
    return;
  }
  document.getElementById('stale').hidden = true;
}, %d);
"""


def render(scene: Scene, width: int, *, reload_after: int | None = None) -> str:
    """The page; with ``reload_after`` it is drawn anew after that many seconds, by a script or else by reloading."""
    head = tail = ""
    if reload_after is not None:
        head = f'<noscript><meta http-equiv="refresh" content="{reload_after}"></noscript>'
        tail = f'<p id="stale" hidden></p><script>{SCRIPT % (reload_after * 1000)}</script>'
    notes = "".join(f"<li><code>{escape(note.where)}</code> {escape(note.text)}</li>" for note in scene.host.notes)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"{head}<title>{escape(headline(scene))}</title>"
        "<style>body{margin:0;background:Canvas;color:CanvasText;font:14px system-ui,sans-serif}"
        "svg{max-width:100%;height:auto;display:block;margin:auto}ul{max-width:1200px;margin:1em auto}"
        "#stale{position:fixed;bottom:0;margin:0;padding:.5em;background:Mark;color:MarkText}</style>"
        f"</head><body>\n<main>{render_svg(scene, width)}"
        + (f"<ul>{notes}</ul>" if notes else "")
        + f"</main>{tail}</body></html>\n"
    )
