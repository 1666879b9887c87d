"""Builds the extension module; everything else about the package is in pyproject.toml."""

import os
from glob import glob

from Cython.Build import cythonize
from setuptools import Extension, setup

# NUMAPROBE_TRACE=1 builds the extension so that coverage can follow its lines; slower, for development only.
trace = os.environ.get("NUMAPROBE_TRACE") == "1"

setup(
    ext_modules=cythonize(
        [
            Extension(
                "numaprobe._fast",
                ["numaprobe/_fast.pyx"],
                depends=sorted(glob("numaprobe/fast/*.pxi")),
                define_macros=[("CYTHON_TRACE_NOGIL", "1")] if trace else [],
                extra_compile_args=["-O2", "-Wall", "-Wextra"],
            )
        ],
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
