"""Networks between machines of a simulation: delay, jitter, loss, bursts, reordering, repetition, rate and queue.

A `Link` is plain data; a `Pipe` is one direction of one: told when datagrams enter it, it says when they come out. All chance
is drawn from the entropy given to it, and only for what its link asks for, so that a perfect link draws nothing.

Order of effects on a datagram: the queue before the bottleneck (rate), loss, delay and jitter. Jitter alone never reorders,
as in a queue further on the way; only what `reorder` picks is overtaken by others.

Signalling runs over TCP: `carry` gives the arrival of a message that is repeated after a timeout when it is lost, and that
never overtakes another.

Left out: fragmentation (datagrams of any size pass), corruption (UDP's checksum turns it into loss).
"""

from __future__ import annotations

import attrs

from ..entropy import Entropy, random_unit

TCP_FIRST_TIMEOUT = 0.2
"""Least retransmission timeout of common TCP stacks; doubled at each repetition."""
_TCP_MAX_REPETITIONS = 8


@attrs.frozen(kw_only=True)
class Link:
    """What a way through a network does, in one direction."""

    latency: float = 0.0
    """Seconds one way."""
    jitter: float = 0.0
    """At most so many seconds more, evenly spread."""
    loss: float = 0.0
    """Share of datagrams that get lost."""
    burst: float = 1.0
    """Mean number of datagrams lost in a row; beyond 1 losses come in bursts (Gilbert's model) at the same share."""
    reorder: float = 0.0
    """Share of datagrams held back."""
    reorder_delay: float = 0.02
    """For at most so long."""
    duplicate: float = 0.0
    """Share of datagrams that arrive twice."""
    rate_bps: float = 0.0
    """Bits per second of the bottleneck, 0 for none."""
    queue_bytes: int = 128_000
    """What waits before the bottleneck; more is dropped."""


class Pipe:
    """One direction of a link. `link` may be replaced at any time: the weather changes."""

    __slots__ = (
        "_entropy",
        "_free_at",
        "_is_bad",
        "_last_arrival",
        "_last_carried",
        "is_cut",
        "link",
        "lost",
        "passed",
    )

    def __init__(self, link: Link, entropy: Entropy) -> None:
        self.link = link
        self.is_cut = False
        """Nothing passes while this is set."""
        self.passed = 0
        self.lost = 0
        self._entropy = entropy
        self._is_bad = False
        self._free_at = 0.0
        self._last_arrival = 0.0
        self._last_carried = 0.0

    def send(self, now: float, size_bytes: int) -> list[float]:
        """When a datagram that enters now comes out: never, once, or twice."""
        departure = self._depart(now, size_bytes)
        if departure is None or self._is_lost():
            self.lost += 1
            return []
        self.passed += 1
        arrivals = [self._arrive(departure)]
        if self.link.duplicate and self._draw() < self.link.duplicate:
            arrivals.append(self._arrive(departure))
        return arrivals

    def carry(self, now: float) -> float:
        """When a message of a TCP connection that is written now can be read."""
        delay = self.link.latency
        if self.link.jitter:
            delay += self.link.jitter * self._draw()
        timeout = TCP_FIRST_TIMEOUT
        for _ in range(_TCP_MAX_REPETITIONS):
            if not self.link.loss or self._draw() >= self.link.loss:
                break
            delay += timeout
            timeout *= 2
        self._last_carried = max(self._last_carried, now + delay)
        return self._last_carried

    def _depart(self, now: float, size_bytes: int) -> float | None:
        """When the datagram has left the bottleneck; None if the queue before it is full."""
        if self.is_cut:
            return None
        rate = self.link.rate_bps
        if not rate:
            return now
        start = max(now, self._free_at)
        if (start - now) * rate / 8 + size_bytes > self.link.queue_bytes:
            return None
        self._free_at = start + size_bytes * 8 / rate
        return self._free_at

    def _is_lost(self) -> bool:
        loss, burst = self.link.loss, self.link.burst
        if not loss:
            return False
        if loss >= 1.0:
            return True
        if burst <= 1.0:
            return self._draw() < loss
        change = 1 / burst if self._is_bad else min(1.0, loss / (burst * (1 - loss)))
        if self._draw() < change:
            self._is_bad = not self._is_bad
        return self._is_bad

    def _arrive(self, departure: float) -> float:
        link = self.link
        arrival = departure + link.latency
        if link.jitter:
            arrival += link.jitter * self._draw()
        if link.reorder and self._draw() < link.reorder:
            return max(arrival, self._last_arrival) + link.reorder_delay * self._draw()
        self._last_arrival = max(self._last_arrival, arrival)
        return self._last_arrival

    def _draw(self) -> float:
        return random_unit(self._entropy)
