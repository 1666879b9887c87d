"""Runs in a guest: available memory by one sampler while the kernel's own settings for it change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numaprobe

VM = Path("/proc/sys/vm")
MIB = 1 << 20
# What each setting is multiplied by: enough for every cell to keep back much more.
CHANGES = {"min_free_kbytes": 8, "watermark_scale_factor": 60}
# Bytes of free memory that come and go between two readings.
NEAR = 6 * MIB


def compared() -> list[dict[str, Any]]:
    """For each setting: available bytes by cell before and after it changed, and a probe's at the same time."""
    rows = []
    with numaprobe.Sampler(source="linux") as sampler:
        for name, factor in CHANGES.items():
            file = VM / name
            usual = int(file.read_text())
            before = available(sampler)
            # Once more: from here on the sampler has what it keeps.
            available(sampler)
            file.write_text(str(usual * factor))
            try:
                after = available(sampler)
                probed = {cell.id: cell.memory.available for cell in numaprobe.probe(source="linux").cells}
            finally:
                file.write_text(str(usual))
            again = available(sampler)
            rows.append({"setting": name, "before": before, "after": after, "probed": probed, "again": again})
    return rows


def available(sampler: numaprobe.Sampler) -> dict[int, int | None]:
    """Available bytes by cell."""
    return {cell.id: cell.available for cell in sampler.sample(available=True).cells}
