"""Every system call of an answer fails once: the answer is a typed error, or equal, or says what it does not know.

Each question is asked in a process with a library preloaded that fails the Nth call; the process has it from the
calls of a run without faults how many there are. ``--all`` tries every call with every error, else so many
of them as ``--faults`` says, for each question. The tree is planted, so that a call's number stands for the same call each time.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import answers
import pytest
import trees

HERE = Path(__file__).parent
QUESTIONS = ("probe", "free", "sample", "sampler opened", "domains", "probe live", "domains live", "record", "scrape")

# What is known to be wrong, by question and what is printed of it. It is to be mended and the line removed.
KNOWN: dict[str, tuple[str, ...]] = {}


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (cc) to build the library that fails system calls")
    built = tmp_path_factory.mktemp("shim") / "shim.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-Wall", "-o", built, HERE / "shim.c", "-ldl"], check=True)
    return built


def under_faults(shim: Path, root: Path, question: str, limit: int) -> dict[str, Any]:
    environment = {**os.environ, "LD_PRELOAD": str(shim), "PYTHONPATH": ""}
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", HERE / "worker.py", shim, root, question, str(limit)],
        env=environment, capture_output=True, text=True, timeout=3600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_call_that_fails_is_read_as_a_fact(
    question: str, shim: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Equal to the answer without faults, a typed error, or None with a note; and no descriptor leaks."""
    root = trees.plant(tmp_path / "root", answers.machine())
    limit = 1 << 30 if request.config.getoption("all") else request.config.getoption("faults")
    found = under_faults(shim, root, question, limit)
    wrong = found["wrong"]
    assert found["tried"] == min(limit, found["every"])
    assert found["equal"] + found["error"] + found["explained"] > 0
    assert found["leaked"] <= 0
    known = KNOWN.get(question.removesuffix(" live"), ())
    for pattern in known:
        if not any(re.search(pattern, line) for line in wrong):
            warnings.warn(f"{question}: {pattern!r} is mended: remove it from KNOWN", stacklevel=1)
    new = sorted({line for line in wrong if not any(re.search(pattern, line) for pattern in known)})
    assert new == [], f"{len(new)} kinds among {found['tried']} faults of {found['every']}"


def test_the_shim_fails_the_call_that_is_asked_for(shim: Path, tmp_path: Path) -> None:
    """If it failed none, the test above could not fail either."""
    code = f"""
import ctypes, errno, os
shim = ctypes.CDLL({str(shim)!r})
path = {str(tmp_path / "file")!r}
def ask(number, error):
    shim.shim_arm(number, error)
    try:
        fd = os.open(path, os.O_RDONLY)
        try:
            return os.read(fd, 100)
        finally:
            os.close(fd)
    except OSError as failure:
        return failure.errno
    finally:
        shim.shim_disarm()
print([ask(0, errno.EMFILE), ask(1, errno.EIO), ask(1, -1), ask(2, errno.EIO)])
"""
    (tmp_path / "file").write_text("12345678")
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "LD_PRELOAD": str(shim)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("[24, 5, b'1234', b'12345678']\n", "")


def test_a_difference_needs_an_explanation() -> None:
    """A value in place of another is never explained, nor is a missing cell; None and shorter lists need a note."""
    good = {"notes": [], "cells": [{"id": 0, "free": 1, "pages": [1, 2]}, {"id": 1, "free": 2, "pages": []}]}
    noted = [["meminfo", "unreadable"]]

    def changed(notes: list[Any], **fields: Any) -> Any:
        return {"notes": notes, "cells": [{**good["cells"][0], **fields}, good["cells"][1]]}  # type: ignore[dict-item]

    assert answers.unexplained(good, changed(noted, free=None)) == []
    assert answers.unexplained(good, changed(noted, pages=[1])) == []
    assert answers.unexplained(good, changed([], free=None)) == ["cells.0.free: unknown"]
    assert answers.unexplained(good, changed(noted, free=3)) == ["cells.0.free: other"]
    assert answers.unexplained(good, {"notes": noted, "cells": good["cells"][:1]}) == ["cells: fewer"]
