"""``numaprobe draw [-o FILE]``."""

from __future__ import annotations

from .. import Domains, account, domains, probe
from ..atomic_file import replace
from ..drawing import draw
from ..errors import NumaprobeError
from .layout import columns
from .progress import progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import TextIO


def run(options: argparse.Namespace, out: TextIO) -> None:
    """Draw the host with its guests, where these can be queried."""
    form = _form(options)
    where = {"root": options.root, "recording": options.recording}
    host = probe(**where, source=options.source, caches=True)
    remark = None
    try:
        with progress("reading the guests"):
            found = domains(host, **where, each_vcpu=False)
        uses = account(host, found)
    except NumaprobeError as error:
        # A recording without guests, or a caller without the rights: the cells are worth a picture all the same.
        found, uses, remark = Domains(), None, f"guests are not shown: {error}"
    picture = draw(
        host, domains=found, uses=uses, remark=remark, form=form, width=columns(100) if form == "text" else None
    )
    if options.output is None:
        out.write(picture)
        return
    with replace(options.output) as file:
        file.write(picture.encode("utf-8"))


def _form(options: argparse.Namespace) -> str:
    if options.format is not None:
        form: str = options.format
        return form
    if options.output is None:
        return "text"
    ending = options.output.rpartition(".")[2].lower()
    if ending in ("svg", "html"):
        return str(ending)
    raise ValueError(f"a picture ends in .svg or .html, or --format says what it is: {options.output!r}")
