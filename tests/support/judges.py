"""Programs of others that judge an export."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

LAB = Path(os.environ.get("NUMAPROBE_LAB", Path.home() / ".cache" / "numaprobe-lab"))


# By version: where Debian's libvirt0 has the schema, and where the lab unpacks a newer one.
SCHEMAS = {
    9: (Path("/usr/share/libvirt/schemas/capability.rng"), "Debian 12: libvirt0"),
    11: (LAB / "trixie/libvirt/usr/share/libvirt/schemas/capability.rng", "tests/lab/install libvirt"),
}


def program(name: str, package: str) -> str:
    """The path of a judge, or a skip that says what is missing."""
    found = shutil.which(name, path="/usr/bin:/usr/sbin:/bin:/sbin")
    if found is None:
        pytest.skip(f"no {name} here (Debian: {package})")
    return found


def said(*command: object, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=120, check=False, **more
    )


def relax_ng(version: int, folder: Path, texts: dict[str, str]) -> set[str]:
    """The names of those texts that libvirt's schema of that version refuses."""
    schema, where = SCHEMAS[version]
    if not schema.exists():
        pytest.skip(f"no libvirt schema of version {version} here ({where})")
    files = {str(folder / f"{number}.xml"): name for number, name in enumerate(texts)}
    for path, name in files.items():
        Path(path).write_text(texts[name])
    done = said(program("xmllint", "libxml2-utils"), "--noout", "--relaxng", schema, *files)
    lines = done.stderr.splitlines()
    validated = {files[line.removesuffix(" validates")] for line in lines if line.endswith(" validates")}
    refused = {files[line.removesuffix(" fails to validate")] for line in lines if line.endswith(" fails to validate")}
    assert validated | refused == set(texts), done.stderr
    return refused
