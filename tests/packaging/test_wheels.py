"""The command that builds wheels: which interpreters it offers, and what it says where a part is missing."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
FREE_THREADED = [name for name in ("python3.14t", "python3.13t") if shutil.which(name)]


@pytest.fixture
def wheels() -> ModuleType:
    """``packaging/wheels.py`` as a module."""
    spec = importlib.util.spec_from_file_location("wheels_of_numaprobe", ROOT / "packaging" / "wheels.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_every_python_on_the_path_that_has_headers_is_offered(
    wheels: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Free-threaded ones too; one without headers could not build anything."""
    for name in ("python3.13", "python3.13t", "python3.9"):
        script(tmp_path / name, "exit 0")
    script(tmp_path / "python3.12", "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [Path(path).name for path in wheels.found()] == ["python3.13", "python3.13t"]


def test_a_missing_compiler_is_named_with_what_to_install(wheels: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra has it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"ziglang is missing; run pip install 'numaprobe\[wheels\]'"):
        wheels.zig()


def test_without_advzip_the_wheel_stays_as_it_is(
    wheels: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A larger wheel works as well, so a line on standard error is enough."""
    monkeypatch.setenv("PATH", str(tmp_path))
    wheels.recompress(tmp_path / "absent.whl")
    assert "advzip (package advancecomp) is missing" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("advzip") is None, reason="no advzip here (Debian's advancecomp)")
def test_a_smaller_wheel_holds_the_same_files(wheels: ModuleType, tmp_path: Path) -> None:
    """Only the compression may change, and only to one that pip reads."""
    wheel = tmp_path / "some.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made:
        for number in range(3):
            made.writestr(f"numaprobe/{number}.py", f"value = {number}\n" * 2000)
    before = {name: zipfile.ZipFile(wheel).read(name) for name in zipfile.ZipFile(wheel).namelist()}
    size = wheel.stat().st_size
    wheels.recompress(wheel)
    with zipfile.ZipFile(wheel) as after:
        assert {name: after.read(name) for name in after.namelist()} == before
        assert {member.compress_type for member in after.infolist()} == {zipfile.ZIP_DEFLATED}
    assert wheel.stat().st_size < size


@pytest.mark.skipif(not FREE_THREADED, reason="no free-threaded CPython (python3.13t, python3.14t) on the path")
@pytest.mark.skipif(importlib.util.find_spec("ziglang") is None, reason="no ziglang here (the wheels extra)")
def test_a_free_threaded_python_gets_a_wheel_of_its_own(tmp_path: Path) -> None:
    """Its ABI has a tag that ends in t."""
    target = f"manylinux2014_{platform.machine()}"
    command = [sys.executable, str(ROOT / "packaging/wheels.py"), "--into", str(tmp_path), "--target", target]
    run = subprocess.run([*command, FREE_THREADED[0]], capture_output=True, text=True, check=False, env=os.environ)
    assert run.returncode == 0, run.stderr
    [wheel] = tmp_path.glob("*.whl")
    assert f"-{FREE_THREADED[0].replace('python3.', 'cp3')}-" in wheel.name
