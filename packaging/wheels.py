"""Wheels for glibc 2.17 and musl, x86-64 and aarch64, for every CPython given or found: ``nox -s wheels``.

``python packaging/wheels.py [--into DIR] [--target NAME ...] [PYTHON ...]``

ziglang (PyPI) is the compiler, since it has the C libraries of all four targets. There is one wheel for each version of
CPython and not one for all (abi3): Cython's limited API imports ``re`` and ``inspect``, which doubles the time that
``import numaprobe`` takes.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
OLDEST, NEWEST = 10, 14


class Target(NamedTuple):
    """A platform: its tag for wheels, its name for zig, the end of its extension modules' names."""

    tag: str
    zig: str
    machine: str
    suffix: str


TARGETS = {
    target.tag: target
    for target in (
        Target("manylinux2014_x86_64", "x86_64-linux-gnu.2.17", "x86_64", "x86_64-linux-gnu"),
        Target("manylinux2014_aarch64", "aarch64-linux-gnu.2.17", "aarch64", "aarch64-linux-gnu"),
        Target("musllinux_1_2_x86_64", "x86_64-linux-musl", "x86_64", "x86_64-linux-musl"),
        Target("musllinux_1_2_aarch64", "aarch64-linux-musl", "aarch64", "aarch64-linux-musl"),
    )
}


def found() -> list[str]:
    """Every CPython of a version that is supported, by its name on the path."""
    names = [f"python3.{minor}{threads}" for minor in range(OLDEST, NEWEST + 1) for threads in ("", "t")]
    return [path for name in names if (path := shutil.which(name)) and _works(path)]


def _works(python: str) -> bool:
    check = "import sysconfig, os; raise SystemExit(not os.path.exists(sysconfig.get_path('include') + '/Python.h'))"
    return subprocess.run([python, "-c", check], check=False, capture_output=True).returncode == 0


def tag_of(python: str) -> str:
    """``cpython-311``, as in the names of extension modules."""
    code = "import sysconfig; print(sysconfig.get_config_var('SOABI'))"
    soabi = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout
    return "-".join(soabi.split("-")[:2])


def zig() -> Path:
    """The compiler itself: pip's build environment hides the packages of the Python that runs this."""
    spec = importlib.util.find_spec("ziglang")
    if spec is None or spec.origin is None:
        raise SystemExit("wheels: ziglang is missing; run pip install 'numaprobe[wheels]'")
    return Path(spec.origin).parent / "zig"


def build(python: str, target: Target, source: Path, into: Path) -> None:
    """One wheel, from a copy of the sources that keeps the generated C between targets."""
    compiler = f"{zig()} cc -target {target.zig}"
    environment = {
        **os.environ,
        "CC": compiler,
        "LDSHARED": f"{compiler} -shared",
        "CFLAGS": "-O2 -g0 -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables",
        "LDFLAGS": "-s -Wl,--gc-sections",
        "_PYTHON_HOST_PLATFORM": f"linux-{target.machine}",
        "SETUPTOOLS_EXT_SUFFIX": f".{tag_of(python)}-{target.suffix}.so",
    }
    option = f"--config-settings=--build-option=--plat-name={target.tag}"
    command = [python, "-m", "pip", "wheel", "--quiet", "--no-deps", option, "--wheel-dir", str(into), str(source)]
    subprocess.run(command, check=True, env=environment)


def recompress(wheel: Path) -> None:
    """The same files, deflated harder by advzip (Debian's advancecomp): about 3 % smaller, read by every unzip."""
    advzip = shutil.which("advzip")
    if advzip is None:
        print("wheels: advzip (package advancecomp) is missing: wheels are about 3 % larger", file=sys.stderr)
        return
    subprocess.run([advzip, "--recompress", "--shrink-insane", "--quiet", str(wheel)], check=True)


def main() -> None:
    """Build what was requested."""
    parser = argparse.ArgumentParser(description="wheels of numaprobe")
    parser.add_argument("--into", type=Path, default=ROOT / "dist", help="where to write (default: dist)")
    parser.add_argument("--target", action="append", choices=TARGETS, help="a platform (default: all)")
    parser.add_argument("python", nargs="*", help="interpreters (default: every python3.N on the path)")
    options = parser.parse_args()
    pythons = options.python or found()
    if not pythons:
        raise SystemExit("wheels: no CPython with its headers on the path; name one")
    options.into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "numaprobe"
        wanted = ["setup.py", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "numaprobe", "packaging"]
        for name in wanted:
            here = ROOT / name
            ignore = shutil.ignore_patterns("*.so", "*.c", "__pycache__")
            shutil.copytree(here, source / name, ignore=ignore) if here.is_dir() else shutil.copy(here, _made(source))
        for python in pythons:
            for name in options.target or TARGETS:
                shutil.rmtree(source / "build", ignore_errors=True)
                built = Path(folder) / "built"
                build(python, TARGETS[name], source, built)
                for wheel in built.glob("*.whl"):
                    recompress(wheel)
                    shutil.move(wheel, options.into / wheel.name)
    for wheel in sorted(options.into.glob("*.whl")):
        print(f"{wheel.stat().st_size / 1000:7.0f} kB  {wheel.name}")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


if __name__ == "__main__":
    main()
