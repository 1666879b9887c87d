"""The kernel's words as values."""

from __future__ import annotations

import pytest

from numaprobe.errors import FactError
from numaprobe.linux import text


@pytest.mark.parametrize(("content", "value"), [(b"-1\n", None), (b"0\n", 0), (b"4294967295\n", 4294967295)])
def test_an_id_has_32_bits_and_minus_one_is_none(content: bytes, value: int | None) -> None:
    """The kernel prints -1 for an id that it does not know, and 4294967295 is a real one of firmware."""
    assert text.identity("file", content) == value


@pytest.mark.parametrize("content", [b"-2\n", b"4294967296\n"])
def test_a_number_of_more_bits_is_no_id(content: bytes) -> None:
    """Just past either end of the range the file is broken, and the number is not taken as an id."""
    with pytest.raises(FactError, match="not an id"):
        text.identity("file", content)


@pytest.mark.parametrize("size", [4093, 4094, 4095, 4096, 4097, 65533, 65534, 65535, 65536, 65537])
@pytest.mark.parametrize("newline", [True, False])
def test_a_list_that_fills_a_page_is_cut(size: int, newline: bool) -> None:
    """Old kernels wrote lists into one page and cut them there; with its newline a list that ends so is whole."""
    content = (b"1," * size)[: size - newline - 1] + b"0" + b"\n" * newline
    assert len(content) == size
    if size in (4094, 65534) or (size in (4095, 4096, 65535, 65536) and not newline):
        with pytest.raises(FactError, match=f"a list cut after {size} bytes"):
            text.id_list("file", content)
    else:
        assert text.id_list("file", content)


def test_a_page_that_is_filled_with_nul_bytes_is_no_cut_list() -> None:
    """As some recorders keep it."""
    assert text.id_list("file", b"0-3\n" + bytes(4092)) == (0, 1, 2, 3)
