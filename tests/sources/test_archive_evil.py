"""Archives from strangers: nothing is written, nothing is reached outside, little memory is taken, one line is said."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import subprocess
import sys
import tarfile
import textwrap
import time
from errno import EFBIG
from pathlib import Path

import pytest
from archives import COMPRESSIONS, Plant, answer_or_line, archive, entry, headers, refused, small, two_cells
from hypothesis import given
from hypothesis import strategies as st
from trees import CPU, NODE, Machine, machine, pack
from trees import plant as plant_at

import numaprobe
from numaprobe import RecordingError
from numaprobe.sources.archive import MANIFEST, Archive

pytestmark = pytest.mark.usefixtures("nothing_written")


# --- evil ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["../evil", "sys/../../evil", "x/../../../tmp/numaprobe-evil", "/../evil", "./../evil", ".."]
)
def test_a_path_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    """No honest tool writes such members, so the archive is not trusted for anything else either."""
    path = archive(tmp_path, pack(small(), members=[(entry(name, size=4), b"evil")]))
    assert "out of the archive" in refused(path)


def test_an_absolute_path_stays_inside(tmp_path: Path) -> None:
    """An honest tar -P writes those too; the leading slash means the top of the archive."""
    path = archive(tmp_path, pack(small(), members=[(entry("/tmp/numaprobe-evil", size=4), b"evil")]))
    assert Archive(path).read(["tmp/numaprobe-evil"]) == [b"evil"]


@pytest.mark.parametrize(
    "target", ["/etc/passwd", "../../../../../../../../../../etc/passwd", "//etc/passwd", "/proc/self/root/etc/passwd"]
)
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_link_that_leads_out_finds_nothing(tmp_path: Path, target: str, kind: bytes) -> None:
    """Real sysfs copies hold dangling links, so this one is unknown rather than a reason to refuse the host."""
    tree = small()
    del tree[f"{NODE}/node1/meminfo"]
    path = archive(tmp_path, pack(tree, members=[(entry(f"{NODE}/node1/meminfo", kind, target), b"")]))
    assert numaprobe.probe(recording=path).cell(1).memory.total is None


def test_a_file_written_through_a_link_to_the_outside_is_not_written(tmp_path: Path) -> None:
    """The classic attack is a link to a directory outside, followed by a member below it."""
    members = [(entry("out", tarfile.SYMTYPE, str(tmp_path)), b""), (entry("out/evil", size=4), b"evil")]
    numaprobe.probe(recording=archive(tmp_path, pack(small(), members=members)))


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z"])
def test_devices_and_pipes_are_passed_over(tmp_path: Path, kind: bytes) -> None:
    """Opening one could block or have effects; types that tar may get in future count as well."""
    tree = small()
    del tree[f"{NODE}/node1/meminfo"]
    path = archive(tmp_path, pack(tree, members=[(entry(f"{NODE}/node1/meminfo", kind), b"")]))
    assert numaprobe.probe(recording=path).cell(1).memory.total is None


def test_a_file_larger_than_any_is_noted_and_not_kept(tmp_path: Path) -> None:
    """One byte more than the 64 MiB limit, compressed to almost nothing, is EFBIG like any other errno."""
    tree = small()
    del tree[f"{NODE}/node1/meminfo"]
    size = (64 << 20) + 1
    path = archive(
        tmp_path, gzip.compress(pack(tree, members=[(entry(f"{NODE}/node1/meminfo", size=size), bytes(size))]), 1)
    )
    host = numaprobe.probe(recording=path)
    assert host.cell(1).memory.total is None
    assert any(os.strerror(EFBIG) in note.text for note in host.notes)


MEASURED = r"""
import re, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[2]),) * 2)
import numaprobe
try:
    numaprobe.probe(recording=sys.argv[1])
except numaprobe.NumaprobeError as error:
    print("refused", error)
print(int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) >> 10)
"""


def peak_mib(path: Path, seconds: int = 20) -> tuple[str, int]:
    """What a fresh interpreter says of an archive within so many seconds of a CPU, and the most memory that it took."""
    run = subprocess.run(
        [sys.executable, "-c", MEASURED, str(path), str(seconds)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, f"status {run.returncode}: {run.stderr[-500:]}"
    *said, peak = run.stdout.splitlines()
    return " ".join(said), int(peak)


def bomb(size_mib: int, header: tarfile.TarInfo) -> bytes:
    """A compressed archive whose header promises a long text, and holds it."""
    header.size = size_mib << 20
    chunk = gzip.compress(b"a" * (1 << 20))
    return gzip.compress(header.tobuf(tarfile.GNU_FORMAT)) + chunk * size_mib + gzip.compress(pack(small()))


def test_a_name_of_gigabytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """Long names and pax headers are bodies that tarfile would read whole; the peak is measured in a child process."""
    for kind in (
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
    ):
        said, peak = peak_mib(archive(tmp_path, bomb(200, entry("././@LongLink", kind))))
        assert said.startswith("refused")
        assert peak < 100


@pytest.mark.parametrize("deep", ["name", "link", "hard link"])
def test_a_path_of_thousands_of_parts_is_refused_or_costs_nothing(tmp_path: Path, deep: str) -> None:
    """Splitting or resolving 30,000 parts for each lookup would be quadratic in memory."""
    path = "a/" * 30000 + "b"
    member = {
        "name": entry(path),
        "link": entry(f"{NODE}/node0/hugepages", tarfile.SYMTYPE, path),
        "hard link": entry(f"{NODE}/node0/access0", tarfile.LNKTYPE, path),
    }[deep]
    _, peak = peak_mib(archive(tmp_path, pack(small(), kind=tarfile.PAX_FORMAT, members=[(member, b"")])))
    assert peak < 100


def test_many_deep_paths_are_bounded_together(tmp_path: Path) -> None:
    """Each path alone is fine, but every one implies 62 directories: the sum of 6000 has to stay bounded."""
    members = [(entry(f"{i}/" + "x" * 62 + ("/" + "x" * 62) * 61), b"") for i in range(6000)]
    _, peak = peak_mib(archive(tmp_path, gzip.compress(pack(small(), kind=tarfile.GNU_FORMAT, members=members), 1)))
    assert peak < 700


def test_attributes_of_the_whole_archive_are_bounded(tmp_path: Path) -> None:
    """Pax attributes of the whole archive are copied to every member, which multiplies their size."""
    out = io.BytesIO()
    with tarfile.open(
        fileobj=out, mode="w", format=tarfile.PAX_FORMAT, pax_headers={f"k{i}": "v" for i in range(20000)}
    ) as tar:
        for i in range(2000):
            tar.addfile(entry(f"{NODE}/x{i}"))
    _, peak = peak_mib(archive(tmp_path, out.getvalue()))
    assert peak < 100


def test_a_member_may_have_longer_attributes_than_the_whole_archive(tmp_path: Path) -> None:
    """Its own are stored once, so a higher limit is harmless."""
    words = "x" * 2000
    of_a_member = entry(f"{NODE}/x")
    of_a_member.pax_headers = {"comment": words}
    path = archive(tmp_path, pack(small(), kind=tarfile.PAX_FORMAT, members=[(of_a_member, b"")]))
    assert numaprobe.probe(recording=path).cells
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": words}) as tar:
        tar.addfile(entry(f"{NODE}/x"))
    assert "header" in refused(archive(tmp_path, out.getvalue()))


def test_more_than_a_machine_could_have_is_refused(tmp_path: Path) -> None:
    """A member that claims 5 GiB is refused by its header, without decompressing it all."""
    chunk = gzip.compress(b"\0" * (16 << 20))
    huge = entry("big", size=5 << 30)
    path = archive(tmp_path, gzip.compress(huge.tobuf(tarfile.GNU_FORMAT)) + chunk * 4)
    assert "too large" in refused(path)


@pytest.mark.parametrize("size", [-1, -512, -(1 << 40)])
def test_a_negative_size_is_refused(tmp_path: Path, size: int) -> None:
    """Base-256 sizes can be negative, which would move a reader backwards for ever."""
    header = bytearray(entry("x").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = size.to_bytes(12, "big", signed=True)
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    refused(archive(tmp_path, bytes(header) + pack(small())))


# --- cut and damaged -------------------------------------------------------------------------------------------


def whole_and_cuts(content: bytes) -> list[int]:
    end = len(content.rstrip(b"\0"))
    return list(range(0, end, 512))


def test_a_plain_archive_cut_at_any_block_is_refused(tmp_path: Path) -> None:
    """An interrupted copy must not pass for a smaller host; only the end-of-archive blocks prove that it is whole."""
    content = pack(machine({0: [0]}))
    for length in whole_and_cuts(content):
        refused(archive(tmp_path, content[:length]))
    for length in (1, 100, 511, 513, 700, 1000, 1535):
        refused(archive(tmp_path, content[:length]))


def test_an_own_recording_cut_at_any_block_is_refused(plant: Plant, tmp_path: Path) -> None:
    """Its manifest counts the files, which also finds a cut that tar itself would accept."""
    path = tmp_path / "host.tar"
    tree = two_cells()
    for node in (0, 2):
        tree[f"{NODE}/node{node}/access0/initiators/node0"] = None
    numaprobe.record(path, root=plant(tree))
    content = path.read_bytes()
    for length in whole_and_cuts(content):
        path.write_bytes(content[:length])
        refused(path)


@pytest.mark.parametrize("compression", ["tar.gz", "tar.bz2", "tar.xz"])
def test_a_compressed_archive_cut_anywhere_is_refused_or_lost_only_its_padding(
    tmp_path: Path, compression: str
) -> None:
    """Zeros after the last member may be lost; the answer must then be equal to that of the whole archive."""
    content = COMPRESSIONS[compression](pack(small()))
    wanted = numaprobe.probe(recording=archive(tmp_path, content))
    step = max(1, len(content) // 150)
    for length in range(0, len(content), step):
        path = archive(tmp_path, content[:length])
        try:
            found = numaprobe.probe(recording=path)
        except RecordingError:
            continue
        assert found == wanted, f"cut at {length} of {len(content)}"


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_flipped_bit_gives_an_answer_or_one_clear_error(tmp_path: Path, compression: str) -> None:
    """Plain tar has no checksum of contents, so a changed figure is possible, but never a traceback."""
    content = bytearray(COMPRESSIONS[compression](pack(small())))
    for position in range(0, len(content), max(1, len(content) // 200)):
        content[position] ^= 0x55
        path = archive(tmp_path, bytes(content))
        answer_or_line(path)
        content[position] ^= 0x55


def test_a_damaged_header_in_the_middle_is_no_end(tmp_path: Path) -> None:
    """Python's tarfile takes a bad checksum for the end, and would give a host of fewer nodes without a word."""
    tree = small()
    content = bytearray(pack(tree))
    second = content.index(f"{NODE}/node1/cpulist".encode())
    content[second + 20] ^= 1
    refused(archive(tmp_path, bytes(content)))


@given(st.binary(max_size=2000))
def test_any_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Random bytes have no valid header checksum, so any host found in them would be invented."""
    refused(archive(tmp_path_factory.mktemp("any"), content))


@given(st.data())
def test_a_header_of_any_bytes_with_a_right_checksum_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Hypothesis repairs the checksum so that the damage gets past it, into sparse maps and pax records."""
    header = bytearray(entry("sys/x", size=10).tobuf(tarfile.GNU_FORMAT))
    header[156] = data.draw(st.sampled_from(list(b"01234567LKxgXSDNVAM\0Z")))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, 500))
        piece = data.draw(st.binary(min_size=1, max_size=12))
        header[at : at + len(piece)] = piece
    del header[512:]
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    body = data.draw(
        st.binary(max_size=60)
        | st.sampled_from([b"30 GNU.sparse.map=1,2,3,4,x\n", b"11 size=-5\n", b"22 GNU.sparse.major=1\n", b"9 a=b\n0 "])
    )
    path = archive(tmp_path_factory.mktemp("header"), bytes(header) + body.ljust(512, b"\0") + pack(small()))
    answer_or_line(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 10240,
        b"\0" * 512,
        b"not a tar archive\n",
        gzip.compress(b""),
        gzip.compress(b"no"),
        bz2.compress(b""),
        lzma.compress(b""),
        b"\x1f\x8b",
        b"BZh",
        b"\xfd7zXZ\0",
        b"\x28\xb5\x2f\xfd" + b"x" * 100,
        b"PK\x03\x04" + b"x" * 600,
    ],
    ids=[
        "nothing",
        "zeros",
        "a block of zeros",
        "text",
        "gzip of nothing",
        "gzip of text",
        "bzip2 of nothing",
        "xz of nothing",
        "start of gzip",
        "start of bzip2",
        "start of xz",
        "zstd",
        "zip",
    ],
)
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    """An empty file, bare magic bytes and other formats, zstd and zip among them, each get one line."""
    refused(archive(tmp_path, content))


def test_an_archive_without_a_machine_is_refused(tmp_path: Path) -> None:
    """The right format of the wrong directory is the commonest mistake with --recording."""
    assert "not a recording of a machine" in refused(archive(tmp_path, pack({"readme": "x", "etc/passwd": "x"})))


def test_two_machines_in_one_archive_are_refused(tmp_path: Path) -> None:
    """Choosing one would be a guess; the escape sequence in a name must not reach the terminal."""
    tree: Machine = {}
    for name in ("one", "two\x1b[31m"):
        tree.update({f"{name}/{path}": content for path, content in small().items()})
    line = refused(archive(tmp_path, pack(tree)))
    assert "2 machines" in line


@pytest.mark.parametrize("what", ["none", "directory", "fifo", "device"])
def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path, what: str) -> None:
    """Opening a FIFO blocks until there is a writer, and /dev/zero has no end."""
    path = tmp_path / what
    if what == "directory":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "device":
        path = Path("/dev/zero")
    refused(path)


MANIFESTS: dict[str, object] = {
    "not json": b"{",
    "not text": b"\xff\xfe\0",
    "a list": [],
    "a number": 5,
    "deep": b"[" * 100_000,
    "a long number": b'{"schema":"numaprobe-recording/1","errors":{},"files":' + b"9" * 10_000 + b"}",
    "no errors": {"schema": "numaprobe-recording/1", "files": 0},
    "errors are a list": {"schema": "numaprobe-recording/1", "files": 0, "errors": ["x"]},
    "errno is text": {"schema": "numaprobe-recording/1", "files": 0, "errors": {"x": "EIO"}},
    "errno is 0": {"schema": "numaprobe-recording/1", "files": 0, "errors": {"x": 0}},
    "errno is negative": {"schema": "numaprobe-recording/1", "files": 0, "errors": {"x": -5}},
    "errno is no errno": {"schema": "numaprobe-recording/1", "files": 0, "errors": {f"{NODE}/node0/distance": 10**20}},
    "errno is true": {"schema": "numaprobe-recording/1", "files": 0, "errors": {"x": True}},
    "files are text": {"schema": "numaprobe-recording/1", "files": "3", "errors": {}},
    "too few files": {"schema": "numaprobe-recording/1", "files": 10_000, "errors": {}},
    "another schema": {"schema": "numaprobe-recording/2", "files": 0, "errors": {}},
    "no schema": {"files": 0, "errors": {}},
    "schema is a list": {"schema": [1], "files": 0, "errors": {}},
}


@pytest.mark.parametrize("manifest", MANIFESTS.values(), ids=MANIFESTS)
def test_a_damaged_manifest_is_refused(tmp_path: Path, manifest: object) -> None:
    """Its counts prove that the archive is whole, so a manifest that is not understood proves nothing."""
    tree: Machine = {MANIFEST: manifest if isinstance(manifest, bytes) else json.dumps(manifest), **small()}
    if isinstance(manifest, dict) and manifest.get("files") == 0:
        tree[MANIFEST] = json.dumps({**manifest, "files": len(tree) - 1})
    refused(archive(tmp_path, pack(tree)))


def test_a_manifest_is_looked_for_only_beside_the_machine(tmp_path: Path) -> None:
    """A file of the same name somewhere in the tree is content, and may hold anything."""
    path = archive(tmp_path, pack({f"{CPU}/{MANIFEST}": "{", **small()}))
    assert Archive(path).manifest is None


def test_reading_an_archive_leaves_no_descriptor(tmp_path: Path) -> None:
    """Refused archives take another path out, so good and bad ones alternate, with warnings as errors."""
    good, bad = archive(tmp_path, pack(small()), "good"), archive(tmp_path, b"bad", "bad")
    code = textwrap.dedent("""
        import os, sys, warnings
        warnings.simplefilter("error")
        import numaprobe, tarfile
        numaprobe.probe(recording=sys.argv[1])
        before = sorted(os.listdir("/proc/self/fd"))
        for _ in range(20):
            numaprobe.probe(recording=sys.argv[1])
            try:
                numaprobe.probe(recording=sys.argv[2])
            except numaprobe.RecordingError:
                pass
        assert sorted(os.listdir("/proc/self/fd")) == before
    """)
    run = subprocess.run([sys.executable, "-c", code, str(good), str(bad)], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")


def test_lists_that_unfold_to_gigabytes_are_one_error(tmp_path: Path) -> None:
    """400 lists of all ids take 6 kB, and would be 26 million numbers."""
    tree: Machine = {**small(), **{f"{NODE}/node{i}/cpulist": "0-65535\n" for i in range(400)}}
    said, peak = peak_mib(archive(tmp_path, gzip.compress(pack(tree))))
    assert "names more than any machine has: '0-65535'" in said
    assert peak < 200


@pytest.mark.parametrize(("length", "count"), [(150, 60_000), (3900, 15_000)])
def test_many_members_with_long_names_are_refused_early(tmp_path: Path, length: int, count: int) -> None:
    """Compressed they are a few hundred kB; all of them would take seconds to look at."""
    names = (f"{NODE}/node0/{i:05}" + "x" * length for i in range(count))
    said, peak = peak_mib(archive(tmp_path, gzip.compress(headers(names) + pack(small()), 1)), seconds=3)
    assert "the names in it are too long" in said
    assert peak < 200


def test_an_archive_mostly_of_other_files_is_refused_early(tmp_path: Path) -> None:
    """A report of a whole system has some ten thousands beside its machine's; hundreds of thousands would take seconds."""
    names = (f"var/{i // 1000}/{i}" for i in range(120_000))
    path = archive(tmp_path, gzip.compress(headers(names) + pack(small()), 1))
    assert "more than 100000 files in it belong to no machine's sys or proc" in refused(path)


def test_many_members_with_names_of_a_machines_files_are_read(tmp_path: Path) -> None:
    """A full copy of sysfs has tens of thousands."""
    names = (f"{CPU}/cpu{i // 8}/cache/index{i % 4}/shared_cpu_list{i}" for i in range(20_000))
    path = archive(tmp_path, gzip.compress(headers(names) + pack(small()), 1))
    assert len(numaprobe.probe(recording=path).cells) == 2


@pytest.mark.parametrize(
    ("tree", "why"),
    [
        ({f"{CPU}/present": "0-65535\n", f"{CPU}/online": "0-65535\n"}, "more than any kernel has: '65536 cpus'"),
        ({f"{NODE}/node{i}/cpulist": "\n" for i in range(1200)}, "more than any kernel has: '1200 nodes'"),
    ],
)
def test_ids_that_no_kernel_has_are_one_error(tmp_path: Path, tree: Machine, why: str) -> None:
    """An archive of 289 bytes once took 5 s of looking for the files of 65,536 CPUs."""
    path = archive(tmp_path, gzip.compress(pack({**small(), **tree})))
    start = time.process_time()
    with pytest.raises(numaprobe.FactError, match=why):
        numaprobe.probe(recording=path, caches=True, devices=True)
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    "name", [f"{NODE}/node0/hugepages/hugepages-%dkB/nr_hugepages", f"{CPU}/cpu0/cache/index%d/level"]
)
def test_directories_with_thousands_of_alike_are_noted_and_not_read(tmp_path: Path, name: str) -> None:
    """The rest of the host is still reported."""
    path = archive(tmp_path, gzip.compress(pack({**small(), **{name % (i + 1): "1\n" for i in range(1500)}})))
    host = numaprobe.probe(recording=path, caches=True)
    assert any("names such as" in note.text and "more than any kernel has" in note.text for note in host.notes)
    assert len(host.cells) == 2


def test_a_row_of_distances_without_end_is_not_built(tmp_path: Path) -> None:
    """20 million numbers would be a gigabyte; the row is unknown and the rest is there."""
    path = archive(tmp_path, gzip.compress(pack({**small(), f"{NODE}/node0/distance": "10 " * 20_000_000})))
    assert peak_mib(path)[1] < 250
    assert "a row of 60000000 bytes" in str(numaprobe.probe(recording=path).notes)


def test_what_unfolds_to_far_more_than_its_size_is_refused_at_once(tmp_path: Path) -> None:
    """A few hundred bytes of zeros behind an archive are gigabytes to read."""
    packed = bz2.compress(pack(small())) + bz2.compress(bytes(20 << 20)) * 10
    said, peak = peak_mib(archive(tmp_path, packed))
    assert "unpacks to more than the recording of a machine" in said
    assert peak < 200


def test_a_tree_of_sparse_files_is_read_within_bounds(tmp_path: Path) -> None:
    """A sparse file of 250 MiB costs its maker nothing, and is not read."""
    root = plant_at(tmp_path / "tree", small())
    for node in (0, 1):
        (root / NODE / f"node{node}" / "meminfo").write_bytes(b"")
        os.truncate(root / NODE / f"node{node}" / "meminfo", 250 << 20)
    host = numaprobe.probe(root)
    assert [cell.memory.total for cell in host.cells] == [None, None]
    assert sum(os.strerror(EFBIG) in note.text for note in host.notes) == 2


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("MAX_MEMBERS", "too large to be the recording"),
        ("MAX_UNPACKED", "too large to be the recording"),
        ("MAX_PATH", "path too long"),
        ("MAX_DEPTH", "path too deep"),
        ("MAX_CHILDREN", "has more entries than any directory of a machine"),
    ],
)
def test_a_limit_is_the_last_that_is_taken(
    limit: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lowered to what a small machine has: it takes that, and one less would refuse it."""
    path = archive(tmp_path, pack({**small(), "proc/large": "1" * 50_000}))
    with tarfile.open(path) as tar:
        names = {member.name: member.size for member in tar}
    folders = {name.rpartition("/")[0] for name in names} | {"sys", "sys/devices", "sys/devices/system"}
    held = {
        "MAX_MEMBERS": len(names),
        "MAX_UNPACKED": sum(names.values()),
        "MAX_PATH": max(map(len, names)),
        "MAX_DEPTH": max(name.count("/") + 1 for name in names),
        "MAX_CHILDREN": max(
            len({name[len(folder) + 1 :].split("/")[0] for name in names if name.startswith(f"{folder}/")})
            for folder in folders
        ),
    }[limit]
    monkeypatch.setattr(f"numaprobe.sources.archive.{limit}", held)
    assert numaprobe.probe(recording=path).cells
    monkeypatch.setattr(f"numaprobe.sources.archive.{limit}", held - 1)
    assert words in refused(path)
