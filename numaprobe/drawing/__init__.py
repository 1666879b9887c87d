"""A picture of a host: its cells with their memory, CPUs and distances; SVG, a web page, or bars on a terminal."""

from __future__ import annotations

from .scene import Scene

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..model.domains import CellUse, Domain
    from ..model.host import Host

FORMS = ("svg", "html", "text")


def draw(
    host: Host,
    *,
    domains: Sequence[Domain] = (),
    uses: Sequence[CellUse] | None = None,
    remark: str | None = None,
    form: str = "svg",
    width: int | None = None,
    reload_after: int | None = None,
) -> str:
    """A host as a picture.

    ``domains`` and ``uses`` are what ``numaprobe.domains`` and ``numaprobe.account`` gave for it; without ``uses`` all
    memory in use has one colour. ``form`` is ``svg``, ``html`` (one page without outside resources that follows the
    reader's light or dark setting) or ``text`` (bars of characters). ``width`` is in pixels (1,200) or, for text, in
    columns (100). ``remark`` is one line below the legend.

    All memory bars have one scale. What is unknown is drawn as ``?``, never as empty. Raises ``ValueError`` for another
    form, and for a width that is too small (under 640 pixels or 40 columns).
    """
    scene = Scene(host, domains, uses, remark)
    if form == "text":
        from .text import render as render_text

        return render_text(scene, 100 if width is None else width)
    if form == "svg":
        from .svg import render as render_svg

        return render_svg(scene, 1200 if width is None else width)
    if form == "html":
        from .page import render as render_page

        return render_page(scene, 1200 if width is None else width, reload_after=reload_after)
    raise ValueError(f"a picture's format must be one of {', '.join(FORMS)}, not {form!r}")
