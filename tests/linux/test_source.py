"""What a file that cannot be read is reported as."""

from __future__ import annotations

from errno import EACCES, EINVAL, EIO, ENODATA, EPERM

import pytest

from numaprobe import SourceDenied, SourceError
from numaprobe.linux.source import source_error


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
