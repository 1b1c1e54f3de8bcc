"""What policy and the network may do to a kernel, one call after another, as a source of choices says.

Hypothesis and the fuzzer drive it, with both kernels as one (`twins.py`), which compares every answer. Peers know their keys:
most of what is wrong here is authentic.
"""

from __future__ import annotations

from contextlib import suppress

import attrs
from bad_packets import CODECS, RTX_OFFSET, RTX_TYPES, SOURCES, Sender, Source
from rig import KEY_BYTES

from sansio.errors import LocalProtocolError
from sansio.kernel import ExtensionIds, Kernel, Leg, LegMode, Notice, NoticeKind, StreamSpec

TARGETS = (
    ExtensionIds(),
    ExtensionIds(transport_cc=3),
    ExtensionIds(transport_cc=3, abs_send_time=2, playout_delay=9, mixed=True),
    ExtensionIds(transport_cc=20, abs_capture_time=7, dependency_descriptor=8),
    ExtensionIds(abs_send_time=2, abs_capture_time=7, dependency_descriptor=8, playout_delay=9, mixed=True),
)
SAME = {one: one for one in CODECS}
ANSWERS = (SAME, SAME, {one: one + 1 for one in CODECS}, {111: 109, 63: 64, 96: 97})
PROFILES = tuple(KEY_BYTES)
MODES = tuple(LegMode)
BEST = {96: LegMode.VP8, 98: LegMode.SVC, 100: LegMode.SVC, 63: LegMode.RED_TO_OPUS, 111: LegMode.OPUS_TO_RED}
"""What each payload type is best served with."""
SSRCS = (*(1,) * 20, *(2,) * 6, *(101,) * 4, 102, 7, 0)
"""Two streams and their RTX, unknown ones, and that of probes."""
PAUSES = (*(0.0,) * 4, *(0.01,) * 8, *(0.02,) * 8, *(0.1,) * 6, 0.5, 0.5, 1.1, 1.1, 2.5, 40000.0)
MAX_LEGS = 6
MAX_WIRE_BYTES = 1600 + 255


class Ordeal:
    """Two peers, whose streams and legs come and go."""

    def __init__(self, kernel: Kernel, source: Source) -> None:
        self.kernel = kernel
        self.source = source
        self.profile = source.pick(PROFILES)
        self.now = 0.0
        self.sessions: list[int] = []
        self.senders: list[Sender] = []
        self.streams: list[int] = []
        self.legs: dict[int, Leg] = {}
        self.kept: list[bytes] = []
        self.flooded = 10_000
        for name in range(2):
            self.sessions.append(self.open(name))
            self.senders.append(Sender(source, self.profile, self.key(3, name)))
        for name in range(2):
            self.add_stream(1 + name)
        for _ in range(1 + source.number(3)):
            self.add_leg()

    def run(self, most: int) -> None:
        """At most so many steps, while there are choices; and the end of everything."""
        for _ in range(most):
            if not self.source:
                break
            self.now += self.source.pick(PAUSES)
            self.source.pick((*(self.receive,) * 6, self.forge, self.forge, *(self.command,) * 3))()
            self.look()
        self.read_counters()
        for session in self.sessions:
            self.kernel.close_session(session)
        self.look()

    def look(self) -> None:
        for batch in self.kernel.poll_transmits():
            for transmit in batch:
                assert 0 < len(transmit.data) <= MAX_WIRE_BYTES
        self.kernel.poll_drops()

    # What comes from the network

    def receive(self) -> None:
        """A burst that means well."""
        name = self.source.pick((0, 0, 0, 1))
        sender = self.senders[name]
        plain = [sender.say(self.source.pick(SSRCS)) for _ in range(1 + self.source.number(4))]
        if self.source.number(6) == 0:
            plain = [sender.packets.damaged(one) if self.source.number(8) == 7 else one for one in plain]
            self.note(self.kernel.inject_received(self.now, self.sessions[name], plain))
            return
        sealed = [sender.seal(one) for one in plain]
        self.kept = (self.kept + sealed)[-12:]
        arrivals = [self.now - 0.01 * one for one in range(len(sealed))] if self.source.flag() else ()
        self.note(self.kernel.ingest(self.now, self.sessions[name], sealed, arrivals))

    def forge(self) -> None:
        """Something that no honest sender sends, or that comes twice."""
        source, name = self.source, self.source.pick((0, 0, 1))
        sender = self.senders[name]
        known = source.pick(self.kept) if self.kept else b"\x80\x60" + bytes(30)
        match source.number(7):
            case 0:
                datagrams = [source.block(300)]
            case 1:
                datagrams = [known, known]
            case 2:
                datagrams = [sender.packets.damaged(known)]
            case 3:
                datagrams = [known[: source.number(len(known) + 1)] + source.block(20)]
            case 4:
                datagrams = [sender.report() for _ in range(1 + source.number(3))]
            case 5 if source.number(4) == 0:
                count = source.pick((3, 40, 300))
                datagrams = sender.flood(self.flooded, count)
                self.flooded += count
            case 5:
                datagrams = [known + bytes(source.pick((1, 1500, 65536 - len(known), 65537)))]
            case _:
                plain = sender.packets.media(source.pick(SSRCS))
                datagrams = [sender.seal(sender.packets.damaged(plain)) for _ in range(1 + source.number(3))]
        self.note(self.kernel.ingest(self.now, self.sessions[name], datagrams))

    def note(self, notices: list[Notice]) -> None:
        """Answer notices as policy does."""
        for notice in notices:
            kind = notice.kind
            if kind in (NoticeKind.FIRST_PACKET, NoticeKind.KEY_FRAME):
                for leg in self.legs:
                    if self.source.number(4):
                        self.kernel.switch(self.now, leg, notice.stream, notice.position, self.source.number(1 << 33))

    # What policy does

    def command(self) -> None:
        commands = (
            self.add_leg, self.set_leg, self.switch, self.detach, self.inject, self.retransmit, self.retransmit,
            self.remove_leg, self.change_stream, self.change_session, self.read_counters, self.send_rtcp,
        )  # fmt: skip
        self.source.pick(commands)()

    def key(self, direction: int, name: int) -> bytes:
        return bytes((name * 16 + direction * one) & 0xFF for one in range(KEY_BYTES[self.profile]))

    def open(self, name: int) -> int:
        session = self.kernel.open_session(self.profile, self.key(7, name), self.key(3, name))
        if name == 0 or self.source.number(8):
            self.kernel.set_path(session, ("192.0.2.1", 7882), ("192.0.2.77", 10000 + name))
        return session

    def add_stream(self, ssrc: int) -> None:
        spec = StreamSpec(
            ssrc=ssrc, clock_rate=self.source.pick((90000, 48000)), is_audio=False, codecs=CODECS,
            extensions=self.source.pick(SOURCES), rtx_ssrc=self.source.pick((RTX_OFFSET + ssrc, 0)), rtx_payload_types=RTX_TYPES,
            history=self.source.pick((16, 32, 512)),
        )  # fmt: skip
        with suppress(LocalProtocolError):
            self.streams.append(self.kernel.add_stream(self.sessions[0], spec))
            self.kernel.watch_key_frames(self.streams[-1], self.source.flag())

    def spec(self, ssrc: int, rtx_ssrc: int) -> Leg:
        source = self.source
        best = BEST.get(self.senders[0].packets.favourite, LegMode.PLAIN)
        return Leg(
            session=self.sessions[1], ssrc=ssrc, rtx_ssrc=rtx_ssrc, payload_types=source.pick(ANSWERS),
            mode=source.pick((*MODES, *(best,) * 5)), clock_rate=source.pick((90000, 48000)), extensions=source.pick(TARGETS),
            rtx_payload_types=source.pick(({}, dict.fromkeys((96, 97, 111, 112), 50))),
            max_spatial=source.number(4), max_temporal=source.number(4), paused=source.number(8) == 7,
            mtu=source.pick((1500, 100)), red_payload_type=source.pick((60, 0)),
            playout_delay_ms=source.pick((None, (0, 200), (-5, 99999))), cuts_trailers=source.flag(),
        )  # fmt: skip

    def add_leg(self) -> None:
        spec = self.spec(1000 + self.source.number(8), self.source.pick((0, 2000 + self.source.number(8))))
        if len(self.legs) < MAX_LEGS:
            with suppress(LocalProtocolError):
                self.legs[self.kernel.add_leg(spec)] = spec

    def set_leg(self) -> None:
        leg = self.leg()
        if leg is not None:
            old = self.legs[leg]
            ssrc, rtx_ssrc = 1000 + self.source.number(8), 2000 + self.source.number(8)
            spec = self.spec(
                self.source.pick((old.ssrc, old.ssrc, ssrc)), self.source.pick((old.rtx_ssrc, old.rtx_ssrc, rtx_ssrc, 0))
            )  # fmt: skip
            if self.source.number(16) == 15:
                spec = attrs.evolve(spec, session=self.sessions[0])  # which is refused
            with suppress(LocalProtocolError):
                self.kernel.set_leg(leg, spec)
                self.legs[leg] = spec

    def leg(self) -> int | None:
        return self.source.pick(list(self.legs)) if self.legs else None

    def switch(self) -> None:
        leg = self.leg()
        if leg is not None and self.streams:
            stream = self.source.pick(self.streams)
            position = max(self.kernel.stream_stats(stream).highest_position - self.source.pick((0, 1, 5, 600, -3)), 0)
            self.kernel.switch(self.now, leg, stream, position, self.source.number(1 << 33))

    def detach(self) -> None:
        leg = self.leg()
        if leg is not None:
            self.kernel.detach(leg)

    def inject(self) -> None:
        leg = self.leg()
        if leg is not None:
            payload = self.senders[0].packets.payload(self.source.pick((96, 111)))
            with suppress(LocalProtocolError):
                self.kernel.inject(
                    self.now, leg, payload, timestamp_step=self.source.number(4000), marker=self.source.flag(),
                    payload_type=self.source.pick((None, 99)), padding=self.source.number(257),
                )  # fmt: skip

    def retransmit(self) -> None:
        """What a NACK asks for, true or not."""
        leg = self.leg()
        if leg is not None:
            last = self.kernel.leg_stats(leg).last_sequence_number
            numbers = [(last - self.source.number(40)) & 0xFFFF for _ in range(self.source.number(20))]
            numbers += [self.source.number(1 << 16), last & 0xFFFF, last & 0xFFFF]
            sent = self.kernel.retransmit(self.now, leg, numbers, self.source.number(100) / 1000)
            assert sent <= len(numbers)

    def remove_leg(self) -> None:
        leg = self.leg()
        if leg is not None and self.source.flag():
            self.kernel.remove_leg(leg)
            del self.legs[leg]

    def change_stream(self) -> None:
        if not self.streams:
            self.add_stream(1)
            return
        stream = self.source.pick(self.streams)
        match self.source.number(4):
            case 0:
                self.kernel.remove_stream(stream)
                self.streams.remove(stream)
                self.add_stream(1 + self.source.number(3))
            case 1:
                with suppress(LocalProtocolError):
                    self.kernel.set_rtx(stream, self.source.pick((0, 101, 102, 1)))
            case 2:
                self.kernel.watch_key_frames(stream, self.source.flag())
            case _:
                self.kernel.set_transport_cc(self.sessions[0], self.source.pick((0, 2, 3)))

    def change_session(self) -> None:
        match self.source.number(6):
            case 0:  # everything that hung on it is gone
                self.kernel.close_session(self.sessions[1])
                self.legs.clear()
                self.sessions[1] = self.open(1)
            case 1:
                self.kernel.set_path(self.sessions[1], ("192.0.2.1", 7882), ("192.0.2.78", self.source.number(65536)))
            case _:
                self.add_stream(1 + self.source.number(3))

    def send_rtcp(self) -> None:
        with suppress(LocalProtocolError):
            self.kernel.send_rtcp(self.source.pick(self.sessions), b"\x80\xc9\x00\x01" + self.source.block(40))

    def read_counters(self) -> None:
        """Everything that can be read of a kernel, within its bounds."""
        for session in self.sessions:
            assert len(self.kernel.take_arrivals(session)) <= 8192
            assert len(self.kernel.take_sent(session)) <= 2048
            self.kernel.last_arrival(session)
        for stream in self.streams:
            highest = self.kernel.stream_stats(stream).highest_position
            for back in (-1, 0, 1, 2, 8191, 8192):
                self.kernel.has_packet(stream, highest - back)
            self.kernel.take_audio_level(stream, 35)
        for leg in self.legs:
            self.kernel.leg_stats(leg)
