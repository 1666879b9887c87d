"""What a file that cannot be read is reported as."""

from __future__ import annotations

from errno import EACCES, EINVAL, EIO, ENODATA, EPERM

import pytest
from trees import Shelf

from numaprobe import SourceDenied, SourceError
from numaprobe.linux.source import MAX_NAMES, Source, source_error


@pytest.mark.parametrize("errno", [EACCES, EPERM])
def test_a_file_that_may_not_be_read_is_denied(errno: int) -> None:
    """Both errnos of a refusal become the class that callers catch to suggest running as root."""
    error = source_error("node0/meminfo", errno)
    assert isinstance(error, SourceDenied)
    assert (error.where, error.errno) == ("node0/meminfo", errno)


@pytest.mark.parametrize("errno", [EIO, EINVAL, ENODATA])
def test_any_other_error_is_an_error_of_the_source(errno: int) -> None:
    """ENODATA is the project's own mark for a file of nothing but NUL bytes, and has its own words."""
    error = source_error("node0/meminfo", errno)
    assert type(error) is SourceError
    assert (error.where, error.errno) == ("node0/meminfo", errno)
    assert ("holds only NUL bytes" in str(error)) == (errno == ENODATA)


@pytest.mark.parametrize(
    ("number", "prefix", "whole"),
    [(MAX_NAMES, "gpu", True), (MAX_NAMES + 1, "gpu", False), (MAX_NAMES + 1, "cpu", True), (MAX_NAMES + 1, "", True)],
)
def test_a_directory_has_no_more_names_than_a_kernel_gives(number: int, prefix: str, whole: bool) -> None:
    """The last number that is taken, and the lists that are as long as the machine is large."""
    reader = Shelf({f"sys/{prefix}{i}": "1" for i in range(number)})
    source = Source(reader)
    found = source.names("sys", prefix)
    assert (found is not None and len(found) == number) == whole
    assert bool(source.notes) != whole
