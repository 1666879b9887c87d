"""Caches in the model's words and order."""

from __future__ import annotations

from ..model.host import Cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..linux.facts import CacheFacts

# cache_type_string of Linux's drivers/base/cacheinfo.c, in the order of the model.
TYPES = {"Data": "data", "Instruction": "instruction", "Unified": "unified"}
ORDER = {word: position for position, word in enumerate((*TYPES.values(), None))}


def caches_of(facts: tuple[CacheFacts, ...]) -> tuple[Cache, ...]:
    """Caches by level, type and first cpu."""
    found = [
        Cache(
            level=cache.level,
            type=None if cache.type is None else TYPES.get(cache.type),
            size=None if cache.size_kb is None else cache.size_kb << 10,
            id=cache.id,
            cpus=cache.cpus,
            line_size=cache.line_size,
            ways=cache.ways,
            sets=cache.sets,
        )
        for cache in facts
    ]
    return tuple(sorted(found, key=lambda cache: (cache.level, ORDER[cache.type], cache.cpus)))
