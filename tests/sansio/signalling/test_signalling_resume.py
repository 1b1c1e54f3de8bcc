"""Sockets that are lost, transports that fail, and coming back (signalling 8.1, 8.2)."""

from __future__ import annotations

import re

import pytest
from signalling_rig import ROOM, Action, Client, DisconnectReason, Rig, State, token, wrap

from sansio import Close
from sansio.events import ParticipantLeft, ParticipantResumed
from sansio.wire import models, rtc

MODES = pytest.mark.parametrize("v1", [False, True], ids=["dual", "single"])


def call(*, v1: bool = False) -> tuple[Rig, Client, Client]:
    """Two connected clients, both publishing a microphone."""
    rig = Rig()
    alice, bob = rig.join("alice", media=True, v1=v1), rig.join("bob", media=True)
    rig.run(0.5)
    alice.publish()
    bob.publish("bobs")
    rig.run(0.5)
    return rig, alice, bob


def cut_off(rig: Rig, client: Client) -> None:
    """None of the client's datagrams come through from now on."""
    rig.lost = lambda source, destination: client.media.host in (source[0], destination[0])


def ufrag(sdp: str) -> str:
    found = re.search("a=ice-ufrag:(.*)", sdp)
    assert found is not None
    return found[1].strip()


# Socket loss


@MODES
def test_a_lost_socket_is_nothing_to_the_others_while_media_flows(v1: bool) -> None:
    rig, alice, bob = call(v1=v1)
    bob.forget()
    alice.drop_socket()
    rig.run(120)
    assert bob.updates == []
    assert "alice" in bob.view
    assert rig.event(ParticipantLeft) == []


def test_a_socket_lost_before_any_connection_removes_at_once() -> None:
    """J-16."""
    rig = Rig()
    bob = rig.join("bob")
    rig.join("alice").drop_socket()
    assert bob.infos_of("alice")[-1].disconnect_reason == DisconnectReason.SIGNAL_CLOSE


def test_who_lost_both_has_some_seconds_to_come_back() -> None:
    """R-4, R-5: ICE silence of 10 + 5 s, then the grace."""
    rig, alice, bob = call()
    alice.drop_socket()
    cut_off(rig, alice)
    start = rig.now
    assert rig.run_until(lambda: "alice" not in bob.view, 40)
    assert 15 < rig.now - start < 25
    assert bob.infos_of("alice")[-1].disconnect_reason == DisconnectReason.CONNECTION_TIMEOUT


def test_a_failed_transport_asks_for_a_resume() -> None:
    """R-4, R-3: leave RESUME and the close; the member stays for about five seconds."""
    rig, alice, bob = call()
    cut_off(rig, alice)
    assert rig.run_until(lambda: not alice.is_open(), 30)
    leave = alice.last("leave")
    assert (leave.action, leave.can_reconnect) == (Action.RESUME, True)
    assert alice.closed == Close(session=alice.session, code=1000, reason="")
    rig.run(4.8)
    assert "alice" in bob.view
    rig.run(0.4)
    assert "alice" not in bob.view


def test_a_failed_transport_recovers_by_the_resume() -> None:
    """R-4, R-10, R-11."""
    rig, alice, bob = call()
    cut_off(rig, alice)
    rig.run_until(lambda: not alice.is_open(), 30)
    rig.lost = lambda source, destination: False
    alice.resume(reason=3)
    alice.media.restart_ice()
    alice.offer()
    rig.run(10)
    assert alice.is_open()
    assert all(connection.is_connected for connection in alice.media.connections)
    assert "alice" in bob.view
    assert alice.of("leave") == []


# A good resume


@MODES
def test_the_messages_of_a_resume_in_their_order(v1: bool) -> None:
    """R-8, R-9, R-10."""
    rig, alice, bob = call(v1=v1)
    bob.forget()
    alice.drop_socket()
    rig.run(1)
    alice.resume()
    kinds = alice.kinds
    assert kinds[:3] == ["reconnect", "update", "room_update"]
    assert "refresh_token" in kinds
    assert ("offer" in kinds) is (not v1)
    assert {info.identity: info.state for info in alice.updates} == {"alice": State.ACTIVE, "bob": State.ACTIVE}
    assert [track.sid for track in alice.view["bob"].tracks] == bob.track_sids
    reconnect = alice.last("reconnect")
    assert reconnect.server_info.node_id == rig.node.id
    rig.run(1)
    assert bob.updates == [], "the others see nothing of it"
    assert [event.identity for event in rig.event(ParticipantResumed)] == ["alice"]


def test_the_subscriber_connection_restarts_ice_at_once() -> None:
    """R-10."""
    rig, alice, _ = call()
    before = ufrag(alice.last("offer").sdp)
    alice.resume()
    offer = alice.last("offer")
    assert ufrag(offer.sdp) != before
    rig.run(2)
    assert all(connection.is_connected for connection in alice.media.connections)
    assert alice.is_open()


def test_media_goes_on_over_a_resume() -> None:
    """R-11: the client restarts its own connection; what it hears goes on."""
    rig, alice, bob = call()
    bobs, mic = bob.media.published["bobs"], alice.media.published["mic"]
    bobs.send(5)
    mic.send(5)
    rig.run(0.2)
    heard_by_alice = alice.media.received(bob.track_sids[0])
    heard_by_bob = bob.media.received(alice.track_sids[0])
    alice.drop_socket()
    alice.resume()
    alice.media.restart_ice()
    alice.offer()
    rig.run(1)
    bobs.send(5)
    rig.run(0.2)
    assert alice.media.received(bob.track_sids[0]) == heard_by_alice + 5
    mic.send(5)
    rig.run(0.2)
    assert bob.media.received(alice.track_sids[0]) == heard_by_bob + 5


def test_a_new_socket_replaces_one_that_still_stands() -> None:
    """H-30, R-15: the older is closed without a leave; each attempt replaces the one before."""
    rig, alice, bob = call()
    older = alice.session
    alice.resume()
    assert Close(session=older, code=1000, reason="") in rig.closes
    assert alice.kinds[0] == "reconnect"
    alice.resume()
    assert alice.kinds[0] == "reconnect"
    rig.node.handle_disconnect(rig.now, older)
    rig.settle()
    alice.send(ping=1)
    assert alice.kinds[-1] == "pong"
    assert bob.is_open()


def test_those_who_left_meanwhile_are_named_first() -> None:
    """R-8: since the last that was heard of the client; for protocol > 8."""
    rig, alice, _bob = call()
    carol = rig.join("carol")
    rig.run(0.1)
    alice.send(ping=1)
    rig.run(1)
    alice.drop_socket()
    rig.run(1)
    sid = carol.sid
    carol.send(leave=rtc.LeaveRequest())
    rig.run(1)
    alice.resume()
    first = alice.updates[0]
    assert (first.identity, first.sid, first.state) == ("carol", sid, State.DISCONNECTED)
    assert set(alice.view) == {"alice", "bob"}


def test_those_who_left_earlier_are_not_named_again() -> None:
    rig, alice, _ = call()
    carol = rig.join("carol")
    rig.run(0.1)
    carol.send(leave=rtc.LeaveRequest())
    rig.run(10)
    alice.send(ping=1)
    alice.drop_socket()
    alice.resume()
    assert alice.infos_of("carol") == []


def test_one_who_came_back_meanwhile_is_named_by_its_new_session_only() -> None:
    rig, alice, bob = call()
    alice.drop_socket()
    rig.run(0.1)
    bob.send(leave=rtc.LeaveRequest())
    again = rig.join("bob")
    alice.resume()
    assert [info.sid for info in alice.infos_of("bob")] == [again.sid]


def test_an_old_client_is_not_told_of_those_who_left() -> None:
    """J-30, gate 8."""
    rig = Rig()
    alice, bob = rig.join("alice", media=True, protocol=8), rig.join("bob")
    rig.run(0.5)
    alice.drop_socket()
    rig.run(0.1)
    bob.send(leave=rtc.LeaveRequest())
    alice.resume(query={"protocol": "8", "sdk": "js", "version": "1.7.0"})
    assert [info.identity for info in alice.updates] == ["alice"]


def resume_query(client: Client) -> dict[str, str]:
    return {"reconnect": "1", "sid": client.sid, "reconnect_reason": "1"}


def test_an_old_js_client_gets_no_reconnect_message() -> None:
    """R-8."""
    _rig, alice, _ = call()
    alice.resume(query={"protocol": "9", "sdk": "js", "version": "1.6.2"})
    assert alice.kinds[0] == "update"
    alice.resume(query={"protocol": "9", "sdk": "js", "version": "1.6.3"})
    assert alice.kinds[0] == "reconnect"


def test_what_was_accepted_last_is_told() -> None:
    """D-13."""
    rig, alice, _ = call()
    for number in (1, 2, 5):
        alice.media.send_data(models.DataPacket(sequence=number, user=models.UserPacket(payload=b"x")))
    rig.run(0.2)
    alice.resume()
    assert alice.last("reconnect").last_message_seq == 5


def test_requests_of_the_gap_apply_to_the_same_session() -> None:
    """R-13, R-14."""
    rig, alice, bob = call()
    (sid,) = alice.track_sids
    alice.drop_socket()
    alice.resume()
    alice.send(mute=rtc.MuteTrackRequest(sid=sid, muted=True))
    alice.send(subscription_permission=rtc.SubscriptionPermission(all_participants=True))
    alice.publish("cam", "video")
    rig.run(0.5)
    tracks = bob.view["alice"].tracks
    assert [(track.sid == sid, track.muted) for track in tracks] == [(True, True), (False, False)]


def test_the_permission_of_the_running_participant_wins() -> None:
    """R-16."""
    rig, alice, bob = call()
    alice.resume(can_publish=False, hidden=True, name="other")
    info = alice.view["alice"]
    assert (info.permission.can_publish, info.permission.hidden, info.name) == (True, False, "")
    rig.run(1)
    assert len(bob.view["alice"].tracks) == 1


# Resumes that fail


def stranger(rig: Rig, identity: str, sid: str, *, v1: bool, room: str = ROOM) -> Client:
    client = Client(rig, identity, room)
    query = {"reconnect": "1", "sid": sid, "protocol": "16"}
    join = None
    if v1:
        join = rtc.JoinRequest(reconnect=True, participant_sid=sid)
        query = {}
    rig.connect(client, query=query, join=join)
    return client


@MODES
@pytest.mark.parametrize("who", ["unknown identity", "another sid", "another's sid", "left", "another room"])
def test_a_resume_of_nobody_is_told_to_join_anew(who: str, v1: bool) -> None:
    """R-7, R-3: the first message is the leave, then the close; never a join."""
    rig, alice, bob = call()
    sids = {"another sid": "PA_nosuchsession", "another's sid": bob.sid}
    if who == "left":
        alice.send(leave=rtc.LeaveRequest())
    bob.forget()
    identity = "thief" if who == "unknown identity" else "alice"
    room = "elsewhere" if who == "another room" else ROOM
    client = stranger(rig, identity, sids.get(who, alice.sid), v1=v1, room=room)
    assert client.kinds == ["leave"]
    leave = client.last("leave")
    assert (leave.reason, leave.action) == (DisconnectReason.STATE_MISMATCH, Action.RECONNECT)
    assert client.closed == Close(session=client.session, code=1000, reason="")
    assert bob.messages == []
    if who != "left":
        alice.send(ping=1)
        assert alice.kinds[-1] == "pong", "the one in the room is not disturbed"
    assert rig.rooms() == [ROOM]


def test_an_expired_token_does_not_resume() -> None:
    """R-16: verified like a join."""
    rig, alice, _ = call()
    rig.now += 0
    client = Client(rig, "alice", ROOM)
    rig.connect(client, jwt=token("alice", ttl=-100), query=resume_query(alice))
    assert not client.answered
    assert alice.is_open()


def test_validate_of_a_resume_does_not_need_room_for_one_more() -> None:
    rig, alice, _ = call()
    query = {"access_token": token("alice")} | resume_query(alice)
    assert rig.request("GET", "/rtc/validate", query=query).status == 200
    wrapped = wrap(rtc.JoinRequest(reconnect=True, participant_sid=alice.sid))
    answer = rig.request("GET", "/rtc/v1/validate", query={"access_token": token("alice"), "join_request": wrapped})
    assert answer.status == 200


# sync_state


def test_an_agreeing_sync_state_changes_nothing() -> None:
    rig, alice, bob = call()
    alice.resume()
    alice.forget()
    (sid,) = alice.track_sids
    state = rtc.SyncState(
        publish_tracks=[rtc.TrackPublishedResponse(cid="mic", track=models.TrackInfo(sid=sid))],
        subscription=rtc.UpdateSubscription(subscribe=False),
        offer=rtc.SessionDescription(sdp="a=x\r\n" * 5000),
        answer=rtc.SessionDescription(sdp="x"),
    )
    alice.send(sync_state=state)
    rig.run(1)
    assert alice.of("leave") == []
    assert list(alice.media.tracks.values()) == bob.track_sids


def test_a_pending_track_agrees_too() -> None:
    _rig, alice, _ = call()
    alice.send(add_track=rtc.AddTrackRequest(cid="cam", type=models.TrackType.VIDEO, source=models.TrackSource.CAMERA))
    sid = alice.last("track_published").track.sid
    alice.resume()
    alice.send(sync_state=rtc.SyncState(publish_tracks=[rtc.TrackPublishedResponse(track=models.TrackInfo(sid=sid))]))
    assert alice.is_open()


@pytest.mark.parametrize(
    "state",
    [
        rtc.SyncState(publish_tracks=[rtc.TrackPublishedResponse(track=models.TrackInfo(sid="TR_nope"))]),
        rtc.SyncState(publish_data_tracks=[rtc.PublishDataTrackResponse(info=models.DataTrackInfo(pub_handle=9))]),
    ],
    ids=["track", "data track"],
)
def test_a_sync_state_with_an_unknown_track_sends_the_client_to_join_anew(state: rtc.SyncState) -> None:
    """R-12 (1), K-6."""
    _rig, alice, bob = call()
    alice.resume()
    alice.send(sync_state=state)
    leave = alice.last("leave")
    assert (leave.reason, leave.action) == (DisconnectReason.STATE_MISMATCH, Action.RECONNECT)
    assert not alice.is_open()
    assert bob.is_open()


def test_a_sync_state_unsubscribes_and_disables() -> None:
    """R-12 (2), (3)."""
    rig, alice, bob = call()
    bobs = bob.media.published["bobs"]
    (mic,) = bob.track_sids
    bob.publish("cam", "video")
    rig.run(0.5)
    cam = next(sid for sid in bob.track_sids if sid != mic)
    alice.resume()
    alice.send(
        sync_state=rtc.SyncState(
            subscription=rtc.UpdateSubscription(track_sids=[cam], subscribe=False), track_sids_disabled=[mic]
        )
    )
    rig.run(1)
    assert list(alice.media.tracks.values()) == [mic]
    bobs.send(5)
    rig.run(0.3)
    assert alice.media.received(mic) == 0


# Transports closed by the client


def test_a_client_that_closes_its_transports_and_its_socket_has_left() -> None:
    rig, alice, bob = call()
    alice.media.hang_up()
    rig.run(0.1)
    assert alice.is_open()
    alice.drop_socket()
    assert bob.infos_of("alice")[-1].disconnect_reason == DisconnectReason.CLIENT_INITIATED


def test_a_client_that_closes_its_transports_may_still_say_why() -> None:
    rig, alice, bob = call()
    alice.media.hang_up()
    rig.run(0.5)
    alice.send(leave=rtc.LeaveRequest(reason=DisconnectReason.USER_UNAVAILABLE))
    assert bob.infos_of("alice")[-1].disconnect_reason == DisconnectReason.USER_UNAVAILABLE


def test_a_client_that_closes_its_transports_and_says_nothing_is_asked_to_resume() -> None:
    rig, alice, bob = call()
    alice.media.hang_up()
    rig.run(1.9)
    assert alice.is_open()
    rig.run(0.3)
    assert alice.last("leave").action == Action.RESUME
    rig.run(6)
    assert "alice" not in bob.view


def test_a_client_without_a_socket_that_closes_its_transports_has_left() -> None:
    rig, alice, bob = call()
    alice.drop_socket()
    alice.media.hang_up()
    rig.run(0.2)
    assert bob.infos_of("alice")[-1].disconnect_reason == DisconnectReason.CLIENT_INITIATED


# Unanswered offers (P-21)


def test_an_unanswered_offer_ends_in_a_full_reconnect() -> None:
    rig, alice, bob = call()
    alice.media.answers = False
    bob.publish("cam", "video")
    rig.run(14.8)
    assert alice.is_open()
    rig.run(0.5)
    leave = alice.last("leave")
    assert (leave.reason, leave.action) == (DisconnectReason.STATE_MISMATCH, Action.RECONNECT)
    assert not alice.is_open()


def test_an_offer_unanswered_before_the_first_connection_does_not() -> None:
    rig = Rig()
    alice = rig.join("alice", media=True)
    alice.media.answers = False
    slow = rig.join("slow")
    rig.run(20)
    assert slow.is_open()
    assert slow.of("leave") == []


def test_one_offer_is_out_at_a_time() -> None:
    """P-21: changes meanwhile go into the next."""
    rig, alice, bob = call()
    alice.media.answers = False
    alice.forget()
    bob.publish("cam", "video")
    rig.run(0.3)
    bob.publish("screen", "video", source=models.TrackSource.SCREEN_SHARE)
    rig.run(0.3)
    (offer,) = alice.of("offer")
    assert offer.sdp.count("m=video") == 1
    subscriber = alice.media.subscriber
    assert subscriber is not None
    alice.media.answers = True
    alice.send(answer=subscriber.handle_offer(offer))
    rig.run(0.3)
    assert alice.last("offer").id == offer.id + 1
    assert alice.last("offer").sdp.count("m=video") == 2
    assert len(alice.media.tracks) == 3


@pytest.mark.parametrize("number", [0, "the id"], ids=["0", "its id"])
def test_answers_without_a_number_count_as_the_latest(number: int | str) -> None:
    """P-20."""
    rig, alice, bob = call()
    alice.media.answers = False
    bob.publish("cam", "video")
    rig.run(0.3)
    subscriber = alice.media.subscriber
    assert subscriber is not None
    offer = alice.last("offer")
    answer = subscriber.handle_offer(offer)
    alice.send(answer=rtc.SessionDescription(type="answer", sdp=answer.sdp, id=(offer.id + 7) % 256))
    alice.send(answer=rtc.SessionDescription(type="answer", sdp=answer.sdp, id=offer.id if number else 0))
    alice.send(answer=answer)
    bob.media.published["cam"].send(3)
    rig.run(0.3)
    assert alice.is_open()
    assert alice.media.received(bob.track_sids[1]) > 0
    assert bob.of("track_subscribed")
