"""What the service counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The counters of one service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "dap_http_requests", "Requests answered.", ["route", "method", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "dap_http_request_seconds", "From request to answer.", ["route"], buckets=_SECONDS, registry=self.registry
        )
        self.images = Counter("dap_images", "Images by outcome.", ["outcome"], registry=self.registry)
        self.boxes = Counter("dap_boxes", "Boxes mined.", registry=self.registry)
        self.in_flight = Gauge("dap_images_in_flight", "Images accepted and not yet answered.", registry=self.registry)
        self.limit = Gauge("dap_images_in_flight_limit", "Images that may be under way.", registry=self.registry)

    def render(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)
