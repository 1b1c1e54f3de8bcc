"""The kernel in Python: the specification of what a compiled twin must do.

It ties sessions (`sessions.py`), streams (`receive.py`) and legs (`legs.py` and the modes) together under slot numbers.
Slots are never used twice. What each part does is said there; the contract is in `interface.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from ..entropy import Entropy
from ..errors import DropReason, LocalProtocolError
from ..outputs import Address, Batch
from .arena import Arena
from .audio import OpusToRedMode, RedToOpusMode
from .interface import AudioLevel, Leg, LegMode, LegStats, Notice, SentPacket, SrtpProfile, StreamSpec, StreamStats
from .legs import LegState, Mode
from .plain import PlainMode
from .receive import Stream
from .sessions import Session
from .svc import SvcMode
from .trailers import TrimmingLeg
from .vp8 import Vp8Mode

_MODES: Final[dict[LegMode, Callable[[LegState], Mode]]] = {
    LegMode.PLAIN: PlainMode,
    LegMode.VP8: Vp8Mode,
    LegMode.SVC: SvcMode,
    LegMode.RED_TO_OPUS: RedToOpusMode,
    LegMode.OPUS_TO_RED: OpusToRedMode,
}


class PureKernel:
    """`Kernel` in Python over libsrtp."""

    __slots__ = ("_arena", "_drops", "_entropy", "_legs", "_next_slot", "_sessions", "_streams")

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._arena = Arena()
        self._drops: dict[DropReason, int] = {}
        self._sessions: dict[int, Session] = {}
        self._streams: dict[int, Stream] = {}
        self._legs: dict[int, LegState] = {}
        self._next_slot = 0

    # Sessions

    def open_session(self, profile: SrtpProfile, local_key: bytes, remote_key: bytes) -> int:
        slot = self._take_slot()
        self._sessions[slot] = Session(
            slot, profile, local_key, remote_key, arena=self._arena, entropy=self._entropy, drops=self._drops
        )
        return slot

    def close_session(self, session: int) -> None:
        found = self._session(session)
        for slot in sorted(found.legs):
            self.remove_leg(slot)
        for stream in found.streams():
            for leg in list(stream.legs):
                self.remove_leg(leg)
            self.remove_stream(stream.slot)
        del self._sessions[session]

    def set_path(self, session: int, local: Address, remote: Address) -> None:
        self._session(session).path = (local, remote)

    # Receiving

    def add_stream(self, session: int, spec: StreamSpec) -> int:
        found = self._session(session)
        stream = Stream(self._take_slot(), found, spec)
        found.add_stream(stream)
        self._streams[stream.slot] = stream
        return stream.slot

    def set_rtx(self, stream: int, rtx_ssrc: int) -> None:
        found = self._stream(stream)
        found.session.set_rtx(found, rtx_ssrc)

    def remove_stream(self, stream: int) -> None:
        found = self._stream(stream)
        for leg in list(found.legs.values()):
            leg.detach()
        found.session.remove_stream(found)
        del self._streams[stream]

    def watch_key_frames(self, stream: int, watch: bool) -> None:
        self._stream(stream).watched = watch

    def ingest(
        self, now: float, session: int, datagrams: Sequence[bytes], arrivals: Sequence[float] = ()
    ) -> list[Notice]:
        notices: list[Notice] = []
        self._forward(now, self._session(session).handle_datagrams(now, datagrams, arrivals, notices), notices)
        return notices

    def inject_received(self, now: float, session: int, packets: Sequence[bytes]) -> list[Notice]:
        notices: list[Notice] = []
        self._forward(now, self._session(session).handle_plain(now, packets, notices), notices)
        return notices

    def has_packet(self, stream: int, position: int) -> bool:
        return self._stream(stream).has_arrived(position)

    def stream_stats(self, stream: int) -> StreamStats:
        return self._stream(stream).stats()

    def take_audio_level(self, stream: int, active_level: int) -> AudioLevel:
        return self._stream(stream).take_audio_level(active_level)

    def set_transport_cc(self, session: int, extension_id: int) -> None:
        self._session(session).transport_cc_id = extension_id

    def take_arrivals(self, session: int) -> list[tuple[int, float]]:
        return self._session(session).take_arrivals()

    def last_arrival(self, session: int) -> float | None:
        return self._session(session).last_arrival

    # Forwarding

    def add_leg(self, leg: Leg) -> int:
        session = self._session(leg.session)
        kind = TrimmingLeg if leg.cuts_trailers else LegState
        state = kind(self._take_slot(), session, leg, self._entropy)
        state.mode = _MODES[leg.mode](state)
        session.legs.add(state.slot)
        self._legs[state.slot] = state
        return state.slot

    def set_leg(self, slot: int, leg: Leg) -> None:
        state = self._leg(slot)
        old_mode = state.spec.mode
        state.set_spec(leg)
        if leg.mode is not old_mode:
            state.mode = _MODES[leg.mode](state)

    def remove_leg(self, slot: int) -> None:
        state = self._leg(slot)
        state.close()
        state.session.legs.discard(slot)
        del self._legs[slot]

    def switch(self, now: float, leg: int, stream: int, position: int, timestamp: int) -> None:
        self._leg(leg).switch(now, self._stream(stream), position, timestamp)

    def detach(self, leg: int) -> None:
        self._leg(leg).detach()

    def inject(self, now: float, leg: int, payload: bytes, *, timestamp_step: int, marker: bool = False,
               payload_type: int | None = None, padding: int = 0) -> None:  # fmt: skip
        self._leg(leg).inject(now, payload, timestamp_step, marker, payload_type, padding)

    def retransmit(self, now: float, leg: int, sequence_numbers: Sequence[int], rtt: float) -> int:
        return self._leg(leg).retransmit(now, sequence_numbers, rtt)

    def leg_stats(self, leg: int) -> LegStats:
        return self._leg(leg).stats()

    def send_rtcp(self, session: int, packet: bytes) -> None:
        self._session(session).send_rtcp(packet)

    def take_sent(self, session: int) -> list[SentPacket]:
        return self._session(session).take_sent()

    def poll_transmits(self) -> list[Batch]:
        return self._arena.poll_transmits()

    def poll_drops(self) -> dict[DropReason, int]:
        drops = dict(self._drops)
        self._drops.clear()
        return drops

    # Private

    def _forward(self, now: float, touched: list[Stream], notices: list[Notice]) -> None:
        """Subscriber-major: each leg sends the whole burst of its stream before the next leg begins."""
        for stream in touched:
            packets, stream.pending = stream.pending, []
            if not packets:
                continue
            for leg in stream.legs.values():
                leg.mode.forward(now, packets)
                if leg.notices:
                    notices += leg.notices
                    leg.notices = []

    def _take_slot(self) -> int:
        slot = self._next_slot
        self._next_slot = slot + 1
        return slot

    def _session(self, slot: int) -> Session:
        try:
            return self._sessions[slot]
        except KeyError:
            raise LocalProtocolError(f"{slot} is no session") from None

    def _stream(self, slot: int) -> Stream:
        try:
            return self._streams[slot]
        except KeyError:
            raise LocalProtocolError(f"{slot} is no stream") from None

    def _leg(self, slot: int) -> LegState:
        try:
            return self._legs[slot]
        except KeyError:
            raise LocalProtocolError(f"{slot} is no leg") from None
