"""What a load test has measured, as values to show or to save."""

from __future__ import annotations

import attrs

from .histogram import Histogram


@attrs.frozen(kw_only=True)
class Quantiles:
    """Of durations in seconds."""

    count: int
    p50: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, histogram: Histogram) -> Quantiles:
        p50, p95, p99 = (histogram.quantile(share) for share in (0.50, 0.95, 0.99))
        return cls(count=histogram.count, p50=p50, p95=p95, p99=p99, max=histogram.max)


@attrs.frozen(kw_only=True)
class Flow:
    """What all subscribers got of one kind."""

    streams: int = 0
    packets: int = 0
    octets: int = 0
    """With headers from RTP up."""
    lost: int = 0

    @property
    def loss(self) -> float:
        """Share of what should have come."""
        return self.lost / (self.packets + self.lost) if self.lost else 0.0

    def __add__(self, other: Flow) -> Flow:
        return Flow(
            streams=self.streams + other.streams,
            packets=self.packets + other.packets,
            octets=self.octets + other.octets,
            lost=self.lost + other.lost,
        )


@attrs.frozen(kw_only=True)
class Figures:
    """The state of a load test at a moment."""

    phase: str
    seconds: float
    """Since measuring began; before that, since the start."""
    wanted: int
    """Participants in all."""
    joining: int
    publishers: int
    """Of those that are connected."""
    subscribers: int
    refused: dict[str, int]
    """Participants that could not join, by reason."""
    dropped: dict[str, int]
    """Participants that lost their connection, by reason."""
    sent_packets: int
    """By all publishers, in all layers."""
    received: dict[str, Flow]
    """By all subscribers: `audio`, `video`, `data`, and `other` (repair and probes)."""
    latency: dict[str, Quantiles]
    """From publisher to subscriber: `audio`, `video`, `data`."""
    joined: Quantiles
    """From the request to the server's join message."""
    connected: Quantiles
    """From the request until media can flow."""
    first_media: Quantiles
    """From a subscriber's request to its first packet."""

    @property
    def forwarded(self) -> int:
        """Media packets and data packets that reached subscribers."""
        return sum(flow.packets for flow in self.received.values())

    @property
    def loss(self) -> float:
        """Share of the media and data that should have reached subscribers."""
        return sum((flow for kind, flow in self.received.items() if kind != "other"), Flow()).loss
