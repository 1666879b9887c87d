"""``Files`` and ``OpenFiles``: bytes below one root, the errno of what cannot be read, and descriptors that never leak."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from errno import EACCES, EBADF, EINVAL, EISDIR, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EXDEV
from pathlib import Path
from typing import Any

import pytest

from numaprobe._fast import Files, OpenFiles

SIZES = (0, 1, 4095, 4096, 4097, 8192, 65535, 65536, 65537, 131072, 300_001)


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "root"
    (place / "sys" / "empty").mkdir(parents=True)
    (place / "proc").mkdir()
    (place / "sys" / "a").write_bytes(b"A\n")
    (place / "sys" / "b").write_bytes(b"B\n")
    (place / "proc" / "c").write_bytes(b"C\n")
    (tmp_path / "outside").write_bytes(b"secret\n")
    return place


@pytest.fixture(params=[False, True], ids=["live", "contained"])
def files(request: pytest.FixtureRequest, root: Path) -> Iterator[Files]:
    with Files(root, contained=request.param) as opened:
        yield opened


def test_contents_come_back_by_position(files: Files) -> None:
    """Repeated paths, a base directory and empty lists keep answers in step with what was requested."""
    assert files.read(["sys/b", "sys/a", "proc/c", "sys/b"]) == [b"B\n", b"A\n", b"C\n", b"B\n"]
    assert files.read(("a", "b"), "sys") == [b"A\n", b"B\n"]
    assert files.read([]) == []
    assert files.read([], "nowhere") == []


def test_what_cannot_be_read_gives_its_errno_beside_the_rest(files: Files) -> None:
    """An integer in place of bytes lets the caller tell absent from unreadable without an exception for each file."""
    found = files.read(["sys/a", "sys/none", "sys/a/b", "none/a", "x" * 300, "sys/b"])
    assert found == [b"A\n", ENOENT, ENOTDIR, ENOENT, ENAMETOOLONG, b"B\n"]
    assert files.read(["a", "b"], "none") == [ENOENT, ENOENT]
    assert files.read(["a"], "sys/a") == [ENOTDIR]


def test_a_directory_is_no_content(files: Files) -> None:
    """The confined reader accepts regular files alone, hence EINVAL where the kernel itself says EISDIR."""
    assert files.read(["sys"]) == [EINVAL if files.contained else EISDIR]


@pytest.mark.parametrize("where", ["sys", "proc"])
def test_a_file_of_any_size_is_read_whole(root: Path, files: Files, where: str) -> None:
    """Sizes around each buffer's limits, with a base, without one, and through a kept descriptor twice."""
    wanted = [os.urandom(size) for size in SIZES]
    for size, content in zip(SIZES, wanted, strict=True):
        (root / where / f"f{size}").write_bytes(content)
    assert files.read([f"{where}/f{size}" for size in SIZES]) == wanted
    assert files.read([f"f{size}" for size in SIZES], where) == wanted
    with files.keep([f"{where}/f{size}" for size in SIZES]) as kept:
        assert kept.read() == wanted
        assert kept.read() == wanted


def test_a_live_procfs_file_longer_than_a_page_is_read_whole() -> None:
    """Reads of procfs are short anywhere, so only an empty one is the end."""
    with Files("/") as files:
        content = files.read(["proc/self/smaps"])[0]
    assert isinstance(content, bytes)
    assert len(content) > 4096
    assert content.count(b"VmFlags:") == content.count(b"\nRss:") > 20


def test_names_are_sorted_cut_by_prefix_and_hide_dot_files(root: Path, files: Files) -> None:
    """The kernel lists in no order; sorting makes recordings of one host equal byte for byte."""
    for name in ("node1", "node0", "node10", "has_cpu", ".hidden", "nod"):
        (root / "sys" / "empty" / name).touch()
    assert files.listdir("sys/empty", "node") == ["node0", "node1", "node10"]
    assert files.listdir("sys/empty") == ["has_cpu", "nod", "node0", "node1", "node10"]
    assert files.listdir("") == ["proc", "sys"]
    assert files.listdir("sys/none") == ENOENT
    assert files.listdir("sys/a") == ENOTDIR


def test_an_empty_directory_and_many_names(root: Path, files: Files) -> None:
    """Two thousand names of many lengths take several calls of getdents64, and none gets lost between them."""
    assert files.listdir("sys/empty") == []
    wanted = sorted(f"{i:04}" + "x" * (i % 200) for i in range(2000))
    for name in wanted:
        (root / "sys" / "empty" / name).touch()
    assert files.listdir("sys/empty") == wanted


def test_names_that_are_no_utf8_come_back_as_they_went_in(root: Path, files: Files) -> None:
    """File names are bytes; surrogateescape lets them pass through str and be opened again."""
    path = os.fsdecode(b"sys/empty/\xff\xfe")
    (root / path).write_bytes(b"x")
    assert files.listdir("sys/empty") == [os.path.basename(path)]
    assert files.read([path]) == [b"x"]


def test_readlink_gives_a_target_and_follows_nothing(root: Path, files: Files) -> None:
    """A dangling link still has a target; anything that is no link is EINVAL, as from the kernel."""
    (root / "sys" / "link").symlink_to("../nowhere")
    assert files.readlink("sys/link") == "../nowhere"
    assert files.readlink("sys/a") == EINVAL
    assert files.readlink("sys/none") == ENOENT


@pytest.mark.parametrize("wrong", ["sys/a\0b", "\0", "sys/a\0"])
def test_a_path_with_a_nul_byte_is_refused_and_never_cut(root: Path, files: Files, wrong: str) -> None:
    """C would stop at the NUL and read another file than the one that was checked."""
    for call in (
        lambda: files.read([wrong]),
        lambda: files.read(["a"], wrong),
        lambda: files.listdir(wrong),
        lambda: files.keep([wrong]),
        lambda: files.readlink(wrong),
        lambda: Files(f"{root}\0{wrong}"),
    ):
        with pytest.raises(ValueError):
            call()


@pytest.mark.parametrize("wrong", [None, 3, object()])
def test_what_is_no_path_is_a_type_error(files: Files, wrong: Any) -> None:
    """Every entry point checks its arguments before C uses them as strings."""
    for call in (
        lambda: files.read([wrong]),
        lambda: files.read(wrong),
        lambda: files.read(["a"], wrong),
        lambda: files.listdir(wrong),
        lambda: files.keep([wrong]),
        lambda: Files(wrong),
    ):
        with pytest.raises(TypeError):
            call()


def test_a_root_that_cannot_be_opened_is_an_os_error_with_its_name(root: Path) -> None:
    """The only call that raises for the system's refusal, since there is nothing to answer with."""
    for wrong, errno in ((root / "none", ENOENT), (root / "sys" / "a", ENOTDIR)):
        with pytest.raises(OSError, match=os.strerror(errno)) as caught:
            Files(wrong)
        assert caught.value.errno == errno
        assert caught.value.filename == str(wrong)


def test_a_root_stays_the_same_directory_when_the_process_moves(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative root is opened once, so a later chdir, as by a daemon, changes nothing."""
    monkeypatch.chdir(root.parent)
    with Files("root") as files:
        monkeypatch.chdir("/")
        assert files.read(["sys/a"]) == [b"A\n"]


def test_a_file_without_permission_gives_eacces(root: Path, files: Files) -> None:
    """A child gives up root to see it, and the readable file next to it is still read."""
    (root / "sys" / "a").chmod(0)
    (root / "sys" / "empty").chmod(0)
    child = os.fork()
    if child == 0:
        if os.geteuid() == 0:
            os.setuid(65534)
        good = files.read(["sys/a", "sys/b", "sys/empty/x"]) == [EACCES, b"B\n", EACCES]
        good = good and files.listdir("sys/empty") == EACCES and files.read(["x"], "sys/empty") == [EACCES]
        os._exit(0 if good else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    (root / "sys" / "empty").chmod(0o700)


# --- contained -------------------------------------------------------------------------------------------------

ESCAPES = {
    "relative": "../../outside",
    "far too many steps up": "../" * 30 + "etc/passwd",
    "absolute": "/etc/passwd",
    "through itself": "/proc/self/root/etc/passwd",
    "absolute to the outside": "{outside}",
}


@pytest.mark.parametrize("target", ESCAPES.values(), ids=ESCAPES)
def test_a_contained_link_never_leads_out(root: Path, target: str) -> None:
    """Every known escape, by links to parents, to / or through a directory, is looked up by openat2 below the root."""
    (root / "sys" / "link").symlink_to(target.format(outside=root.parent / "outside"))
    (root / "sys" / "dir").symlink_to("/")
    with Files(root, contained=True) as files:
        assert files.read(["sys/link", "sys/dir/etc/passwd", "../outside", "sys/../../outside"]) == [ENOENT] * 4
        assert files.listdir("sys/dir") == ["proc", "sys"], "the root's own"
        assert files.listdir("../..") == ["proc", "sys"]
        assert files.read(["passwd"], "sys/dir/etc") == [ENOENT]
        with files.keep(["sys/link"]) as kept:
            assert kept.read() == [ENOENT]


def test_contained_links_inside_are_followed_and_absolute_ones_begin_at_the_root(root: Path) -> None:
    """As a container's files are meant to be seen; a loop ends in ELOOP."""
    (root / "sys" / "relative").symlink_to("../proc/c")
    (root / "sys" / "absolute").symlink_to("/proc/c")
    (root / "sys" / "loop").symlink_to("loop")
    with Files(root, contained=True) as files:
        assert files.read(["sys/relative", "sys/absolute", "sys/loop"]) == [b"C\n", b"C\n", ELOOP]


def test_contained_reads_regular_files_only_and_never_waits(root: Path) -> None:
    """A FIFO without a writer would block for ever, and a kept one at every sample."""
    os.mkfifo(root / "sys" / "fifo")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(root / "sys" / "socket"))
    (root / "sys" / "tty").symlink_to("fifo")
    with Files(root, contained=True) as files, server:
        fifo, sock, tty = files.read(["sys/fifo", "sys/socket", "sys/tty"])
        assert fifo == EINVAL
        assert tty == EINVAL
        assert isinstance(sock, int)
        with files.keep(["sys/fifo"]) as kept:
            assert kept.read() == [EINVAL]


# --- keeping ---------------------------------------------------------------------------------------------------


def test_kept_files_are_read_anew_each_time(root: Path, files: Files) -> None:
    """A sampler rereads descriptors; growth and truncation show, and a file that was missing stays ENOENT."""
    with files.keep(["sys/a", "sys/none", "proc/c"]) as kept:
        assert len(kept) == 3
        assert kept.read() == [b"A\n", ENOENT, b"C\n"]
        (root / "sys" / "a").write_bytes(b"longer than it was\n")
        (root / "sys" / "none").write_bytes(b"too late\n")
        assert kept.read() == [b"longer than it was\n", ENOENT, b"C\n"]
        (root / "sys" / "a").write_bytes(b"")
        assert kept.read() == [b"", ENOENT, b"C\n"]


def test_kept_files_outlive_the_files_they_came_from(files: Files) -> None:
    """Closing the directory does not close them; reading after their own close is EBADF and not another file."""
    kept = files.keep(["sys/a"])
    files.close()
    assert kept.read() == [b"A\n"]
    kept.close()
    kept.close()
    assert kept.read() == [EBADF]


def test_nothing_kept_gives_nothing(files: Files) -> None:
    """The empty case needs no allocation in C, which must not end in a null pointer."""
    with files.keep([]) as kept:
        assert kept.read() == []
    assert OpenFiles().read() == []
    assert len(OpenFiles()) == 0


def test_closed_files_are_refused(files: Files) -> None:
    """Its descriptor's number may belong to another file by then, so no call reaches the kernel."""
    files.close()
    files.close()
    for call in (
        lambda: files.read(["sys/a"]),
        lambda: files.listdir("sys"),
        lambda: files.keep([]),
        lambda: files.readlink("a"),
    ):
        with pytest.raises(ValueError, match="closed"):
            call()


def test_files_are_initialised_once(root: Path, files: Files) -> None:
    """A second __init__ would leak the first descriptor, and none at all leaves it closed."""
    with pytest.raises(RuntimeError):
        files.__init__(root)  # type: ignore[misc]
    with pytest.raises(ValueError, match="closed"):
        Files.__new__(Files).read(["a"])


def test_no_descriptor_is_left_behind(root: Path) -> None:
    """Half of these calls fail midway, where forgotten closes tend to be; 100 rounds would show one."""
    before = descriptors()
    for contained in (False, True):
        for _ in range(50):
            files = Files(root, contained=contained)
            files.read(["sys/a", "sys/none", "sys"])
            files.read(["a", "b", "none"], "sys")
            files.read(["a"], "none")
            files.listdir("sys")
            files.listdir("sys/a")
            kept = files.keep(["sys/a", "sys/none", "sys"])
            kept.read()
            with pytest.raises(ValueError):
                files.keep(["sys/a", "a\0b"])
            with pytest.raises(TypeError):
                files.keep(["sys/a", None])  # type: ignore[list-item]
            with pytest.raises(OSError):
                Files(root / "none")
            del files, kept
    assert descriptors() == before


def test_what_is_opened_is_not_inherited(root: Path) -> None:
    """All descriptors carry O_CLOEXEC, so a hook or pager that is started cannot read through them."""
    files = Files(root)
    files.read(["a"], "sys")
    kept = files.keep(["sys/a"])
    for fd in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{fd}")
            inherited = os.get_inheritable(int(fd))
        except OSError:
            continue
        assert not (target.startswith(str(root)) and inherited)
    kept.close()
    files.close()


def test_a_child_reads_what_its_parent_opened(root: Path, files: Files) -> None:
    """After fork both share open files; the child's close must not close the parent's."""
    kept = files.keep(["sys/a"])
    child = os.fork()
    if child == 0:
        good = kept.read() == [b"A\n"] and files.read(["sys/b"]) == [b"B\n"] and files.listdir("sys", "a") == ["a"]
        kept.close()
        files.close()
        os._exit(0 if good else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert kept.read() == [b"A\n"]
    assert files.read(["sys/a"]) == [b"A\n"]


def test_threads_share_one_of_each(root: Path, files: Files) -> None:
    """Kept files have one position in the kernel, so only positioned reads can be shared."""
    for i in range(20):
        (root / "sys" / f"d{i}").mkdir()
        (root / "sys" / f"d{i}" / "f").write_bytes(str(i).encode() * 5000)
    kept = files.keep([f"sys/d{i}/f" for i in range(20)])
    wanted = [str(i).encode() * 5000 for i in range(20)]
    wrong: list[object] = []
    barrier = threading.Barrier(6)

    def work() -> None:
        barrier.wait()
        for _ in range(30):
            if kept.read() != wanted or [files.read(["f"], f"sys/d{i}")[0] for i in range(20)] != wanted:
                wrong.append("content")

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_live_fifo_is_opened_without_waiting_for_its_other_end(root: Path) -> None:
    """Even outside of containment opens are O_NONBLOCK, so a FIFO reads as empty."""
    os.mkfifo(root / "sys" / "fifo")
    with Files(root) as files:
        assert files.read(["sys/fifo", "sys/a"]) == [b"", b"A\n"]


def test_what_is_absent_is_known_without_opening_it(files: Files, root: Path) -> None:
    """Most optional files are absent on most hosts, and 0 means there, also for a directory."""
    (root / "sys" / "link").symlink_to("nothing")
    assert files.absent(["a", "b", "none", "a/c", ".", "link"], "sys") == [0, 0, ENOENT, ENOTDIR, 0, ENOENT]
    assert files.absent(("sys", "nothing")) == [0, ENOENT]
    assert files.absent(["a"], "nothing") == [ENOENT]
    assert files.absent([]) == []
    with pytest.raises(ValueError):
        files.absent(["a\0b"])


def test_what_is_outside_is_absent(root: Path) -> None:
    """A link out of the tree is absent from its root, and EXDEV where only a directory below it is known."""
    (root / "sys" / "out").symlink_to("/etc/passwd")
    with Files(root, contained=True) as files:
        assert files.absent(["sys/out"]) == [ENOENT]
        assert files.absent(["out"], "sys") == [EXDEV], "so that it is looked at from the root"


def test_a_long_directory_is_listed_whole(files: Files, root: Path) -> None:
    """It takes several system calls."""
    names = [f"{'x' * 200}{i:03}" for i in range(300)]
    for name in (*names, "y"):
        (root / "sys" / "empty" / name).touch()
    assert files.listdir("sys/empty", "x") == names
    assert files.listdir("sys/empty") == [*names, "y"]
