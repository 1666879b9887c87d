"""The hint for a missing extra is for what installed numaprobe: pip, pipx, uv, or Debian's apt."""

from __future__ import annotations

from pathlib import Path

import pytest

from numaprobe.cli.extras import with_installer

LINE = "serve needs prometheus-client: pip install 'numaprobe[prometheus]'"


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({}, "pip install 'numaprobe[prometheus]'"),
        ({"pyvenv.cfg": "home = /usr/bin\nversion = 3.11.2\n"}, "pip install 'numaprobe[prometheus]'"),
        ({"pyvenv.cfg": "home = /usr/bin\nuv = 0.9.0\n"}, "uv pip install 'numaprobe[prometheus]'"),
        ({"pyvenv.cfg": "uv = 0.9.0\n", "uv-receipt.toml": ""}, "uv tool install --force 'numaprobe[prometheus]'"),
        ({"pyvenv.cfg": "", "pipx_metadata.json": "{}"}, "pipx install --force 'numaprobe[prometheus]'"),
    ],
)
def test_an_environment_is_recognised_by_what_made_it(files: dict[str, str], command: str, tmp_path: Path) -> None:
    """The files that uv and pipx leave in an environment; pip's command would not work in theirs."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    package = str(tmp_path / "lib/python3.11/site-packages/numaprobe/cli/extras.py")
    assert with_installer(LINE, str(tmp_path), package) == f"serve needs prometheus-client: {command}"


def test_debian_has_packages_of_its_own() -> None:
    """Debian refuses pip outside of environments, so apt is named where it has the library."""
    package = "/usr/lib/python3/dist-packages/numaprobe/cli/extras.py"
    assert with_installer(LINE, "/usr", package).endswith(": apt install python3-prometheus-client")
    other = "x needs y: pip install 'numaprobe[opentelemetry]'"
    assert with_installer(other, "/usr", package) == other, "where Debian has no package"


def test_other_lines_are_left_alone() -> None:
    """Only the hint at the line's end is replaced and not any mention of an extra."""
    assert with_installer("numaprobe[serve]") == "numaprobe[serve]"
