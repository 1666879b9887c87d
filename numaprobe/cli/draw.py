"""``numaprobe draw [-o FILE]``."""

from __future__ import annotations

from .. import Domains, account, domains, probe
from ..atomic_file import replace
from ..drawing import draw
from ..errors import NumaprobeError
from ..named import namedtuple
from ..sources.opening import kept_open
from .layout import columns
from .progress import progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import TextIO

    from .. import CellUse, Host


class Drawn(namedtuple("Drawn", "host domains uses remark")):
    """What a picture shows: a host, its guests, and why these are missing."""

    __slots__ = ()
    host: Host
    domains: Domains
    uses: tuple[CellUse, ...] | None
    remark: str | None

    def picture(self, form: str, **more: int | None) -> str:
        return draw(self.host, domains=self.domains, uses=self.uses, remark=self.remark, form=form, **more)


def read(root: str | None, recording: str | None, source: str, *, guests: bool = True) -> Drawn:
    """A host with its guests, where these can be queried. Raises what ``numaprobe.probe`` raises."""
    with kept_open(recording if root is None else None):
        return _read(root, recording, source, guests=guests)


def _read(root: str | None, recording: str | None, source: str, *, guests: bool) -> Drawn:
    host = probe(root, recording=recording, source=source, caches=True, devices=True)
    if not guests:
        return Drawn(host=host, domains=Domains(), uses=None, remark=None)
    try:
        found = domains(host, root=root, recording=recording, each_vcpu=False)
        return Drawn(host=host, domains=found, uses=account(host, found), remark=None)
    except NumaprobeError as error:
        # A recording without guests, or a caller without the rights: the cells are worth a picture all the same.
        return Drawn(host=host, domains=Domains(), uses=None, remark=f"guests are not shown: {error}")


def run(options: argparse.Namespace, out: TextIO) -> None:
    form = _form(options)
    with progress("reading the guests"):
        found = read(options.root, options.recording, options.source)
    picture = found.picture(form, width=columns(100) if form == "text" else None)
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
    raise ValueError(f"a picture must end in .svg or .html, or have a --format: {options.output!r}")
