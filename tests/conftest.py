"""Options and fixtures that several test modules share."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import trees
from hypothesis import settings

settings.register_profile("plain", deadline=None, max_examples=12)
settings.register_profile("thorough", deadline=None, max_examples=400)
settings.load_profile("plain")


def _in_memory() -> None:
    """Has tests write below /dev/shm, where there is room: thousands of small trees take a disk a fifth of the run."""
    memory = Path("/dev/shm")
    with contextlib.suppress(OSError):
        room = os.statvfs(memory)
        if room.f_bavail * room.f_frsize >= 2 << 30 and not room.f_flag & os.ST_NOEXEC and os.access(memory, os.W_OK):
            os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))


_in_memory()

_SERVERS = "starts a server, browser or terminal of another project: pytest -m servers (nox -s judges)"
_LEDGER = "publishes and claims on the real Placement in this process: pytest -m ledger (nox -s fleet)"
_CROWDS = "many clients or processes, some of them killed: pytest -m crowds (nox -s crowds)"
_NOVA = "needs OpenStack nova in a Python of its own: pytest -m nova --nova PYTHON"


def _folder_of(variable: str) -> Path | None:
    return Path(os.environ[variable]) if os.environ.get(variable) else None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--machines",
        metavar="DIR",
        default=os.environ.get("NUMAPROBE_MACHINES"),
        help="a folder of recorded machines with their truth: SOURCE/NAME.tar.gz and truth/SOURCE/NAME.json "
        "(default: the environment variable NUMAPROBE_MACHINES)",
    )
    parser.addoption(
        "--cases",
        metavar="DIR",
        type=Path,
        default=_folder_of("NUMAPROBE_CASES"),
        help="a folder of cases, NAME/{cmd,expect} with their input (default: the environment variable NUMAPROBE_CASES)",
    )
    parser.addoption(
        "--nova",
        metavar="PYTHON",
        default=os.environ.get("NUMAPROBE_NOVA"),
        help="tests/placement: a Python in whose environment nova is installed (default: NUMAPROBE_NOVA)",
    )
    parser.addoption(
        "--claim-rounds",
        type=int,
        default=10,
        metavar="N",
        help="tests/placement: so many rounds of placers that race for the same room and are killed",
    )
    parser.addoption("--lab", action="store_true", help="boot real kernels and hypervisors under QEMU (minutes)")
    parser.addoption("--rewrite", action="store_true", help="rewrite the expected models of tests/fixtures")
    parser.addoption("--all", action="store_true", help="tests/faults: every call with every error")
    parser.addoption("--faults", type=int, default=30, metavar="N", help="tests/faults: number of faults per question")
    parser.addoption(
        "--fuzz-seconds", type=float, default=0.2, metavar="S", help="tests/fuzz: seconds per kind of input"
    )
    parser.addoption("--fuzz-seed", type=int, default=0, metavar="N", help="tests/fuzz: seed of the mutations")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Half as many more than CPUs for ``-n auto``: many tests wait for a process."""
    cpus = len(os.sched_getaffinity(0))
    return cpus + (cpus + 1) // 2


def pytest_report_header(config: pytest.Config) -> list[str]:
    """What this run leaves out, in a line for each kind instead of one for each test."""
    machines = config.getoption("machines") or "none (--machines DIR or NUMAPROBE_MACHINES)"
    cases = config.getoption("cases") or "none (--cases DIR or NUMAPROBE_CASES)"
    lab = "booted" if config.getoption("lab") else "not booted (pytest tests/lab --lab)"
    servers = "started" if _asks_for(config, "servers") else "not started (pytest -m servers)"
    return [f"recorded machines: {machines}", f"cases: {cases}", f"lab: {lab}", f"servers: {servers}"]


def _asks_for(config: pytest.Config, marker: str) -> bool:
    return marker in (config.getoption("markexpr") or "").replace(f"not {marker}", "")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for marker, reason in (("servers", _SERVERS), ("ledger", _LEDGER), ("crowds", _CROWDS), ("nova", _NOVA)):
        if _asks_for(config, marker):
            continue
        for item in items:
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per recorded machine, or one that says how to get them."""
    if "recorded_machine" not in metafunc.fixturenames:
        return
    folder = metafunc.config.getoption("machines")
    if not folder:
        reason = "no recorded machines: pass --machines DIR or set NUMAPROBE_MACHINES"
        none = pytest.param(None, marks=pytest.mark.skip(reason=reason), id="none")
        metafunc.parametrize("recorded_machine", [none], scope="module")
        return
    truths = sorted(Path(folder).glob("truth/*/*.json"))
    if not truths:
        raise pytest.UsageError(f"--machines {folder}: there is no truth/SOURCE/NAME.json in it")
    machines = [(Path(folder), f"{truth.parent.name}/{truth.stem}") for truth in truths]
    metafunc.parametrize("recorded_machine", machines, ids=[name for _, name in machines], scope="module")


@pytest.fixture
def plant(tmp_path: Path) -> Callable[[Mapping[str, trees.Content]], Path]:
    """Writes a machine (see ``trees``) below ``tmp_path/root`` and gives that directory."""

    def _plant(tree: Mapping[str, trees.Content]) -> Path:
        return trees.plant(tmp_path / "root", tree)

    return _plant


@pytest.fixture
def nothing_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The test runs in an empty directory, which stays empty: reading an archive writes nothing anywhere."""
    place = tmp_path / "empty"
    place.mkdir()
    monkeypatch.chdir(place)
    yield
    assert os.listdir(place) == []
    assert not (tmp_path / "evil").exists()
    assert not os.path.exists("/tmp/numaprobe-evil")


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A directory that everybody may write to."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o777)
        yield Path(name)
