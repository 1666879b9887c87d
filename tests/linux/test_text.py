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
