"""The pictures of README.md and docs/drawing.md, drawn from recorded machines: ``python docs/pictures.py``."""

from __future__ import annotations

import sys
from pathlib import Path

import numaprobe
from numaprobe.drawing import draw

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "docs" / "pictures"
MACHINES = ("xen-4.17-two-nodes-hole", "guests-and-devices")
WIDTH = 900


def picture(name: str) -> str:
    """A machine of tests/fixtures as SVG."""
    recording = ROOT / "tests" / "fixtures" / name / "host.tar.gz"
    host = numaprobe.probe(recording=recording, caches=True, devices=True)
    try:
        guests = numaprobe.domains(host, recording=recording)
    except numaprobe.RecordingError:  # recorded without them
        return draw(host, width=WIDTH)
    return draw(host, domains=guests, uses=numaprobe.account(host, guests), width=WIDTH)


def main() -> None:
    """Draw them, or with ``--check`` compare them."""
    PICTURES.mkdir(exist_ok=True)
    for name in MACHINES:
        path = PICTURES / f"{name}.svg"
        if "--check" not in sys.argv[1:]:
            path.write_text(picture(name), "utf-8")
        elif not path.exists() or path.read_text("utf-8") != picture(name):
            raise SystemExit(f"{path}: not what the code draws; run python docs/pictures.py")


if __name__ == "__main__":
    main()
