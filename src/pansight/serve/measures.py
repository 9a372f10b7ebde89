"""Metrics for Prometheus. Labels are routes and models that exist here, never what a client typed."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Measures:
    """The counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "pansight_requests",
            "Requests answered, by route and status.",
            ("route", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "pansight_request_seconds",
            "From the first byte of a request to its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.stages = Histogram(
            "pansight_stage_seconds",
            "Time in one stage: decode, queue, network, merge, encode.",
            ("model", "stage"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.images = Counter("pansight_images", "Images segmented.", ("model",), registry=self.registry)
        self.batches = Histogram(
            "pansight_batch_images",
            "Images that shared a run of the network.",
            ("model",),
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self.registry,
        )
        self.waiting = Gauge(
            "pansight_queue_images", "Images that wait for the network.", ("model",), registry=self.registry
        )
        self.streams = Gauge("pansight_streams", "WebSocket connections.", registry=self.registry)
        self.frames = Counter(
            "pansight_frames",
            "Frames by WebSocket, by what became of them: answered, dropped for a newer one, refused.",
            ("outcome",),
            registry=self.registry,
        )
        self.held = Gauge(
            "pansight_held_bytes", "Memory of outputs kept for sliders.", registry=self.registry
        )

    def text(self) -> bytes:
        """The exposition format, version 0.0.4."""
        return generate_latest(self.registry)
