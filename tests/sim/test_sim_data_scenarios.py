"""Data between simulated clients: destinations, order, loss, resumes, receivers that do not keep up."""

from __future__ import annotations

import attrs
import pytest

from sansio import Config, RtcConfig
from sansio.auth import VideoGrant
from sansio.errors import DropReason
from sansio.events import Dropped
from sansio.sim import Joined, Link, Participant, World
from sansio.wire import models

CLEAN = Link(latency=0.020)
HOME = Link(latency=0.020, jitter=0.004, loss=0.01)
BAD = Link(latency=0.050, jitter=0.020, loss=0.10, reorder=0.05, duplicate=0.02)
BOTH = pytest.mark.parametrize("single", [True, False], ids=["one connection", "two connections"])


def room_of(seed: str, *names: str, link: Link = HOME, single: bool = True, config: Config | None = None,
            grant: VideoGrant | None = None) -> tuple[World, list[Participant]]:  # fmt: skip
    world = World(seed=seed, link=link)
    world.add_node("n1", config)
    people = [world.join("room", name, single=single, grant=grant) for name in names]
    world.run_until(lambda: all(one.is_connected and one.client.is_data_ready for one in people), deadline=10.0)
    world.run(0.5)
    return world, people


@BOTH
def test_reliable_data_arrives_in_order_on_a_bad_link(single: bool) -> None:
    world, (alice, bob) = room_of("bad", "alice", "bob", link=BAD, single=single)
    payloads = [f"{number}:".encode() + bytes(number * 37 % 5000) for number in range(150)]
    for payload in payloads:
        alice.send(payload, topic="t")
        world.run(0.01)
    world.run_until(lambda: bob.payloads("t") == payloads, deadline=30.0)
    assert not bob.client.inbox.repeated


@BOTH
def test_large_messages_pass_whole(single: bool) -> None:
    world, (alice, bob) = room_of("large", "alice", "bob", link=BAD, single=single)
    payloads = [bytes([number]) * size for number, size in enumerate((0, 1, 1_100, 1_200, 15_000, 60_000))]
    for payload in payloads:
        alice.send(payload)
    world.run_until(lambda: bob.payloads() == payloads, deadline=20.0)


@BOTH
def test_lossy_data_may_be_lost_and_is_never_repeated(single: bool) -> None:
    world, (alice, bob) = room_of("lossy", "alice", "bob", link=BAD, single=single)
    for number in range(200):
        alice.send(str(number).encode(), reliable=False)
        world.run(0.02)
    world.run(2.0)
    got = [int(payload) for payload in bob.payloads()]
    assert len(set(got)) == len(got)
    assert 120 < len(got) < 200
    assert not any(message.reliable for message in bob.messages)


@BOTH
def test_data_goes_to_its_destinations_only(single: bool) -> None:
    world, (alice, bob, carol, dave) = room_of("to", "alice", "bob", "carol", "dave", single=single)
    alice.send(b"all")
    alice.send(b"two", to=["bob", "dave"])
    alice.send(b"one", to=["carol"])
    alice.send(b"self and nobody", to=["alice", "unknown"])
    world.run(1.0)
    assert [one.payloads(sender="alice") for one in (alice, bob, carol, dave)] == [
        [], [b"all", b"two"], [b"all", b"one"], [b"all", b"two"],
    ]  # fmt: skip


def test_data_between_rooms_stays_apart() -> None:
    world, (alice, _) = room_of("apart", "alice", "bob")
    carol = world.join("other", "carol")
    world.run_until(lambda: carol.client.is_data_ready, deadline=3.0)
    alice.send(b"here")
    world.run(1.0)
    assert not carol.messages


def test_the_sender_is_stamped_by_the_server() -> None:
    world, (alice, bob) = room_of("stamp", "alice", "bob")
    forged = models.DataPacket(
        participant_identity="carol",
        user=models.UserPacket(payload=b"x", participant_identity="carol", participant_sid="PA_forged"),
    )
    alice.send_packet(forged)
    world.run_until(lambda: bob.messages, deadline=1.0)
    packet = bob.messages[0].packet
    assert (packet.participant_identity, packet.participant_sid) == ("alice", alice.sid)
    assert (packet.user.participant_identity, packet.user.participant_sid) == ("alice", alice.sid)


def test_who_may_not_publish_data_is_not_heard() -> None:
    grant = VideoGrant(can_publish_data=False)
    world, (alice, bob) = room_of("mute", "alice", "bob", grant=grant)
    alice.send(b"x")
    world.run(1.0)
    assert not bob.messages
    drops = world.nodes["n1"].events_of(Dropped)
    assert any(event.reason is DropReason.DATA_NOT_ALLOWED for event in drops)


@BOTH
def test_nothing_reliable_is_lost_or_repeated_over_a_resume(single: bool) -> None:
    world, (alice, bob) = room_of("resume", "alice", "bob", single=single)
    sent = []
    for number in range(60):
        if number in (20, 40):
            (alice if number == 20 else bob).lose_socket()
        sent.append(f"m{number}".encode())
        alice.send(sent[-1])
        world.run(0.03)
    world.run_until(lambda: bob.payloads() == sent, deadline=10.0)


@BOTH
def test_what_was_sent_while_a_path_was_out_arrives_afterwards(single: bool) -> None:
    world, (alice, bob) = room_of("path", "alice", "bob", single=single)
    bob.cut()
    sent = [f"m{number}".encode() for number in range(20)]
    for payload in sent:
        alice.send(payload)
        world.run(0.1)
    bob.restore()
    world.run_until(lambda: bob.payloads() == sent, deadline=15.0)


@BOTH
def test_a_newcomer_gets_what_was_sent_while_it_connected(single: bool) -> None:
    world, (alice, _) = room_of("newcomer", "alice", "bob", single=single)
    carol = world.join("room", "carol", single=single)
    world.run_until(lambda: "carol" in alice.others, deadline=2.0)
    sent = [f"hello {number}".encode() for number in range(10)]
    for payload in sent:
        alice.send(payload)
    assert not carol.client.is_data_ready
    world.run_until(lambda: carol.payloads() == sent, deadline=5.0)


def test_a_receiver_that_does_not_keep_up_is_sent_away_and_the_others_are_not_held_up() -> None:
    config = Config(rtc=attrs.evolve(RtcConfig(), datachannel_max_buffered=200_000))
    world, (alice, bob, carol) = room_of("slow", "alice", "bob", "carol", config=config)
    bob.set_link(HOME, attrs.evolve(HOME, rate_bps=64_000))
    sent = []
    for number in range(60):
        sent.append(bytes([number]) * 10_000)
        alice.send(sent[-1])
        world.run(0.05)
    world.run_until(lambda: carol.payloads() == sent, deadline=10.0)
    assert not carol.is_gone
    world.run_until(lambda: sum(isinstance(event, Joined) for event in bob.events) >= 2, deadline=30.0)
    drops = world.nodes["n1"].events_of(Dropped)
    assert any(event.reason is DropReason.DATA_SLOW_RECEIVER for event in drops)


def test_lossy_data_to_a_slow_receiver_is_dropped_and_not_queued() -> None:
    world, (alice, bob, carol) = room_of("slow lossy", "alice", "bob", "carol")
    bob.set_link(HOME, attrs.evolve(HOME, rate_bps=100_000))
    for number in range(300):
        alice.send(number.to_bytes(2, "big") + bytes(2_000), reliable=False)
        world.run(0.01)
    world.run(1.0)
    assert len(carol.messages) > 250
    assert 0 < len(bob.messages) < 150
    assert not bob.is_gone


def lateness(seed: str, *, rate_bps: int, latency: float, label: str, link: Link = CLEAN) -> list[float]:
    """Of what reaches bob behind a bottleneck, seconds from sending to arrival; alice sends twice as much as it carries."""
    rtc = RtcConfig(datachannel_data_track_target_latency=latency, datachannel_lossy_target_latency=latency)
    world, (alice, bob) = room_of(seed, "alice", "bob", link=link, config=Config(rtc=rtc))
    if label == "track":
        alice.publish_data_track("pose")
        world.run_until(lambda: bob.data_tracks(alice), deadline=2.0)
        bob.subscribe_data(bob.data_tracks(alice)["pose"])
        world.run(0.5)
    bob.set_link(link, attrs.evolve(link, rate_bps=rate_bps, queue_bytes=10_000))
    began = world.now
    for _ in range(400):
        payload = repr(world.now).encode().ljust(rate_bps // 8 // 50)
        if label == "track":
            alice.send_on("pose", payload)
        else:
            alice.send(payload, reliable=False)
        world.run(0.01)
    world.run(3.0)
    assert not bob.is_gone
    arrived = bob.client.inbox.track_packets if label == "track" else bob.messages
    late = [packet.at - float(packet.payload) for packet in arrived if float(packet.payload) > began + 1.0]
    assert len(late) > 40, "the link is used"
    return late


@pytest.mark.parametrize("label", ["lossy", "track"])
@pytest.mark.parametrize(
    ("rate_bps", "latency", "least", "most"),
    [
        pytest.param(2_000_000, 0.1, 0.0, 0.4, id="fast"),
        pytest.param(2_000_000, 0.5, 0.3, 0.9, id="fast and patient"),
        pytest.param(400_000, 0.1, 0.0, 0.7, id="slow, where some packets may always wait"),
        pytest.param(400_000, 0.0, 2.0, 9.0, id="without limit"),
    ],
)
def test_unreliable_data_waits_for_a_slow_receiver_only_so_long(
    label: str, rate_bps: int, latency: float, least: float, most: float
) -> None:
    late = lateness("late", rate_bps=rate_bps, latency=latency, label=label)
    assert least <= max(late) <= most


def test_a_large_frame_on_a_data_track_arrives_whole_though_the_path_is_long() -> None:
    world, (alice, bob) = room_of("frame", "alice", "bob", link=Link(latency=0.1))
    alice.publish_data_track("depth")
    world.run_until(lambda: bob.data_tracks(alice), deadline=2.0)
    bob.subscribe_data(bob.data_tracks(alice)["depth"])
    world.run(0.5)
    for number in range(12):
        for part in range(3):
            alice.send_on("depth", bytes([number, part]) + bytes(15_000))
        world.run(1.0)
    assert len(bob.data_from(alice)) == 36


@pytest.mark.parametrize(
    ("threshold_bps", "is_sent_away"), [(0, False), (40_000, False), (200_000, True)], ids=["none", "below", "above"]
)
def test_a_receiver_slower_than_the_threshold_is_sent_away(threshold_bps: int, is_sent_away: bool) -> None:
    config = Config(rtc=RtcConfig(datachannel_slow_threshold=threshold_bps))
    world, (alice, bob) = room_of("threshold", "alice", "bob", link=CLEAN, config=config)
    bob.set_link(CLEAN, attrs.evolve(CLEAN, rate_bps=100_000))
    for _ in range(40):
        alice.send(bytes(6_000))
        world.run(0.2)
    world.run(1.0)
    assert (sum(isinstance(event, Joined) for event in bob.events) > 1) is is_sent_away


def test_a_receiver_that_is_sent_little_is_not_too_slow() -> None:
    config = Config(rtc=RtcConfig(datachannel_slow_threshold=10_000_000))
    world, (alice, bob) = room_of("little", "alice", "bob", link=CLEAN, config=config)
    for _ in range(100):
        alice.send(bytes(500))
        world.run(0.1)
    assert len(bob.messages) == 100
    assert sum(isinstance(event, Joined) for event in bob.events) == 1


def test_the_api_sends_data_too() -> None:
    world, (alice, bob) = room_of("api", "alice", "bob")
    request = {
        "room": "room",
        "data": "aGVsbG8=",
        "kind": "RELIABLE",
        "topic": "news",
        "destinationIdentities": ["bob"],
    }
    world.call("SendData", request)
    world.run_until(lambda: bob.payloads("news") == [b"hello"], deadline=1.0)
    assert not alice.messages
    assert bob.messages[0].sender == ""


def test_other_kinds_of_packets_pass_unread() -> None:
    world, (alice, bob) = room_of("kinds", "alice", "bob")
    chat = models.ChatMessage(id="1", timestamp=5, message="hi")
    alice.send_packet(models.DataPacket(chat_message=chat))
    header = models.DataStream.Header(stream_id="s", mime_type="text/plain", attributes={"b": "2", "a": "1"})
    alice.send_packet(models.DataPacket(stream_header=header))
    world.run_until(lambda: len(bob.messages) == 2, deadline=1.0)
    assert bob.messages[0].packet.chat_message == chat
    assert bob.messages[1].packet.stream_header == header


@BOTH
def test_data_tracks_reach_their_subscribers_under_handles_of_their_own(single: bool) -> None:
    world, (alice, bob, carol) = room_of("tracks", "alice", "bob", "carol", single=single)
    for one, name in ((alice, "pose"), (alice, "depth"), (bob, "pose")):
        one.publish_data_track(name)
    world.run_until(lambda: all(len(carol.data_tracks(one)) == n for one, n in ((alice, 2), (bob, 1))), deadline=2.0)
    carol.subscribe_data(carol.data_tracks(alice)["pose"])
    carol.subscribe_data(carol.data_tracks(bob)["pose"])
    world.run(0.5)
    for number in range(50):
        alice.send_on("pose", b"a%d" % number)
        alice.send_on("depth", b"not wished")
        bob.send_on("pose", b"b%d" % number)
        world.run(0.02)
    world.run(0.5)
    for one, letter in ((alice, b"a"), (bob, b"b")):
        assert len(carol.data_from(one)) > 40  # lossy
        assert set(carol.data_from(one)) <= {letter + b"%d" % number for number in range(50)}
    assert not alice.client.inbox.track_packets
    carol.subscribe_data(carol.data_tracks(alice)["pose"], False)
    world.run(0.5)
    before = len(carol.data_from(alice))
    alice.send_on("pose", b"late")
    world.run(0.5)
    assert len(carol.data_from(alice)) == before


def test_data_tracks_outlive_a_resume_and_a_new_session() -> None:
    world = World(seed="data resume", link=HOME)
    world.add_node("n1")
    alice, bob = world.join("room", "alice"), world.join("room", "bob", auto_subscribe_data_track=True)
    world.run_until(lambda: alice.client.is_data_ready and bob.client.is_data_ready, deadline=4.0)
    alice.publish_data_track("pose")
    world.run(0.5)
    for disturb in (None, alice.lose_socket, bob.lose_socket, alice.rejoin, bob.rejoin):
        if disturb is not None:
            disturb()
        world.run(3.0)
        before = len(bob.data_from(alice))
        for _ in range(20):
            alice.send_on("pose", b"x")
            world.run(0.02)
        world.run(0.5)
        assert len(bob.data_from(alice)) > before + 10


def test_a_data_track_that_ends_is_forgotten() -> None:
    world, (alice, bob) = room_of("end", "alice", "bob")
    alice.publish_data_track("pose")
    world.run_until(lambda: bob.data_tracks(alice), deadline=2.0)
    alice.unpublish_data_track("pose")
    world.run_until(lambda: not bob.data_tracks(alice), deadline=2.0)
