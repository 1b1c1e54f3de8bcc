"""Two machines with packets in, packets out, and a bad network between them, in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from random import Random
from typing import Any, Protocol

import attrs

from sansio.entropy import SeededEntropy
from sansio.sctp import Association, SctpConfig
from sansio.sctp.chunks import (
    ChunkType,
    Init,
    encode_chunk,
    encode_data,
    encode_packet,
    encode_sack,
    parse_packet,
    parse_sack,
)

MAX_PACKET_BYTES = 1191


class Machine(Protocol):
    def handle_packet(self, now: float, data: bytes) -> None: ...
    def handle_timeout(self, now: float) -> None: ...
    def poll_transmits(self) -> list[bytes]: ...
    def poll_events(self) -> list[Any]: ...
    def poll_timeout(self) -> float | None: ...


@attrs.define(kw_only=True)
class Link:
    """One direction."""

    delay: float = 0.02
    jitter: float = 0.0
    loss: float = 0.0
    duplication: float = 0.0
    drop: Callable[[bytes], bool] | None = None
    """Drops by contents, for exact scenarios."""


@attrs.define(kw_only=True, eq=False)
class Side:
    name: str
    machine: Machine
    link: Link
    events: list[Any] = attrs.field(factory=list)
    sent: list[tuple[float, bytes]] = attrs.field(factory=list)
    """Everything it sent, lost or not."""

    def of_type(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def chunks_sent(self, kind: ChunkType) -> list[bytes]:
        return [body for _, data in self.sent for type_, _, body in parse_packet(data)[1] if type_ == kind]


class Pair:
    """`a` and `b`, driven until nothing is left to do or a condition holds."""

    def __init__(self, a: Machine, b: Machine, *, seed: int = 0, link: Link | None = None) -> None:
        link = link or Link()
        self.now = 100.0
        self.a = Side(name="a", machine=a, link=attrs.evolve(link))
        self.b = Side(name="b", machine=b, link=attrs.evolve(link))
        self._random = Random(seed)
        self._flying: list[tuple[float, int, Side, bytes]] = []
        self._order = 0

    def run(self, seconds: float = 60.0, *, until: Callable[[], bool] | None = None) -> bool:
        """Whether `until` came true; without it, run until quiet or out of time."""
        end = self.now + seconds
        self.flush()
        while until is None or not until():
            due = self._next_due()
            if due is None or due > end:
                self.now = end
                break
            self.now = max(self.now, due)
            self._step()
        return until is not None and until()

    def flush(self) -> None:
        for side, other in ((self.a, self.b), (self.b, self.a)):
            side.events += side.machine.poll_events()
            for data in side.machine.poll_transmits():
                assert len(data) <= MAX_PACKET_BYTES, f"{side.name} sent {len(data)} bytes"
                side.sent.append((self.now, data))
                self._launch(side.link, other, data)

    def _launch(self, link: Link, to: Side, data: bytes) -> None:
        if link.drop is not None and link.drop(data):
            return
        for _ in range(2 if self._random.random() < link.duplication else 1):
            if self._random.random() >= link.loss:
                self._order += 1
                at = self.now + link.delay + self._random.random() * link.jitter
                heappush(self._flying, (at, self._order, to, data))

    def _next_due(self) -> float | None:
        times = [side.machine.poll_timeout() for side in (self.a, self.b)]
        if self._flying:
            times.append(self._flying[0][0])
        return min((at for at in times if at is not None), default=None)

    def _step(self) -> None:
        while self._flying and self._flying[0][0] <= self.now:
            _, _, side, data = heappop(self._flying)
            side.machine.handle_packet(self.now, data)
            self.flush()
        for side in (self.a, self.b):
            due = side.machine.poll_timeout()
            if due is not None and due <= self.now:
                side.machine.handle_timeout(self.now)
                after = side.machine.poll_timeout()
                assert after is None or after > self.now, f"{side.name} does not move its deadline"
        self.flush()


def associations(
    *, seed: int = 0, link: Link | None = None, config: SctpConfig | None = None, peer_config: SctpConfig | None = None
) -> tuple[Pair, Association, Association]:
    """Two associations that have not begun."""
    entropy = SeededEntropy(seed)
    a = Association(entropy=entropy.child("a"), config=config or SctpConfig())
    b = Association(entropy=entropy.child("b"), config=peer_config or config or SctpConfig())
    return Pair(a, b, seed=seed, link=link), a, b


def connected(
    *, seed: int = 0, link: Link | None = None, config: SctpConfig | None = None, peer_config: SctpConfig | None = None
) -> tuple[Pair, Association, Association]:
    """Two associations that are up over a perfect link, which then gets bad as `link` says."""
    pair, a, b = associations(seed=seed, config=config, peer_config=peer_config)
    a.start(pair.now)
    b.start(pair.now)
    pair.run(2.0)
    assert (a.state.value, b.state.value) == ("established", "established")
    for side in (pair.a, pair.b):
        side.events.clear()
        side.sent.clear()
        if link is not None:
            side.link = attrs.evolve(link)
    return pair, a, b


class RawPeer:
    """The other end by hand: shakes hands as the one that answers, then says and hears chunks."""

    def __init__(self, machine: Association | None = None, *, tsn: int = 1000, **abilities: bool) -> None:
        self.machine = machine or Association(entropy=SeededEntropy("raw"))
        self.now = 50.0
        self.tag = 0x0A0B0C0D
        self.tsn = tsn
        self.abilities = {"forward_tsn": True, "re_config": True, **abilities}
        self.their_tag = 0
        self.their_tsn = 0
        self.packets: list[bytes] = []

    def connect(self) -> RawPeer:
        """Bring the machine up and forget what it took."""
        self.machine.start(self.now)
        init = Init.parse(self.hear(ChunkType.INIT)[0])
        self.their_tag, self.their_tsn = init.tag, init.initial_tsn
        self.say(self.init(cookie=b"cookie").encode(ChunkType.INIT_ACK))
        assert self.hear(ChunkType.COOKIE_ECHO) == [b"cookie"]
        self.say(encode_chunk(ChunkType.COOKIE_ACK))
        self.machine.poll_events()
        self.machine.poll_transmits()
        return self

    def init(self, *, cookie: bytes = b"", window: int = 1 << 20) -> Init:
        return Init(
            tag=self.tag,
            receive_window_bytes=window,
            outbound_streams=65_535,
            inbound_streams=65_535,
            initial_tsn=self.tsn,
            cookie=cookie,
            **self.abilities,  # type: ignore[arg-type]
        )

    def say(self, *chunks: bytes, tag: int | None = None, checksum: bool = True) -> None:
        tag = self.their_tag if tag is None else tag
        self.machine.handle_packet(self.now, encode_packet((5000, 5000), tag, chunks, checksum=checksum))

    def data(
        self, offset: int, payload: bytes, *, flags: int = 3, stream: int = 1, ssn: int = 0, ppid: int = 53
    ) -> bytes:
        """A DATA chunk by its distance from the initial TSN."""
        return encode_data(flags, self.tsn + offset, stream, ssn, ppid, payload)

    def hear(self, kind: ChunkType) -> list[bytes]:
        """Bodies of such chunks in what the machine sends now."""
        self.packets = self.machine.poll_transmits()
        return [body for data in self.packets for type_, _, body in parse_packet(data)[1] if type_ == kind]

    def chunks(self) -> list[tuple[int, int, bytes]]:
        """All chunks that the machine sends now."""
        self.packets = self.machine.poll_transmits()
        return [chunk for data in self.packets for chunk in parse_packet(data)[1]]

    def sack(self) -> tuple[int, int, list[tuple[int, int]]]:
        """The last SACK it sends now: cumulative TSN as a distance from the initial one, window, gaps."""
        cumulative, window, gaps = parse_sack(self.hear(ChunkType.SACK)[-1])
        return cumulative - self.tsn, window, gaps

    def ack(self, offset: int, gaps: Sequence[tuple[int, int]] = (), *, window: int = 1 << 20) -> None:
        """Acknowledge by distance from the machine's initial TSN."""
        self.say(encode_sack(self.their_tsn + offset, window, list(gaps), []))

    def wait(self, seconds: float) -> None:
        """Let time pass, timer by timer."""
        end = self.now + seconds
        while (due := self.machine.poll_timeout()) is not None and due <= end:
            self.now = max(due, self.now)
            self.machine.handle_timeout(self.now)
        self.now = end
