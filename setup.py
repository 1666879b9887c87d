"""Builds the extension module; everything else about the package is in pyproject.toml."""

import os
from glob import glob

from setuptools import Extension, setup

try:
    from Cython.Build import cythonize
except ModuleNotFoundError:
    # A source package for a distribution contains the generated C (packaging/debian/build).
    cythonize = None

# NUMAPROBE_TRACE=1 builds the extension so that coverage can follow its lines; slower, for development only.
trace = os.environ.get("NUMAPROBE_TRACE") == "1"
# NUMAPROBE_SANITIZE=1 builds it with gcc's address and undefined-behaviour sanitizers; see tests/fast/sanitized.
checked = ["-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
sanitize = checked if os.environ.get("NUMAPROBE_SANITIZE") == "1" else []

extension = Extension(
    "numaprobe._fast",
    ["numaprobe/_fast.pyx" if cythonize else "numaprobe/_fast.c"],
    include_dirs=["numaprobe"],
    depends=sorted(glob("numaprobe/fast/*.pxi") + glob("numaprobe/fast/*.h")),
    define_macros=[("CYTHON_TRACE_NOGIL", "1")] if trace else [],
    extra_compile_args=["-O2", "-Wall", "-Wextra", *sanitize],
    extra_link_args=sanitize,
)

setup(
    ext_modules=[extension]
    if cythonize is None
    else cythonize(
        [extension],
        compiler_directives={
            "language_level": "3",
            "boundscheck": True,
            "wraparound": False,
            "embedsignature": True,
            "freethreading_compatible": True,
            "linetrace": trace,
        },
    )
)
