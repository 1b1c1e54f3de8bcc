"""Binding of SSRCs, with decrypted packets fed straight into the pure kernel."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sansio.entropy import SeededEntropy
from sansio.errors import DropReason, LocalProtocolError
from sansio.kernel import Codec, ExtensionIds, Notice, NoticeKind, SrtpProfile
from sansio.kernel.pure import PureKernel
from sansio.rtp import encode_extensions, encode_packet
from sansio.transport import ReceiveSection, StreamBound, StreamUnbound
from sansio.transport.streams import Streams

IDS = ExtensionIds(mid=1, rid=2, repaired_rid=3, transport_cc=5)
CAMERA = ReceiveSection(
    mid="1",
    kind="video",
    clock_rate=90000,
    codecs={96: Codec.VP8},
    rtx={97: 96},
    extensions=IDS,
    rids=("f", "h", "q"),
    nack=True,
)
MICROPHONE = ReceiveSection(mid="0", kind="audio", clock_rate=48000, codecs={111: Codec.OPUS}, extensions=IDS)
VP8 = b"\x10\x00\x9d\x01\x2a" + bytes(20)


def packet(
    ssrc: int, number: int = 1, *, mid: str = "", rid: str = "", repaired: str = "", payload_type: int = 96,
    payload: bytes = VP8, padding: int = 0, ids: ExtensionIds = IDS,
) -> bytes:  # fmt: skip
    elements = [(ids.mid, mid), (ids.rid, rid), (ids.repaired_rid, repaired)]
    return encode_packet(
        payload_type=payload_type,
        sequence_number=number,
        timestamp=3000 * number,
        ssrc=ssrc,
        payload=payload,
        padding=padding,
        extension=encode_extensions([(identifier, text.encode()) for identifier, text in elements if text]),
    )


def repair(ssrc: int, number: int, original: int, **names: str) -> bytes:
    return packet(ssrc, number, payload_type=97, payload=original.to_bytes(2, "big") + VP8, **names)  # type: ignore[arg-type]


class Bench:
    def __init__(self, *sections: ReceiveSection, limit: int = 64) -> None:
        self.kernel = PureKernel(SeededEntropy(1))
        self.session = self.kernel.open_session(SrtpProfile.AEAD_AES_128_GCM, bytes(28), bytes(28))
        self.streams = Streams(self.kernel, limit=limit)
        self.streams.open(self.session)
        self.notices: list[Notice] = []
        self.now = 10.0
        if sections:
            self.set(*sections)

    def set(self, *sections: ReceiveSection) -> None:
        self.notices += self.streams.set_sections(self.now, sections)

    def feed(self, *packets: bytes) -> None:
        """One by one, as the transport does with the kernel's notices."""
        for data in packets:
            for notice in self.kernel.inject_received(self.now, self.session, [data]):
                if notice.kind is NoticeKind.UNKNOWN_SSRC:
                    self.notices += self.streams.handle_unknown(self.now, notice.ssrc, notice.data)
                else:
                    self.notices.append(notice)

    def bound(self) -> list[tuple[str, str, int]]:
        return [(event.mid, event.rid, event.ssrc) for event in self.events() if isinstance(event, StreamBound)]

    def events(self) -> list[StreamBound | StreamUnbound]:
        """What happened; its end is also when unbound slots go, and sections that changed take effect."""
        events = self.streams.poll_events()
        for slot in self.streams.poll_leaving():
            self.kernel.stream_stats(slot)
            self.streams.release(slot)
        return events + self.streams.poll_events()

    def slot(self, ssrc: int) -> int:
        stream = self.streams.by_ssrc(ssrc)
        assert stream is not None
        return stream.slot

    def received(self, ssrc: int) -> int:
        return self.kernel.stream_stats(self.slot(ssrc)).received


def test_mid_and_rid_bind_a_layer_and_its_packets_are_replayed_in_order() -> None:
    bench = Bench(CAMERA, MICROPHONE)
    bench.feed(packet(11, 1), packet(11, 2), packet(11, 3, mid="1"), packet(11, 4, mid="1", rid="q"))
    assert bench.bound() == [("1", "q", 11)]
    stats = bench.kernel.stream_stats(bench.slot(11))
    assert (stats.received, stats.out_of_order, stats.first_position & 0xFFFF) == (4, 0, 1)
    assert [notice.kind for notice in bench.notices] == [NoticeKind.FIRST_PACKET]
    bench.feed(packet(11, 5))
    assert bench.received(11) == 5


def test_a_burst_whose_first_packet_binds_is_received_whole() -> None:
    bench = Bench(MICROPHONE)
    burst = [packet(7, number, payload_type=111, mid="0") for number in (1, 2, 3)]
    for notice in bench.kernel.inject_received(bench.now, bench.session, burst):
        bench.streams.handle_unknown(bench.now, notice.ssrc, notice.data)
    assert bench.bound() == [("0", "", 7)]
    assert bench.received(7) == 3


def test_mid_and_rid_may_come_in_different_packets() -> None:
    bench = Bench(CAMERA)
    bench.feed(packet(11, 1, rid="h"), packet(11, 2, mid="1"))
    assert bench.bound() == [("1", "h", 11)]


def test_a_padding_only_packet_names_its_stream_and_does_not_start_it() -> None:
    bench = Bench(CAMERA)
    bench.feed(packet(11, 1, mid="1", rid="f", payload=b"", padding=200))
    assert bench.bound() == [("1", "f", 11)]
    assert bench.kernel.stream_stats(bench.slot(11)).first_position == -1


def test_the_event_names_slot_and_payload_type() -> None:
    bench = Bench(MICROPHONE)
    bench.feed(packet(7, payload_type=111, mid="0"))
    assert bench.events() == [StreamBound(mid="0", rid="", ssrc=7, stream=bench.slot(7), payload_type=111)]


@pytest.mark.parametrize(
    ("sections", "data", "expected"),
    [
        pytest.param(
            [CAMERA, attrs.evolve(MICROPHONE, ssrcs=(5,))],
            packet(5, payload_type=111),
            ("0", "", 5),
            id="declared SSRC",
        ),
        pytest.param(
            [attrs.evolve(CAMERA, rids=(), ssrcs=(5, 6, 7))], packet(7), ("1", "f", 7), id="third of a SIM group"
        ),
        pytest.param(
            [attrs.evolve(CAMERA, rids=(), ssrcs=(5, 6, 7))], packet(5), ("1", "q", 5), id="first of a SIM group"
        ),
        pytest.param([attrs.evolve(CAMERA, rids=("f",))], packet(5, mid="1"), ("1", "f", 5), id="only one rid"),
        pytest.param([attrs.evolve(CAMERA, rids=("f",), ssrcs=(5,))], packet(5), ("1", "f", 5), id="SSRC and one rid"),
        pytest.param([attrs.evolve(CAMERA, rids=())], packet(5, mid="1"), ("1", "", 5), id="mid without layers"),
        pytest.param([attrs.evolve(CAMERA, rids=())], packet(5, mid="1", rid="x"), ("1", "", 5), id="rid not agreed"),
        pytest.param([CAMERA, MICROPHONE], packet(5, payload_type=111), ("0", "", 5), id="payload type of one section"),
        pytest.param([CAMERA, MICROPHONE], packet(5, rid="h"), ("1", "h", 5), id="payload type and rid"),
    ],
)
def test_what_binds(sections: list[ReceiveSection], data: bytes, expected: tuple[str, str, int]) -> None:
    bench = Bench(*sections)
    bench.feed(data)
    assert bench.bound() == [expected]
    assert bench.received(expected[2]) == 1


@pytest.mark.parametrize(
    ("sections", "data"),
    [
        pytest.param([], packet(5, mid="1", rid="q"), id="no sections"),
        pytest.param([MICROPHONE], packet(5, payload_type=111, mid="7"), id="mid of a section that is still to come"),
        pytest.param(
            [attrs.evolve(MICROPHONE, ssrcs=(4,))], packet(5, payload_type=111), id="type of a section with other SSRCs"
        ),
        pytest.param([CAMERA], packet(5), id="nothing said, several layers"),
        pytest.param([CAMERA], packet(5, mid="1"), id="mid without rid"),
        pytest.param([CAMERA], packet(5, mid="1", rid="z"), id="unknown rid"),
        pytest.param([CAMERA], packet(5, mid="9", rid="q"), id="unknown mid"),
        pytest.param([CAMERA], packet(5, mid="1", rid="q", payload_type=50), id="unknown payload type"),
        pytest.param(
            [MICROPHONE, attrs.evolve(MICROPHONE, mid="3")],
            packet(5, payload_type=111),
            id="payload type of two sections",
        ),
        pytest.param([CAMERA], repair(5, 1, 1, mid="1", repaired="q"), id="retransmissions of an unknown layer"),
        pytest.param([CAMERA], repair(5, 1, 1, mid="1"), id="retransmissions of who knows which layer"),
        pytest.param([attrs.evolve(CAMERA, ssrcs=(4,), fid={4: 5})], repair(5, 1, 1), id="retransmissions came first"),
        pytest.param(
            [attrs.evolve(CAMERA, rids=(), ssrcs=(5,))], packet(5, payload_type=9), id="declared, foreign type"
        ),
    ],
)
def test_what_waits(sections: list[ReceiveSection], data: bytes) -> None:
    bench = Bench(*sections)
    bench.feed(data)
    assert bench.events() == []


def test_sections_may_come_after_the_packets() -> None:
    bench = Bench()
    bench.feed(packet(11, 1, mid="1", rid="q"), packet(11, 2), packet(12, 1, mid="1", rid="h"))
    bench.feed(packet(13, 1, payload_type=111, mid="0"), repair(14, 1, 1, mid="1", repaired="q"))
    assert bench.bound() == []
    bench.set(MICROPHONE, CAMERA)
    assert bench.bound() == [("1", "q", 11), ("1", "h", 12), ("0", "", 13)]
    assert bench.received(11) == 2
    assert [notice.kind for notice in bench.notices] == [NoticeKind.FIRST_PACKET] * 3


def test_packets_wait_for_the_session_too() -> None:
    streams = Streams(PureKernel(SeededEntropy(1)), limit=4)
    assert streams.set_sections(0.0, [CAMERA]) == []
    assert streams.poll_events() == []


def test_retransmissions_are_attached_by_repaired_rid() -> None:
    bench = Bench(CAMERA)
    bench.feed(packet(11, 1, mid="1", rid="q"), packet(12, 1, mid="1", rid="h"), packet(12, 3))
    bench.feed(repair(22, 1, 2, mid="1", repaired="h"))
    stats = bench.kernel.stream_stats(bench.slot(12))
    assert (stats.received, stats.recovered) == (3, 1)
    bench.feed(packet(12, 5), repair(22, 2, 4))
    assert bench.received(12) == 5
    assert bench.received(11) == 1


def test_retransmissions_that_came_first_wait_for_their_layer() -> None:
    bench = Bench(CAMERA)
    bench.feed(repair(22, 1, 2, mid="1", repaired="h"), packet(12, 1, mid="1", rid="h"))
    assert bench.bound() == [("1", "h", 12)]
    assert bench.received(12) == 2


def test_retransmissions_of_a_single_layer_need_only_the_mid_or_the_type() -> None:
    bench = Bench(attrs.evolve(CAMERA, rids=()), MICROPHONE)
    bench.feed(packet(11, 1, mid="1"), packet(11, 3), repair(22, 1, 2, mid="1"))
    assert bench.received(11) == 3
    bench.feed(packet(11, 5), repair(33, 1, 4))
    assert bench.received(11) == 5


def test_a_declared_pair_works_without_any_extension() -> None:
    bench = Bench(attrs.evolve(CAMERA, rids=(), ssrcs=(11,), fid={11: 22}))
    bench.feed(repair(22, 1, 2), packet(11, 1), packet(11, 3), repair(22, 2, 2))
    assert bench.bound() == [("1", "", 11)]
    assert bench.received(11) == 3


@pytest.mark.parametrize("rtx_ssrc", [0, 11, 1 << 40, 12], ids=["zero", "itself", "too large", "another stream"])
def test_an_impossible_rtx_ssrc_in_a_description_is_ignored(rtx_ssrc: int) -> None:
    bench = Bench(attrs.evolve(CAMERA, rids=(), ssrcs=(12, 11), fid={11: rtx_ssrc}))
    bench.feed(packet(12, 1), packet(11, 1))
    assert [ssrc for _, _, ssrc in bench.bound()] == [12, 11]


def test_a_layer_that_returns_under_another_ssrc_replaces_the_stream() -> None:
    bench = Bench(CAMERA)
    bench.feed(packet(11, 1, mid="1", rid="q"))
    old = bench.slot(11)
    bench.events()
    bench.feed(packet(99, 1, mid="1", rid="q"))
    assert bench.events() == [
        StreamUnbound(old),
        StreamBound(mid="1", rid="q", ssrc=99, stream=bench.slot(99), payload_type=96),
    ]
    bench.feed(packet(11, 2, mid="1", rid="q"))
    assert bench.events() == []  # a straggler
    bench.now += 3.0
    bench.feed(packet(11, 3, mid="1", rid="q"))
    assert bench.bound() == [("1", "q", 11)]


def test_a_section_that_goes_takes_its_streams_and_one_that_stays_keeps_them() -> None:
    bench = Bench(CAMERA, MICROPHONE)
    bench.feed(packet(11, 1, mid="1", rid="q"), packet(7, payload_type=111, mid="0"))
    camera, microphone = bench.slot(11), bench.slot(7)
    bench.events()
    bench.set(attrs.evolve(MICROPHONE, ssrcs=(7,)))
    assert bench.events() == [StreamUnbound(camera)]
    assert bench.slot(7) == microphone
    assert [stream.ssrc for stream in bench.streams.bound] == [7]


def test_a_changed_section_makes_its_streams_anew() -> None:
    bench = Bench(CAMERA)
    bench.feed(packet(11, 1, mid="1", rid="q"), repair(22, 1, 1, mid="1", repaired="q"))
    old = bench.slot(11)
    bench.events()
    bench.set(attrs.evolve(CAMERA, codecs={96: Codec.VP8, 98: Codec.VP9}))
    assert bench.events() == [
        StreamUnbound(old),
        StreamBound(mid="1", rid="q", ssrc=11, stream=bench.slot(11), payload_type=96),
    ]
    bench.feed(packet(11, 10), packet(11, 12), repair(22, 2, 11))
    assert bench.received(11) == 3


def test_an_rtx_ssrc_that_is_declared_later_is_paired() -> None:
    single = attrs.evolve(CAMERA, rids=(), ssrcs=(11,))
    bench = Bench(single, attrs.evolve(single, mid="2", ssrcs=(31,)))
    bench.feed(packet(11, 1), packet(31, 1), packet(11, 3), repair(22, 1, 2))
    assert bench.received(11) == 2
    bench.set(attrs.evolve(single, fid={11: 22}), attrs.evolve(single, mid="2", ssrcs=(31,), fid={31: 32}))
    assert bench.received(11) == 3
    bench.feed(packet(31, 3), repair(32, 1, 2))
    assert bench.received(31) == 3


def test_an_ssrc_that_moves_to_another_section_is_let_go() -> None:
    bench = Bench(attrs.evolve(MICROPHONE, ssrcs=(7,)), attrs.evolve(MICROPHONE, mid="3"))
    bench.feed(packet(7, payload_type=111))
    bench.events()
    bench.set(MICROPHONE, attrs.evolve(MICROPHONE, mid="3", ssrcs=(7,)))
    assert [type(event) for event in bench.events()] == [StreamUnbound]
    bench.feed(packet(7, 2, payload_type=111))
    assert bench.bound() == [("3", "", 7)]


def test_a_slot_works_until_its_end_was_read() -> None:
    bench = Bench(CAMERA)
    bench.feed(packet(11, 1, mid="1", rid="q"), repair(22, 1, 1, mid="1", repaired="q"))
    old = bench.slot(11)
    bench.feed(packet(99, 1, mid="1", rid="q"), packet(11, 2), repair(22, 2, 3))
    assert bench.kernel.stream_stats(old).received == 3
    bench.events()
    with pytest.raises(LocalProtocolError):
        bench.kernel.stream_stats(old)
    bench.feed(repair(22, 3, 2, mid="1", repaired="q"))
    assert bench.received(99) == 2, "the retransmissions follow the layer"


def test_a_declared_rtx_ssrc_passes_from_a_leaving_stream_to_the_next() -> None:
    section = attrs.evolve(CAMERA, rids=(), fid={11: 22, 12: 22})
    bench = Bench(section)
    bench.feed(packet(11, 1, mid="1"), packet(12, 1, mid="1"))
    bench.events()
    bench.feed(packet(12, 3), repair(22, 1, 2))
    assert bench.received(12) == 3


def test_a_changed_section_that_goes_at_once_leaves_nothing() -> None:
    bench = Bench(CAMERA)
    bench.feed(packet(11, 1, mid="1", rid="q"))
    bench.set(attrs.evolve(CAMERA, history=64))
    bench.set()
    assert [type(event) for event in bench.events()] == [StreamBound, StreamUnbound]


def test_sections_with_ids_of_their_own_are_told_apart() -> None:
    other = ExtensionIds(mid=9, rid=10)
    bench = Bench(MICROPHONE, attrs.evolve(CAMERA, extensions=other))
    bench.feed(packet(11, 1, mid="1", rid="f", ids=other), packet(7, payload_type=111, mid="0"))
    assert bench.bound() == [("1", "f", 11), ("0", "", 7)]


def test_ssrc_zero_is_never_bound() -> None:
    bench = Bench(MICROPHONE)
    assert bench.streams.handle_unknown(0.0, 0, packet(0, payload_type=111, mid="0")) == []
    assert bench.streams.poll_drops() == {DropReason.RTP_PADDING_ONLY: 1}


def test_unreadable_packets_are_counted() -> None:
    bench = Bench(MICROPHONE)
    bench.streams.handle_unknown(0.0, 5, b"\x80\x6f")
    bench.streams.handle_unknown(0.0, 5, encode_packet(
        payload_type=111, sequence_number=1, timestamp=1, ssrc=5, extension=b"\xbe\xde\x00\x01\x1f\x00\x00\x00"
    ))  # fmt: skip
    assert bench.streams.poll_drops() == {DropReason.RTP_MALFORMED: 2}


def test_what_waits_is_bounded() -> None:
    bench = Bench(CAMERA)
    bench.feed(*(packet(11, number) for number in range(200)))
    bench.feed(*(packet(1000 + ssrc, number) for ssrc in range(40) for number in range(20)))
    bench.feed(packet(1039, 99, mid="1", rid="q"))
    assert bench.received(1039) <= 64
    drops = bench.streams.poll_drops()[DropReason.RTP_UNKNOWN_SSRC]
    assert drops > 0
    bench.feed(packet(11, 500, mid="1", rid="h"))
    assert bench.received(11) == 1, "the first one waited longest and was forgotten"


def test_streams_are_limited() -> None:
    bench = Bench(CAMERA, limit=2)
    for ssrc, rid in ((11, "q"), (12, "h"), (13, "f")):
        bench.feed(packet(ssrc, 1, mid="1", rid=rid))
    assert [ssrc for _, _, ssrc in bench.bound()] == [11, 12]
    assert bench.streams.poll_drops() == {DropReason.RTP_SSRC_LIMIT: 1}
    bench.feed(packet(14, 1, mid="1", rid="h"))
    assert bench.bound() == [("1", "h", 14)]


def test_close_unbinds_all() -> None:
    bench = Bench(CAMERA)
    bench.feed(packet(11, 1, mid="1", rid="q"))
    bench.events()
    slot = bench.slot(11)
    bench.streams.close()
    assert bench.events() == [StreamUnbound(slot)]
    assert bench.streams.bound == []
    assert bench.streams.by_ssrc(11) is None


names = st.sampled_from(["", "0", "1", "9", "q", "h", "f", "é"])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.integers(0, 5), names, names, names, st.sampled_from([96, 97, 111, 50])),
            st.sampled_from([(), (CAMERA,), (MICROPHONE,), (CAMERA, MICROPHONE)]),
        ),
        max_size=60,
    )
)
def test_any_order_of_packets_and_sections_keeps_kernel_and_table_in_step(steps: list[tuple[object, ...]]) -> None:
    bench = Bench(limit=3)
    alive: set[int] = set()
    for number, step in enumerate(steps):
        bench.now += 0.5
        match step:
            case (int(ssrc), str(mid), str(rid), str(repaired), int(payload_type)):
                bench.feed(packet(ssrc, number, mid=mid, rid=rid, repaired=repaired, payload_type=payload_type))
            case sections:
                bench.set(*(section for section in sections if isinstance(section, ReceiveSection)))
        for event in bench.events():
            if isinstance(event, StreamBound):
                alive.add(event.stream)
            else:
                alive.remove(event.stream)
        assert alive == {stream.slot for stream in bench.streams.bound}
        for slot in alive:
            bench.kernel.stream_stats(slot)
