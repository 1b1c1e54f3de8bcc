"""Simulated media: stamps, payloads and sinks that notice whatever goes wrong."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio.entropy import SeededEntropy
from sansio.kernel import Codec, ExtensionIds
from sansio.kernel.packets import Packet
from sansio.rtcp import SenderReport
from sansio.rtp import opus, parse_extensions, parse_header, parse_rtx, red, vp8
from sansio.rtp.extensions import parse_text, parse_transport_cc
from sansio.sim import ONE_LAYER, SIMULCAST, AudioSink, VideoSink
from sansio.sim.media import (
    Payload,
    RtpSender,
    Stamp,
    VideoEncoder,
    encode_audio,
    is_stamped,
    read_stamp,
    source_number,
    stamped,
)
from sansio.sim.sink import PATIENCE_S, RED_PATIENCE_S

SOURCE = source_number("alice", "camera")
IDS = ExtensionIds(mid=1, rid=2, repaired_rid=3, transport_cc=4, audio_level=5)


def picture(number: int, encoder: VideoEncoder, *, is_extra: bool = False) -> list[Payload]:
    return encoder.encode(number, number * 33, is_extra=is_extra)


class Camera:
    """An encoder whose packets come as the kernel gives them."""

    def __init__(self, layer: int = 0, position: int = 1000) -> None:
        self.encoder = VideoEncoder(SOURCE, layer, ONE_LAYER[0], SeededEntropy(layer))
        self.position = position
        self.frame = 0

    def frames(self, count: int = 1, *, is_extra: bool = False) -> list[Packet]:
        packets: list[Packet] = []
        for _ in range(count):
            for payload in picture(self.frame, self.encoder, is_extra=is_extra):
                timestamp = self.frame * 33 * 90
                packets.append((self.position, timestamp, 0x80 * payload.marker, 96, payload.data, None, None))
                self.position += 1
            self.frame += 1
        return packets


def watched() -> tuple[Camera, VideoSink]:
    sink = VideoSink("TR_x", "alice")
    sink.source = SOURCE
    return Camera(), sink


@given(
    st.builds(
        Stamp,
        st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 255),
        st.integers(0, 255), st.integers(0, 255), st.integers(0, 255), st.integers(0, 2**64 - 1),
    ),
    st.integers(26, 1000),
)  # fmt: skip
def test_stamps_come_back_and_any_changed_byte_shows(stamp: Stamp, size: int) -> None:
    data = stamped(stamp, size)
    assert len(data) == size
    assert read_stamp(b"head" + data, 4) == stamp
    broken = data[:-1] + bytes([data[-1] ^ 1])
    assert is_stamped(broken, 0)
    assert read_stamp(broken, 0) != stamp


def test_pictures_are_real_vp8_payloads() -> None:
    encoder = VideoEncoder(SOURCE, 2, SIMULCAST[2], SeededEntropy(1))
    key, delta = picture(0, encoder), picture(1, encoder)
    assert (len(key), len(delta)) == (6, 2)
    assert [payload.marker for payload in delta] == [False, True]
    first = vp8.parse(key[0].data)
    assert (first.is_key_frame, first.width, first.height, first.picture_id_bits) == (True, 1280, 720, 15)
    assert [vp8.parse(payload.data).start_of_partition for payload in delta] == [True, False]
    assert vp8.parse(delta[0].data).picture_id == (first.picture_id + 1) & 0x7FFF
    assert not vp8.is_key_frame(delta[0].data)


def test_a_layer_that_was_off_returns_with_a_key_frame() -> None:
    encoder = VideoEncoder(SOURCE, 0, ONE_LAYER[0], SeededEntropy(1))
    assert [bool(picture(number, encoder)) for number in range(2)] == [True, True]
    encoder.is_active = False
    assert picture(2, encoder) == []
    encoder.is_active = True
    assert vp8.is_key_frame(picture(3, encoder)[0].data)


def test_sounds_are_real_opus_packets() -> None:
    data = encode_audio(SOURCE, 3, 60, is_extra=False)
    assert opus.duration(data) == 960
    stamp = read_stamp(data, 1)
    assert stamp is not None
    assert (stamp.frame, stamp.captured_ms, stamp.is_extra) == (3, 60, False)


# Sender


def sender() -> RtpSender:
    made = RtpSender(11, 12, SeededEntropy(3))
    made.payload_type, made.rtx_payload_type = 96, 97
    made.mid, made.rid, made.extensions = "3", "q", IDS
    return made


def test_packets_name_themselves_until_somebody_reports() -> None:
    one = sender()
    data = one.encode(0, Payload(b"abc", True), transport_number=70_000)
    header = parse_header(data)
    assert (header.ssrc, header.payload_type, header.marker) == (11, 96, True)
    extensions = parse_extensions(data, header)
    assert (parse_text(extensions[1]), parse_text(extensions[2])) == ("3", "q")
    assert parse_transport_cc(extensions[4]) == 70_000 & 0xFFFF
    one.is_identified = True
    data = one.encode(3000, Payload(b"abc", True), transport_number=1, level=20)
    later = parse_header(data)
    assert set(parse_extensions(data, later)) == {4, 5}
    assert (later.sequence_number, later.timestamp - header.timestamp) == (header.sequence_number + 1, 3000)


def test_a_retransmission_carries_the_old_number_on_the_rtx_ssrc() -> None:
    one = sender()
    first = parse_header(one.encode(0, Payload(b"abc", True), transport_number=1))
    again = one.encode_again(first.sequence_number, transport_number=2)
    assert again is not None
    header = parse_header(again)
    assert (header.ssrc, header.payload_type, header.timestamp) == (12, 97, first.timestamp)
    assert parse_rtx(again, header.payload_start, header.payload_end) == first.sequence_number
    assert again[header.payload_start + 2 :] == b"abc"
    assert parse_text(parse_extensions(again, header)[3]) == "q"
    assert one.encode_again((first.sequence_number + 1) & 0xFFFF, transport_number=3) is None


def test_without_rtx_the_same_packet_goes_again() -> None:
    one = sender()
    one.rtx_payload_type = 0
    data = one.encode(0, Payload(b"abc", True), transport_number=1)
    assert one.encode_again(parse_header(data).sequence_number, transport_number=1) == data


def test_reports_count_what_was_sent() -> None:
    one = sender()
    assert one.report(1, 0) is None
    base = parse_header(one.encode(90, Payload(b"abc", True), transport_number=1)).timestamp - 90
    report = one.report(1 << 32, 180)
    assert report == SenderReport(
        ssrc=11, ntp_timestamp=1 << 32, rtp_timestamp=base + 180, packet_count=1, octet_count=3
    )


# Video sinks


def test_a_smooth_stream_is_whole() -> None:
    camera, sink = watched()
    for packet in camera.frames(20):
        sink.handle_packets(1.0, [packet])
    assert (sink.frames, sink.first_frame, sink.last_frame, sink.key_frames) == (20, 0, 19, 1)
    assert sink.is_whole
    assert sink.poll_timeout() is None


@given(st.randoms(use_true_random=False))
def test_any_order_within_a_burst_is_put_right(chance: object) -> None:
    camera, sink = watched()
    start, rest = camera.frames(1), camera.frames(8)
    sink.handle_packets(0.0, start)
    chance.shuffle(rest)  # type: ignore[attr-defined]
    sink.handle_packets(0.0, rest)
    assert sink.frames == 9
    assert sink.is_whole


def test_the_stream_begins_with_a_key_frame_even_if_its_packets_come_backwards() -> None:
    camera, sink = watched()
    packets = camera.frames(2)
    sink.handle_packets(0.0, packets[::-1])
    assert sink.frames == 2


def test_without_a_key_frame_nothing_begins() -> None:
    camera, sink = watched()
    camera.frames(1)
    sink.handle_packets(0.0, camera.frames(5))
    assert sink.frames == 0
    assert sink.poll_timeout() == PATIENCE_S
    sink.handle_timeout(PATIENCE_S)
    assert sink.wants_key_frame


def test_a_gap_is_waited_for_and_then_given_up_for_a_key_frame() -> None:
    camera, sink = watched()
    sink.handle_packets(0.0, camera.frames(2))
    camera.frames(1)
    sink.handle_packets(0.1, camera.frames(2))
    assert sink.frames == 2
    assert sink.poll_timeout() == 0.1 + PATIENCE_S
    sink.handle_timeout(1.2)
    assert (sink.stalls, sink.wants_key_frame, sink.is_whole) == (1, True, False)
    camera.encoder.wants_key_frame = True
    sink.handle_packets(1.3, camera.frames(2))
    assert (sink.frames, sink.missing) == (4, 3)


def test_a_gap_is_left_at_once_for_a_key_frame_of_another_layer() -> None:
    camera, sink = watched()
    sink.handle_packets(0.0, camera.frames(2))
    sink.handle_packets(0.0, camera.frames(1)[1:])
    other = Camera(layer=1, position=camera.position)
    other.frame = camera.frame
    sink.handle_packets(0.1, other.frames(3))
    assert (sink.frames, sink.layer, sink.skipped_at_switch) == (5, 1, 1)
    assert sink.is_whole
    assert sink.layers == [(0.0, 0), (0.1, 1)]


def test_a_frame_cut_short_is_a_fault_only_within_a_layer() -> None:
    for layer, faults in ((1, {}), (0, {"corrupt": 1, "missing": 1, "broken_numbering": 1})):
        camera, sink = watched()
        sink.handle_packets(0.0, camera.frames(2))
        sink.handle_packets(0.0, camera.frames(1)[:1])
        other = Camera(layer=layer, position=camera.position - 1)
        other.frame = camera.frame
        other.encoder._picture_id = camera.encoder._picture_id + (layer == 0)
        sink.handle_packets(0.1, other.frames(3))
        assert sink.faults == faults


def test_changed_bytes_and_foreign_frames_show() -> None:
    camera, sink = watched()
    sink.handle_packets(0.0, camera.frames(1))
    position, timestamp, marker, kind, data, _, _ = camera.frames(1)[0]
    sink.handle_packets(0.0, [(position, timestamp, marker, kind, data[:-1] + b"?", None, None)])
    assert sink.corrupt == 1
    stranger = VideoSink("TR_y", "bob")
    stranger.source = source_number("bob", "camera")
    stranger.handle_packets(0.0, Camera().frames(2))
    assert (stranger.foreign, stranger.frames) == (2, 0)


def test_a_leap_of_picture_ids_or_of_time_shows() -> None:
    camera, sink = watched()
    sink.handle_packets(0.0, camera.frames(2))
    camera.encoder._picture_id += 3
    packets = [(p, t + 90_000, *rest) for p, t, *rest in camera.frames(1)]
    sink.handle_packets(0.0, packets)
    assert sink.broken_numbering == 1
    assert sink.clock_error_s == pytest.approx(1.0)


def test_frames_of_the_server_and_padding_are_told_apart() -> None:
    camera, sink = watched()
    sink.handle_packets(0.0, camera.frames(1))
    blank = vp8.encode_descriptor(start_of_partition=True, picture_id=camera.encoder._picture_id + 1) + b"\x11blank"
    sink.handle_packets(0.0, [(camera.position, 0, 0x80, 96, blank, None, None)])
    sink.handle_packets(0.0, [(camera.position + 1, 0, 0, 96, b"", None, None)])
    assert (sink.injected, sink.frames, sink.corrupt) == (1, 1, 0)


def test_a_blank_picture_may_cut_a_frame_short() -> None:
    """The server sends it when a track ends, which may be amid a frame."""
    camera, sink = watched()
    *begun, _ = camera.frames(1)
    assert begun
    black = b"\x10\x02\x00\x9d\x01\x2a\x08\x00\x08\x00" + bytes(21)
    blank = vp8.encode_descriptor(start_of_partition=True, picture_id=camera.encoder._picture_id + 1) + black
    sink.handle_packets(0.0, [*begun, (camera.position - 1, 0, 0x80, 96, blank, None, None)])
    assert (sink.injected, sink.frames, sink.corrupt) == (1, 0, 0)


def test_extra_frames_do_not_count() -> None:
    camera, sink = watched()
    sink.handle_packets(0.0, camera.frames(3) + camera.frames(4, is_extra=True))
    assert (sink.frames, sink.extra_frames) == (3, 4)


def test_another_stream_takes_over_where_the_first_ended() -> None:
    camera, sink = watched()
    sink.handle_packets(0.0, camera.frames(3))
    sink.bind()
    later = Camera(position=5)
    later.frame = 3
    sink.handle_packets(1.0, later.frames(3))
    assert (sink.frames, sink.restarts) == (6, 1)
    assert sink.is_whole


# Audio sinks


def sounds(first: int, count: int, position: int = 100) -> list[Packet]:
    return [
        (position + n, 960 * (first + n), 0, 111, encode_audio(SOURCE, first + n, 20 * (first + n), is_extra=False), None, None)
        for n in range(count)
    ]  # fmt: skip


def test_audio_gaps_are_waited_for_and_counted() -> None:
    sink = AudioSink("TR_a", "alice")
    packets = sounds(0, 10)
    sink.handle_packets(0.0, packets[:4] + packets[6:])
    assert sink.frames == 4
    sink.handle_packets(0.5, packets[4:5])
    assert sink.frames == 5
    sink.handle_timeout(1.5)
    assert (sink.frames, sink.missing, sink.stalls) == (9, 1, 1)
    assert sink.source == SOURCE


def test_redundant_audio_heals_single_losses() -> None:
    sink = AudioSink("TR_a", "alice")
    sink.set_codecs({63: Codec.RED, 111: Codec.OPUS})
    packets = []
    for position, timestamp, marker, _, data, _, _ in sounds(0, 10):
        frame = position - 100
        before = encode_audio(SOURCE, frame - 1, 20 * (frame - 1), is_extra=False) if frame else b""
        payload = red.encode(111, data, [(111, 960, before)] if frame else [])
        packets.append((position, timestamp, marker, 63, payload, None, None))
    sink.handle_packets(0.0, packets[:3] + packets[4:])
    sink.handle_timeout(RED_PATIENCE_S)
    assert (sink.frames, sink.faults) == (10, {})


def test_silence_of_the_server_is_told_apart() -> None:
    sink = AudioSink("TR_a", "alice")
    sink.handle_packets(0.0, [(1, 0, 0, 111, opus.SILENCE, None, None)])
    assert (sink.injected, sink.frames) == (1, 0)


def test_layers_are_plain_values() -> None:
    assert attrs.evolve(SIMULCAST[0], rid="x").rid == "x"
    assert [layer.rid for layer in SIMULCAST] == ["q", "h", "f"]
