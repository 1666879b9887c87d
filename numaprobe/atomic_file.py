"""Writing a file so that a reader sees the old content or the new one, never a part."""

from __future__ import annotations

import os
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def replace(name: str) -> Iterator[str]:
    """The path to write to, which takes the place of ``name`` if all goes well, and is gone if not.

    A pipe or a device cannot be replaced and is written to as it is. ``OSError`` names the file that was asked for.
    """
    if os.path.exists(name) and not os.path.isfile(name):
        yield name
        return
    beside = f"{name}.{os.getpid()}.part"
    try:
        yield beside
        os.replace(beside, name)
    except OSError as error:
        _remove(beside)
        if error.filename == beside and error.errno is not None:
            raise OSError(error.errno, os.strerror(error.errno), name) from None
        raise
    except BaseException:
        _remove(beside)
        raise


def _remove(path: str) -> None:
    if os.path.exists(path):
        os.unlink(path)
