"""The hypercall transport, against a shim in place of the devices: pointers, faults, threads and forks."""

from __future__ import annotations

import pytest
from privcmd import Run


def test_pointers_are_patched_in_and_blanked_in_the_reply(run: Run) -> None:
    """Xen gets its buffers, and Python never sees an address."""
    run("""
result, op, (meminfo, distances) = numainfo(Privcmd())
assert result == 0
assert op == pack("<III", 17, 0x15, 2).ljust(136, b"\\0")
assert unpack_from("<4Q", meminfo) == (1 << 30, 1 << 29, 2 << 30, 1 << 28)
assert meminfo[32:] == b"\\xff" * 32
assert unpack_from("<4I", distances) == (10, 21, 31, 10)
""")


def test_a_call_without_an_operation_passes_a_null_pointer(run: Run) -> None:
    """XENVER_version takes no pointer and answers in its return value."""
    run("assert Privcmd().call(17, 0, b'') == (4 << 16 | 17, b'', ())")


def test_a_negative_result_that_is_no_error_is_returned(run: Run) -> None:
    """The kernel passes a result of Xen's through an int; only -1 is an error."""
    run("assert Privcmd().call(17, 0, b'')[0] == -2147483647", SHIM_RESULT=-2147483647)


def test_buffers_beyond_the_first_mapping_get_a_larger_one(run: Run) -> None:
    """Many cpus or nodes need more than the pages mapped at first; smaller calls go on in them."""
    run("""
xen = Privcmd()
for capacity in (4, 200, 1000, 4):
    _, op, outs = numainfo(xen, capacity)
    assert [len(out) for out in outs] == [16 * capacity, 4 * capacity * capacity]
""")


def test_a_vendors_claims_by_node_go_through_with_one_pointer(run: Run) -> None:
    """A pointer that the caller supplies, or one at another offset, is refused."""
    run("""
op = pack("<III", 1117, 0x16, 4).ljust(136, b"\\0")
result, reply, (rows,) = Privcmd().call(35, 1117, op, ((16, b"\\xff" * 96),))
assert (result, reply) == (0, pack("<III", 1117, 0x16, 2).ljust(136, b"\\0"))
assert unpack_from("<6Q", rows) == (1 << 30, 1 << 29, 1, 2 << 30, 1 << 28, 2)
assert rows[48:] == b"\\xff" * 48
raises(ValueError, Privcmd().call, 35, 1117, op, ((24, b"\\xff" * 96),))
raises(ValueError, Privcmd().call, 35, 1117, pack("<IIQQ", 1117, 0x16, 4, 4096).ljust(136, b"\\0"))
""")


def test_a_batch_answers_each_operation_by_position(run: Run) -> None:
    """One that is refused is its errno, and the others are not kept from their answers."""
    run("""
ops = [pack("<IIIIi", 9, 0x15, 0, width, node).ljust(136, b"\\0") for node in (0, 9, 3) for width in (0, 32)]
free = lambda reply: reply if isinstance(reply, int) else unpack_from("<II", reply, 24)
answers = Privcmd().call_each(35, 9, ops)
assert [free(answer) for answer in answers] == [(0, 0), (32, 0), errno.EINVAL, errno.EINVAL, (0, 3), (32, 3)]
assert Privcmd().call_each(35, 9, []) == []
""")


def test_calls_are_made_again_and_compared(run: Run) -> None:
    """An answer, a result or a refusal that is another one makes the difference, and what is not allowed is not made."""
    run("""
xen = Privcmd()
op = pack("<III", 17, 0x15, 2).ljust(136, b"\\0")
buffers = ((16, b"\\xff" * 64), (24, b"\\xff" * 64))
heap = lambda node: pack("<IIIIi", 9, 0x15, 0, 0, node).ljust(136, b"\\0")
known = (35, 17, op, buffers, xen.call(35, 17, op, buffers))
version = (17, 0, b"", (), (4 << 16 | 17, b"", ()))
gone = (35, 9, heap(9), (), errno.EINVAL)
assert xen.unchanged([])
assert xen.unchanged([known, version, gone])
result, reply, (rows, ways) = known[4]
assert not xen.unchanged([(*known[:4], (1, reply, (rows, ways)))])
assert not xen.unchanged([(*known[:4], (result, reply[:-1] + b"x", (rows, ways)))])
assert not xen.unchanged([version, (*known[:4], (result, reply, (rows[:-1] + b"x", ways)))])
assert not xen.unchanged([(*known[:4], errno.EPERM)])
assert not xen.unchanged([(*version[:4], (4 << 16 | 16, b"", ()))])
assert not xen.unchanged([(*gone[:4], errno.EPERM)])
raises(ValueError, xen.unchanged, [(36, 68, pack("<II", 68, 0x15).ljust(144, b"\\0"), (), 0)])
""")


@pytest.mark.parametrize(
    ("number", "command", "op"),
    [
        (35, 7, "pack('<II', 7, 0x15).ljust(136, b'\\0')"),  # debug_keys
        (35, 3, "pack('<II', 3, 0x15).ljust(64, b'\\0')"),
        (35, 17, "pack('<IIQQ', 17, 0x15, 1, 4096).ljust(136, b'\\0')"),  # a pointer of the caller's own
        (36, 68, "pack('<II', 68, 0x15).ljust(144, b'\\0')"),  # setnodeaffinity
    ],
)
def test_a_batch_is_checked_like_single_calls_before_any_is_made(run: Run, number: int, command: int, op: str) -> None:
    """A bad operation behind a good one reaches nobody, nor can a debug key be hidden in a batch."""
    run(f"""
good = pack("<II", 3, 0x15).ljust(136, b"\\0")
raises(ValueError, Privcmd(debug_key=True).call_each, {number}, {command}, [good, {op}])
raises(TypeError, Privcmd().call_each, 35, 3, [good, None])
raises(TypeError, Privcmd().call_each, 35, 3, None)
xen = Privcmd()
xen.close()
raises(ValueError, xen.call_each, 35, 3, [good])
""")


@pytest.mark.parametrize("faults", [1, 3])
def test_a_transient_fault_is_tried_again_with_the_whole_request(
    run: Run, request: pytest.FixtureRequest, faults: int
) -> None:
    """Only pages that the kernel may take away for a moment are worth another try."""
    code = "assert numainfo(Privcmd())[0] == 0"
    if "locked" in request.node.callspec.id:
        run(code, SHIM_FAULTS=faults)
    else:
        run("assert raises(OSError, numainfo, Privcmd()).errno == errno.EFAULT", SHIM_FAULTS=faults)


def test_a_lasting_fault_ends(run: Run) -> None:
    """The number of attempts is bounded, so a bad buffer cannot loop for ever."""
    run("assert raises(OSError, numainfo, Privcmd()).errno == errno.EFAULT", SHIM_FAULTS=1000000)


@pytest.mark.parametrize("code", [1, 2, 13, 22, 38, 95, 105])
def test_errno_is_exactly_xens(run: Run, code: int) -> None:
    """What Xen refused with reaches the caller unchanged, under the built-in class for it."""
    run(
        f"""
error = raises(OSError, numainfo, Privcmd())
assert (error.errno, error.strerror) == ({code}, os.strerror({code}))
assert isinstance(error, PermissionError) == ({code} in (1, 13))
""",
        SHIM_ERRNO=code,
    )


def test_the_old_device_is_tried_where_the_new_one_is_missing(run: Run) -> None:
    """Before Linux 3.3 privcmd is in xenfs only."""
    run("assert numainfo(Privcmd())[0] == 0", SHIM_DEVICE="/proc/xen/privcmd")


def test_no_device_names_the_last_one_tried(run: Run) -> None:
    """Without any device the error has that path and ENOENT."""
    run(
        """
error = raises(FileNotFoundError, Privcmd)
assert error.filename == "/proc/xen/privcmd"
""",
        SHIM_DEVICE="",
    )


def test_a_device_that_may_not_be_opened_is_not_passed_over(run: Run) -> None:
    """EACCES on the first device is the answer, whatever else is there."""
    run("assert raises(PermissionError, Privcmd).filename == '/dev/xen/privcmd'", SHIM_OPEN_ERRNO=13)


@pytest.mark.parametrize(
    ("number", "command", "op"),
    [
        (35, 7, "pack('<II', 7, 0x15).ljust(136, b'\\0')"),  # debug_keys
        (35, 1, "pack('<II', 1, 0x15).ljust(136, b'\\0')"),  # readconsole
        (36, 68, "pack('<II', 68, 0x15).ljust(144, b'\\0')"),  # setnodeaffinity
        (36, 2, "pack('<II', 2, 0x15).ljust(144, b'\\0')"),  # destroydomain
        (12, 24, "bytes(32)"),  # claim_pages
        (36, 25, "bytes(144)"),  # getvcpuaffinity by name, no command by number
        (35, 18, "pack('<III', 18, 0x15, 2).ljust(136, b'\\0')"),  # cpupool_op DESTROY
        (35, 18, "pack('<III', 18, 0x15, 5).ljust(136, b'\\0')"),  # cpupool_op RMCPU
        (35, 3, "pack('<II', 7, 0x15).ljust(136, b'\\0')"),  # physinfo by name, debug_keys by number
        (35, 3, "pack('<II', 3, 0x15).ljust(64, b'\\0')"),
        (35, 17, "pack('<IIQQ', 17, 0x15, 1, 4096).ljust(136, b'\\0')"),  # a pointer of the caller's own
        (17, 3, "bytes(16)"),
    ],
)  # fmt: skip
def test_nothing_but_whole_read_only_calls_reaches_the_device(run: Run, number: int, command: int, op: str) -> None:
    """What changes anything, or would make Xen write elsewhere, is refused before the ioctl."""
    run(f"raises(ValueError, Privcmd().call, {number}, {command}, {op})", SHIM_ERRNO=5)


@pytest.mark.parametrize("buffers", ["((8, b''),)", "((20, b''),)", "((1 << 20, b''),)", "((16, b'x' * (40 << 20)),)"])
def test_handles_are_only_where_the_operation_has_them(run: Run, buffers: str) -> None:
    """A buffer at another offset, or too large a one, is refused."""
    run(f"""
op = pack("<III", 17, 0x15, 1).ljust(136, b"\\0")
raises(ValueError, Privcmd().call, 35, 17, op, {buffers})
""")


def test_threads_take_turns_and_others_run_on(run: Run) -> None:
    """The bounce buffer has one user at a time, and a slow hypercall does not stop Python."""
    run(
        """
import time
xen = Privcmd()
failed = []

def ask():
    try:
        for _ in range(20):
            assert changeset(xen) == str(os.getpid())
            assert numainfo(xen)[0] == 0
    except BaseException as error:
        failed.append(error)

threads = [threading.Thread(target=ask) for _ in range(4)]
for thread in threads:
    thread.start()
turns = 0
while any(thread.is_alive() for thread in threads):
    turns += 1
    time.sleep(0)
assert failed == []
assert turns > 100, turns
""",
        SHIM_SLEEP_US=5000,
    )


def test_parent_and_child_have_pages_of_their_own(run: Run) -> None:
    """Both make calls at once through an object from before the fork, and neither sees the other's answers."""
    run(
        """
xen = Privcmd()
changeset(xen)
child = os.fork()
for _ in range(50):
    assert changeset(xen) == str(os.getpid())
if child == 0:
    xen.close()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert changeset(xen) == str(os.getpid())
""",
        SHIM_SLEEP_US=1000,
    )


def test_a_fork_in_the_middle_of_a_call_leaves_the_child_able_to_ask(run: Run) -> None:
    """The lock that a thread of the parent holds is not the child's."""
    run(
        """
import time
xen = Privcmd()
thread = threading.Thread(target=changeset, args=(xen,))
thread.start()
wait_for_a_call()
child = os.fork()
if child == 0:
    changeset(xen)
    del xen
    os._exit(0)
thread.join()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
""",
        SHIM_SLEEP_US=200000,
    )


def test_pages_do_not_reach_a_child_and_stay_in_memory(run: Run, request: pytest.FixtureRequest) -> None:
    """The kernel marks the mapping as not copied by fork; without the buffer device also as locked."""
    locked = "locked" in request.node.callspec.id
    run(f"""
import resource
address = unpack_from("<Q", Privcmd.call(xen := Privcmd(), 17, 3, bytes(1024))[1])[0]
flags = flags_of_page(address)
assert "dc" in flags, flags
limited = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] not in (-1,) and os.getuid() != 0
assert "lo" in flags or limited or not {locked}, flags
""")


def test_closing_gives_everything_back(run: Run) -> None:
    """No descriptor stays open, by close, by the end of a with block, or by collection; a closed one says so."""
    run("""
before = os.listdir("/proc/self/fd")
with Privcmd() as xen:
    numainfo(xen)
xen.close()
assert isinstance(raises(ValueError, numainfo, xen), ValueError)
for _ in range(50):
    numainfo(Privcmd())
for broken in ((), ("/dev/xen/nothing",)):
    raises((OSError, TypeError, ValueError), Privcmd, broken)
assert os.listdir("/proc/self/fd") == before
""")
