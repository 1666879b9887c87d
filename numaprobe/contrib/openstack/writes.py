"""Writes of a publication: counted, with the traits and classes that they need, and together where possible."""

from __future__ import annotations

from .errors import Forbidden, Unheard
from .tree import STALE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from .client import Client


class Writes:
    """What one attempt writes: ``count`` requests so far, and inventories ``pending`` by uuid of the provider.

    Only inventories of cells in which nobody holds anything may be pending.
    """

    def __init__(self, client: Client) -> None:
        self.count = 0
        self.pending: dict[str, dict[str, Any]] = {}
        self._client = client

    def traits(self, path: str, traits: Iterable[str], generation: int, known: frozenset[str]) -> int:
        """Set the traits of a provider, which had those that are ``known``; return its new generation."""
        body: dict[str, Any] = {"traits": sorted(traits), "resource_provider_generation": generation}
        self.count += 1
        try:
            answer = self._client.put(path, body)
        except Unheard:
            # STALE first: whoever finds it as ours can then filter it as not stale.
            for trait in [STALE, *sorted({*body["traits"]} - known)]:
                if trait.startswith("CUSTOM_"):
                    self.count += 1
                    self._client.put(f"/traits/{trait}", None)
            self.count += 1
            answer = self._client.put(path, body)
        return int(answer.body["resource_provider_generation"])

    def inventories(self, path: str, body: dict[str, Any]) -> None:
        """Set the inventories of a provider."""
        self._with_classes([body], lambda: self._client.put(path, body))

    def together(self, allocations: dict[str, dict[str, Any]]) -> bool:
        """Write what is pending; return whether the allocations were written with it, all in one request."""
        pending, self.pending = self.pending, {}
        if pending and len(pending) + bool(allocations) > 1 and self._client.may_reshape:
            body = {"inventories": pending, "allocations": allocations}
            try:
                self._with_classes(pending.values(), lambda: self._client.create("/reshaper", body))
            except Forbidden:
                # Placement has it for the role "service" and, by its deprecated rules, for "admin".
                self._client.may_reshape = False
            else:
                return bool(allocations)
        for uuid, body in pending.items():
            self.inventories(f"/resource_providers/{uuid}/inventories", body)
        return False

    def _with_classes(self, bodies: Iterable[Mapping[str, Any]], write: Callable[[], object]) -> None:
        """Write inventories; if the ledger does not have all of their resource classes yet, those first."""
        self.count += 1
        try:
            write()
        except Unheard:
            for name in sorted({name for body in bodies for name in body["inventories"] if name.startswith("CUSTOM_")}):
                self.count += 1
                self._client.put(f"/resource_classes/{name}", None)
            self.count += 1
            write()
