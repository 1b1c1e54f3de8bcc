"""Two transports with real DTLS, each behind its own endpoint and kernel, over a virtual link."""

from __future__ import annotations

import attrs
import pytest
from virtual_link import ADDRESSES, CERTIFICATES, Link

from sansio.dtls import DtlsRole, OpenSslHandshake
from sansio.errors import LocalProtocolError
from sansio.ice import Candidate, Role
from sansio.kernel import Codec, ExtensionIds, Leg, LegMode, NoticeKind
from sansio.rtcp import Packet, Pli, ReceiverReport, SenderReport, SourceDescription, TransportFeedback
from sansio.transport import (
    ChannelMessage,
    ChannelOpened,
    ChannelsDown,
    PeerState,
    PeerStateChanged,
    ReceiveSection,
    RtcpReceived,
    StreamBound,
    StreamNotice,
    StreamUnbound,
)

IDS = ExtensionIds(mid=1, transport_cc=5)
SECTION = ReceiveSection(
    mid="0", kind="audio", clock_rate=48000, codecs={111: Codec.OPUS}, extensions=IDS, ssrcs=(7,), nack=True
)


def states(link: Link, index: int) -> list[PeerState]:
    return [event.state for event in link.sides[index].of(PeerStateChanged)]


class Sender:
    """Sends RTP from side 0 through a leg of its kernel."""

    def __init__(self, link: Link, *, ssrc: int = 7, transport_cc: int = 5) -> None:
        self.link = link
        session = link.peers[0].session
        assert session is not None
        self.kernel = link.sides[0].kernel
        self.leg = self.kernel.add_leg(
            Leg(
                session=session,
                ssrc=ssrc,
                payload_types={111: 111},
                mode=LegMode.PLAIN,
                clock_rate=48000,
                extensions=ExtensionIds(transport_cc=transport_cc),
            )
        )

    def send(self, packets: int, *, interval: float = 0.02) -> None:
        for _ in range(packets):
            self.kernel.inject(self.link.now, self.leg, b"opus frame", timestamp_step=960, payload_type=111)
            self.link.run(self.link.now + interval)


def test_a_pair_connects_in_a_few_round_trips() -> None:
    link = Link()
    assert [peer.state for peer in link.peers] == [PeerState.NEW, PeerState.NEW]
    link.connect()
    assert link.now <= 6 * link.latency
    for index, peer in enumerate(link.peers):
        assert states(link, index) == [PeerState.CONNECTING, PeerState.CONNECTED]
        assert peer.session is not None
        assert peer.path == (ADDRESSES[index], ADDRESSES[1 - index])
    assert [peer.dtls_role for peer in link.peers] == [DtlsRole.CLIENT, DtlsRole.SERVER]


@pytest.mark.parametrize("seed", range(12))
def test_everything_works_over_a_link_that_loses_15_percent(seed: int) -> None:
    link = Link(seed, loss=0.15)
    channel = link.peers[0].open_channel(0.0, "_reliable")
    link.peers[1].set_sections(0.0, [SECTION])
    link.connect()
    assert [peer.state for peer in link.peers] == [PeerState.CONNECTED] * 2, f"seed {seed}"
    for number in range(20):
        link.peers[0].send_data(link.now, channel, b"%d" % number)
    sender = Sender(link)
    sender.send(250)
    link.run_until(lambda: len(link.sides[1].of(ChannelMessage)) == 20, link.now + 30)
    messages = link.sides[1].of(ChannelMessage)
    assert [message.data for message in messages] == [b"%d" % number for number in range(20)], f"seed {seed}"
    (opened,) = link.sides[1].of(ChannelOpened)
    assert (opened.label, opened.by_peer) == ("_reliable", True)
    link.peers[1].send_data(link.now, opened.channel, b"back", binary=False)
    link.run_until(lambda: bool(link.sides[0].of(ChannelMessage)), link.now + 30)
    assert [(message.data, message.binary) for message in link.sides[0].of(ChannelMessage)] == [(b"back", False)]
    (bound,) = link.sides[1].of(StreamBound)
    stats = link.sides[1].kernel.stream_stats(bound.stream)
    assert 180 <= stats.received <= 250, f"seed {seed}"
    assert any(
        isinstance(packet, ReceiverReport) and packet.reports and packet.reports[0].ssrc == 7
        for event in link.sides[0].of(RtcpReceived)
        for packet in event.packets
    ), f"seed {seed}"


def test_media_comes_with_reports_and_transport_wide_feedback() -> None:
    link = Link()
    link.peers[1].set_sections(0.0, [SECTION])
    link.connect()
    Sender(link).send(60)
    (bound,) = link.sides[1].of(StreamBound)
    assert (bound.mid, bound.ssrc, bound.payload_type) == ("0", 7, 111)
    assert NoticeKind.FIRST_PACKET in [event.notice.kind for event in link.sides[1].of(StreamNotice)]
    packets = [packet for event in link.sides[0].of(RtcpReceived) for packet in event.packets]
    feedback = [packet for packet in packets if isinstance(packet, TransportFeedback)]
    assert len(feedback) >= 10
    numbers = [number for message in feedback for number, at in message.arrivals() if at is not None]
    assert numbers == sorted(numbers)
    assert len(numbers) >= 50
    (report,) = [packet for packet in packets if isinstance(packet, ReceiverReport)]
    assert (report.reports[0].fraction_lost, report.reports[0].cumulative_lost) == (0, 0)


def test_rtcp_reaches_the_owner_and_sender_reports_are_kept() -> None:
    link = Link()
    link.peers[1].set_sections(0.0, [SECTION])
    link.connect()
    Sender(link).send(3)
    (bound,) = link.sides[1].of(StreamBound)
    sent: list[Packet] = [
        SenderReport(ssrc=7, ntp_timestamp=99 << 32, rtp_timestamp=1234),
        SourceDescription.of_cname(7, "me"),
    ]
    link.peers[0].send_rtcp(link.now, sent)
    link.run(link.now + 0.05)
    assert link.sides[1].of(RtcpReceived)[0].packets == tuple(sent)
    report = link.peers[1].sender_report(bound.stream)
    assert report is not None
    assert (report[0], report[1] & 0xFFFFFFFF) == (99 << 32, 1234)
    link.peers[1].send_rtcp(link.now, [Pli(1, number) for number in range(300)])
    link.run(link.now + 0.05)
    received = [event.packets for event in link.sides[0].of(RtcpReceived) if isinstance(event.packets[0], Pli)]
    assert sum(map(len, received)) == 300
    assert len(received) == 3, "of 12 bytes each, in datagrams of up to 1200"


def test_sections_that_come_after_the_media_catch_up() -> None:
    link = Link()
    link.connect()
    Sender(link).send(5)
    assert link.sides[1].of(StreamBound) == []
    link.peers[1].set_sections(link.now, [SECTION])
    link.flush()
    (bound,) = link.sides[1].of(StreamBound)
    assert link.sides[1].kernel.stream_stats(bound.stream).received == 5


def test_media_that_overtakes_the_last_flight_is_kept_until_the_keys_are_there() -> None:
    link = Link()
    link.peers[0].set_sections(0.0, [SECTION])
    held: list[bytes] = []

    def hold_last_flight(receiver: int, data: bytes) -> bool:
        if receiver == 0 and data[0] == 20:  # ChangeCipherSpec, Finished of the server
            held.append(data)
            return False
        return True

    link.filter = hold_last_flight
    link.describe(1)
    link.describe(0)
    link.run_until(lambda: link.peers[1].session is not None, 5.0)
    server = link.sides[1]
    assert server.peer.session is not None
    leg = server.kernel.add_leg(
        Leg(
            session=server.peer.session, ssrc=7, payload_types={111: 111}, mode=LegMode.PLAIN, clock_rate=48000,
            extensions=ExtensionIds(),
        )
    )  # fmt: skip
    for _ in range(4):
        server.kernel.inject(link.now, leg, b"opus", timestamp_step=960)
    link.run(link.now + 0.05)
    assert link.peers[0].session is None
    link.sides[0].endpoint.handle_datagram(link.now, ADDRESSES[0], ADDRESSES[1], held[0])
    link.flush()
    (bound,) = link.sides[0].of(StreamBound)
    stats = link.sides[0].kernel.stream_stats(bound.stream)
    assert (stats.received, stats.out_of_order) == (4, 0)


def test_the_answering_side_may_learn_its_role_from_the_client_hello() -> None:
    """A server that offers actpass: the client's hello comes before its answer has made it through signalling."""
    link = Link()
    link.describe(0)
    link.run(1.0)
    assert link.peers[1].dtls_role is DtlsRole.SERVER
    assert link.peers[1].session is None
    link.describe(1, with_candidates=False)
    link.run(1.5)
    assert [peer.state for peer in link.peers] == [PeerState.CONNECTED] * 2


def test_a_controlling_server_is_the_dtls_server_on_a_subscriber_transport() -> None:
    link = Link()
    server, client = link.peers
    server.set_remote(
        0.0,
        ufrag=client.local_ufrag,
        pwd=client.local_pwd,
        fingerprints=[("sha-256", client.fingerprint)],
        role=DtlsRole.SERVER,
        candidates=client.candidates,
    )
    client.set_remote(
        0.0,
        ufrag=server.local_ufrag,
        pwd=server.local_pwd,
        fingerprints=[("sha-256", server.fingerprint)],
        role=DtlsRole.CLIENT,
        candidates=server.candidates,
    )
    link.run_until(lambda: all(peer.state is PeerState.CONNECTED for peer in link.peers), 3.0)
    assert [peer.dtls_role for peer in link.peers] == [DtlsRole.SERVER, DtlsRole.CLIENT]
    assert [peer.role for peer in link.peers] == [Role.CONTROLLING, Role.CONTROLLED]


def test_a_lite_server_connects_and_sends_no_checks() -> None:
    link = Link(lite=True)
    to_client: list[bytes] = []

    def listen(receiver: int, data: bytes) -> bool:
        if receiver == 0:
            to_client.append(data)
        return True

    link.filter = listen
    link.connect()
    assert [peer.state for peer in link.peers] == [PeerState.CONNECTED] * 2
    assert not any(data[:2] == b"\x00\x01" for data in to_client)
    assert link.peers[1].lite


def test_the_servers_candidates_suffice() -> None:
    link = Link()
    link.describe(1, with_candidates=False)
    link.describe(0)
    link.run(1.0)
    assert [peer.state for peer in link.peers] == [PeerState.CONNECTED] * 2


def test_candidates_may_trickle_in() -> None:
    link = Link()
    link.describe(1, with_candidates=False)
    link.describe(0, with_candidates=False)
    link.run(0.5)
    link.peers[0].add_remote_candidate(link.now, Candidate.host(ADDRESSES[1]))
    link.run(1.5)
    assert [peer.state for peer in link.peers] == [PeerState.CONNECTED] * 2


def test_the_same_description_again_changes_nothing() -> None:
    link = Link()
    link.connect()
    before = [
        (peer.local_ufrag, peer.session, len(side.events)) for peer, side in zip(link.peers, link.sides, strict=True)
    ]
    for index in (0, 1):
        link.describe(index)
    link.run(link.now + 1.0)
    after = [
        (peer.local_ufrag, peer.session, len(side.events)) for peer, side in zip(link.peers, link.sides, strict=True)
    ]
    assert after == before


def test_a_restart_by_one_side_keeps_keys_and_media() -> None:
    link = Link()
    link.peers[1].set_sections(0.0, [SECTION])
    link.connect()
    sender = Sender(link)
    sender.send(5)
    ufrags, sessions = [peer.local_ufrag for peer in link.peers], [peer.session for peer in link.peers]
    link.peers[0].restart_ice(link.now)
    link.describe(1)  # the offer with new credentials: the other restarts too
    sender.send(2)
    link.describe(0)  # its answer
    sender.send(20)
    assert [peer.session for peer in link.peers] == sessions
    assert not set(ufrags) & {peer.local_ufrag for peer in link.peers}
    assert [states(link, index)[-1] for index in (0, 1)] == [PeerState.CONNECTED] * 2
    (bound,) = link.sides[1].of(StreamBound)
    assert link.sides[1].kernel.stream_stats(bound.stream).received >= 26
    assert link.peers[1].ufrags == (link.peers[1].local_ufrag,)


def test_silence_is_disconnection_then_failure_and_a_restart_heals_it() -> None:
    link = Link()
    link.connect()
    link.filter = lambda receiver, data: False
    link.run(link.now + 12.0)
    assert [states(link, index)[-1] for index in (0, 1)] == [PeerState.DISCONNECTED] * 2
    link.run(link.now + 8.0)
    assert [event.reason for event in link.sides[0].of(PeerStateChanged)][-1] == "no path to the peer"
    assert [peer.state for peer in link.peers] == [PeerState.FAILED] * 2
    link.filter = lambda receiver, data: True
    link.peers[0].restart_ice(link.now)
    link.describe(1)
    link.describe(0)
    link.run(link.now + 2.0)
    assert [peer.state for peer in link.peers] == [PeerState.CONNECTED] * 2


def test_a_short_silence_is_forgiven() -> None:
    link = Link()
    link.connect()
    link.filter = lambda receiver, data: False
    link.run(link.now + 12.0)
    link.filter = lambda receiver, data: True
    link.run(link.now + 3.0)
    assert [states(link, index)[-2:] for index in (0, 1)] == [[PeerState.DISCONNECTED, PeerState.CONNECTED]] * 2


def test_media_alone_keeps_a_transport_alive() -> None:
    link = Link()
    link.peers[1].set_sections(0.0, [SECTION])
    link.connect()
    link.filter = lambda receiver, data: receiver == 0 or data[0] >= 128
    Sender(link).send(150, interval=0.1)
    assert link.peers[1].state is PeerState.CONNECTED


def test_a_wrong_fingerprint_fails_the_transport() -> None:
    link = Link()
    link.peers[1].set_remote(
        0.0,
        ufrag=link.peers[0].local_ufrag,
        pwd=link.peers[0].local_pwd,
        fingerprints=[("sha-256", CERTIFICATES[1].fingerprint)],
        role=DtlsRole.SERVER,
    )
    link.describe(0)
    link.run(2.0)
    assert link.peers[1].state is PeerState.FAILED
    assert "fingerprint" in link.sides[1].of(PeerStateChanged)[-1].reason
    assert link.peers[1].session is None
    link.run(10.0)
    assert link.peers[1].state is PeerState.FAILED


def test_a_changed_fingerprint_fails_the_transport() -> None:
    link = Link()
    link.connect()
    peer = link.peers[0]
    link.peers[1].set_remote(
        link.now,
        ufrag=peer.local_ufrag,
        pwd=peer.local_pwd,
        fingerprints=[("sha-256", CERTIFICATES[1].fingerprint)],
        role=DtlsRole.SERVER,
    )
    assert link.peers[1].state is PeerState.FAILED


def test_no_path_is_a_failure_after_the_deadline() -> None:
    link = Link(loss=1.0)
    link.connect(30.0)
    assert [states(link, index) for index in (0, 1)] == [[PeerState.CONNECTING, PeerState.FAILED]] * 2


def test_close_tells_the_peer_and_empties_the_tables() -> None:
    link = Link()
    channel = link.peers[0].open_channel(0.0, "chat")
    link.peers[1].set_sections(0.0, [SECTION])
    link.connect()
    Sender(link).send(3)
    link.run(link.now + 1.0)
    (bound,) = link.sides[1].of(StreamBound)
    endpoint = link.sides[0].endpoint
    endpoint.close_peer(link.now, link.peers[0])
    link.run(link.now + 0.1)
    assert [peer.state for peer in link.peers] == [PeerState.CLOSED] * 2
    assert [len(side.endpoint) for side in link.sides] == [0, 0]
    assert link.sides[1].of(StreamUnbound) == [StreamUnbound(bound.stream)]
    assert [len(side.of(ChannelsDown)) for side in link.sides] == [1, 1]
    assert endpoint.poll_timeout() is None
    assert endpoint.peer(link.peers[0].id) is None
    closed = link.peers[0]
    events = len(link.sides[0].events)
    closed.close(link.now)
    closed.restart_ice(link.now)
    closed.set_sections(link.now, [SECTION])
    closed.add_remote_candidate(link.now, Candidate.host(ADDRESSES[1]))
    link.describe(0)
    closed.send_rtcp(link.now, [Pli(1, 2)])
    assert not closed.send_data(link.now, channel, b"late")
    assert closed.buffered_bytes(channel) == 0
    assert closed.poll_timeout() is None
    closed.handle_srtp(link.now, [b"\x80" * 40])
    closed.handle_dtls(link.now, b"\x16" * 40)
    closed.handle_stun(link.now, ADDRESSES[0], ADDRESSES[1], b"\x00" * 20)
    link.run(link.now + 1.0)
    assert len(link.sides[0].events) == events
    with pytest.raises(LocalProtocolError):
        closed.open_channel(link.now, "late")


def test_legs_to_a_peer_that_hung_up_work_until_its_owner_has_read_that() -> None:
    link = Link()
    link.connect()
    sender = Sender(link)
    session = link.peers[0].session
    assert session is not None
    link.peers[1].close(link.now)
    for batch in link.sides[1].endpoint.poll_transmits():
        for local, remote, data in batch:
            link.sides[0].endpoint.handle_datagram(link.now, remote, local, data)
    assert link.peers[0].state is PeerState.CLOSED
    link.sides[0].endpoint.poll_transmits()
    sender.kernel.leg_stats(sender.leg)
    assert link.sides[0].endpoint.poll_events()
    sender.kernel.remove_leg(sender.leg)
    link.sides[0].endpoint.poll_events()
    with pytest.raises(LocalProtocolError):
        sender.kernel.take_sent(session)


def test_data_channels_open_in_both_directions_and_close() -> None:
    link = Link()
    ours = link.peers[1].open_channel(0.0, "_lossy", ordered=False, max_retransmits=0)
    link.connect()
    late = link.peers[0].open_channel(link.now, "chat")
    link.run(link.now + 0.5)
    opened = {event.label: event for event in link.sides[0].of(ChannelOpened)}
    assert (opened["_lossy"].by_peer, opened["_lossy"].ordered, opened["_lossy"].max_retransmits) == (True, False, 0)
    assert opened["chat"].channel == late
    assert {event.label for event in link.sides[1].of(ChannelOpened)} == {"_lossy", "chat"}
    assert link.peers[1].send_data(link.now, ours, b"x" * 5000)
    assert link.peers[1].buffered_bytes(ours) > 0
    link.run(link.now + 0.5)
    assert [message.data for message in link.sides[0].of(ChannelMessage)] == [b"x" * 5000]
    link.peers[0].close_channel(link.now, late)
    link.peers[0].close_channel(link.now, late)
    assert not link.peers[0].send_data(link.now, late, b"no")
    link.run(link.now + 1.0)
    chat = [event.channel for event in link.sides[1].of(ChannelOpened) if event.label == "chat"]
    assert not link.peers[1].send_data(link.now, chat[0], b"no")


def test_round_trip_times() -> None:
    link = Link(latency=0.05)
    assert link.peers[0].rtt == 0.07
    link.peers[1].set_sections(0.0, [SECTION])
    link.connect()
    assert link.peers[0].rtt == pytest.approx(0.1, abs=0.01)
    assert link.peers[1].stream_rtt == pytest.approx(link.peers[1].rtt)
    Sender(link).send(60)
    link.run(link.now + 1.0)
    assert link.peers[1].stream_rtt == pytest.approx(0.1, abs=0.01)


def test_loss_proxied_from_receivers_shows_in_reports() -> None:
    link = Link()
    link.peers[1].set_sections(0.0, [SECTION])
    link.connect()
    sender = Sender(link)
    sender.send(3)
    (bound,) = link.sides[1].of(StreamBound)
    link.peers[1].set_proxied_loss(bound.stream, 50)
    sender.send(60)
    reports = [p for event in link.sides[0].of(RtcpReceived) for p in event.packets if isinstance(p, ReceiverReport)]
    assert reports[-1].reports[0].fraction_lost == 50


def test_a_stream_follows_its_section() -> None:
    link = Link()
    link.peers[1].set_sections(0.0, [SECTION])
    link.connect()
    sender = Sender(link)
    sender.send(3)
    link.peers[1].set_sections(link.now, [attrs.evolve(SECTION, mid="5")])
    sender.send(3)
    link.flush()
    assert [event.mid for event in link.sides[1].of(StreamBound)] == ["0", "5"]
    assert len(link.sides[1].of(StreamUnbound)) == 1


def test_the_same_seed_gives_the_same_connection_up_to_openssl() -> None:
    def run() -> list[str]:
        link = Link("same", loss=0.1)
        link.connect()
        return [peer.local_ufrag + peer.local_pwd for peer in link.peers]

    assert run() == run()


def test_the_handshake_factory_is_the_transports_only_way_to_dtls() -> None:
    link = Link()
    assert link.peers[0].fingerprint == CERTIFICATES[0].fingerprint
    assert link.sides[0].endpoint.fingerprint == CERTIFICATES[0].fingerprint
    assert OpenSslHandshake(CERTIFICATES[0]).role is None
