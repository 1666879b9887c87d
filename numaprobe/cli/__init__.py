"""The command line: options, exit statuses and one-line errors over the public API.

Status 0: done; 1: the host could not be read, or a file could not be written; 2: usage error; 3: no fit.
"""

from __future__ import annotations

import os
import sys

from ..errors import DoesNotFit, NumaprobeError, SourceError, printable
from .plain_options import UsageError, plain_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TextIO


def start() -> int:
    """``main`` in a process of its own, which ends with it."""
    import gc

    # Most commands end before a search for unreachable objects could pay; the last ones, at exit, never do.
    gc.set_threshold(20_000)
    try:
        return main()
    finally:
        gc.freeze()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status. Errors go to standard error as one line, data to standard output."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if sys.stdout is None:
        return _complain("standard output is closed", 1)
    # Characters missing from the terminal's encoding are escaped, not an error.
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
    # Options of show may stand alone: numaprobe --json.
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help", "--version")):
        words.insert(0, "show")
    options = None
    try:
        options = plain_options(words)
        if options is None:
            from .parser import parsed

            options = parsed(words)
        _command(options.command)(options, _output(options))
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of the pipe has gone, which is no error; the interpreter must not try to flush again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except UsageError as error:
        return _complain(error, 2)
    except DoesNotFit as error:
        return _complain(error, 3)
    except SourceError as error:
        # A bare reason of the system's needs a verb; a reason of ours is a sentence.
        return _complain(f"cannot read {error}" if error.reason is None and error.errno is not None else error, 1)
    except NumaprobeError as error:
        return _complain(error, 1)
    except ValueError as error:
        return _complain(error, 2)
    except OSError as error:
        return _complain(_failed(options, error), 1)
    except MemoryError:
        return _complain("out of memory", 1)
    except KeyboardInterrupt:
        return 130
    return 0


def _command(name: str) -> Callable[[Any, TextIO], None]:
    if name == "show":
        from .show import run
    elif name == "free":
        from .free import run
    elif name == "domains":
        from .domains import run
    elif name == "watch":
        from .watch import run
    elif name == "place":
        from .place import run
    elif name == "pin":
        from .pin import run
    elif name == "record":
        from .record import run
    elif name == "draw":
        from .draw import run
    elif name == "serve":
        from .serve import run
    elif name == "doctor":
        from .doctor import run
    elif name == "diff":
        from .diff import run
    elif name == "traffic":
        from .traffic import run
    elif name == "fleet":
        from .fleet import run
    else:
        from .export import run
    return run


def _output(options: Any) -> Any:
    """Standard output: as it is for data and for watch, which moves the cursor, else without control characters."""
    is_text = getattr(options, "format", None) == "text"
    if options.command == "watch" or getattr(options, "watch", False) or not (is_text or sys.stdout.isatty()):
        return sys.stdout
    from .screen import Screen

    return Screen(sys.stdout)


def _failed(options: Any, error: OSError) -> str:
    """What could not be done, and why."""
    name = error.filename
    if not name:
        from errno import EDQUOT, EFBIG, ENOSPC

        # Of what has no name, only standard output can be full.
        full = error.errno in (ENOSPC, EDQUOT, EFBIG)
        return f"cannot write standard output: {error.strerror}" if full else str(error.strerror or error)
    verb = "read"
    if name == getattr(options, "listen", None):
        verb = "listen on"
    elif name in (getattr(options, option, None) for option in ("output", "file", "textfile")):
        verb = "write"
    elif name in (getattr(options, "program", None) or ())[:1]:
        verb = "run"
    return f"cannot {verb} {name}: {error.strerror}"


def _complain(error: object, status: int) -> int:
    if sys.stderr is not None:
        line = printable(" ".join(str(error).split()))
        if "pip install '" in line:
            from .extras import with_installer

            line = with_installer(line)
        sys.stderr.write(f"numaprobe: {line}\n".encode("ascii", "backslashreplace").decode())
    return status
