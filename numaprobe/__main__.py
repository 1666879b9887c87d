"""``python -m numaprobe``."""

from .cli import main

raise SystemExit(main())
