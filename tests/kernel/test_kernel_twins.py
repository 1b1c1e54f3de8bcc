"""Both kernels get the same packets, forged ones too, and the same changes of legs: bytes, notices and counters are equal.

The fixtures compare them in every other test of this directory as well (`twins.py`); this one goes where those do not.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

import attrs
import pytest
from conftest import MakeKernel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pylibsrtp import Error
from rig import KEY_BYTES, SERVER, Peer, vp8, write
from test_kernel_layer_properties import descriptors, structures

from sansio.errors import LocalProtocolError
from sansio.kernel import Codec, ExtensionIds, Kernel, Leg, LegMode, Notice, NoticeKind, SrtpProfile, StreamSpec
from sansio.kernel.native import choose_kernel
from sansio.rtp import Structure, red

SOURCE = ExtensionIds(
    audio_level=1, transport_cc=2, abs_send_time=3, abs_capture_time=4, dependency_descriptor=5, mixed=True
)
TARGETS = (
    ExtensionIds(),
    ExtensionIds(transport_cc=3),
    ExtensionIds(transport_cc=3, abs_send_time=2, playout_delay=9, mixed=True),
    ExtensionIds(transport_cc=20, abs_capture_time=7, dependency_descriptor=8),
    ExtensionIds(abs_send_time=2, abs_capture_time=7, dependency_descriptor=8, playout_delay=9, mixed=True),
)
PAYLOAD_TYPES = {
    96: Codec.VP8, 98: Codec.VP9, 100: Codec.AV1, 102: Codec.H264, 104: Codec.H265, 63: Codec.RED, 111: Codec.OPUS,
    0: Codec.OPAQUE,
}  # fmt: skip
MODES = {96: LegMode.VP8, 98: LegMode.SVC, 100: LegMode.SVC, 63: LegMode.RED_TO_OPUS, 111: LegMode.OPUS_TO_RED}
"""What each payload type is best served with."""
STEPS = (*(1,) * 20, 2, 3, 0, -1, -2, 70, 2500, 30000)
"""Of sequence numbers."""
ANSWERS = ({one: one for one in PAYLOAD_TYPES}, {one: one + 1 for one in PAYLOAD_TYPES}, {111: 109, 63: 64, 96: 97})
COMPARED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example]
)


class Both:
    """A publisher with two streams and a subscriber with legs, on twins; and what hypothesis does with them."""

    def __init__(self, kernel: Kernel, draw: Callable[[st.SearchStrategy[int]], int], profile: SrtpProfile) -> None:
        self.kernel = kernel
        self.draw = draw
        self.publisher = Peer(kernel, 1, profile)
        self.subscriber = Peer(kernel, 2, profile)
        self.now = 0.0
        self.streams: list[int] = []
        self.legs: dict[int, Leg] = {}
        self.numbers = [draw(st.sampled_from((0, 100, 32000, 65530))) for _ in range(2)]
        self.timestamps = [draw(st.sampled_from((0, 1 << 31, (1 << 32) - 3000))) for _ in range(2)]
        self.seen: list[bytes] = []
        self.frame = 65530
        self.structure: Structure | None = None
        self.favourite = draw(st.sampled_from(list(PAYLOAD_TYPES)))
        for index in range(2):
            spec = StreamSpec(
                ssrc=1 + index, clock_rate=90000, is_audio=False, codecs=PAYLOAD_TYPES, extensions=SOURCE,
                rtx_ssrc=101 + index, rtx_payload_types={97: 96, 112: 111}, history=32,
            )  # fmt: skip
            self.streams.append(kernel.add_stream(self.publisher.session, spec))
            kernel.watch_key_frames(self.streams[-1], True)

    def pick(self, count: int) -> int:
        return self.draw(st.integers(0, count - 1))

    def packet(self, data: st.DataObject) -> bytes:
        index = self.pick(2)
        self.numbers[index] += data.draw(st.sampled_from(STEPS))
        self.timestamps[index] += data.draw(st.sampled_from((0, 0, 960, 3000, 3000, -3000)))
        payload_type = self.favourite if self.pick(4) else data.draw(st.sampled_from((*PAYLOAD_TYPES, 97, 112, 5)))
        extensions = data.draw(
            st.dictionaries(st.sampled_from((1, 2, 3, 4, 14)), st.binary(min_size=1, max_size=9), max_size=3)
        )
        if payload_type in (98, 100) and self.pick(4):
            attach = self.structure is None or self.pick(6) == 0
            if attach:
                self.structure = data.draw(structures())
            self.frame += data.draw(st.sampled_from((0, 1, 1, 2, -1)))
            assert self.structure is not None
            extensions[5] = data.draw(descriptors(self.structure, self.frame & 0xFFFF, attach))
        return write(
            self.numbers[index], self.timestamps[index], self.payload(data, payload_type),
            ssrc=data.draw(st.sampled_from((*(1 + index,) * 12, 101 + index, 7, 0))),
            payload_type=payload_type, marker=bool(self.pick(2)), extensions=extensions, two_byte=True,
            padding=data.draw(st.sampled_from((0, 0, 0, 3))), csrcs=data.draw(st.sampled_from((0, 0, 2))),
        )  # fmt: skip

    def payload(self, data: st.DataObject, payload_type: int) -> bytes:
        anything = st.binary(max_size=60)
        match PAYLOAD_TYPES.get(payload_type):
            case Codec.VP8:
                picture = st.builds(
                    vp8, st.integers(32700, 32780), st.integers(250, 260), st.integers(0, 3), key=st.booleans(),
                    start=st.booleans(), sync=st.booleans(), bits=st.sampled_from((7, 15)), key_index=st.integers(0, 31),
                )  # fmt: skip
                return data.draw(picture | anything)
            case Codec.RED:
                blocks = st.lists(st.tuples(st.sampled_from((111, 5)), st.integers(0, 3000), anything), max_size=3)
                return data.draw(st.builds(red.encode, st.sampled_from((111, 111, 5)), anything, blocks) | anything)
            case Codec.H264 | Codec.H265 | Codec.AV1 | Codec.VP9:
                heads = (
                    b"\x67\x42\xc0\x1f\xda",
                    b"\x78\x00\x05\x67\x42",
                    b"\x42\x01\x01",
                    b"\x18\x0a\x0b",
                    b"\x88\x05",
                    b"",
                )
                trailer = data.draw(st.sampled_from((b"", b"", b"ab\xf8LKTS", b"LKTS")))
                return data.draw(st.sampled_from(heads)) + data.draw(anything) + trailer
            case _:
                return data.draw(anything)

    def receive(self, data: st.DataObject) -> None:
        burst = [self.packet(data) for _ in range(1 + self.pick(5))]
        if self.pick(5) == 0:
            self.take(self.kernel.inject_received(self.now, self.publisher.session, burst))
            return
        protected = []
        for one in burst:
            with suppress(Error):  # libsrtp sends nothing from before its window
                protected.append(self.publisher.protect(one))
        if self.pick(4) == 0 and protected:
            protected.append(self.forge(data, [one for one in protected + self.seen if one]))
        self.seen = protected
        arrivals = [self.now - 0.01 * index for index in range(len(protected))] if self.pick(2) else ()
        self.take(self.kernel.ingest(self.now, self.publisher.session, protected, arrivals))

    def forge(self, data: st.DataObject, known: list[bytes]) -> bytes:
        one = data.draw(st.sampled_from(known))
        match self.pick(4):
            case 0:
                return one
            case 1:
                return one[: self.pick(len(one))]
            case 2:
                at = self.pick(len(one))
                return one[:at] + bytes((one[at] ^ 1 << self.pick(8),)) + one[at + 1 :]
            case _:
                return data.draw(st.binary(max_size=60))

    def take(self, notices: list[Notice]) -> None:
        for notice in notices:
            if notice.kind in (NoticeKind.FIRST_PACKET, NoticeKind.KEY_FRAME) and self.legs and self.pick(3):
                leg = data_pick(self, list(self.legs))
                self.kernel.switch(self.now, leg, notice.stream, notice.position, self.pick(1 << 33))

    def spec(self, data: st.DataObject, ssrc: int, rtx_ssrc: int) -> Leg:
        return Leg(
            session=self.subscriber.session, ssrc=ssrc, rtx_ssrc=rtx_ssrc,
            payload_types=data.draw(st.sampled_from(ANSWERS)),
            mode=data.draw(st.sampled_from((*LegMode, MODES.get(self.favourite, LegMode.PLAIN)))),
            clock_rate=data.draw(st.sampled_from((48000, 90000))), extensions=data.draw(st.sampled_from(TARGETS)),
            rtx_payload_types=data.draw(st.sampled_from(({}, dict.fromkeys((96, 97, 111, 112), 50)))),
            max_spatial=self.pick(4), max_temporal=self.pick(4), paused=self.pick(8) == 0,
            mtu=data.draw(st.sampled_from((100, 1500))), red_payload_type=data.draw(st.sampled_from((0, 60))),
            playout_delay_ms=data.draw(st.sampled_from((None, (0, 200), (-5, 99999)))), cuts_trailers=bool(self.pick(2)),
        )  # fmt: skip

    def act(self, data: st.DataObject) -> None:
        """One change that policy might make."""
        kernel, now = self.kernel, self.now
        choice = self.pick(9)
        if choice == 0 or not self.legs:
            spec = self.spec(data, 1000 + self.pick(6), data.draw(st.sampled_from((0, 2000 + self.pick(6)))))
            with suppress(LocalProtocolError):
                self.legs[kernel.add_leg(spec)] = spec
            return
        leg = data_pick(self, list(self.legs))
        match choice:
            case 1:
                old = self.legs[leg]
                spec = self.spec(data, old.ssrc, old.rtx_ssrc)
                kernel.set_leg(leg, spec)
                self.legs[leg] = spec
            case 2:
                stream = data_pick(self, self.streams)
                position = kernel.stream_stats(stream).highest_position - self.pick(6)
                kernel.switch(now, leg, stream, max(position, 0), self.pick(1 << 33))
            case 3:
                kernel.detach(leg)
            case 4:
                payload = self.payload(data, data.draw(st.sampled_from((96, 111))))
                kernel.inject(now, leg, payload, timestamp_step=self.pick(4000), padding=self.pick(256))
            case 5:
                last = kernel.leg_stats(leg).last_sequence_number
                kernel.retransmit(now, leg, [(last - self.pick(40)) & 0xFFFF for _ in range(5)], self.pick(100) / 1000)
            case 6 if self.pick(2):
                kernel.remove_leg(leg)
                del self.legs[leg]
            case 7:
                report = (
                    b"\x80\xc9\x00\x01"
                    + data.draw(st.binary(min_size=4, max_size=4))
                    + data.draw(st.binary(max_size=40))
                )
                kernel.send_rtcp(self.subscriber.session, report)
            case _:
                kernel.set_path(self.subscriber.session, SERVER, self.subscriber.address)


def data_pick(both: Both, values: list[int]) -> int:
    return values[both.pick(len(values))]


@pytest.mark.skipif(not os.environ.get("CI"), reason="only CI must build the compiled kernel")
def test_ci_has_both_kernels() -> None:
    assert choose_kernel().name == "native", choose_kernel().reason


@pytest.mark.parametrize("make_kernel", ["twins"], indirect=True)
@COMPARED
@given(data=st.data(), profile=st.sampled_from(list(KEY_BYTES)))
def test_twins_do_the_same(make_kernel: MakeKernel, data: st.DataObject, profile: SrtpProfile) -> None:
    both = Both(make_kernel(7), data.draw, profile)
    kernel = both.kernel
    for _ in range(2):
        both.act(data)
    for _ in range(data.draw(st.integers(1, 40))):
        both.now += data.draw(st.sampled_from((0.0, 0.01, 0.02, 0.5, 1.1, 40000.0)))
        if both.pick(3):
            both.receive(data)
        else:
            both.act(data)
        kernel.poll_transmits()
        kernel.poll_drops()
    for session in (both.publisher.session, both.subscriber.session):
        kernel.take_arrivals(session)
        kernel.take_sent(session)
        kernel.last_arrival(session)
    for stream in both.streams:
        kernel.take_audio_level(stream, 35)
    kernel.remove_stream(both.streams[0])
    both.numbers[1] += 1
    both.receive(data)
    kernel.close_session(both.publisher.session)
    kernel.poll_transmits()


@pytest.mark.parametrize("make_kernel", ["twins"], indirect=True)
@pytest.mark.parametrize("profile", list(KEY_BYTES), ids=lambda profile: profile.name)
def test_twins_follow_many_roll_overs_and_floods_alike(make_kernel: MakeKernel, profile: SrtpProfile) -> None:
    kernel = make_kernel(1)
    peer, subscriber = Peer(kernel, 1, profile), Peer(kernel, 2, profile)
    stream = kernel.add_stream(
        peer.session,
        StreamSpec(ssrc=1, clock_rate=90000, is_audio=False, codecs={96: Codec.OPAQUE}, extensions=SOURCE),
    )
    leg = kernel.add_leg(
        Leg(
            session=subscriber.session, ssrc=9, payload_types={96: 96}, mode=LegMode.PLAIN, clock_rate=90000,
            extensions=TARGETS[1],
        )
    )  # fmt: skip
    kept: list[bytes] = []
    for step in range(400):
        packets = [peer.protect(write(step * 997 + index, step * 3000, b"x%d" % step)) for index in (0, 2, 1)]
        kept += packets
        late = kept[max(0, len(kept) - 900) :: 299]
        notices = kernel.ingest(step / 30, peer.session, [*packets, *late, packets[0][:-1], b"\x80\x60" + bytes(40)])
        if step == 0:
            kernel.switch(0.0, leg, stream, notices[0].position, 5)
        flood = [write(1, 1, b"?", ssrc=10_000 + step * 3 + index) for index in range(3)]
        kernel.ingest(step / 30, peer.session, [peer.protect(one) for one in flood])
        kernel.poll_transmits()
        kernel.poll_drops()
    kernel.retransmit(99.0, leg, list(range(0, 65536, 64)), 0.1)
    kernel.poll_transmits()


@pytest.mark.parametrize("make_kernel", ["twins"], indirect=True)
def test_twins_number_ssrcs_that_come_back_alike(make_kernel: MakeKernel) -> None:
    kernel = make_kernel(1)
    peer = Peer(kernel, 2)
    spec = Leg(
        session=peer.session, ssrc=9, payload_types={96: 96}, mode=LegMode.PLAIN, clock_rate=90000,
        extensions=ExtensionIds(transport_cc=3), rtx_ssrc=8, rtx_payload_types={96: 97},
    )  # fmt: skip
    for round_trip in range(200):
        leg = kernel.add_leg(attrs.evolve(spec, ssrc=9 + round_trip % 90 * 2, rtx_ssrc=10 + round_trip % 90 * 2))
        kernel.inject(0.1 * round_trip, leg, b"frame", timestamp_step=3000)
        number = kernel.leg_stats(leg).last_sequence_number
        kernel.retransmit(0.1 * round_trip + 1.0, leg, [number & 0xFFFF], 0.0)
        kernel.send_rtcp(peer.session, b"\x80\xc8\x00\x01" + (9 + round_trip % 90 * 2).to_bytes(4, "big"))
        kernel.poll_transmits()
        kernel.remove_leg(leg)
