"""Runs in a guest: what a look at its domains costs, in seconds, as JSON."""

from __future__ import annotations

import json
import sys
from time import perf_counter

import numaprobe

if __name__ == "__main__":
    host = numaprobe.probe()
    costs: dict[str, list[float]] = {}
    for _ in range(10):
        for name, each_vcpu in (("with-vcpus", True), ("without-vcpus", False)):
            start = perf_counter()
            numaprobe.domains(host, each_vcpu=each_vcpu)
            costs.setdefault(name, []).append(perf_counter() - start)
    json.dump({name: sorted(found)[len(found) // 2] for name, found in costs.items()}, sys.stdout)
