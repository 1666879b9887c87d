"""Prometheus's text exposition of a host: the metrics of ``docs/metrics.md`` that a single reading gives."""

from __future__ import annotations

from ...metrics.rows import host_rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...model.host import Host


def render(host: Host) -> str:
    """The text. Raises ``ModuleNotFoundError``, naming the package to install, if prometheus-client is missing."""
    try:
        from prometheus_client.exposition import generate_latest

        from ...metrics.prometheus import Collected, families
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "export prometheus needs prometheus-client: pip install 'numaprobe[prometheus]'"
        ) from error
    text = generate_latest(Collected(families(host_rows(host))))
    return text.decode("utf-8")
