"""``numaprobe domains``: who holds memory where."""

from __future__ import annotations

from time import time

from .. import SourceUnavailable, account, domains, probe
from ..errors import printable
from ..model.documents import domains_document
from ..model.host import total as sum_of
from ..named import namedtuple
from ..sources.opening import kept_open
from ..wording import count
from .layout import UNITS, UNKNOWN, columns, id_words, size, table
from .progress import progress
from .sizes import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any, TextIO

    from .. import CellUse, Domain, Domains, Host

MAX_NAME = 16


class Observed(namedtuple("Observed", "host domains uses time")):
    """A host's domains and what is left of its cells; ``time`` in seconds since 1970, None for a recorded host."""

    __slots__ = ()
    host: Host
    domains: Domains
    uses: tuple[CellUse, ...]
    time: float | None

    def document(self) -> dict[str, Any]:
        return domains_document(self.host, self.domains, self.uses, self.time)

    def lines(self, width: int) -> list[str]:
        return lines(self.host, self.domains, self.uses, width)


def observe(root: str | None, recording: str | None, source: str, **arguments: Any) -> Observed:
    """Who holds memory where; ``arguments`` are those of ``numaprobe.domains``.

    Raises what that raises, and ``SourceUnavailable`` for a process or control group that does not exist.
    """
    live = root is None and recording is None
    with kept_open(recording if root is None else None):
        host = probe(root, recording=recording, source=source, available=False)
        found = domains(host, root=root, recording=recording, **arguments)
    there = {domain.id for domain in found}
    for process in arguments.get("processes") or ():
        if process not in there:
            text = "no such process, or one without memory of its own"
            raise SourceUnavailable(f"process {process}", None, _because(found, f"proc/{process}/") or text)
    for group in arguments.get("groups") or ():
        if group not in there:
            text = "no such group of version 2 with processes in it"
            older = next((note.text for note in found.notes if note.where == f"control group {group}"), None)
            raise SourceUnavailable(f"control group {group}", None, older or text)
    # Read again after the domains: they are then of nearly the same moment, whatever it took to find them.
    if live:
        host = probe(source=source, available=False)
    chosen = arguments.get("processes") or arguments.get("groups")
    uses = account(host, found, complete=False if chosen else None)
    return Observed(host=host, domains=found, uses=uses, time=time() if live else None)


def _because(found: Domains, start: str) -> str | None:
    return next((f"{note.where}: {note.text}" for note in found.notes if note.where.startswith(start)), None)


def run(options: argparse.Namespace, out: TextIO) -> None:
    limit = parse(options.debug_key_limit)
    with progress("Xen walks the memory of every domain" if options.debug_key else "reading the guests"):
        found = observe(
            options.root,
            options.recording,
            options.source,
            processes=options.pid,
            groups=options.cgroup,
            debug_key=options.debug_key,
            debug_key_limit=limit,
            remote=options.remote,
            sampled=options.sampled,
        )
    if options.json:
        import json

        out.write(json.dumps(found.document()) + "\n")
    else:
        out.write("\n".join(found.lines(columns(160))) + "\n")


def lines(host: Host, found: Domains, uses: Sequence[CellUse], width: int) -> list[str]:
    """A row per domain, a column per cell, and below them what is left of each cell."""
    out = [f"{count(len(found), 'domain')} on {count(len(host.cells), 'cell')}"]
    for part in _fitting(host, found, uses, width):
        out += ["", *part]
    return out + [line for words in remarks(host, found, uses) for line in ("", words)]


def remarks(host: Host, found: Domains, uses: Sequence[CellUse]) -> list[str]:
    """What the table cannot say: whether it is complete, and what its words mean."""
    out = []
    if not found.complete:
        first = next(iter(found.notes), None)
        why = "" if first is None else f": {first.where}: {first.text}"
        more = f" (and {count(len(found.notes) - 1, 'more note')}: --json)" if len(found.notes) > 1 else ""
        out.append(printable(f"incomplete: there may be more than is shown{why}{more}"))
    out += map(printable, _why_unknown(found))
    hows = sorted({domain.how for domain in found})
    if "unknown" in hows and host.source == "xen":
        refusal = next((f"{note.where}: {note.text}" for note in found.notes if note.where.startswith("domctl")), None)
        why = refusal or "this Xen reports no domain's memory by cell"
        out.append(f"unknown: {why}; --debug-key can report it, at a cost (--help)")
    elif "unknown" in hows:
        out.append("unknown: only root may see where another user's memory is")
    if "sampled" in hows:
        out.append("sampled: an estimate, within the margin (of the domain's memory) on each cell at 95 %")
    if any(use.unattributed for use in uses):
        out.append("unattributed: the host's own, or that of domains that are not shown or whose place is unknown")
    return out


def _fitting(host: Host, found: Domains, uses: Sequence[CellUse], width: int) -> list[list[str]]:
    """The table in as few parts as fit the width: a domain's own columns, and some cells."""
    places = [cell.id for cell in host.cells]
    parts: list[list[str]] = []
    for each in range(len(places), 0, -1):
        groups = [places[start : start + each] for start in range(0, len(places), each)]
        rows = [table(_rows(host, found, uses, group), left=(0, 1, 2)) for group in groups]
        parts = [[printable(line) for line in part] for part in rows]
        if max(len(line) for part in parts for line in part) <= width:
            break
    return parts


def _rows(host: Host, found: Domains, uses: Sequence[CellUse], group: list[int]) -> list[list[str]]:
    remote = ["remote"] if any(domain.remote is not None for domain in found) else []
    rows = [["id", "name", "state", "vcpus", "memory", *_headings(group), "cpus", "how", *remote]]
    for domain in found:
        cells = dict(domain.cells or ())
        rows.append(
            [
                str(domain.id),
                _name(domain),
                domain.state or UNKNOWN,
                UNKNOWN if domain.vcpus is None else str(domain.vcpus),
                short(domain.memory),
                *(short(cells.get(cell, 0) if domain.cells is not None else None) for cell in group),
                _cut(id_words(domain.affinity.cpus), 12),
                how_words(domain),
                *([_remote(domain)] if remote else []),
            ]
        )
    by_cell = {use.id: use for use in uses}
    kinds = [("free", [use.free for use in uses])]
    if any(use.pooled for use in uses):
        kinds.append(("free huge pages", [use.pooled for use in uses]))
    rest = ("xen itself" if host.source == "xen" else "host itself", [use.host for use in uses])
    left = ("unattributed", [use.unattributed for use in uses])
    kinds += [kind for kind in (rest, left) if any(kind[1])] or [rest]
    if not found.complete and rest not in kinds:
        kinds.insert(-1, rest)
    kinds.append(("total", [use.total for use in uses]))
    positions = {cell: position for position, cell in enumerate(by_cell)}
    for label, figures in kinds:
        cells_of = [short(figures[positions[cell]]) for cell in group]
        rows.append(["", label, "", "", short(sum_of(figures)), *cells_of, "", "", *("" for _ in remote)])
    return rows


def how_words(domain: Domain) -> str:
    """How the placement is known; of an estimate the largest margin too, as a share of the domain's memory."""
    if domain.sample is None or not domain.memory:
        return domain.how
    return f"{domain.how} +-{max((size for _, size in domain.sample.margins), default=0) / domain.memory:.1%}"


def _remote(domain: Domain) -> str:
    """Shares with their sources; of sources that say nothing only the JSON has the reason."""
    known = [f"{share.share:.0%} by {share.source}" for share in domain.remote or () if share.share is not None]
    return ", ".join(known) or UNKNOWN


def _why_unknown(found: Domains) -> list[str]:
    """A line for each source and reason, with how many domains it concerns."""
    reasons: dict[tuple[str, str], int] = {}
    for domain in found:
        for share in domain.remote or ():
            if share.share is None:
                key = share.source, share.how_from or "unknown"
                reasons[key] = reasons.get(key, 0) + 1
    return [f"remote by {source}, {count(number, 'domain')}: {why}" for (source, why), number in reasons.items()]


def _headings(group: list[int]) -> list[str]:
    return [str(cell) if position else f"cell {cell}" for position, cell in enumerate(group)]


def short(value: int | None) -> str:
    """Bytes in three or four characters, for a table of many cells: ``512M``, ``1.5G``; ``.`` for zero."""
    if value is None:
        return UNKNOWN
    if value == 0:
        return "."
    words = size(value).split()
    number, letter = words[0].removesuffix(".0"), words[1][0]
    if letter == UNITS[0]:
        return f"{number}B"
    return (number if len(number) <= 3 else f"{float(number):.0f}") + letter


def _name(domain: Domain) -> str:
    if domain.name is None:
        return {"process": "process", "group": "group"}.get(domain.kind, "dom0" if domain.id == 0 else UNKNOWN)
    return _cut(domain.name, MAX_NAME)


def _cut(text: str, length: int) -> str:
    """Shortened in the middle: names often differ in their ends."""
    return text if len(text) <= length else f"{text[: length // 2 - 1]}...{text[-(length // 2 - 2) :]}"
