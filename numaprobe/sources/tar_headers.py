"""Reading tar archives of unknown origin: what the standard library lets pass is refused here."""

from __future__ import annotations

import gzip
import sys
import tarfile
import zlib
from typing import IO, cast
from zlib import adler32

# What tar puts before a member for a long name or for extended attributes; the whole archive's own is smaller still.
MAX_HEADER = 16384
MAX_GLOBAL_HEADER = 1024
HEADER_TYPES = (b"x", b"X", b"g", b"L", b"K")


def unpacked(file: IO[bytes]) -> IO[bytes]:
    """The file without its compression; unlike tarfile's own streams these notice that they are cut short.

    Raises ``ModuleNotFoundError`` where this Python was built without bzip2 or xz, as Pythons built by hand often are.
    """
    magic = file.read(6)
    file.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=file))
    if magic.startswith(b"BZh"):
        import bz2

        return cast("IO[bytes]", bz2.BZ2File(file))
    if magic == b"\xfd7zXZ\0":
        import lzma

        return cast("IO[bytes]", lzma.LZMAFile(file))
    return file


def damage() -> tuple[type[Exception], ...]:
    """What reading a damaged archive raises; xz has an error of its own, if it was loaded."""
    xz = getattr(sys.modules.get("lzma"), "LZMAError", tarfile.TarError)
    return (tarfile.TarError, EOFError, zlib.error, xz, ValueError, OverflowError, OSError)


# A copy of sysfs, pages of NUL bytes and all, is packed a hundredfold; what unfolds to more than this was made to.
MAX_RATIO = 300
ALWAYS_ALLOWED = 96 << 20


class Bounded:
    """A stream that ends with ``ReadError`` where it unfolds to far more than the size of its file explains."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream = stream
        self._left = max(ALWAYS_ALLOWED, size * MAX_RATIO)

    def read(self, size: int = -1) -> bytes:
        """Read as a file does."""
        content = self._stream.read(size)
        self._left -= len(content)
        if self._left < 0:
            raise tarfile.ReadError("it unpacks to more than the recording of a machine")
        return content

    def write(self, content: bytes) -> int:
        """Refused: ``tarfile`` requires the name."""
        raise tarfile.ReadError(f"{len(content)} bytes cannot be written")


# What extended headers may have in all: times and long names of eighty thousand members.
MAX_EXTENDED = 8 << 20
BLOCK = 512
PLAIN = (b"0", b"1", b"2", b"5")  # files, hard and symbolic links, directories
MAGIC = (b"ustar\0", b"ustar ")


class CheckedHeader(tarfile.TarInfo):
    """A header that is refused where it is too large, damaged, or missing at the end.

    tarfile on its own accepts an archive as complete that ends, or is damaged, between two members.
    """

    # Of a subclass that is made for one archive.
    left = MAX_EXTENDED

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> CheckedHeader:
        # A whole archive ends in blocks of zeros, at which tarfile stops.
        if not buf:
            raise tarfile.ReadError("cut short: it does not end in zeros")
        plain = cls._plain(bytes(buf), encoding, errors)
        if plain is not None:
            return plain
        try:
            found = super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"a damaged header: {error}") from None
        most = MAX_GLOBAL_HEADER if found.type == tarfile.XGLTYPE else MAX_HEADER
        if found.type in HEADER_TYPES:
            cls.left -= found.size
            if found.size > most or cls.left < 0:
                raise tarfile.ReadError("an oversized header")
        return found

    @classmethod
    def _plain(cls, buf: bytes, encoding: str, errors: str) -> CheckedHeader | None:
        """An ordinary header with the fields that are used here, in a fifth of the time; None for any other.

        An archive may have hundreds of thousands of members. Of the sum of bytes, which is the header's check sum,
        Adler-32 has the remainder in its lower half.
        """
        if len(buf) != BLOCK or buf[156:157] not in PLAIN or buf[257:263] not in MAGIC:
            return None
        try:
            total, size = int(buf[148:156].strip(b" \0"), 8), int(buf[124:136].strip(b" \0"), 8)
        except ValueError:
            return None
        if adler32(buf) & 0xFFFF != (1 + total - 8 * 32 + sum(buf[148:156])) % 65521 or size < 0:
            return None
        name = buf[:100].partition(b"\0")[0]
        if prefix := buf[345:500].partition(b"\0")[0]:
            name = prefix + b"/" + name
        found = cls(name.decode(encoding, errors))
        found.size, found.type = size, buf[156:157]
        found.linkname = buf[157:257].partition(b"\0")[0].decode(encoding, errors)
        if found.type == tarfile.DIRTYPE:
            found.name = found.name.rstrip("/")
        return found


def header_of_one_archive() -> type[CheckedHeader]:
    """The type of headers for one archive, which counts what its extended headers have."""
    return type("Header", (CheckedHeader,), {})
