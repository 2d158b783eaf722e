"""Metrics: what Prometheus is told."""

from __future__ import annotations

from typing import Any, final

from transrec.errors import require_extra

LATENCIES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


@final
class Metrics:
    """Counts of one application, in a registry of its own: two applications in one process do not add up.

    Raises:
        MissingExtraError: prometheus-client is not installed.
    """

    def __init__(self) -> None:
        prometheus: Any = require_extra("prometheus_client", extra="serve", purpose="the service")
        self._write = prometheus.generate_latest
        self.content_type: str = prometheus.CONTENT_TYPE_LATEST
        self._registry = registry = prometheus.CollectorRegistry()
        self._requests = prometheus.Counter(
            "transrec_requests", "Requests that were answered.", ["route", "method", "status"], registry=registry
        )
        self._seconds = prometheus.Histogram(
            "transrec_request_seconds", "Time until an answer began.", ["route"], buckets=LATENCIES, registry=registry
        )
        self._batches = prometheus.Histogram(
            "transrec_batch_size", "Requests that were answered together.", buckets=SIZES, registry=registry
        )
        self._items = prometheus.Gauge("transrec_items", "Items that can be recommended.", registry=registry)
        self._generation = prometheus.Gauge("transrec_index_generation", "How many indexes were loaded.", registry=registry)

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answer.

        Args:
            route: the template of the path, so that ids make no series of their own.
            method: GET, POST, ...
            status: HTTP.
            seconds: until the answer began.
        """
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def batch(self, size: int) -> None:
        """Count one batch."""
        self._batches.observe(size)

    def text(self, items: int, generation: int) -> bytes:
        """Everything, as Prometheus reads it."""
        self._items.set(items)
        self._generation.set(generation)
        written: bytes = self._write(self._registry)
        return written
