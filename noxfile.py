"""The daily tasks by name: ``nox -l`` lists them, ``nox -s lint types`` runs two of them.

They run in the environment that nox is installed in, so nothing is installed twice. Arguments after ``--`` are passed
on.
"""

from __future__ import annotations

import sys
from glob import glob

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "tests"]

PYTHON = sys.executable
# Pages with parts that cog makes.
GENERATED = ("README.md", *sorted(glob("docs/*.md")))


def python(session: nox.Session, *words: str) -> None:
    """``python -m WORDS``, followed by the arguments after ``--``."""
    session.run(PYTHON, "-m", *words, *session.posargs, external=True)


@nox.session
def tests(session: nox.Session) -> None:
    """Every test that needs no server, browser, crowd or emulated machine, on all CPUs."""
    python(session, "pytest", "-n", "auto")


@nox.session
def lint(session: nox.Session) -> None:
    """Style and formatting; ``nox -s format`` applies the fixes."""
    python(session, "ruff", "check", ".")
    python(session, "ruff", "format", "--check", ".")


@nox.session(name="format")
def format_(session: nox.Session) -> None:
    """Formats the code and applies the fixes that are safe."""
    python(session, "ruff", "check", "--fix", ".")
    python(session, "ruff", "format", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Mypy --strict, of the package and of what is run only now and then: a name that moved would be found too late."""
    python(session, "mypy")


@nox.session
def sanitized(session: nox.Session) -> None:
    """Builds the extension with the address and undefined-behaviour sanitizers and runs its tests."""
    session.run("tests/fast/sanitized", *session.posargs, external=True, env={"PYTHON": PYTHON})


@nox.session
def judges(session: nox.Session) -> None:
    """Checks exports, metrics, pictures and plans with other projects' programs (tests/lab/install installs them)."""
    python(session, "pytest", "tests/export", "tests/metrics", "tests/drawing", "tests/cli/test_serve_page.py",
           "tests/cli/test_watch_screen.py", "tests/placement/test_place_formats.py",
           "-m", "servers or not servers")  # fmt: skip


@nox.session
def crowds(session: nox.Session) -> None:
    """Serves many clients at once, and kills placers, servers and guests at any moment."""
    python(session, "pytest", "-m", "crowds", "--claim-rounds=100")


@nox.session
def fleet(session: nox.Session) -> None:
    """The fleet on the real Placement, in process and over PostgreSQL: many claims at once, and killed processes."""
    python(session, "pytest", "tests/contrib", "-m", "servers or ledger or not crowds")


@nox.session
def lab(session: nox.Session) -> None:
    """Boots the emulated machines (tests/lab/install installs the parts); ``-- -k NAME`` selects."""
    python(session, "pytest", "tests/lab", "--lab")


@nox.session
def cases(session: nox.Session) -> None:
    """Runs a folder of cases: ``nox -s cases -- --cases DIR``."""
    python(session, "pytest", "tests/cases")


@nox.session
def faults(session: nox.Session) -> None:
    """Makes system calls fail one at a time, for a minute; ``-- --all`` fails each of them with every error."""
    python(session, "pytest", "tests/faults", "--faults=2000")


@nox.session
def fuzz(session: nox.Session) -> None:
    """Mutates what is read, for a minute; ``-- --fuzz-seconds 3600`` for an hour."""
    python(session, "pytest", "tests/fuzz", "--fuzz-seconds=5")


@nox.session
def properties(session: nox.Session) -> None:
    """Runs the tests with generated input on 400 examples each instead of 12."""
    python(session, "pytest", "-m", "hypothesis", "--hypothesis-profile=thorough")


@nox.session
def mutation(session: nox.Session) -> None:
    """Plants faults in the product's Python and counts those that the tests catch; ``-- --help`` lists the options."""
    python(session, "tests.mutation")


@nox.session
def sanitizers(session: nox.Session) -> None:
    """Builds the extension with address and undefined-behaviour sanitizers, and runs its tests and the fuzzer on it."""
    rooms = session.posargs or [
        "tests/fast",
        "tests/sampling",
        "tests/fuzz",
        "tests/linux/test_kept.py",
        "tests/xen/test_xen_kept.py",
    ]
    session.run("tests/fast/sanitized", *rooms, external=True, env={"PYTHON": PYTHON})


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Measures discovery, or another benchmark: ``nox -s benchmarks -- sampling``."""
    name, *rest = session.posargs or ["discovery"]
    session.run(PYTHON, "-m", f"benchmarks.{name}", *rest, external=True)


@nox.session
def docs(session: nox.Session) -> None:
    """Regenerates the generated parts of the pages and builds the site; ``-- --check`` only compares them."""
    how = ["--check"] if "--check" in session.posargs else ["-r"]
    session.run(PYTHON, "-m", "cogapp", *how, *GENERATED, external=True)
    session.run(PYTHON, "docs/pictures.py", *(how if how == ["--check"] else []), external=True)
    session.run(PYTHON, "packaging/shells.py", *(how if how == ["--check"] else []), external=True)
    session.run(PYTHON, "-m", "mkdocs", "build", "--strict", "--quiet", external=True)


@nox.session
def wheels(session: nox.Session) -> None:
    """Builds wheels for glibc 2.17 and musl with every CPython on the path (extra ``wheels``); ``-- --help``."""
    session.run(PYTHON, "packaging/wheels.py", *session.posargs, external=True)


@nox.session
def ci(session: nox.Session) -> None:
    """Everything that a change has to pass, as root on Debian: .ci/run."""
    session.run(".ci/run", *session.posargs, external=True)
