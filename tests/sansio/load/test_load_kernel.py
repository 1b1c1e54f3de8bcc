"""What participants of a load test add to a kernel: sealing at the last moment, and stamps that are read."""

from __future__ import annotations

import pytest
from load_world import LoadWorld, seats

from sansio.entropy import SeededEntropy
from sansio.errors import LocalProtocolError
from sansio.kernel import ExtensionIds, Kernel, PureKernel, SrtpProfile
from sansio.kernel.native import choose_kernel
from sansio.kernel.srtp import Srtp
from sansio.load import LoadOptions
from sansio.load.kernel import LoadKernel
from sansio.load.sealing import Sealer
from sansio.sim.media import Payload, RtpSender, encode_audio, find_stamp

HERE, THERE = ("10.0.0.1", 1), ("10.0.0.2", 2)
PROFILE = SrtpProfile.AEAD_AES_128_GCM
OURS, THEIRS = bytes(range(28)), bytes(range(50, 78))
OPUS, RTX = 111, 112
SHORT = LoadOptions(duration=4.0, bitrate_bps=400_000, fps=10)


@pytest.fixture(params=["pure", "native"])
def inner(request: pytest.FixtureRequest) -> Kernel:
    try:
        return choose_kernel(str(request.param)).make(SeededEntropy(1))
    except LocalProtocolError as error:
        pytest.skip(str(error))


class Publisher:
    """Packets of a microphone."""

    def __init__(self) -> None:
        self.sender = RtpSender(7, 8, SeededEntropy(2))
        self.sender.payload_type, self.sender.rtx_payload_type = OPUS, RTX
        self.sender.extensions = ExtensionIds(mid=1, transport_cc=2)
        self.sender.mid = "0"
        self.frames = 0

    def packet(self, made: float) -> bytes:
        data = encode_audio(1, self.frames, round(made * 1000), is_extra=False, sent_us=round(made * 1e6))
        self.frames += 1
        return self.sender.encode(960 * self.frames, Payload(data, False), transport_number=self.frames)


def sealed(sealer: Sealer, now: float) -> list[bytes]:
    while sealer.seal(now):
        pass
    return [transmit.data for batch in sealer.poll_transmits() for transmit in batch]


def plain(srtp: Srtp, data: bytes) -> bytes:
    packet = srtp.unprotect(data)
    assert isinstance(packet, bytes)
    return packet


def sent_us(packet: bytes) -> int:
    stamp = next(filter(None, (find_stamp(packet[start:]) for start in range(12, 60))))
    return stamp.sent_us


def test_a_packet_says_when_it_was_sealed_and_not_when_it_was_made() -> None:
    sealer, publisher, peer = Sealer(), Publisher(), Srtp(PROFILE, THEIRS, OURS)
    sealer.expect_frames(5.0)
    original = publisher.packet(5.0)
    sealer.add(Srtp(PROFILE, OURS, THEIRS), (HERE, THERE), original)
    (data,) = sealed(sealer, 5.0625)
    packet = plain(peer, data)
    assert sent_us(packet) == 5_062_500
    assert packet.replace((5_062_500).to_bytes(8, "big"), (5_000_000).to_bytes(8, "big")) == original


def test_what_is_sent_again_keeps_its_first_time() -> None:
    sealer, publisher, peer = Sealer(), Publisher(), Srtp(PROFILE, THEIRS, OURS)
    publisher.packet(5.0)
    again = publisher.sender.encode_again((publisher.sender.number - 1) & 0xFFFF, transport_number=9)
    assert again is not None
    sealer.expect_frames(None)
    sealer.add(Srtp(PROFILE, OURS, THEIRS), (HERE, THERE), again)
    (data,) = sealed(sealer, 5.5)
    assert plain(peer, data) == again


def test_packets_leave_in_order_and_to_their_path() -> None:
    sealer, publisher, srtp = Sealer(), Publisher(), Srtp(PROFILE, OURS, THEIRS)
    packets = [publisher.packet(5.0) for _ in range(3)]
    for packet in packets:
        sealer.add(srtp, (HERE, THERE), packet)
    while sealer.seal(5.0):
        pass
    transmits = [transmit for batch in sealer.poll_transmits() for transmit in batch]
    assert [data[2:4] for *_, data in transmits] == [packet[2:4] for packet in packets]
    assert {(local, remote) for local, remote, _ in transmits} == {(HERE, THERE)}
    assert sealer.poll_transmits() == []


def test_nothing_is_sent_before_there_is_a_path(inner: Kernel) -> None:
    sealer, publisher = Sealer(), Publisher()
    kernel = LoadKernel(inner, sealer, listens=False)
    session = kernel.open_session(PROFILE, OURS, THEIRS)
    assert not kernel.send_rtp(session, publisher.packet(1.0))
    kernel.set_path(session, HERE, THERE)
    assert kernel.send_rtp(session, publisher.packet(1.0))
    assert len(sealed(sealer, 1.0)) == 1


def received(kernel: LoadKernel, packets: list[bytes], came: list[float]) -> None:
    """Have packets come from a peer."""
    session = kernel.open_session(PROFILE, OURS, THEIRS)
    sealer, peer = Sealer(), Srtp(PROFILE, THEIRS, OURS)
    for packet in packets:
        sealer.add(peer, (THERE, HERE), packet)
    kernel.ingest(max(came), session, sealed(sealer, 0.0), came)


def test_a_listener_reads_how_long_a_packet_was_under_way_until_it_came(inner: Kernel) -> None:
    kernel, publisher = LoadKernel(inner, Sealer(), listens=True), Publisher()
    received(kernel, [publisher.packet(5.0), publisher.packet(5.1)], [5.25, 9.0])
    assert kernel.latency[OPUS].count == 2
    assert kernel.latency[OPUS].max == pytest.approx(3.9)
    assert kernel.latency[OPUS].quantile(0.5) == pytest.approx(0.25, rel=0.02)


def test_a_packet_that_comes_again_counts_once(inner: Kernel) -> None:
    kernel, publisher = LoadKernel(inner, Sealer(), listens=True), Publisher()
    first = publisher.packet(5.0)
    again = publisher.sender.encode_again((publisher.sender.number - 1) & 0xFFFF, transport_number=9)
    assert again is not None
    received(kernel, [first, again], [5.2, 5.4])
    assert {kind: one.count for kind, one in kernel.latency.items()} == {OPUS: 1}


def test_what_has_no_stamp_or_is_no_media_is_passed_over(inner: Kernel) -> None:
    kernel, publisher = LoadKernel(inner, Sealer(), listens=True), Publisher()
    silent = publisher.sender.encode(0, Payload(b"\xf8\xff\xfe", False), transport_number=1)
    received(kernel, [silent], [5.0])
    session = kernel.open_session(PROFILE, OURS, THEIRS)
    kernel.ingest(5.0, session, [b"", b"\x80\xc8" + bytes(30), b"\x80\x6f" + bytes(40), b"\x80\x6f"], ())
    assert kernel.latency == {}


def test_who_only_counts_decrypts_nothing(inner: Kernel) -> None:
    kernel, publisher = LoadKernel(inner, Sealer(), listens=False), Publisher()
    received(kernel, [publisher.packet(5.0)], [5.2])
    assert kernel.latency == {}


def test_a_session_that_is_closed_is_forgotten(inner: Kernel) -> None:
    kernel = LoadKernel(inner, Sealer(), listens=True)
    session = kernel.open_session(PROFILE, OURS, THEIRS)
    kernel.close_session(session)
    with pytest.raises(LocalProtocolError):
        inner.send_rtcp(session, bytes(8))


# Whole load tests


@pytest.mark.parametrize("signalling", ["v0", "v1"])
def test_a_load_test_is_the_same_on_either_kernel(inner: Kernel, signalling: str) -> None:
    options = LoadOptions(duration=3.0, bitrate_bps=400_000, fps=10, data=True, two_connections=signalling == "v0")
    world = LoadWorld(seats(2, 2, 3), options, kernel=inner)
    world.start()
    world.run()
    figures = world.test.figures(world.now)
    assert (figures.publishers, figures.subscribers, figures.loss) == (2, 5, 0.0)
    assert figures.received["audio"].packets == pytest.approx(2 * 5 * 3 * 50, abs=20)
    assert {kind: 0.0395 < one.p50 < 0.041 for kind, one in figures.latency.items()} == dict.fromkeys(
        ("audio", "video", "data"), True
    )


def test_neither_sealing_nor_reading_late_is_in_the_latency() -> None:
    world = LoadWorld(seats(1, 1, 0), SHORT, latency=0.025, sealing=0.004, reading=0.015)
    world.start()
    world.run()
    for kind in ("audio", "video"):
        quantiles = world.test.figures(world.now).latency[kind]
        assert quantiles.count > 100
        assert 0.0495 < quantiles.p50 < 0.0505
        assert quantiles.max < 0.0505


def test_data_says_when_it_came_and_not_when_it_was_read() -> None:
    world = LoadWorld(
        seats(1, 1, 0), LoadOptions(audio=False, video=False, data=True, duration=5.0), latency=0.025, reading=0.015
    )
    world.start()
    world.run()
    assert 0.0495 < world.test.figures(world.now).latency["data"].p50 < 0.0505


def test_join_times_end_when_datagrams_came_and_not_when_they_were_read() -> None:
    prompt, late = (
        LoadWorld(seats(1, 1, 0), SHORT, kernel=PureKernel(SeededEntropy(4)), reading=one) for one in (0, 0.015)
    )
    for world in (prompt, late):
        world.start()
        world.run()
    first, second = (world.test.figures(world.now).first_media.max for world in (prompt, late))
    rounds = 6  # of ICE, DTLS and SCTP, each of which waits to be read
    assert first < second < first + rounds * 0.015


def test_a_repaired_packet_was_under_way_since_its_first_sending() -> None:
    world = LoadWorld(seats(1, 1, 0), SHORT, latency=0.020, loses=lambda number: number > 60 and number % 20 == 0)
    world.start()
    world.run()
    figures = world.test.figures(world.now)
    assert figures.loss > 0.02
    assert 0.0395 < figures.latency["video"].p50 < 0.0405
    assert 0.075 < figures.latency["video"].max < 0.4
    assert figures.latency["video"].count <= figures.sent_packets
