"""``python -m numaprobe``."""

from .cli import start

raise SystemExit(start())
