"""Placement of guests that come and go: numaprobe's beside other programs'; ``python -m benchmarks.placement``."""
