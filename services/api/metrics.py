"""What the service counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

REQUEST_SECONDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Upper ends of the bins of answering times."""


class Metrics:
    """The counters of one service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "dap_http_requests", "Requests answered.", ["route", "method", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "dap_http_request_seconds",
            "From request to answer.",
            ["route"],
            buckets=REQUEST_SECONDS,
            registry=self.registry,
        )
        self._images = Counter("dap_images", "Images by outcome.", ["outcome"], registry=self.registry)
        self._boxes = Counter("dap_boxes", "Boxes mined.", registry=self.registry)
        self._in_flight = Gauge("dap_images_in_flight", "Images accepted and not yet answered.", registry=self.registry)
        self._limit = Gauge("dap_images_in_flight_limit", "Images that may be under way.", registry=self.registry)

    def count_request(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request that was answered, and how long that took."""
        self._requests.labels(route, method, status).inc()
        self._seconds.labels(route).observe(seconds)

    def count_image(self, outcome: str, num_boxes: int = 0) -> None:
        """An image: `ok`, or the type of the error."""
        self._images.labels(outcome).inc()
        self._boxes.inc(num_boxes)

    def note_in_flight(self, in_flight: int, limit: int) -> None:
        """How many images are under way, and how many may be."""
        self._in_flight.set(in_flight)
        self._limit.set(limit)

    def render(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)
