"""Any bytes at all, given to every scanner and parser: a value or an error, soon, in little memory."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numaprobe import FactError, _fast
from numaprobe.linux import text

WHERE = "sys/some/file"

# --- any bytes at all ------------------------------------------------------------------------------------------

PARSERS: dict[str, Callable[[bytes], object]] = {
    "ids": lambda content: text.ids(WHERE, content),
    "mask": lambda content: text.mask(WHERE, content),
    "number": lambda content: text.number(WHERE, content),
    "numbers": lambda content: text.numbers(WHERE, content),
    "fields": lambda content: text.fields(WHERE, content, (b"MemTotal", b"A", b"")),
    "zones": lambda content: text.zones(WHERE, content),
}
near_misses = st.lists(
    st.sampled_from(
        [
            b"0",
            b"7",
            b"-",
            b",",
            b" ",
            b"\n",
            b"\0",
            b"Node ",
            b"A",
            b":",
            b"zone ",
            b"low ",
            b"protection: ",
            b"(",
            b"f",
            b"0x",
            b"\xff",
            b"18446744073709551615",
            b"65535",
            b"managed",
        ]
    ),
    max_size=24,
).map(b"".join)


def complaint_of(name: str, content: bytes) -> FactError | None:
    try:
        PARSERS[name](content)
    except FactError as error:
        return error
    return None


@pytest.mark.parametrize("name", PARSERS)
@given(content=st.binary(max_size=200) | near_misses)
def test_any_bytes_give_a_value_or_an_error_with_the_name_of_the_file(name: str, content: bytes) -> None:
    """The message must be printable and short too, because it quotes text that somebody else wrote."""
    caught = complaint_of(name, content)
    assert caught is None or caught.where == WHERE
    assert caught is None or str(caught).startswith(WHERE)
    assert str(caught).isprintable()
    assert len(str(caught)) < 250


@pytest.mark.parametrize("name", PARSERS)
def test_many_of_one_byte_is_dealt_with_at_once(name: str) -> None:
    """Long runs of one byte are what makes careless scanners quadratic."""
    start = perf_counter()
    for byte in (b"0", b"9", b",", b"-", b"\n", b"\0", b" ", b"f", b":", b"N", b"(", b"\xff"):
        for content in (byte * 200_000, b"Node 0, zone A\nprotection: " + byte * 200_000):
            caught = complaint_of(name, content)
            assert caught is None or len(caught.text) <= 60
    assert perf_counter() - start < 5


@pytest.mark.parametrize("scanner", [_fast.ids, _fast.mask, _fast.integer, _fast.integers, _fast.blank, _fast.zones])
def test_a_scanner_refuses_what_is_not_bytes(scanner: Callable[[object], object]) -> None:
    """A mutable buffer could change while C reads it without the interpreter's lock."""
    for wrong in ("0-3", None, 3, bytearray(b"0"), memoryview(b"0")):
        with pytest.raises(TypeError):
            scanner(wrong)


def test_fields_refuses_names_that_are_not_bytes() -> None:
    """C takes pointers into the tuple of names, so its items are checked first."""
    wrong: list[Any] = [[b"A"], None, ("A",), (None,)]
    for names in wrong:
        with pytest.raises(TypeError):
            _fast.fields(b"A: 1\n", names)


@given(st.binary(max_size=30))
def test_blank_means_nothing_but_white_space_and_nul_bytes(content: bytes) -> None:
    """The oracle is bytes.strip; blank files are unknown without being broken."""
    assert _fast.blank(content) == (not content.strip(b" \t\n\r\0"))
