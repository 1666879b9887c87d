"""``numaprobe watch`` on a terminal: bars, views, keys. What it shows is made in ``views``, drawn in ``terminal``."""
