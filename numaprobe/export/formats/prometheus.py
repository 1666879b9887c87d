"""Prometheus's text exposition of a host: what of ``docs/metrics.md`` a single look tells."""

from __future__ import annotations

from ...metrics.rows import host_rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...model.host import Host


def render(host: Host) -> str:
    """Raises ``ModuleNotFoundError`` that says what to install where prometheus-client is missing."""
    try:
        from prometheus_client.exposition import generate_latest

        from ...metrics.prometheus import Figures, families
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "export prometheus needs prometheus-client: pip install 'numaprobe[prometheus]'"
        ) from error
    text = generate_latest(Figures(families(host_rows(host))))
    return text.decode("utf-8")
