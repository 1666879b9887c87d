"""Runs under the shim: asks a question again and again, each time with another call failing. Prints JSON.

worker.py SHIM TREE QUESTION COUNT
"""

from __future__ import annotations

import ctypes
import errno
import gc
import json
import os
import random
import sys
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1] / "support"), str(Path(__file__).parent)]

import answers  # noqa: E402

# A disk that others keep busy would leave time for a few faults only.
os.fsync = lambda _descriptor: None

SHORT = -1
NAMES = {
    **{code: errno.errorcode[code] for code in (errno.EIO, errno.ENOMEM, errno.EMFILE, errno.EACCES, errno.EINTR)},
    errno.ENOSPC: "ENOSPC",
    SHORT: "short",
}
# What each kind of call may fail with: opening, looking, listing, reading, writing.
ERRORS = {
    "o": (errno.EIO, errno.ENOMEM, errno.EMFILE, errno.EACCES, errno.EINTR),
    "s": (errno.EIO, errno.ENOMEM, errno.EACCES),
    "d": (errno.EIO, errno.ENOMEM, errno.EACCES),
    "r": (errno.EIO, errno.ENOMEM, errno.EACCES, errno.EINTR, SHORT),
    "w": (errno.EIO, errno.ENOSPC, errno.EINTR, SHORT),
}


class Shim:
    """The preloaded library, as this process has it already."""

    def __init__(self, path: str) -> None:
        library = ctypes.CDLL(path)
        library.shim_kinds.restype = library.shim_struck.restype = ctypes.c_char_p
        self.arm, self.disarm = library.shim_arm, library.shim_disarm
        self._library = library

    @property
    def kinds(self) -> str:
        return str(self._library.shim_kinds().decode())

    @property
    def struck(self) -> str:
        return str(self._library.shim_struck().decode(errors="replace"))


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def ask(shim: Shim, question: Any, number: int, error: int) -> Any:
    asked = question()
    shim.arm(number, error)
    try:
        found = asked.ask()
    finally:
        shim.disarm()
    return found if asked.after is None else asked.after(found)


def main(library: str, tree: str, name: str, limit: str) -> dict[str, Any]:
    from numaprobe import NumaprobeError

    shim = Shim(library)
    question = answers.questions(Path(tree))[name]
    ask(shim, question, -1, 0)  # whatever is imported late
    good = ask(shim, question, -1, 0)
    kinds = shim.kinds
    assert ask(shim, question, -1, 0) == good, "the same question has two answers"
    plan = [(number, error) for number, kind in enumerate(kinds) for error in ERRORS[kind]]
    every = len(plan)
    random.Random(0).shuffle(plan)
    plan = plan[: int(limit)]
    gc.collect()
    before = descriptors()
    outcome = {"equal": 0, "error": 0, "explained": 0}
    wrong: list[str] = []
    for number, error in plan:
        complaints: list[str] = []
        try:
            found = ask(shim, question, number, error)
        except NumaprobeError:
            outcome["error"] += 1
        except (OSError, MemoryError) as failure:
            # Of writing, Python's own errors are promised, and MemoryError is one for any call.
            outcome["error"] += 1
            if name != "record" and not isinstance(failure, MemoryError):
                complaints = [f"{failure!r} is none of ours"]
        except Exception as failure:
            complaints = [f"{failure!r} is none of ours"]
        else:
            if found == good:
                outcome["equal"] += 1
            else:
                complaints = answers.unexplained(good, found)
                outcome["explained"] += not complaints
        wrong += [f"{NAMES[error]} of {shim.struck.replace(tree, '')}: {text}" for text in complaints[:1]]
    gc.collect()
    return {
        "calls": len(kinds),
        "every": every,
        "tried": len(plan),
        **outcome,
        "wrong": wrong,
        "leaked": descriptors() - before,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])))
