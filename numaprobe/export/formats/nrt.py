"""A host as a Kubernetes NodeResourceTopology, ``topology.node.k8s.io/v1alpha2``.

(https://github.com/k8stopologyawareschedwg/noderesourcetopology-api.) JSON, which kubectl takes as it takes YAML. What
pods have been promised is not a fact of the host: ``available`` is what is free on it now.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ...model.host import Cell, Host


def render(host: Host, *, name: str | None = None) -> str:
    """The object, cluster-scoped; ``name`` is the Kubernetes node's, left out if None: ``kubectl`` then refuses it."""
    document = {
        "apiVersion": "topology.node.k8s.io/v1alpha2",
        "kind": "NodeResourceTopology",
        "metadata": {} if name is None else {"name": name},
        "zones": [_zone(cell) for cell in host.cells],
    }
    return json.dumps(document, indent=1) + "\n"


def _zone(cell: Cell) -> dict[str, Any]:
    zone: dict[str, Any] = {"name": f"node-{cell.id}", "type": "Node"}
    costs = [{"name": f"node-{other}", "value": cost} for other, cost in cell.distances or () if cost is not None]
    if costs:
        zone["costs"] = costs
    zone["resources"] = list(_resources(cell))
    return zone


def _resources(cell: Cell) -> Iterator[dict[str, str]]:
    """Those whose three figures are known: none may be left out of a resource, and none is guessed."""
    if cell.cpus is not None:
        yield _resource("cpu", len(cell.cpus), len(cell.cpus), len(cell.cpus))
    memory = cell.memory
    # The kubelet counts huge pages as capacity of memory, and what they take as not allocatable.
    huge = [None if pages.total is None else pages.size * pages.total for pages in cell.huge_pages]
    taken = sum(size for size in huge if size is not None)
    free = memory.free if memory.available is None else memory.available
    if memory.total is not None and free is not None and None not in huge:
        allocatable = max(0, memory.total - taken)
        yield _resource("memory", memory.total, allocatable, min(free, allocatable))
    for pages in cell.huge_pages:
        if pages.total is not None and pages.free is not None:
            size = pages.size
            yield _resource(f"hugepages-{quantity(size)}", pages.total * size, pages.total * size, pages.free * size)


def _resource(name: str, capacity: int, allocatable: int, available: int) -> dict[str, str]:
    return {
        "name": name,
        "capacity": str(capacity),
        "allocatable": str(allocatable),
        "available": str(available),
    }


def quantity(size: int) -> str:
    """Bytes as Kubernetes writes them: the largest binary unit that leaves a whole number."""
    unit = 0
    while size and size % 1024 == 0 and unit < 6:
        size //= 1024
        unit += 1
    return f"{size}{('', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei')[unit]}"
