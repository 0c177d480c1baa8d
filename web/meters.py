"""What the doors measure, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class Meters:
    """One set of metrics a process; with a registry of its own, so that Prefect's do not mix in."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "inktally_hook_requests",
            "Messages by the status they were answered with",
            ["status"],
            registry=self.registry,
        )
        self.seconds = Histogram("inktally_hook_seconds", "Time to the answer", buckets=SECONDS, registry=self.registry)
        self.uploads = Counter(
            "inktally_uploads", "What messages held: accepted, repeated, left to the sweep, or why it was left out",
            ["what"], registry=self.registry,
        )  # fmt: skip
        self.events = Counter(
            "inktally_events", "Events for Prefect: accepted, failed (and tried again), refused", ["how"],
            registry=self.registry,
        )  # fmt: skip
        self.dead_letters = Counter("inktally_dead_letters", "Messages that nobody can read", registry=self.registry)
        self.waiting = Gauge(
            "inktally_uploads_waiting", "Uploads that Prefect has not taken yet", registry=self.registry
        )
        self.down = Gauge(
            "inktally_prefect_down", "1 when the last try to reach Prefect failed", registry=self.registry
        )
        self.queue_down = Gauge(
            "inktally_queue_down", "1 when the last try to reach SQS failed", registry=self.registry
        )

    def shown(self) -> bytes:
        return generate_latest(self.registry)
