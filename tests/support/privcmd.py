"""Programs that make hypercalls against a shim in place of the devices."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]


PRELUDE = """
import ctypes, errno, os, sys, threading
from struct import pack, unpack_from
from numaprobe._fast import Privcmd

def numainfo(xen, capacity=4):
    op = pack("<III", 17, 0x15, capacity).ljust(136, b"\\0")
    return xen.call(35, 17, op, ((16, b"\\xff" * (16 * capacity)), (24, b"\\xff" * (4 * capacity * capacity))))

def changeset(xen):
    return xen.call(17, 4, bytes(64))[1].rstrip(b"\\0").decode()

def raises(kind, function, *arguments):
    try:
        function(*arguments)
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")

def wait_for_a_call():
    inside = ctypes.CDLL(None).shim_inside
    while not inside():
        pass

def flags_of_page(address):
    with open("/proc/self/smaps") as smaps:
        here = False
        for line in smaps:
            head = line.split()[0]
            if "-" in head and ":" not in head:
                start, end = (int(part, 16) for part in head.split("-"))
                here = start <= address < end
            elif here and head == "VmFlags:":
                return line.split()[1:]
    return None
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled shim."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler to build the privcmd shim")
    built = tmp_path_factory.mktemp("shim") / "privcmd_shim.so"
    source = Path(__file__).parent / "privcmd_shim.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-Wall", "-o", built, source], check=True)
    return built


@pytest.fixture(params=["buffer device", "locked pages"])
def run(shim: Path, request: pytest.FixtureRequest) -> Run:
    """A run of some Python with the shim under it; it fails on anything but silence and success."""

    def start(code: str, **settings: object) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "LD_PRELOAD": f"{os.environ.get('LD_PRELOAD', '')} {shim}".strip(),
            "SHIM_DEVICE": "/dev/xen/privcmd",
            "SHIM_BUFFERS": str(int(request.param == "buffer device")),
            **{name: str(value) for name, value in settings.items()},
        }
        # Since 3.12 Python warns of every fork beside a thread, which some of these tests are about.
        quiet = "ignore:This process:DeprecationWarning"
        done = subprocess.run(
            [sys.executable, "-X", "faulthandler", "-W", quiet, "-c", PRELUDE + code],
            env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        return done

    return start
