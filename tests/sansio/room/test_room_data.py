"""Data between the members of a room, over real channels: routing, replay, slow receivers, data tracks (signalling 5.7, 6)."""

from __future__ import annotations

from typing import Any

import pytest
from node_rig import Action, Client, Rig, State, configured

from sansio import DropReason, LimitConfig, RtcConfig
from sansio.events import Dropped
from sansio.wire import models, rtc

Packet = models.DataPacket
User = models.UserPacket
Reason = rtc.RequestResponse.Reason
MODES = pytest.mark.parametrize("v1", [False, True], ids=["dual", "single"])


def trio(*, v1: bool = False) -> tuple[Rig, Client, Client, Client]:
    rig = Rig()
    alice = rig.join("alice", media=True)
    bob = rig.join("bob", media=True, v1=v1)
    carol = rig.join("carol", media=True)
    rig.run(0.5)
    return rig, alice, bob, carol


def user(payload: bytes = b"x", **given: Any) -> Packet:
    return Packet(user=User(payload=payload), **given)


def payloads(client: Client, label: str = "_reliable") -> list[bytes]:
    return [packet.user.payload for packet in client.media.data(label)]


def drops(rig: Rig) -> dict[DropReason, int]:
    total: dict[DropReason, int] = {}
    for event in rig.event(Dropped):
        total[event.reason] = total.get(event.reason, 0) + event.count
    return total


# Channels (P-43, P-44)


@pytest.mark.parametrize(
    ("given", "opened_by_server"),
    [({}, True), ({"v1": True}, False), ({"can_subscribe": False}, False)],
    ids=["dual", "single", "no subscriber connection"],
)
def test_who_opens_the_channels_downstream(given: dict[str, Any], opened_by_server: bool) -> None:
    rig = Rig()
    alice, bob = rig.join("alice", media=True), rig.join("bob", media=True, **given)
    rig.run(0.5)
    labels = bob.media.opened()
    assert sorted(labels[:3]) == sorted(labels[3:] or labels[:3]) == ["_data_track", "_lossy", "_reliable"]
    assert (len(labels) == 6) is opened_by_server
    alice.media.send_data(user())
    rig.run(0.1)
    assert payloads(bob) == [b"x"]


# Routing (D-2, D-3)


@MODES
@pytest.mark.parametrize("label", ["_reliable", "_lossy"])
def test_a_packet_goes_to_all_others_and_not_back(v1: bool, label: str) -> None:
    rig, alice, bob, carol = trio(v1=v1)
    bob.media.send_data(user(b"to all"), label)
    rig.run(0.1)
    for client in (alice, carol):
        (packet,) = client.media.data(label)
        assert (packet.user.payload, packet.participant_identity, packet.participant_sid) == (b"to all", "bob", bob.sid)
        assert packet.kind == (Packet.Kind.RELIABLE if label == "_reliable" else Packet.Kind.LOSSY)
    assert payloads(bob, label) == []


def test_a_packet_goes_to_whom_it_names() -> None:
    rig, alice, bob, carol = trio()
    alice.media.send_data(user(b"1", destination_identities=["bob", "nobody", "alice"]))
    alice.media.send_data(Packet(user=User(payload=b"2", destination_sids=[carol.sid])))
    alice.media.send_data(user(b"3", destination_identities=["nobody"]))
    rig.run(0.1)
    assert (payloads(alice), payloads(bob), payloads(carol)) == ([], [b"1"], [b"2"])


def test_the_order_of_a_sender_is_kept() -> None:
    """D-22."""
    rig, alice, bob, _ = trio()
    for number in range(50):
        alice.media.send_data(user(b"%d" % number, sequence=number + 1))
    rig.run(0.3)
    assert payloads(bob) == [b"%d" % number for number in range(50)]


def test_lossy_packets_reach_only_active_members() -> None:
    """D-16; reliable ones wait for the channel."""
    rig = Rig()
    alice = rig.join("alice", media=True)
    rig.run(0.5)
    bob = rig.join("bob", media=True)
    alice.media.send_data(user(b"lossy"), "_lossy")
    alice.media.send_data(user(b"reliable"))
    rig.run_until(lambda: bob.view["bob"].state == State.ACTIVE, 0.5)
    rig.run(0.5)
    assert payloads(bob, "_lossy") == []
    assert payloads(bob) == [b"reliable"]


def test_what_waits_for_a_channel_has_an_end() -> None:
    """X-3: the oldest go first."""
    rig = Rig()
    alice = rig.join("alice", media=True)
    rig.run(0.5)
    bob = rig.join("bob", media=True)
    rig.lost = lambda source, destination: bob.media.host in (source[0], destination[0])
    for number in range(40):
        alice.media.send_data(user(b"%02d" % number + bytes(50_000)))
        rig.run(0.1)
    rig.lost = lambda source, destination: False
    rig.run(5)
    got = [int(payload[:2]) for payload in payloads(bob)]
    assert got == list(range(got[0], 40))
    assert 15 < len(got) < 25


@pytest.mark.parametrize("grants", [{"can_publish_data": False}, {"can_publish": False}])
def test_who_may_not_send_data_is_not_heard(grants: dict[str, Any]) -> None:
    """D-1, T-6."""
    rig = Rig()
    alice, bob = rig.join("alice", media=True, **grants), rig.join("bob", media=True)
    rig.run(0.5)
    alice.media.send_data(user())
    alice.media.send_data(user(), "_lossy")
    rig.run(0.1)
    assert payloads(bob) == payloads(bob, "_lossy") == []
    rig.run(0)
    assert drops(rig)[DropReason.DATA_NOT_ALLOWED] == 2
    assert alice.is_open()


def test_garbage_on_channels_is_dropped_and_counted() -> None:
    """X-3, X-4."""
    rig, alice, bob, _carol = trio()
    for label in ("_reliable", "_lossy"):
        alice.media.send_data(b"\xff" * 30, label)
    alice.media.send_data(b"short", "_data_track")
    alice.media.send_data(bytes(40), "_data_track")
    alice.media.open_channel("strange")
    alice.media.send_data(b"raw", "strange")
    alice.media.send_data(user(b"after"))
    rig.run(0.2)
    assert payloads(bob) == [b"after"]
    counted = drops(rig)
    assert counted[DropReason.DATA_MALFORMED] == 3
    assert counted[DropReason.DATA_NOT_ALLOWED] == 1
    assert counted[DropReason.DATA_NO_RECEIVER] == 1


def test_a_hidden_sender_stays_nameless() -> None:
    """D-5, J-17."""
    rig = Rig()
    ghost, bob = rig.join("ghost", media=True, hidden=True), rig.join("bob", media=True)
    rig.run(0.5)
    ghost.media.send_data(user())
    rig.run(0.1)
    (packet,) = bob.media.data()
    assert (packet.participant_identity, packet.participant_sid) == ("", ghost.sid)


def test_a_sender_is_announced_before_its_data() -> None:
    """J-21, X-2: even where updates wait for the tick of a large room."""
    rig = Rig()
    watcher = rig.join("watcher", media=True)
    for number in range(40):
        rig.join(f"p{number}")
    rig.run(3)
    late = rig.join("late", media=True)
    rig.run_until(lambda: late.media.opened() != [], 0.3)
    assert "late" not in watcher.view
    late.media.send_data(user())
    rig.run_until(lambda: payloads(watcher) != [], 0.1)
    assert payloads(watcher) == [b"x"]
    assert "late" in watcher.view


# Replay (D-12 to D-15)


def test_packets_sent_again_after_a_resume_are_dropped() -> None:
    rig, alice, bob, _ = trio()
    for number in (1, 2):
        alice.media.send_data(user(b"%d" % number, sequence=number))
    rig.run(0.1)
    alice.resume()
    assert alice.last("reconnect").last_message_seq == 2
    for number in (1, 2, 3):
        alice.media.send_data(user(b"%d" % number, sequence=number))
    rig.run(0.1)
    assert payloads(bob) == [b"1", b"2", b"3"]


def test_a_resuming_receiver_gets_what_it_missed() -> None:
    """D-15."""
    rig, alice, bob, _carol = trio()
    for number in (1, 2, 3):
        alice.media.send_data(user(b"%d" % number, sequence=number))
    alice.media.send_data(user(b"for carol", sequence=4, destination_identities=["carol"]))
    bob.media.send_data(user(b"own", sequence=1))
    rig.run(0.1)
    count = len(payloads(bob))
    bob.resume()
    states = [
        rtc.DataChannelReceiveState(publisher_sid=alice.sid, last_seq=1),
        rtc.DataChannelReceiveState(publisher_sid=bob.sid, last_seq=0),
        rtc.DataChannelReceiveState(publisher_sid="PA_gone", last_seq=0),
    ]
    bob.send(sync_state=rtc.SyncState(datachannel_receive_states=states))
    rig.run(0.2)
    assert payloads(bob)[count:] == [b"2", b"3"]


# Slow receivers (D-17)


def test_a_receiver_that_does_not_drain_is_disconnected_and_stalls_nobody() -> None:
    rig = Rig(configured(rtc=RtcConfig(datachannel_max_buffered=200_000)))
    alice, bob, carol = (rig.join(name, media=True) for name in ("alice", "bob", "carol"))
    rig.run(0.5)
    rig.lost = lambda source, destination: bob.media.host in (source[0], destination[0])
    for number in range(40):
        alice.media.send_data(user(b"%02d" % number + bytes(20_000)))
        alice.media.send_data(user(b"%02d" % number + bytes(4_000)), "_lossy")
        rig.run(0.05)
    assert len(payloads(carol)) == 40
    leave = bob.last("leave")
    assert leave.action == Action.RECONNECT
    assert not bob.is_open()
    assert carol.is_open()
    rig.run(0)
    assert drops(rig)[DropReason.DATA_SLOW_RECEIVER] >= 1


# Data tracks (K-1 to K-6)


def publish_data_track(client: Client, handle: int = 7, name: str = "sensor", **given: Any) -> Any:
    client.forget()
    client.send(publish_data_track_request=rtc.PublishDataTrackRequest(pub_handle=handle, name=name, **given))
    (answer,) = [m for m in client.messages if m.WhichOneof("message") != "update"]
    return getattr(answer, answer.WhichOneof("message") or "")


def want_data_track(client: Client, sid: str, on: bool = True) -> None:
    update = rtc.UpdateDataSubscription.Update(track_sid=sid, subscribe=on)
    client.send(update_data_subscription=rtc.UpdateDataSubscription(updates=[update]))


def frame(handle: int, payload: bytes = b"payload", number: int = 1) -> bytes:
    head = (
        bytes([0x18, 0])
        + handle.to_bytes(2, "big")
        + number.to_bytes(2, "big")
        + bytes(2)
        + (90_000).to_bytes(4, "big")
    )
    return head + payload


def handles(client: Client) -> dict[int, str]:
    found = client.last("data_track_subscriber_handles").sub_handles
    return {handle: entry.track_sid for handle, entry in found.items()}


def test_a_data_track_is_published_and_announced() -> None:
    """K-3."""
    rig, alice, bob, _ = trio()
    response = publish_data_track(
        alice, encryption=models.Encryption.Type.GCM, frame_encoding=models.DataTrackFrameEncoding(custom="abc")
    )
    info = response.info
    assert info.sid.startswith("DTR_")
    assert (info.pub_handle, info.name, info.encryption) == (7, "sensor", models.Encryption.Type.GCM)
    assert info.frame_encoding.custom == "abc"
    shown = bob.view["alice"]
    assert list(shown.data_tracks) == [info]
    assert shown.is_publisher
    assert list(rig.join("late").view["alice"].data_tracks) == [info]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        pytest.param({"pub_handle": 0, "name": "n"}, Reason.INVALID_HANDLE, id="handle 0"),
        pytest.param({"pub_handle": 65536, "name": "n"}, Reason.INVALID_HANDLE, id="handle too large"),
        pytest.param({"pub_handle": 8, "name": ""}, Reason.INVALID_NAME, id="no name"),
        pytest.param({"pub_handle": 8, "name": "n" * 257}, Reason.INVALID_NAME, id="long name"),
        pytest.param(
            {"pub_handle": 8, "name": "n", "frame_encoding": {"custom": ""}}, Reason.INVALID_REQUEST, id="no encoding"
        ),
        pytest.param(
            {"pub_handle": 8, "name": "n", "frame_encoding": {"custom": "e" * 33}},
            Reason.INVALID_REQUEST,
            id="long encoding",
        ),
        pytest.param({"pub_handle": 7, "name": "other"}, Reason.DUPLICATE_HANDLE, id="handle taken"),
        pytest.param({"pub_handle": 8, "name": "sensor"}, Reason.DUPLICATE_NAME, id="name taken"),
    ],
)
def test_data_tracks_that_are_refused(request_: dict[str, Any], reason: int) -> None:
    """K-3."""
    _, alice, _, _ = trio()
    publish_data_track(alice)
    if "frame_encoding" in request_:
        request_ = request_ | {"frame_encoding": models.DataTrackFrameEncoding(**request_["frame_encoding"])}
    request = rtc.PublishDataTrackRequest(**request_)
    alice.send(publish_data_track_request=request)
    response = alice.last("request_response")
    assert (response.reason, response.publish_data_track) == (reason, request)


def test_data_tracks_may_be_forbidden_limited_or_off() -> None:
    rig = Rig()
    assert publish_data_track(rig.join("alice", can_publish_data=False)).reason == Reason.NOT_ALLOWED
    rig = Rig(configured(enable_data_tracks=False))
    assert publish_data_track(rig.join("alice")).reason == Reason.NOT_ALLOWED
    rig = Rig(configured(limit=LimitConfig(max_pending_tracks=2)))
    alice = rig.join("alice")
    publish_data_track(alice, 1, "a")
    publish_data_track(alice, 2, "b")
    assert publish_data_track(alice, 3, "c").reason == Reason.LIMIT_EXCEEDED
    schema = models.DataTrackSchemaId(name="s" * 100_000)
    assert publish_data_track(rig.join("bob"), schema=schema).reason == Reason.LIMIT_EXCEEDED


def test_a_data_track_is_subscribed_on_wish_under_a_handle_of_ones_own() -> None:
    """K-2, K-4, K-5."""
    rig, alice, bob, carol = trio()
    first, second = publish_data_track(alice).info.sid, publish_data_track(alice, 9, "other").info.sid
    assert bob.of("data_track_subscriber_handles") == []
    want_data_track(bob, second)
    want_data_track(bob, first)
    known = handles(bob)
    assert sorted(known.values()) == sorted([first, second])
    entry = bob.last("data_track_subscriber_handles").sub_handles[next(iter(known))]
    assert (entry.publisher_identity, entry.publisher_sid) == ("alice", alice.sid)
    alice.media.send_data(frame(7, b"from 7"), "_data_track")
    alice.media.send_data(frame(9, b"from 9"), "_data_track")
    rig.run(0.1)
    by_sid = {sid: handle for handle, sid in known.items()}
    assert bob.media.raw_data("_data_track") == [frame(by_sid[first], b"from 7"), frame(by_sid[second], b"from 9")]
    assert carol.media.raw_data("_data_track") == []
    want_data_track(bob, first, on=False)
    assert list(handles(bob).values()) == [second]
    want_data_track(bob, first)
    assert set(handles(bob)) != set(known), "a handle is not used again soon"


def test_data_tracks_are_subscribed_by_themselves_for_who_asks_for_it() -> None:
    """K-4."""
    rig = Rig()
    alice = rig.join("alice")
    first = publish_data_track(alice).info.sid
    bob = rig.join("bob", query={"auto_subscribe_data_track": "1"})
    assert list(handles(bob).values()) == [first]
    second = publish_data_track(alice, 8, "second").info.sid
    assert list(handles(bob).values()) == [first, second]


def test_a_wish_may_come_before_the_data_track() -> None:
    _rig, _alice, bob, _ = trio()
    want_data_track(bob, "DTR_none")
    assert bob.of("data_track_subscriber_handles") == []


def test_unpublishing_a_data_track() -> None:
    """K-6."""
    _rig, alice, bob, _ = trio()
    info = publish_data_track(alice).info
    want_data_track(bob, info.sid)
    alice.send(unpublish_data_track_request=rtc.UnpublishDataTrackRequest(pub_handle=7))
    assert alice.last("unpublish_data_track_response").info == info
    assert handles(bob) == {}
    assert list(bob.view["alice"].data_tracks) == []
    request = rtc.UnpublishDataTrackRequest(pub_handle=7)
    alice.send(unpublish_data_track_request=request)
    response = alice.last("request_response")
    assert (response.reason, response.unpublish_data_track) == (Reason.NOT_FOUND, request)
    assert publish_data_track(alice).info.sid != info.sid


def test_a_leaver_takes_its_data_tracks_along() -> None:
    _rig, alice, bob, _ = trio()
    want_data_track(bob, publish_data_track(alice).info.sid)
    alice.send(leave=rtc.LeaveRequest())
    assert handles(bob) == {}


def test_a_publishers_list_counts_for_data_tracks_too() -> None:
    """U-9."""
    _rig, alice, bob, _ = trio()
    sid = publish_data_track(alice).info.sid
    want_data_track(bob, sid)
    assert list(handles(bob).values()) == [sid]
    alice.send(subscription_permission=rtc.SubscriptionPermission())
    assert handles(bob) == {}
    alice.send(subscription_permission=rtc.SubscriptionPermission(all_participants=True))
    assert list(handles(bob).values()) == [sid]


def test_a_sync_state_brings_wishes_for_data_tracks() -> None:
    """K-6, R-12."""
    _rig, alice, bob, _ = trio()
    info = publish_data_track(alice).info
    bob.resume()
    update = rtc.UpdateDataSubscription.Update(track_sid=info.sid, subscribe=True)
    bob.send(sync_state=rtc.SyncState(data_subscription=rtc.UpdateDataSubscription(updates=[update])))
    assert list(handles(bob).values()) == [info.sid]
    alice.resume()
    alice.send(sync_state=rtc.SyncState(publish_data_tracks=[rtc.PublishDataTrackResponse(info=info)]))
    assert alice.is_open()


def test_data_blobs_are_off() -> None:
    """Req 22, 23."""
    alice = Rig().join()
    alice.send(store_data_blob_request=rtc.StoreDataBlobRequest())
    assert alice.last("request_response").reason == Reason.NOT_ALLOWED
    alice.send(get_data_blob_request=rtc.GetDataBlobRequest())
    assert alice.last("request_response").reason == Reason.NOT_FOUND


def test_wishes_for_data_tracks_have_an_end() -> None:
    """X-3."""
    rig = Rig(configured(limit=LimitConfig(max_subscription_wishes=50)))
    alice, bob = rig.join("alice"), rig.join("bob")
    sid = publish_data_track(alice).info.sid
    for start in range(0, 500, 25):
        updates = [rtc.UpdateDataSubscription.Update(track_sid=f"DTR_{start + n}", subscribe=True) for n in range(25)]
        bob.send(update_data_subscription=rtc.UpdateDataSubscription(updates=updates))
    want_data_track(bob, sid)
    assert list(handles(bob).values()) == [sid]
