"""Machines in archives, good and bad."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from trees import NODE, Machine, machine

import numaprobe
from numaprobe import RecordingError

Plant = Callable[[Machine], Path]
COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "tar": bytes,
    "tar.gz": gzip.compress,
    "tar.bz2": bz2.compress,
    "tar.xz": lzma.compress,
}


def two_cells() -> Machine:
    tree = machine({0: [0, 1, 2, 3], 2: [4, 5, 6, 7]}, threads=2, distances={0: [10, 21], 2: [31, 10]})
    tree[f"{NODE}/node0/hugepages/hugepages-2048kB/nr_hugepages"] = "3\n"
    tree["sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"] = "3\n"
    tree["proc/sys/kernel/osrelease"] = "6.1.0-test\n"
    tree["sys/bus/pci/devices/0000:00:01.0/numa_node"] = "2\n"
    tree["sys/bus/pci/devices/0000:00:01.0/class"] = "0x060000\n"
    tree["sys/bus/pci/devices/0000:00:02.0"] = None
    return tree


def small() -> Machine:
    return machine({0: [0], 1: [1]})


def archive(tmp_path: Path, content: bytes, name: str = "x.tar") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, link, size
    return member


def headers(names: Iterable[str]) -> bytes:
    """Empty files of a tar archive, as GNU tar writes their names: tarfile takes seconds for tens of thousands."""
    blank = bytearray(tarfile.TarInfo("").tobuf(tarfile.GNU_FORMAT))
    base = sum(blank) - sum(blank[148:156]) + 8 * ord(" ")
    long: dict[int, bytes] = {}
    out = []
    for name in names:
        data = name.encode()
        if len(data) > tarfile.LENGTH_NAME:
            if len(data) not in long:
                member = entry("././@LongLink", tarfile.GNUTYPE_LONGNAME, size=len(data) + 1)
                long[len(data)] = member.tobuf(tarfile.GNU_FORMAT)
            out += [long[len(data)], data.ljust(-(-(len(data) + 1) // 512) * 512, b"\0")]
            data = data[: tarfile.LENGTH_NAME]
        blank[:100] = data.ljust(100, b"\0")
        blank[148:156] = b"%06o\0 " % (base + sum(data))
        out.append(bytes(blank))
    return b"".join(out)


def refused(path: Path) -> str:
    """The one line that a bad archive gives."""
    with pytest.raises(RecordingError) as caught:
        numaprobe.probe(recording=path)
    line = str(caught.value)
    assert line.startswith(str(path))
    assert line.isprintable()
    assert len(line) < 400
    return line


def answer_or_line(path: Path) -> None:
    """Whatever is in an archive, it gives a host or one of our errors in one line."""
    said = "a host"
    try:
        numaprobe.probe(recording=path)
    except numaprobe.NumaprobeError as error:
        said = str(error)
    assert len(said.splitlines()) == 1
