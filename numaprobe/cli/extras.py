"""How a missing extra is installed here: by pip, pipx, uv or the distribution, whichever installed numaprobe."""

from __future__ import annotations

import os
import re
import sys

HINT = re.compile(r"pip install 'numaprobe\[([a-z-]+)\]'")
# Debian's packages of what each extra needs.
DEBIAN = {
    "prometheus": "python3-prometheus-client",
    "serve": "python3-prometheus-client python3-yaml python3-bcrypt",
    "optimal": "python3-scipy",
    "openstack": "python3-keystoneauth1 python3-openstacksdk",
}


def with_installer(line: str, prefix: str = sys.prefix, package: str = __file__) -> str:
    """An error's line with its hint for pip replaced by one for what installed this numaprobe."""
    return HINT.sub(lambda found: _command(found[1], prefix, package), line)


def _command(extra: str, prefix: str, package: str) -> str:
    if "/dist-packages/" in package and extra in DEBIAN:
        return f"apt install {DEBIAN[extra]}"
    wanted = f"'numaprobe[{extra}]'"
    # What pipx and uv leave in the environments that they make for one program.
    if os.path.exists(f"{prefix}/pipx_metadata.json"):
        return f"pipx install --force {wanted}"
    if os.path.exists(f"{prefix}/uv-receipt.toml"):
        return f"uv tool install --force {wanted}"
    try:
        with open(f"{prefix}/pyvenv.cfg", encoding="utf-8", errors="replace") as file:
            made_by_uv = any(line.startswith("uv =") for line in file)
    except OSError:
        made_by_uv = False
    return f"uv pip install {wanted}" if made_by_uv else f"pip install {wanted}"
