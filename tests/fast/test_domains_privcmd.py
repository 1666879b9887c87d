"""What of the hypercalls about domains the transport lets through: questions, and of the debug keys one."""

from __future__ import annotations

from privcmd import Run

CODE = """
def domctl(command, payload=b"", size=144):
    return (pack("<IIH6x", command, 0x17, 0) + payload).ljust(size, b"\\0")

def keys(xen, pressed, count=None):
    op = pack("<IIQI", 7, 0x15, 0, len(pressed) if count is None else count).ljust(136, b"\\0")
    return xen.call(35, 7, op, ((8, pressed),))

def console(xen, clear=0):
    return xen.call(35, 1, pack("<IIBBxxIQI", 1, 0x15, clear, 0, 0, 0, 64).ljust(136, b"\\0"), ((16, bytes(64)),))
"""


def test_no_debug_key_goes_through_unless_it_was_allowed(run: Run) -> None:
    """The console, whose text other tools may need, cannot be read either."""
    run(
        CODE
        + "assert 'not allowed' in str(raises(ValueError, keys, Privcmd(), b'u'))\nraises(ValueError, console, Privcmd())"
    )


def test_only_the_key_u_goes_through(run: Run) -> None:
    """Key R would reboot the host, also if it hides behind a permitted first key."""
    run(
        CODE
        + """
xen = Privcmd(debug_key=True)
for pressed in (b"R", b"", b"uR", b"U"):
    assert 'other than u' in str(raises(ValueError, keys, xen, pressed))
assert 'other than u' in str(raises(ValueError, keys, xen, b"u", 2))
assert 'other than u' in str(raises(ValueError, xen.call, 35, 7, pack("<IIQI", 7, 0x15, 0, 1).ljust(136, b"\\0")))
"""
    )


def test_the_console_is_never_cleared(run: Run) -> None:
    """Its text belongs to everybody who reads the console."""
    run(CODE + "assert 'read-only' in str(raises(ValueError, console, Privcmd(debug_key=True), 1))")


def test_numa_op_can_only_get(run: Run) -> None:
    """The vendor's operation also has subcommands that change something."""
    run(CODE + "assert 'read-only' in str(raises(ValueError, Privcmd().call, 36, 1101, domctl(1101, pack('<I', 1))))")


def test_what_changes_a_domain_does_not_go_through(run: Run) -> None:
    """Pausing, destroying and setting affinities are refused in C, before the ioctl."""
    run(
        CODE
        + """
for command in (1, 2, 3, 4, 9, 15, 68, 74):
    assert 'read-only' in str(raises(ValueError, Privcmd().call, 36, command, domctl(command)))
"""
    )
