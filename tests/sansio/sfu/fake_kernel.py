"""A kernel without packets: it records what policy writes and reports the counters that a test sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sansio.errors import DropReason, LocalProtocolError
from sansio.kernel import (
    AudioLevel,
    ExtensionIds,
    Leg,
    LegMode,
    LegStats,
    Notice,
    NoticeKind,
    SentPacket,
    SrtpProfile,
    StreamSpec,
    StreamStats,
)
from sansio.outputs import Address, Batch
from sansio.sfu.layerset import NO_STATS


class Switch(NamedTuple):
    now: float
    leg: int
    stream: int
    position: int
    timestamp: int


class FakeStream:
    """A received stream; `send` advances its counters as if packets had come."""

    def __init__(self, slot: int, clock_rate: int, timestamp: int) -> None:
        self.slot = slot
        self.clock_rate = clock_rate
        self.stats = NO_STATS._replace(last_timestamp=timestamp)
        self.missing: set[int] = set()
        self.watched = False
        self.level = AudioLevel(0.0, 0.0, 127)

    def send(self, now: float, *, packets: int = 1, key: bool = False, layer: int = 0, elapsed: float = 0.02) -> Notice:
        """A frame of `packets` packets `elapsed` seconds of clock after the last; the KEY_FRAME or FIRST_PACKET notice."""
        old = self.stats
        is_first = old.first_position < 0
        position = 1000 if is_first else old.highest_position + 1
        timestamp = old.last_timestamp + round(elapsed * self.clock_rate)
        layer_bytes = list(old.layer_bytes)
        layer_bytes[layer] += 1000 * packets
        self.stats = old._replace(
            packets=old.packets + packets,
            bytes=old.bytes + 1000 * packets,
            frames=old.frames + 1,
            key_frames=old.key_frames + key,
            first_position=position if is_first else old.first_position,
            highest_position=position + packets - 1,
            expected=old.expected + packets,
            received=old.received + packets,
            last_timestamp=timestamp,
            last_arrival=now,
            first_arrival=now if is_first else old.first_arrival,
            layer_bytes=tuple(layer_bytes),
        )
        kind = NoticeKind.FIRST_PACKET if is_first else NoticeKind.KEY_FRAME
        return Notice(kind, self.slot, position=position, timestamp=timestamp)


class FakeKernel:
    """Records `switches`, `detached`, `injected`, `retransmitted` and each leg's present data."""

    def __init__(self) -> None:
        self.streams: dict[int, FakeStream] = {}
        self.legs: dict[int, Leg] = {}
        self.leg_state: dict[int, LegStats] = {}
        self.switches: list[Switch] = []
        self.detached: list[int] = []
        self.injected: list[tuple[float, int, bytes, int, int]] = []
        self.injected_types: list[int | None] = []
        self.retransmitted: list[tuple[int, tuple[int, ...], float]] = []
        self._next_slot = 1

    # What tests do

    def stream(self, *, clock_rate: int = 90_000, timestamp: int = 500_000) -> FakeStream:
        slot = self._take_slot()
        self.streams[slot] = FakeStream(slot, clock_rate, timestamp)
        return self.streams[slot]

    def forward(self, now: float, leg: int, timestamp: int) -> None:
        """The leg sent a packet with that outgoing timestamp."""
        state = self.leg_state[leg]
        self.leg_state[leg] = state._replace(
            started=True,
            packets=state.packets + 1,
            octets=state.octets + 1000,
            last_timestamp=timestamp,
            last_sent=now,
            first_timestamp=state.first_timestamp if state.started else timestamp,
            first_sent=state.first_sent if state.started else now,
        )

    def forget(self) -> None:
        """As after `close_session`: no stream or leg is known any more."""
        self.streams.clear()
        self.legs.clear()
        self.leg_state.clear()

    # What policy calls

    def watch_key_frames(self, stream: int, watch: bool) -> None:
        self._stream(stream).watched = watch

    def has_packet(self, stream: int, position: int) -> bool:
        found = self._stream(stream)
        return position <= found.stats.highest_position and position not in found.missing

    def stream_stats(self, stream: int) -> StreamStats:
        return self._stream(stream).stats

    def take_audio_level(self, stream: int, active_level: int) -> AudioLevel:
        found = self._stream(stream)
        level, found.level = found.level, AudioLevel(0.0, 0.0, 127)
        return level

    def add_leg(self, leg: Leg) -> int:
        slot = self._take_slot()
        self.legs[slot] = leg
        self.leg_state[slot] = LegStats(0, 0, 0, 0, 0, -1, False, 0, 0, 0, 0.0, 0, 0.0, -1, -1)
        return slot

    def set_leg(self, slot: int, leg: Leg) -> None:
        self._leg(slot)
        self.legs[slot] = leg

    def remove_leg(self, slot: int) -> None:
        self._leg(slot)
        del self.legs[slot], self.leg_state[slot]

    def switch(self, now: float, leg: int, stream: int, position: int, timestamp: int) -> None:
        self._stream(stream)
        self.leg_state[leg] = self._leg(leg)._replace(stream=stream)
        self.switches.append(Switch(now, leg, stream, position, timestamp))
        self.forward(now, leg, timestamp)

    def detach(self, leg: int) -> None:
        self.leg_state[leg] = self._leg(leg)._replace(stream=-1)
        self.detached.append(leg)

    def inject(self, now: float, leg: int, payload: bytes, *, timestamp_step: int, marker: bool = False,
               payload_type: int | None = None, padding: int = 0) -> None:  # fmt: skip
        self.injected_types.append(payload_type)
        self.injected.append((now, leg, payload, timestamp_step, padding))
        self.forward(now, leg, self._leg(leg).last_timestamp + timestamp_step)

    def retransmit(self, now: float, leg: int, sequence_numbers: Sequence[int], rtt: float) -> int:
        self._leg(leg)
        self.retransmitted.append((leg, tuple(sequence_numbers), rtt))
        return len(sequence_numbers)

    def leg_stats(self, leg: int) -> LegStats:
        return self._leg(leg)

    # What policy here never calls

    def open_session(self, profile: SrtpProfile, local_key: bytes, remote_key: bytes) -> int:
        raise AssertionError

    def close_session(self, session: int) -> None:
        raise AssertionError

    def set_path(self, session: int, local: Address, remote: Address) -> None:
        raise AssertionError

    def add_stream(self, session: int, spec: StreamSpec) -> int:
        raise AssertionError

    def set_rtx(self, stream: int, rtx_ssrc: int) -> None:
        raise AssertionError

    def remove_stream(self, stream: int) -> None:
        raise AssertionError

    def ingest(
        self, now: float, session: int, datagrams: Sequence[bytes], arrivals: Sequence[float] = ()
    ) -> list[Notice]:
        raise AssertionError

    def inject_received(self, now: float, session: int, packets: Sequence[bytes]) -> list[Notice]:
        raise AssertionError

    def set_transport_cc(self, session: int, extension_id: int) -> None:
        raise AssertionError

    def take_arrivals(self, session: int) -> list[tuple[int, float]]:
        raise AssertionError

    def last_arrival(self, session: int) -> float | None:
        raise AssertionError

    def send_rtcp(self, session: int, packet: bytes) -> None:
        raise AssertionError

    def take_sent(self, session: int) -> list[SentPacket]:
        raise AssertionError

    def poll_transmits(self) -> list[Batch]:
        raise AssertionError

    def poll_drops(self) -> dict[DropReason, int]:
        raise AssertionError

    def _take_slot(self) -> int:
        self._next_slot += 1
        return self._next_slot

    def _stream(self, slot: int) -> FakeStream:
        if slot not in self.streams:
            raise LocalProtocolError(f"no stream {slot}")
        return self.streams[slot]

    def _leg(self, slot: int) -> LegStats:
        if slot not in self.leg_state:
            raise LocalProtocolError(f"no leg {slot}")
        return self.leg_state[slot]


def make_leg(**changes: Any) -> Leg:
    values: dict[str, Any] = {
        "session": 1,
        "ssrc": 0xBEEF,
        "payload_types": {96: 96},
        "mode": LegMode.PLAIN,
        "clock_rate": 90_000,
        "extensions": ExtensionIds(),
    }
    return Leg(**(values | changes))
