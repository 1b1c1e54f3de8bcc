"""Reports over the pure kernel, with plain RTCP caught on its way to encryption and arrivals given by hand."""

from __future__ import annotations

import attrs
import pytest

from sansio.entropy import SeededEntropy
from sansio.kernel import Codec, ExtensionIds, NoticeKind, SrtpProfile
from sansio.kernel.pure import PureKernel
from sansio.rtcp import (
    Dlrr,
    DlrrReport,
    ExtendedReport,
    Packet,
    ReceiverReferenceTime,
    ReceiverReport,
    SenderReport,
    TransportFeedback,
    parse_compound,
)
from sansio.rtp import encode_packet
from sansio.transport import ReceiveSection
from sansio.transport.reports import Reports
from sansio.transport.streams import Streams

SSRC = 0xABCD
SECTION = ReceiveSection(
    mid="0",
    kind="audio",
    clock_rate=48000,
    codecs={111: Codec.OPUS},
    extensions=ExtensionIds(transport_cc=5),
    ssrcs=(7,),
)
SECOND = attrs.evolve(SECTION, mid="1", ssrcs=(8,))


class SpyKernel(PureKernel):
    """Keeps RTCP as it was before encryption."""

    def __init__(self) -> None:
        super().__init__(SeededEntropy(1))
        self.sent: list[bytes] = []
        self.arrivals: list[tuple[int, float]] = []

    def send_rtcp(self, session: int, packet: bytes) -> None:
        self.sent.append(packet)

    def take_arrivals(self, session: int) -> list[tuple[int, float]]:
        arrivals, self.arrivals = self.arrivals, []
        return arrivals


class Bench:
    def __init__(self) -> None:
        self.kernel = SpyKernel()
        self.session = self.kernel.open_session(SrtpProfile.AEAD_AES_128_GCM, bytes(28), bytes(28))
        self.streams = Streams(self.kernel, limit=64)
        self.streams.open(self.session)
        self.streams.set_sections(0.0, [SECTION, SECOND])
        self.reports = Reports(self.kernel, self.streams, ssrc=SSRC)
        self.reports.open(self.session)

    def media(self, now: float, *numbers: int, ssrc: int = 7) -> None:
        for number in numbers:
            data = encode_packet(
                payload_type=111, sequence_number=number, timestamp=960 * number, ssrc=ssrc, payload=b"opus"
            )
            for notice in self.kernel.inject_received(now, self.session, [data]):
                if notice.kind is NoticeKind.UNKNOWN_SSRC:
                    self.streams.handle_unknown(now, notice.ssrc, notice.data)
        self.reports.handle_arrival(now)

    def timeout(self, now: float) -> list[Packet]:
        self.reports.handle_timeout(now)
        sent, self.kernel.sent = self.kernel.sent, []
        return [packet for compound in sent for packet in parse_compound(compound)]

    def slot(self, ssrc: int = 7) -> int:
        stream = self.streams.by_ssrc(ssrc)
        assert stream is not None
        return stream.slot


def blocks(packets: list[Packet]) -> dict[int, tuple[int, int, int]]:
    """SSRC: fraction, cumulative lost, highest number."""
    return {
        block.ssrc: (block.fraction_lost, block.cumulative_lost, block.highest_sequence_number & 0xFFFF)
        for packet in packets
        if isinstance(packet, ReceiverReport)
        for block in packet.reports
    }


def test_nothing_is_armed_before_media_comes() -> None:
    bench = Bench()
    assert bench.reports.poll_timeout() is None
    assert bench.reports.handle_arrival(5.0)
    assert bench.reports.poll_timeout() == 6.0
    assert not bench.reports.handle_arrival(5.5)


def test_loss_is_reported_as_fraction_since_the_last_report_and_in_total() -> None:
    bench = Bench()
    bench.media(0.0, 1, 2, 3, 4)
    assert blocks(bench.timeout(1.0)) == {7: (0, 0, 4)}
    bench.media(1.5, 5, 6, 9)  # two of five lost
    assert blocks(bench.timeout(2.5)) == {7: (2 * 256 // 5, 2, 9)}
    bench.media(3.0, 10, 11)
    assert blocks(bench.timeout(4.0)) == {7: (0, 2, 11)}


def test_a_stream_without_news_is_not_reported() -> None:
    bench = Bench()
    bench.media(0.0, 1, 2)
    bench.media(0.0, 1, ssrc=8)
    assert set(blocks(bench.timeout(1.0))) == {7, 8}
    bench.media(1.5, 2, ssrc=8)
    assert set(blocks(bench.timeout(2.5))) == {8}
    bench.reports.handle_arrival(3.0)
    assert bench.timeout(4.0) == []


def test_an_ssrc_that_is_not_bound_is_never_reported() -> None:
    bench = Bench()
    bench.media(0.0, 1, 2, ssrc=99)
    assert bench.timeout(1.0) == []


def test_jitter_is_reported_in_timestamp_units() -> None:
    bench = Bench()
    for number in range(1, 50):
        bench.media(0.02 * number + (0.01 if number % 2 else 0.0), number)
    (report,) = [packet for packet in bench.timeout(2.0) if isinstance(packet, ReceiverReport)]
    assert 300 < report.reports[0].jitter < 500


def test_the_last_sender_report_is_echoed_with_its_age() -> None:
    bench = Bench()
    ntp = 0x0123_4567_89AB_CDEF
    bench.reports.handle_rtcp(0.25, [SenderReport(ssrc=7, ntp_timestamp=ntp, rtp_timestamp=960)])
    bench.media(0.0, 1)
    (report, *_) = bench.timeout(1.0)
    assert isinstance(report, ReceiverReport)
    (block,) = report.reports
    assert (block.last_sender_report, block.delay_since_last_sender_report) == (0x4567_89AB, int(0.75 * 65536))


def test_more_than_31_streams_take_several_reports() -> None:
    bench = Bench()
    sections = [attrs.evolve(SECTION, mid=str(index), ssrcs=(100 + index,)) for index in range(40)]
    bench.streams.set_sections(0.0, sections)
    for index in range(40):
        bench.media(0.0, 1, 2, ssrc=100 + index)
    reports = [packet for packet in bench.timeout(1.0) if isinstance(packet, ReceiverReport)]
    assert [len(report.reports) for report in reports] == [31, 9]


def test_proxied_loss_raises_the_fraction_and_bad_values_are_cut() -> None:
    bench = Bench()
    bench.media(0.0, 1, 2)
    bench.reports.set_proxied_loss(bench.slot(), 64)
    assert blocks(bench.timeout(1.0))[7][0] == 64
    bench.reports.set_proxied_loss(bench.slot(), 1000)
    bench.media(1.0, 3)
    assert blocks(bench.timeout(2.0))[7][0] == 255


def test_sender_reports_are_kept_per_stream_and_do_not_go_back() -> None:
    bench = Bench()
    assert bench.reports.sender_report(12345) is None
    bench.reports.handle_rtcp(1.0, [SenderReport(ssrc=7, ntp_timestamp=5 << 32, rtp_timestamp=0xFFFF_FF00)])
    bench.media(1.0, 1)
    slot = bench.slot()
    first = bench.reports.sender_report(slot)
    assert first is not None
    last = bench.kernel.stream_stats(slot).last_timestamp
    assert (first[0], first[2]) == (5 << 32, 1.0)
    assert last - first[1] == 960 + 0x100  # widened to the stream, across the wrap
    bench.reports.handle_rtcp(2.0, [SenderReport(ssrc=7, ntp_timestamp=4 << 32, rtp_timestamp=1)])
    assert bench.reports.sender_report(slot) == first
    assert bench.reports.sender_report(bench.slot()) == first


def test_sender_reports_of_strangers_are_bounded() -> None:
    bench = Bench()
    bench.media(0.0, 1)
    bench.reports.handle_rtcp(0.0, [SenderReport(ssrc=7, ntp_timestamp=1 << 32, rtp_timestamp=0)])
    for ssrc in range(1000, 1100):
        bench.reports.handle_rtcp(0.0, [SenderReport(ssrc=ssrc, ntp_timestamp=1, rtp_timestamp=0)])
    assert bench.reports.sender_report(bench.slot()) is None


def test_feedback_reports_each_number_once_with_losses() -> None:
    bench = Bench()
    bench.reports.set_feedback(5)
    bench.kernel.arrivals = [(10, 0.0), (11, 0.01), (13, 0.03)]
    bench.media(0.0, 1)
    assert bench.reports.poll_timeout() == 0.05
    (feedback,) = bench.timeout(0.05)
    assert isinstance(feedback, TransportFeedback)
    assert (feedback.sender_ssrc, feedback.media_ssrc, feedback.base_sequence_number) == (SSRC, 7, 10)
    assert [delta is None for delta in feedback.deltas] == [False, False, True, False]
    assert bench.timeout(0.5) == []


def test_feedback_before_the_first_frame_names_an_ssrc_of_the_sender() -> None:
    """Padding by which a sender probes its bandwidth: on the RTX SSRC of a stream that is not bound yet."""
    bench = Bench()
    bench.reports.set_feedback(5)
    bench.kernel.arrivals = [(1, 0.0), (2, 0.005)]
    bench.media(0.0, 1, ssrc=99)
    (feedback,) = bench.timeout(0.05)
    assert isinstance(feedback, TransportFeedback)
    assert (feedback.media_ssrc, len(feedback.deltas)) == (99, 2)
    bench.media(0.1, 1)
    bench.kernel.arrivals = [(3, 0.1)]
    (feedback,) = bench.timeout(0.2)
    assert isinstance(feedback, TransportFeedback)
    assert feedback.media_ssrc == 7


def test_the_kernel_is_told_the_extension_before_and_after_the_session_opens() -> None:
    told: list[tuple[int, int]] = []

    class Kernel(SpyKernel):
        def set_transport_cc(self, session: int, extension_id: int) -> None:
            told.append((session, extension_id))

    kernel = Kernel()
    reports = Reports(kernel, Streams(kernel, limit=64), ssrc=SSRC)
    reports.set_feedback(5)
    assert told == []
    reports.open(3)
    reports.set_feedback(6)
    assert told == [(3, 5), (3, 6)]


@pytest.mark.parametrize(("arrivals", "pace"), [(30, 0.05), (3, 0.1)], ids=["busy", "quiet"])
def test_the_pace_of_feedback_follows_the_traffic(arrivals: int, pace: float) -> None:
    bench = Bench()
    bench.reports.set_feedback(5)
    bench.kernel.arrivals = [(number, 0.001 * number) for number in range(arrivals)]
    bench.media(0.0, 1)
    bench.timeout(0.05)
    assert bench.reports.handle_arrival(1.0 - 0.5)
    assert bench.reports.poll_timeout() == 0.5 + pace


def test_without_agreement_no_feedback_is_sent() -> None:
    bench = Bench()
    bench.kernel.arrivals = [(10, 0.0)]
    bench.media(0.0, 1)
    assert not any(isinstance(packet, TransportFeedback) for packet in bench.timeout(1.0))


def test_round_trips_are_measured_with_reference_times() -> None:
    bench = Bench()
    bench.media(9.0, 1)
    (reference,) = [packet for packet in bench.timeout(10.0) if isinstance(packet, ExtendedReport)]
    (block,) = reference.blocks
    assert isinstance(block, ReceiverReferenceTime)
    echo = DlrrReport(SSRC, block.last_receiver_report, 65536 // 2)
    bench.reports.handle_rtcp(10.56, [ExtendedReport(7, (Dlrr((echo,)),))])
    assert bench.reports.rtt == pytest.approx(0.06, abs=0.001)
    bench.reports.handle_rtcp(10.60, [ExtendedReport(7, (Dlrr((echo,)),))])
    assert bench.reports.rtt == pytest.approx(0.07, abs=0.001)


def test_echoes_that_cannot_be_ours_are_ignored() -> None:
    bench = Bench()
    for echo in (DlrrReport(SSRC, 0, 0), DlrrReport(SSRC + 1, 5, 5), DlrrReport(SSRC, 5 << 16, 0xFFFF0000)):
        bench.reports.handle_rtcp(50.0, [ExtendedReport(7, (Dlrr((echo,)),))])
    assert bench.reports.rtt is None


def test_the_peers_reference_time_is_answered_at_once() -> None:
    bench = Bench()
    bench.reports.handle_rtcp(1.0, [ExtendedReport(55, (ReceiverReferenceTime(0x0123_4567_89AB_CDEF),))])
    (answer,) = bench.timeout(1.0)
    assert answer == ExtendedReport(SSRC, (Dlrr((DlrrReport(55, 0x4567_89AB, 0),)),))


def test_close_stops_all() -> None:
    bench = Bench()
    bench.reports.set_feedback(5)
    bench.media(0.0, 1)
    bench.reports.close()
    assert bench.reports.poll_timeout() is None
    assert bench.timeout(2.0) == []
