"""A folder of cases, given with ``--cases DIR`` or ``NUMAPROBE_CASES``, as far as a program can judge them.

A case is ``NAME/cmd``, shell that runs beside its unpacked ``tree.tar.gz``; ``NAME/expect`` says to a reader what is
right and why. Whatever it says, no command ends in a traceback, by a signal, or with a status that means nothing, and
documents match their schemas. ``xen/NAME.tar.gz`` are recordings.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import warnings
from pathlib import Path

import pytest
import schemas

STATUS = re.compile(r"\brc=(\S+)")
# What `numaprobe show` and `numaprobe domains` say in JSON when they notice something.
DOCUMENTS = (("show", "--json"), ("free", "--json"), ("domains", "--json"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each case and recording, or one that says how to get them."""
    for name, pattern in (("case", "*/cmd"), ("recording", "xen/*.tar.gz")):
        if name not in metafunc.fixturenames:
            continue
        folder = metafunc.config.getoption("cases")
        found = sorted(folder.glob(pattern)) if folder else []
        if found:
            ids = [path.parent.name if name == "case" else path.name.partition(".tar")[0] for path in found]
            metafunc.parametrize(name, found, ids=ids)
        else:
            why = f"no {pattern} in {folder}" if folder else "no cases: pass --cases DIR or set NUMAPROBE_CASES"
            metafunc.parametrize(name, [pytest.param(None, marks=pytest.mark.skip(reason=why), id="none")])


def environment() -> dict[str, str]:
    """The ``numaprobe`` and ``python`` of this environment come first."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONDONTWRITEBYTECODE": "1"}


def numaprobe(*words: object, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "numaprobe", *map(str, words)]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False, errors="replace"
    )


def copied(case: Path, tmp_path: Path) -> Path:
    """The case in a folder that may be written to, unpacked, with the helpers of all cases above it."""
    folder = tmp_path / case.name
    shutil.copytree(case, folder, copy_function=shutil.copyfile)
    folder.chmod(0o755)
    for helper in case.parent.glob("*.py"):
        shutil.copyfile(helper, tmp_path / helper.name)
    if (folder / "tree.tar.gz").exists():
        with tarfile.open(folder / "tree.tar.gz") as tar:
            tar.extractall(folder, filter="tar")
    return folder


def judged(where: tuple[object, ...], folder: Path) -> list[str]:
    """Notes of the documents of one source; each document is of its schema, or there is one line of error."""
    notes: list[str] = []
    for words in DOCUMENTS:
        done = numaprobe(*words, *where, folder=folder)
        assert done.returncode in (0, 1, 2), f"{words}: {done.stderr}"
        if done.returncode:
            assert re.fullmatch(r"numaprobe: [^\n]+\n", done.stderr), done.stderr
            notes.append(done.stderr)
            continue
        document = json.loads(done.stdout)
        schemas.check(words[0], document)
        notes += [str(note) for note in document.get("notes", ())]
    return notes


def test_a_case_ends_with_an_answer_or_one_line(case: Path, tmp_path: Path) -> None:
    """No traceback, no signal, and no status beyond 0 to 3, whatever the case is about."""
    folder = copied(case.parent, tmp_path)
    done = subprocess.run(
        ["bash", "-c", (folder / "cmd").read_text()], cwd=folder, env=environment(),
        capture_output=True, text=True, timeout=300, check=False, errors="replace",
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert "Traceback (most recent call last)" not in said, said[-3000:]
    assert "Segmentation fault" not in said
    assert {status for status in STATUS.findall(said) if status not in ("0", "1", "2", "3")} == set(), said[-3000:]
    assert done.returncode < 126, said[-3000:]


def test_the_documents_of_a_case_are_of_their_schemas(case: Path, tmp_path: Path) -> None:
    """Every JSON command is run on its tree; a note that its text expects and nobody made is a warning."""
    folder = copied(case.parent, tmp_path)
    if (folder / "tree").is_dir():
        where: tuple[object, ...] = ("--root", "tree")
    elif (folder / "tree.tar.gz").exists():
        where = ("--recording", "tree.tar.gz")
    else:
        pytest.skip("the case has no tree")
    if not any((folder / "tree" / name).exists() for name in ("sys", "proc")) and where[0] == "--root":
        pytest.skip("the tree of the case is empty: it is about this machine")
    notes = judged(where, folder)
    expected = (folder / "expect").read_text() if (folder / "expect").exists() else ""
    if re.search(r"\bnote\b", expected.partition("Right")[2]) and not notes:
        warnings.warn(f"{case.parent.name}: expect speaks of a note, and there is none", stacklevel=1)


def test_the_documents_of_a_recorded_hypervisor_are_of_their_schemas(recording: Path, tmp_path: Path) -> None:
    """The same judgement for recordings of Xen, which have no script."""
    judged(("--recording", recording), tmp_path)
