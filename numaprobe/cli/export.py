"""``numaprobe export FORMAT [-o FILE]``."""

from __future__ import annotations

from .. import export, probe
from ..atomic_file import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import TextIO

# Keywords of the formats by the name of their option.
OPTIONS = {"libvirt_version": "version", "arch": "arch", "name": "name", "driver": "driver", "numa_list": "numa_list"}


def run(options: argparse.Namespace, out: TextIO) -> None:
    form = export.FORMATS[options.format]
    given = {word: value for name, word in OPTIONS.items() if (value := getattr(options, name)) is not None}
    for name, word in OPTIONS.items():
        if word in given and word not in form.options:
            raise ValueError(f"--{name.replace('_', '-')} has no effect on {options.format}")
    everything = options.format == "json"
    host = probe(
        options.root,
        recording=options.recording,
        source=options.source,
        devices=everything or options.format == "dra",
        allowed=everything,
        caches=form.caches,
    )
    if "name" in form.options and "name" not in given and options.root is None and options.recording is None:
        import os

        given["name"] = os.uname().nodename
    try:
        document = export.render(host, options.format, **given)
    except ModuleNotFoundError as error:
        raise ValueError(str(error)) from None
    if options.output is None:
        out.write(document)
        return
    with replace(options.output) as file:
        file.write(document.encode("utf-8"))
