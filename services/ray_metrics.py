"""What a service on a cluster counts, by way of Ray: the exporter of each node gives what its processes count."""

from __future__ import annotations

from collections import Counter as Counted

from ray.util.metrics import Counter, Gauge, Histogram

from services.api.metrics import REQUEST_SECONDS, Metrics
from services.jobs.jobs_summary import JobsSummary

_BATCH_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128)


class RayMetrics(Metrics):
    """The counters of one ingress, in its own registry and, of all together, in Ray's."""

    def __init__(self) -> None:
        super().__init__()
        self._ray_requests = Counter("dap_http_requests", "Requests answered.", ("route", "method", "status"))
        self._ray_seconds = Histogram(
            "dap_http_request_seconds", "From request to answer.", list(REQUEST_SECONDS), ("route",)
        )
        self._ray_images = Counter("dap_images", "Images by outcome.", ("outcome",))
        self._ray_boxes = Counter("dap_boxes", "Boxes mined.")
        self._ray_in_flight = Gauge("dap_images_in_flight", "Images accepted and not yet answered.")
        self._ray_limit = Gauge("dap_images_in_flight_limit", "Images that may be under way.")

    def count_request(self, route: str, method: str, status: int, seconds: float) -> None:
        """As in Metrics."""
        super().count_request(route, method, status, seconds)
        self._ray_requests.inc(tags={"route": route, "method": method, "status": str(status)})
        self._ray_seconds.observe(seconds, tags={"route": route})

    def count_image(self, outcome: str, num_boxes: int = 0) -> None:
        """As in Metrics."""
        super().count_image(outcome, num_boxes)
        self._ray_images.inc(tags={"outcome": outcome})
        if num_boxes:
            self._ray_boxes.inc(num_boxes)

    def note_in_flight(self, in_flight: int, limit: int) -> None:
        """As in Metrics."""
        super().note_in_flight(in_flight, limit)
        self._ray_in_flight.set(in_flight)
        self._ray_limit.set(limit)


class BatchMetrics:
    """How many images a labeler takes at once."""

    def __init__(self) -> None:
        self._sizes = Histogram("dap_batch_images", "Images that a labeler took at once.", list(_BATCH_IMAGES))

    def note(self, num_images: int) -> None:
        """One batch."""
        self._sizes.observe(num_images)


class JobMetrics:
    """How many jobs there are, and how far those are that run; by kind, as ids would make series without end."""

    def __init__(self) -> None:
        self._jobs = Gauge("dap_jobs", "Jobs that wait or run.", ("kind", "state"))
        self._done = Gauge("dap_jobs_done", "Images or steps that the running jobs have done.", ("kind",))
        self._total = Gauge("dap_jobs_total", "Images or steps that the running jobs have to do.", ("kind",))
        self._ended = Counter("dap_jobs_ended", "Jobs that have ended.", ("kind", "state"))
        self._known: set[tuple[str, str]] = set()
        self._seen_ended: Counted[tuple[str, str]] = Counted()

    def note(self, summary: JobsSummary) -> None:
        """What the reconciler found in a pass; kinds that are gone count 0."""
        self._known |= summary.num_jobs.keys()
        for kind, state in self._known:
            self._jobs.set(summary.num_jobs[kind, state], tags={"kind": kind, "state": state})
        for kind in {kind for kind, _ in self._known}:
            self._done.set(summary.done[kind], tags={"kind": kind})
            self._total.set(summary.total[kind], tags={"kind": kind})
        for (kind, state), number in (summary.num_ended - self._seen_ended).items():
            self._ended.inc(number, tags={"kind": kind, "state": state})
        self._seen_ended = summary.num_ended.copy()
