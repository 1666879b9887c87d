"""Where bytes come from, at the limits: archives, transcripts, links, sockets, what a recording keeps."""

from __future__ import annotations

import io
import os
import socket
import struct
import tarfile
import threading
from errno import EACCES, EINVAL, EIO, EISDIR, ELOOP, ENOENT, ENOTDIR
from pathlib import Path
from typing import Any, ClassVar

import pytest
from archives import archive, entry, small
from trees import Link, Machine, Shelf, pack, plant

import numaprobe
from numaprobe import RecordingError, SourceDenied, SourceUnavailable
from numaprobe.sources import opening, transcript, xenstore
from numaprobe.sources import tar_headers as tars
from numaprobe.sources.architecture import machine
from numaprobe.sources.archive import Archive
from numaprobe.sources.pages import RunningPages
from numaprobe.sources.recorder import RecordingReader
from numaprobe.sources.symlinks import resolve
from numaprobe.sources.transcript import Transcript

NODE = "sys/devices/system/node"

# --- archives -----------------------------------------------------------------------------------------------------


def opened(tmp_path: Path, tree: Machine, *members: tuple[tarfile.TarInfo, bytes]) -> Archive:
    return Archive(archive(tmp_path, pack(tree, members=members)))


@pytest.mark.parametrize(
    ("path", "read", "listed", "linked"),
    [
        ("sys/file", b"x", ENOTDIR, EINVAL),
        ("sys/file/below", ENOTDIR, ENOTDIR, ENOENT),
        ("sys/empty", EISDIR, [], EINVAL),
        ("sys/none", ENOENT, ENOENT, ENOENT),
        ("sys/link", b"x", ENOTDIR, "file"),
        ("sys/absolute", b"x", ENOTDIR, "/sys/file"),
        ("sys/hard", b"x", ENOTDIR, ENOENT),
        ("sys/loop", ELOOP, ELOOP, "loop"),
        ("sys/loop/below", ELOOP, ELOOP, ELOOP),
        ("sys/to/file", b"x", ENOTDIR, EINVAL),
        ("sys/to", EISDIR, None, "../sys"),
        ("sys/dangling", ENOENT, ENOENT, "nothing"),
    ],
)
def test_an_archive_answers_as_the_kernel_would(tmp_path: Path, path: str, read: Any, listed: Any, linked: Any) -> None:
    """Each kind of member, and what is not there."""
    tree = small() | {"sys/file": "x", "sys/empty": None, "sys/link": Link("file"), "sys/absolute": Link("/sys/file"),
                      "sys/loop": Link("loop"), "sys/to": Link("../sys"), "sys/dangling": Link("nothing")}  # fmt: skip
    found = opened(tmp_path, tree, (entry("sys/hard", tarfile.LNKTYPE, "sys/file"), b""))
    assert found.read([path]) == [read]
    if listed is not None:
        assert found.listdir(path) == listed
    assert found.readlink(path) == linked


def test_a_directory_of_an_archive_is_listed_by_prefix_and_in_order(tmp_path: Path) -> None:
    """Of its own entries only."""
    found = opened(tmp_path, {"sys/devices/system/node/node1/x": "", **small(), "sys/devices/system/nodes": ""})
    assert found.listdir(NODE, "node") == ["node0", "node1"]
    assert found.listdir(NODE) == ["node0", "node1", "online", "possible"]


@pytest.mark.parametrize(
    ("name", "link", "text"),
    [
        ("sys/" + "a" * 4092, "", None),
        ("sys/" + "a" * 4093, "", "path too long"),
        ("sys/l", "a" * 4096, None),
        ("sys/l", "a" * 4097, "path too long"),
        ("/".join(["a"] * 64), "", None),
        ("/".join(["a"] * 65), "", "path too deep"),
        ("sys/l", "/".join(["a"] * 65), None),
        ("sys/l", "/".join(["a"] * 66), "path too deep"),
        ("a/../b", "", "a path that leads out of the archive: 'a/../b'"),
        ("./a//b/.", "", None),
    ],
)
def test_a_path_of_an_archive_is_no_longer_and_no_deeper_than_a_machines(
    tmp_path: Path, name: str, link: str, text: str | None
) -> None:
    """4,096 characters and 64 parts; a link has no more of either."""
    member = entry(name, tarfile.SYMTYPE if link else tarfile.REGTYPE, link)
    out = io.BytesIO(pack(small()))
    with tarfile.open(fileobj=out, mode="a", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(member)
    path = archive(tmp_path, out.getvalue())
    if text is None:
        Archive(path)
        return
    with pytest.raises(RecordingError) as caught:
        Archive(path)
    assert str(caught.value) == f"{path}: {text}"


@pytest.mark.parametrize(
    ("tops", "text"),
    [
        (("",), None),
        (("host/",), None),
        (("a/b/", "c/"), None),
        (("a/", "b/"), "holds 2 machines: 'a', 'b'"),
        (("", "a/"), None),
        (tuple(f"{letter}/" for letter in "edcba"), "holds 5 machines: 'a', 'b', 'c', 'd'"),
    ],
)
def test_the_machine_of_an_archive_is_the_one_that_is_least_deep(
    tmp_path: Path, tops: tuple[str, ...], text: str | None
) -> None:
    """Of several as deep none is."""
    tree = {f"{top}{path}": content for top in tops for path, content in small().items()}
    path = archive(tmp_path, pack(tree))
    if text is None:
        assert len(numaprobe.probe(recording=path).cells) == 2
        return
    with pytest.raises(RecordingError) as caught:
        Archive(path)
    assert str(caught.value) == f"{path}: {text}"


def test_a_machine_without_nodes_is_found_by_its_cpus_or_by_less(tmp_path: Path) -> None:
    """An archive without any of it is none."""
    for tail in ("sys/devices/system/cpu/cpu0/x", "sys/devices/system/x"):
        assert opened(tmp_path, {f"top/{tail}": "1"}).read([tail]) == [b"1"]
    path = archive(tmp_path, pack({"sys/devices/x": "1"}))
    with pytest.raises(RecordingError) as caught:
        Archive(path)
    assert str(caught.value) == f"{path}: contains no sys/devices/system, so it is not a recording of a machine"


MANIFEST = '{{"schema": "numaprobe-recording/1", "errors": {errors}, "files": {files}}}'


@pytest.mark.parametrize(
    ("manifest", "text"),
    [
        (MANIFEST.format(errors="{}", files=13), None),
        (MANIFEST.format(errors='{"a": 1}', files=13), None),
        (MANIFEST.format(errors='{"a": 4095}', files=13), None),
        (MANIFEST.format(errors='{"a": 4096}', files=13), "numaprobe.json in it is damaged"),
        (MANIFEST.format(errors='{"a": 0}', files=13), "numaprobe.json in it is damaged"),
        (MANIFEST.format(errors='{"a": true}', files=13), "numaprobe.json in it is damaged"),
        (MANIFEST.format(errors="[]", files=13), "numaprobe.json in it is damaged"),
        (MANIFEST.format(errors="{}", files="true"), "numaprobe.json in it is damaged"),
        (MANIFEST.format(errors="{}", files=14), "numaprobe.json promises 14 files, there are 13"),
        (MANIFEST.format(errors="{}", files=12), "numaprobe.json promises 12 files, there are 13"),
        ('{"schema": "other", "errors": {}, "files": 13}', "unknown format of recording: 'other'"),
        ('{"schema": "%s", "errors": {}, "files": 13}' % ("o" * 50), f"unknown format of recording: '{'o' * 40}'"),
        ("[]", "numaprobe.json in it is damaged"),
        ("{", "numaprobe.json in it is damaged"),
    ],
)
def test_a_manifest_says_what_is_in_the_recording(tmp_path: Path, manifest: str, text: str | None) -> None:
    """Errors are those of Linux, and files are as many as it promises."""
    tree = {path: content for path, content in small().items() if isinstance(content, str)}
    tree = dict(list(tree.items())[:13])
    path = archive(tmp_path, pack({**tree, "numaprobe.json": manifest}))
    if text is None:
        assert Archive(path).manifest is not None
        return
    with pytest.raises(RecordingError) as caught:
        Archive(path)
    assert str(caught.value) == f"{path}: {text}"


def test_what_could_not_be_read_is_answered_with_its_error(tmp_path: Path) -> None:
    """Files, directories and links; what is there is answered from the archive."""
    tree = dict(list(small().items())[:5])
    errors = '{"sys/a": 13, "sys/d": 13, "sys/l": 13, "sys/devices/system": 5, "' + next(iter(tree)) + '": 5}'
    found = opened(tmp_path, {**tree, "numaprobe.json": MANIFEST.format(errors=errors, files=5), "sys/d": None})
    assert found.read(["sys/a", "sys/b", "numaprobe.json/x", next(iter(tree))])[:3] == [EACCES, ENOENT, ENOTDIR]
    assert found.read([next(iter(tree))]) == [str(next(iter(tree.values()))).encode()]
    assert (found.listdir("sys/a"), found.listdir("sys/d"), found.listdir("sys/b")) == (EACCES, EACCES, ENOENT)
    assert (found.readlink("sys/l"), found.readlink("sys/b")) == (EACCES, ENOENT)
    assert found.listdir("sys/devices/system") != EIO


def test_a_member_that_is_cut_short_is_named(tmp_path: Path) -> None:
    """With a header that promises more than there is."""
    content = pack(small(), members=[(entry("sys/zz", size=5000), b"x" * 5000)])
    at = content.index(b"sys/zz") + 512
    path = archive(tmp_path, content[: at + 512])
    with pytest.raises(RecordingError, match=r"cut short|damaged"):
        Archive(path)


# --- headers of tar -------------------------------------------------------------------------------------------------


def header(**changes: bytes) -> bytes:
    """A header of a regular file of 5 bytes, with fields changed and the check sum made right."""
    made = bytearray(entry("name", size=5).tobuf(tarfile.USTAR_FORMAT))
    places = {"name": 0, "size": 124, "kind": 156, "link": 157, "magic": 257, "prefix": 345}
    for field, value in changes.items():
        if field != "sum":
            made[places[field] : places[field] + len(value)] = value
    made[148:156] = b" " * 8
    made[148:156] = changes.get("sum", b"%06o\0 " % sum(made))
    return bytes(made)


@pytest.mark.parametrize(
    ("block", "found"),
    [
        (header(), ("name", 5, b"0", "")),
        (header(kind=b"1", link=b"a\0b"), ("name", 5, b"1", "a")),
        (header(kind=b"2", link=b"a" * 100), ("name", 5, b"2", "a" * 100)),
        (header(kind=b"5", name=b"dir//\0"), ("dir", 5, b"5", "")),
        (header(prefix=b"p" * 155), ("p" * 155 + "/name", 5, b"0", "")),
        (header(name=b"n" * 100), ("n" * 100, 5, b"0", "")),
        (header(magic=b"ustar "), ("name", 5, b"0", "")),
        (header(size=b"77777777777\0"), ("name", 8**11 - 1, b"0", "")),
        (header(kind=b"3"), None),
        (header(kind=b"x"), None),
        (header(magic=b"other\0"), None),
        (header(size=b"-0000000001\0"), None),
        (header(size=b"x"), None),
        (header(sum=b"000000\0 "), None),
        (header()[:511], None),
    ],
)
def test_an_ordinary_header_is_understood_at_once(block: bytes, found: tuple[str, int, bytes, str] | None) -> None:
    """As tarfile understands it; any other is left to it."""
    plain = tars.CheckedHeader._plain(block, "utf-8", "surrogateescape")
    assert (None if plain is None else (plain.name, plain.size, plain.type, plain.linkname)) == found
    if plain is not None:
        slow = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        assert (slow.size, slow.type, slow.linkname) == (plain.size, plain.type, plain.linkname)


@pytest.mark.parametrize("byte", range(0, 512, 37))
def test_a_header_with_another_byte_is_damaged(byte: int) -> None:
    """The check sum is of all of them."""
    block = bytearray(header())
    block[byte] ^= 0x55
    assert tars.CheckedHeader._plain(bytes(block), "utf-8", "surrogateescape") is None


@pytest.mark.parametrize(
    ("kind", "size", "taken"),
    [(b"g", 1024, True), (b"g", 1025, False), (b"x", 16384, True), (b"x", 16385, False), (b"L", 16384, True),
     (b"L", 16385, False), (b"K", 16385, False), (b"X", 16385, False)],
)  # fmt: skip
def test_a_header_for_another_has_16_kilobytes_at_most(kind: bytes, size: int, taken: bool) -> None:
    """And that of a whole archive one."""
    block = header(kind=kind, size=b"%011o\0" % size)
    if taken:
        assert tars.header_of_one_archive().frombuf(block, "utf-8", "surrogateescape").size == size
        return
    with pytest.raises(tarfile.ReadError, match=r"^an oversized header$"):
        tars.header_of_one_archive().frombuf(block, "utf-8", "surrogateescape")


def test_all_headers_for_others_have_8_mebibytes_at_most() -> None:
    """512 of the largest; counted for each archive on its own."""
    kind = tars.header_of_one_archive()
    block = header(kind=b"x", size=b"%011o\0" % 16384)
    for _ in range(512):
        kind.frombuf(block, "utf-8", "surrogateescape")
    with pytest.raises(tarfile.ReadError, match=r"^an oversized header$"):
        kind.frombuf(block, "utf-8", "surrogateescape")
    tars.header_of_one_archive().frombuf(block, "utf-8", "surrogateescape")


@pytest.mark.parametrize(("block", "text"), [(b"", "cut short: it does not end in zeros"), (header(sum=b"000000\0 "), "a damaged header: bad checksum")])  # fmt: skip
def test_a_damaged_header_is_an_error_of_reading(block: bytes, text: str) -> None:
    """Where tarfile alone would take it for the end."""
    with pytest.raises(tarfile.ReadError) as caught:
        tars.CheckedHeader.frombuf(block, "utf-8", "surrogateescape")
    assert str(caught.value) == text
    with pytest.raises(tarfile.EOFHeaderError):  # type: ignore[attr-defined]
        tars.CheckedHeader.frombuf(bytes(512), "utf-8", "surrogateescape")


def test_a_stream_unfolds_to_300_times_its_size_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or to 96 MiB; one byte more ends it."""
    assert tars.ALWAYS_ALLOWED == 96 << 20
    for allowed, size, most in ((10, 0, 10), (10, 1, 300), (400, 1, 400)):
        monkeypatch.setattr(tars, "ALWAYS_ALLOWED", allowed)
        assert len(tars.Bounded(io.BytesIO(bytes(most)), size).read()) == most
        with pytest.raises(tarfile.ReadError) as caught:
            tars.Bounded(io.BytesIO(bytes(most + 1)), size).read()
        assert str(caught.value) == "it unpacks to more than the recording of a machine"
    with pytest.raises(tarfile.ReadError, match=r"^3 bytes cannot be written$"):
        tars.Bounded(io.BytesIO(), 0).write(b"abc")


# --- transcripts ----------------------------------------------------------------------------------------------------

HEAD = '{"numaprobe-transcript": 1}\n'
LINE = '{"number": 35, "command": 3, "op": "00*8", "buffers": [[8, "00*4"]], "result": 0, "reply": "00*8", "outs": ["ff*4"]}'


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("", "", None),
        ('"result": 0', '"errno": 1', None),
        ('"result": 0', '"errno": 4095', None),
        ('"result": 0', '"errno": 0', "ValueError('not an error number')"),
        ('"result": 0', '"errno": 4096', "ValueError('not an error number')"),
        ('"number": 35', '"number": true', "ValueError('not a number')"),
        ('"number": 35', '"number": 9223372036854775807', None),
        ('"number": 35', '"number": 9223372036854775808', "ValueError('not a number')"),
        ('"result": 0', '"result": -9223372036854775807', None),
        ('"result": 0', '"result": -9223372036854775808', "ValueError('not a number')"),
        ('"reply": "00*8"', '"reply": "00*9"', "ValueError('an answer that differs in length from the question')"),
        ('"outs": ["ff*4"]', '"outs": ["ff*5"]', "ValueError('an answer that differs in length from the question')"),
        ('"outs": ["ff*4"]', '"outs": []', "ValueError('an answer that differs in length from the question')"),
        ('"outs": ["ff*4"]', '"outs": "ff*4"', "TypeError('not a list')"),
        ('[8, "00*4"]', '[8, "00*4", 1]', "ValueError('a list of another length')"),
        ('"op": "00*8"', '"op": 8', "TypeError('not bytes in hexadecimal')"),
        ('"op": "00*8"', '"op": "0000*8"', "ValueError('not a run of one byte')"),
        ('"op": "00*8"', '"op": "00*-1"', "ValueError('too many bytes')"),
        ('"op": "00*8"', '"op": "*8"', "ValueError('not a run of one byte')"),
        ('"op": "00*8"', '"op": "00000000 00*4"', None),
        ('"op": "00*8"', '"op": "0000000000000000"', None),
        ('"op": "00*8"', '"op": "00*16777217"', "ValueError('too many bytes')"),
    ],
)
def test_a_line_of_a_transcript_is_a_question_and_an_answer(old: str, new: str, text: str | None) -> None:
    """What is wrong is said with the number of the line."""
    whole = HEAD + LINE + "\n" + LINE.replace(old, new, 1)
    if text is None:
        Transcript(whole)
        return
    with pytest.raises(RecordingError) as caught:
        Transcript(whole)
    assert str(caught.value) == f"the transcript is damaged in line 3: {text}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the transcript is empty"),
        ("{}", "not a transcript of hypercalls"),
        ("[]", "not a transcript of hypercalls"),
        ('{"numaprobe-transcript": 2}', "a transcript of version 2; 1 can be read"),
        ('{"numaprobe-transcript": "%s"}' % ("x" * 30), f"a transcript of version '{'x' * 19}; 1 can be read"),
    ],
)
def test_the_first_line_says_what_it_is(text: str, said: str) -> None:
    """Any other file is none."""
    with pytest.raises(RecordingError) as caught:
        Transcript(text)
    assert str(caught.value) == said


def test_a_transcript_has_limits_at_which_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Characters, bytes of one value and of all, lists in a line: the last that is taken, and one less."""
    whole = HEAD + LINE
    plain = whole.replace('"00*8"', '"0001020304050607"')
    monkeypatch.setattr(transcript, "MAX_BYTES", 8)
    Transcript(plain)
    monkeypatch.undo()
    limits = {"MAX_TEXT": len(whole), "MAX_BYTES": 8, "MAX_SUM": 800 + 24, "MAX_LISTS": 7}
    for name, most in limits.items():
        monkeypatch.setattr(transcript, name, most)
        Transcript(whole)
        monkeypatch.setattr(transcript, name, most - 1)
        with pytest.raises(RecordingError):
            Transcript(whole)
        monkeypatch.undo()
    monkeypatch.setattr(transcript, "MAX_SUM", 799)
    with pytest.raises(RecordingError, match=r"ValueError\('too many lines'\)$"):
        Transcript(whole)
    monkeypatch.setattr(transcript, "MAX_TEXT", 5)
    with pytest.raises(RecordingError) as caught:
        Transcript(whole)
    assert str(caught.value) == f"the transcript is too large: {len(whole)} characters"


@pytest.mark.parametrize(
    ("content", "written"),
    [
        (b"", ""), (b"\0", "00"), (b"\0\0\0", "000000"), (b"\0\0\0\0", "00*4"), (b"\1\0\0\0\0", "01 00*4"),
        (b"\1\1\0\0\0", "0101000000"), (b"\xff" * 300, "ff*300"), (b"ab", "6162"),
    ],
)  # fmt: skip
def test_bytes_are_written_with_the_run_at_their_end(content: bytes, written: str) -> None:
    """A run of four at least; it is read back as it was."""
    assert transcript._written(content) == written
    assert transcript._Room().read(written) == content


def test_a_question_that_was_not_recorded_is_refused_by_name() -> None:
    """With arguments of its own, or at all."""
    port = Transcript(HEAD + LINE)
    assert port.call(35, 3, bytes(8), ((8, bytes(4)),)) == (0, bytes(8), (b"\xff" * 4,))
    for command, word in ((3, "this sysctl physinfo"), (16, "a sysctl cputopoinfo")):
        with pytest.raises(RecordingError) as caught:
            port.call(35, command, b"other")
        text = f"the recording does not contain {word} call: record the host again, with --domains for its guests"
        assert str(caught.value) == text


# --- links --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a/b", "a/b"), ("a/../b", "b"), ("../../a", "a"), ("a/..", ""), ("./a//b/", "a/b"), ("", ""),
        ("l", "a/t"), ("l/x", "a/t/x"), ("abs/x", "t/x"), ("a/up", "t"), ("l40", "end"), ("l41", ELOOP), ("self", ELOOP),
    ],
)  # fmt: skip
def test_a_path_is_resolved_without_leaving_the_root(path: str, found: str | int) -> None:
    """Forty links are followed, as by the kernel; what was found is kept for the next."""
    links = {"l": "a/t", "abs": "/t", "a/up": "../../t", "self": "self", "l1": "end"}
    links |= {f"l{number}": f"l{number - 1}" for number in range(2, 42)}
    known: dict[str, str] = {}
    for _ in range(2):
        assert resolve(path, links.get, known) == found
    assert all(links.get(place) is None for place in known)


# --- what a recording keeps ---------------------------------------------------------------------------------------


def test_a_recording_keeps_answers_and_errors_that_say_something() -> None:
    """Absent files are left out; a link that is none, too."""
    tree = {"d/a": "1", "d/l": Link("a"), "d/e/x": None, "d/enx001122aabbcc": None, "d/enx001122aabbcg": None}
    reader = RecordingReader(Shelf(tree, {"d/denied": EACCES, "d/no": ENOTDIR}))
    reader.read(("a", "denied", "no", "none"), "d")
    reader.read(("d/a", "d/e"))
    assert reader.files == {"d/a": b"1"}
    assert reader.errors == {"d/denied": EACCES, "d/e": EISDIR}
    assert reader.listdir("d", "e") == ["e", "enx001122aabbcc", "enx001122aabbcg"]
    assert [reader.listdir(path) for path in ("d/denied", "d/none", "d/a")] == [EACCES, ENOENT, ENOTDIR]
    assert reader.directories == {"d", "d/e", "d/enx001122aabbcg"}
    assert [reader.readlink(path) for path in ("d/l", "d/a", "d/none", "d/denied")] == ["a", EINVAL, ENOENT, EACCES]
    assert reader.links == {"d/l": "a"}
    assert reader.errors == {"d/denied": EACCES, "d/e": EISDIR}
    assert reader.empty_directories() == ["d/e", "d/enx001122aabbcg"]
    fresh = RecordingReader(Shelf({}, {"x": EIO, "y": ENOTDIR}))
    fresh.listdir("x"), fresh.readlink("y")
    assert fresh.errors == {"x": EIO}
    fresh = RecordingReader(Shelf({}, {"x": EIO}))
    fresh.readlink("x")
    assert fresh.errors == {"x": EIO}


# --- xenstored ----------------------------------------------------------------------------------------------------


class Daemon:
    """A socket that answers each request by a rule: type, request and value, or bytes as they are."""

    def __init__(self, path: str, *answers: tuple[int, int, bytes] | bytes) -> None:
        self.asked: list[tuple[int, int, int, bytes]] = []
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(path)
        self.server.listen(1)
        self.server.settimeout(10)
        self.answers = answers
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        connection, _ = self.server.accept()
        with connection:
            for answer in self.answers:
                head = connection.recv(16)
                if len(head) < 16:
                    return
                kind, request, transaction, length = struct.unpack("<IIII", head)
                self.asked.append((kind, request, transaction, connection.recv(length)))
                if isinstance(answer, bytes):
                    connection.sendall(answer)
                else:
                    kind, request, value = answer
                    connection.sendall(struct.pack("<IIII", kind, request, 0, len(value)) + value)

    def close(self) -> None:
        self.thread.join()
        self.server.close()


SOME = "some names are unknown: "


@pytest.mark.parametrize(
    ("answers", "names", "note"),
    [
        (((2, 0, b"Domain-0"), (2, 7, b"vm\xff")), {0: "Domain-0", 7: "vm\ufffd"}, None),
        (((16, 0, b"ENOENT\0"), (2, 7, b"vm")), {7: "vm"}, None),
        (((2, 0, b""), (2, 7, b"v" * 4096)), {0: "", 7: "v" * 4096}, None),
        (((2, 0, b"a"), (2, 7, b"v" * 4097)), {0: "a"}, SOME + "an answer to another request"),
        (((2, 0, b"a"), (2, 8, b"b")), {0: "a"}, SOME + "an answer to another request"),
        (((2, 0, b"a"), b"\2\0\0"), {0: "a"}, SOME + "the connection ended"),
    ],
)
def test_names_are_those_that_xenstored_answers_with(
    tmp_path: Path, answers: tuple[Any, ...], names: dict[int, str], note: str | None
) -> None:
    """Each request is for one name; those until the first wrong answer are kept."""
    path = str(tmp_path / "socket")
    daemon = Daemon(path, *answers)
    notes: list[tuple[str, str]] = []
    try:
        assert xenstore.names([0, 7], (str(tmp_path / "none"), path), 5.0, notes) == names
    finally:
        daemon.close()
    assert notes == ([] if note is None else [(path, note)])
    assert daemon.asked == [(2, n, 0, b"/local/domain/%d/name\0" % n) for n in (0, 7)][: len(daemon.asked)]


def test_without_a_socket_there_are_no_names_and_no_word(tmp_path: Path) -> None:
    """One that is refused is noted, the first of them."""
    notes: list[tuple[str, str]] = []
    plain = tmp_path / "file"
    plain.write_text("")
    assert xenstore.names([0], (str(tmp_path / "none"), str(plain / "below")), 1.0, notes) == {}
    assert notes == []
    assert xenstore.names([0], (str(plain), str(tmp_path / "none")), 1.0, notes) == {}
    assert notes == [(str(plain), "names are unknown: Connection refused")]
    assert xenstore.names([0], (str(plain),)) == {}


def test_a_daemon_that_is_silent_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for one answer nor for all of them."""
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(2)
        notes: list[tuple[str, str]] = []
        assert xenstore.names([0, 1], (path,), 0.01, notes) == {}
        assert notes == [(path, SOME + "no answer in time")]
        monkeypatch.setattr(xenstore, "MAX_TIME", -1.0)
        notes = []
        assert xenstore.names([0], (path,), 5.0, notes) == {}
        assert notes == [(path, SOME + "no answer in time")]


# --- opening ------------------------------------------------------------------------------------------------------

CONTROL = {"sys/hypervisor/type": "xen\n", "sys/hypervisor/properties/features": "800\n"}
GUEST = {"sys/hypervisor/type": "xen\n"}
RECORDED = {**CONTROL, "xen/transcript.jsonl": HEAD}


@pytest.mark.parametrize(
    ("tree", "source", "live", "told"),
    [
        ({}, "auto", True, "linux"),
        ({}, "linux", True, "linux"),
        ({}, "xen", True, "xen: not running under Xen"),
        (GUEST, "auto", True, "linux"),
        (GUEST, "xen", True, "xen: a Xen guest cannot make these hypercalls"),
        (CONTROL, "auto", True, "xen"),
        (CONTROL, "xen", True, "xen"),
        (CONTROL, "linux", True, "linux"),
        (CONTROL, "auto", False, "linux"),
        (CONTROL, "xen", False, "the recording has no hypercalls: record it in the control domain, as root"),
        (RECORDED, "auto", False, "xen"),
        (RECORDED, "xen", False, "xen"),
        ({}, "other", True, "source must be one of auto, linux, xen, not 'other'"),
    ],
)
def test_the_source_is_the_hypervisor_where_it_answers(tree: Machine, source: str, live: bool, told: str) -> None:
    """Or what is asked for, or an error that says why not."""
    if told in ("linux", "xen"):
        assert opening.choose_source(Shelf(tree), source, live=live) == told
        return
    with pytest.raises((SourceUnavailable, RecordingError, ValueError)) as caught:
        opening.choose_source(Shelf(tree), source, live=live)
    assert str(caught.value) == told


@pytest.mark.parametrize("errno", [ENOENT, ENOTDIR])
def test_without_its_directory_there_is_no_xen(errno: int) -> None:
    """Nothing else is then read."""
    shelf = Shelf(CONTROL, {"sys/hypervisor/type": errno})
    assert opening.choose_source(shelf, "auto", live=True) == "linux"
    assert shelf.opened == ["sys/hypervisor/type"]


def test_a_recording_without_hypercalls_has_no_port() -> None:
    """One with them is closed without a word."""
    with pytest.raises(RecordingError) as caught:
        opening.hypercalls(Shelf({}), live=False)
    assert str(caught.value) == "the recording has no hypercalls: record it in the control domain, as root"
    with opening.hypercalls(Shelf(RECORDED), live=False) as port:
        assert isinstance(port, Transcript)


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (PermissionError(EACCES, "x"), SourceDenied, "/dev/xen/privcmd: only root may make hypercalls"),
        (FileNotFoundError(ENOENT, "x"), SourceUnavailable, "/dev/xen/privcmd: No such file or directory"),
        (FileNotFoundError(ENOENT, "x", "/proc/xen/privcmd"), SourceUnavailable, "/proc/xen/privcmd: No such file or directory"),
    ],
)  # fmt: skip
def test_the_device_that_cannot_be_opened_is_named(
    error: OSError, kind: type[Exception], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the path that was tried."""
    asked = []

    def privcmd(*, debug_key: bool) -> None:
        asked.append(debug_key)
        raise error

    monkeypatch.setattr("numaprobe._fast.Privcmd", privcmd)
    with pytest.raises(kind) as caught:
        opening.hypercalls(Shelf({}), live=True, debug_key=True)
    assert str(caught.value) == text
    with pytest.raises(kind):
        opening.hypercalls(Shelf({}), live=True)
    assert asked == [True, False]


def test_the_device_is_closed_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what a live host is asked through."""

    class Device:
        closed = 0

        def __init__(self, *, debug_key: bool) -> None:
            pass

        def close(self) -> None:
            Device.closed += 1

    monkeypatch.setattr("numaprobe._fast.Privcmd", Device)
    with opening.hypercalls(Shelf({}), live=True) as port:
        assert isinstance(port, Device)
        assert Device.closed == 0
    assert Device.closed == 1


@pytest.mark.parametrize(
    ("error", "kind"), [(PermissionError(EACCES, "x"), SourceDenied), (NotADirectoryError(ENOTDIR, "x"), SourceUnavailable)]
)  # fmt: skip
def test_a_root_that_cannot_be_opened_is_named(
    error: OSError, kind: type[Exception], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the system's error number."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("numaprobe.sources.tree.Tree", fail)
    monkeypatch.setattr("numaprobe._fast.Files", fail)
    for root, named in ((tmp_path, str(tmp_path)), (None, "/" if kind is SourceUnavailable else "None")):
        with pytest.raises(kind) as caught:
            opening.open_source(root, None)
        assert (caught.value.where, caught.value.errno) == (named, error.errno)  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"^root and recording cannot be combined$"):
        opening.open_source(tmp_path, tmp_path)


def test_a_recording_is_kept_open_for_those_who_read_it_meanwhile(tmp_path: Path) -> None:
    """Once, by the first who says so; a root is opened anew each time."""
    path = archive(tmp_path, pack(small()))
    with opening.kept_open(path):
        with opening.open_source(None, path) as first, opening.open_source(None, str(path)) as second:
            assert first is second
        with opening.kept_open(path), opening.open_source(None, path) as third:
            assert third is first
        with opening.open_source(None, path) as fourth:
            assert fourth is first
    with opening.open_source(None, path) as fifth:
        assert fifth is not first
    with opening.kept_open(None):
        pass


# --- architecture and pages ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        ({"numaprobe.json": '{"machine": "s390x"}'}, "s390x"),
        ({"numaprobe.json": '{"machine": 5}', "proc/cpuinfo": "cpu : Alpha\n"}, "alpha"),
        ({"numaprobe.json": "[]", "proc/cpuinfo": "cpu : Alpha\n"}, "alpha"),
        ({"numaprobe.json": "{"}, None),
        ({"proc/cpuinfo": "cpu : Alpha\n"}, "alpha"),
        ({}, None),
    ],
)
def test_the_architecture_is_the_manifests_word_or_cpuinfos(tree: Machine, told: str | None, tmp_path: Path) -> None:
    """A live host's is the running kernel's."""
    from numaprobe.sources.tree import Tree

    assert machine(Shelf(tree), live=False) == told
    assert machine(Tree(plant(tmp_path / "root", tree)), live=False) == told
    assert machine(Shelf(tree), live=True) == os.uname().machine


def test_the_head_of_cpuinfo_is_enough_where_it_says_so(tmp_path: Path) -> None:
    """Four kilobytes, in which the first CPU's part ends; otherwise all of it is read."""

    class Heads(Shelf):
        sizes: ClassVar[list[int]] = []

        def head(self, path: str, size: int) -> bytes | int:
            self.sizes.append(size)
            return self.files[path][:size] if path in self.files else ENOENT

    for content, whole in (("cpu : Alpha\n\nx\n", False), ("cpu : Alpha\n", True), ("x : y\n\ncpu : Alpha\n", True)):
        shelf = Heads({"proc/cpuinfo": content})
        assert machine(shelf, live=False) == "alpha"
        assert ("proc/cpuinfo" in shelf.opened) is whole
    assert set(Heads.sizes) == {4096}
    assert machine(Heads({}), live=False) is None


def test_pages_of_a_process_that_is_gone_are_an_error_number() -> None:
    """And entries of addresses without a mapping are zero."""
    pages = RunningPages()
    assert pages.page_size == os.sysconf("SC_PAGESIZE")
    gone = 1 << 22
    assert isinstance(pages.entries(gone, [0]), int)
    assert pages.entries(gone, [0]) == ENOENT
    assert isinstance(pages.nodes(gone, [4096]), int)
    assert pages.entries(os.getpid(), [1 << 60]) == [0]
    found = pages.entries(os.getpid(), [0, id(pages)])
    assert isinstance(found, int) or (len(found) == 2 and found[0] == 0 and found[1] != 0)


def test_a_question_is_answered_in_turn_and_with_the_last_from_then_on() -> None:
    """Three answers to four questions."""
    lines = [LINE.replace('"result": 0', f'"result": {number}') for number in (1, 2, 3)]
    port = Transcript(HEAD + "\n".join(lines))
    assert [port.call(35, 3, bytes(8), ((8, bytes(4)),))[0] for _ in range(5)] == [1, 2, 3, 3, 3]


@pytest.mark.parametrize(
    ("raw", "most", "many"),
    [("[[[[]]]]", 4, False), ("[[[[]]]]", 3, True), ("[[[{}]]]", 4, False), ("[[[{}]]]", 3, True), ("[1,2,3]", 2, False),
     ("[1,2,3]", 1, True), ("{}", 1, False)],
)  # fmt: skip
def test_a_line_has_no_more_lists_than_a_call(raw: str, most: int, many: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Brackets and braces together, and commas."""
    monkeypatch.setattr(transcript, "MAX_LISTS", most)
    with pytest.raises(RecordingError) as caught:
        Transcript(HEAD + raw)
    assert ("more lists than a hypercall has" in str(caught.value)) is many


@pytest.mark.parametrize("text", ["\n" + HEAD, "\n"])
def test_the_first_line_of_a_transcript_is_not_empty(text: str) -> None:
    """It says what the file is."""
    with pytest.raises(RecordingError, match="the transcript is damaged in line 1"):
        Transcript(text)


def test_a_socket_that_does_not_take_a_connection_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time is set before it is connected to."""
    timeouts: list[float] = []

    class Busy:
        def __init__(self, *_: object) -> None: ...

        def __enter__(self) -> Busy:
            return self

        def __exit__(self, *_: object) -> None: ...

        def settimeout(self, seconds: float) -> None:
            timeouts.append(seconds)

        def connect(self, path: str) -> None:
            raise TimeoutError

    monkeypatch.setattr("socket.socket", Busy)
    notes: list[tuple[str, str]] = []
    assert xenstore.names([0], ("/a", "/b"), 0.25, notes) == {}
    assert timeouts == [0.25, 0.25]
    assert notes == [("/a", "names are unknown: no answer in time")]
