"""The node as a whole: its outputs and getters, its end, and what no client can do to it or to others (X-3, X-4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from node_rig import ROOM, SERVER, WALL, Action, Client, DisconnectReason, Rig, State, token

from sansio import Accept, Close, Config, DropReason, HttpRequest, Node, Reject, SeededEntropy, SessionId
from sansio.events import Dropped, ParticipantLeft, RoomFinished
from sansio.wire import models, rtc
from sansio.wire import room as wire

AUDIO, VIDEO = models.TrackType.AUDIO, models.TrackType.VIDEO


def call() -> tuple[Rig, Client, Client]:
    rig = Rig()
    alice, bob = rig.join("alice", media=True), rig.join("bob", media=True, v1=True)
    rig.run(0.5)
    alice.publish()
    rig.run(0.3)
    return rig, alice, bob


# Getters, outputs


def test_a_new_node_is_quiet() -> None:
    node = Node(Config(), entropy=SeededEntropy(1), wallclock_offset=WALL)
    assert node.id.startswith("ND_")
    assert (node.rooms, node.is_empty, node.poll_timeout(), node.next_timer()) == ((), True, None, None)
    assert (node.poll_commands(), node.poll_events(), node.poll_transmits()) == ([], [], [])
    node.handle_timeout(5.0)
    assert node.poll_commands() == []


def test_stats_count_what_there_is() -> None:
    rig, _, _ = call()
    rig.join("carol", "other")
    rig.connect_worker(token("worker", agent=True))
    assert rig.node.stats() == {
        "rooms": 2, "participants": 3, "tracks": 1, "subscriptions": 1, "transports": 4, "sessions": 3, "workers": 1, "jobs": 0,
    }  # fmt: skip
    assert not rig.node.is_empty


def test_the_next_timer_names_its_owner() -> None:
    rig = Rig()
    rig.connect_worker(token("worker", agent=True))
    assert rig.node.next_timer() == (10.0, "agents")
    rig.join("alice")
    timer = rig.node.next_timer()
    assert timer is not None
    assert timer == (rig.node.poll_timeout(), "rooms")


def test_the_same_inputs_give_the_same_outputs() -> None:
    """The contract of the node: nothing but inputs, entropy and time decide."""
    runs = []
    for _ in range(2):
        rig, alice, bob = call()
        alice.media.published["mic"].send(5)
        rig.run(1)
        bob.send(leave=rtc.LeaveRequest())
        rig.run(5)
        runs.append((alice.frames, bob.frames, rig.events, rig.now))
    assert runs[0] == runs[1]


def test_drops_are_told_once() -> None:
    rig = Rig()
    for _ in range(3):
        rig.node.handle_datagram(0.0, SERVER, ("203.0.113.1", 9), b"\x16garbage")
    rig.node.handle_datagram(0.0, SERVER, ("203.0.113.1", 9), b"\xff")
    assert set(rig.node.poll_events()) == {
        Dropped(reason=DropReason.UNKNOWN_ADDRESS, count=3),
        Dropped(reason=DropReason.UNKNOWN_FIRST_BYTE, count=1),
    }
    assert rig.node.poll_events() == []


def test_drops_of_rooms_and_sockets_are_told() -> None:
    rig, alice, _ = call()
    alice.send(trickle=rtc.TrickleRequest(candidateInit="{"))
    alice.send(answer=rtc.SessionDescription(type="answer", sdp="x", id=5))
    alice.send_frame(b"\xff")
    session = rig.connect_worker(token("worker", agent=True))
    rig.node.handle_message(rig.now, session, b"\xff")
    rig.settle()
    told: Counter[DropReason] = Counter()
    for event in rig.event(Dropped):
        told[event.reason] += event.count
    assert told[DropReason.CANDIDATE_MALFORMED] == 1
    assert told[DropReason.SIGNAL_UNEXPECTED] == 1
    assert told[DropReason.SIGNAL_MALFORMED] == 2


def test_unix_time_can_be_corrected() -> None:
    rig = Rig()
    rig.node.set_wallclock(WALL + 1000)
    assert rig.join("alice", ttl=1500).last("join").participant.joined_at == int(WALL) + 1000
    assert isinstance(rig.join("bob", ttl=500).answer, Reject), "its token has expired by now"


def test_workers_share_the_sockets_numbers_with_clients() -> None:
    rig = Rig()
    session = rig.connect_worker(token("worker", agent=True))
    assert rig.worker(session) == [Accept(session=session)]
    rig.node.handle_message(0.0, session, b"\xff")
    rig.settle()
    assert isinstance(rig.worker(session)[-1], Close)
    refused = rig.connect_worker(token("alice"))
    assert isinstance(rig.worker(refused)[-1], Reject)
    late = rig.connect_worker(token("worker", agent=True))
    rig.run(11)
    assert isinstance(rig.worker(late)[-1], Close)
    gone = rig.connect_worker(token("worker", agent=True, now=rig.now))
    rig.node.handle_disconnect(rig.now, gone)
    rig.run(20)
    assert rig.worker(gone) == [Accept(session=gone)]


# The end


def test_draining_lets_those_inside_go_on() -> None:
    rig, alice, bob = call()
    rig.node.drain(rig.now)
    assert isinstance(rig.join("carol").answer, Reject)
    alice.media.published["mic"].send(3)
    rig.run(0.2)
    assert bob.media.received(alice.track_sids[0]) > 0
    for client in (alice, bob):
        client.send(leave=rtc.LeaveRequest())
    assert rig.node.is_empty


def test_closing_says_goodbye_to_everybody() -> None:
    """R-3: SERVER_SHUTDOWN, DISCONNECT; workers are closed too."""
    rig, alice, bob = call()
    carol = rig.join("carol", "other")
    worker = rig.connect_worker(token("worker", agent=True))
    rig.node.close(rig.now)
    rig.settle()
    for client in (alice, bob, carol):
        leave = client.last("leave")
        assert (leave.reason, leave.action) == (DisconnectReason.SERVER_SHUTDOWN, Action.DISCONNECT)
        assert client.kinds[-1] == "leave"
        assert not client.is_open()
    close = rig.worker(worker)[-1]
    assert isinstance(close, Close)
    assert close.code == 1001
    assert rig.rooms() == []
    assert rig.node.stats() == dict.fromkeys(rig.node.stats(), 0)
    assert {event.reason for event in rig.event(RoomFinished)} == {"server shutdown"}
    assert {event.reason for event in rig.event(ParticipantLeft)} == {"SERVER_SHUTDOWN"}
    assert isinstance(rig.join("late").answer, Reject)
    rig.run(5)
    assert rig.node.poll_timeout() is None
    client = Client(rig, "alice", ROOM)
    rig.connect(client, query={"reconnect": "1", "sid": alice.sid})
    assert isinstance(client.answer, Reject)


def test_nothing_is_left_of_a_call() -> None:
    rig, alice, bob = call()
    alice.publish("cam", "video", rids=("q", "h", "f"))
    rig.run(0.3)
    for published in alice.media.published.values():
        published.send(3)
    rig.run(0.5)
    for client in (alice, bob):
        client.send(leave=rtc.LeaveRequest())
    rig.run(25)
    assert rig.rooms() == []
    assert rig.node.stats() == dict.fromkeys(rig.node.stats(), 0)
    assert rig.node.poll_timeout() is None


# What no client can do

SIDS = st.sampled_from(["ALICE", "BOB", "EVE", "TRACK", "TR_none", "PA_none", "", "x" * 300])
IDENTITIES = st.sampled_from(["alice", "bob", "eve", "nobody", ""])
NUMBERS = st.sampled_from([0, 1, 2, 3, 7, 99, 2**31 - 1])
TEXTS = st.sampled_from(["", "x", "v=0\r\n", "{", '{"candidate":""}', "{}", "[]", "ü" * 50])


def message(kind: Any, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({}, optional=fields).map(lambda values: kind(**values))


DESCRIPTION = message(rtc.SessionDescription, type=TEXTS, sdp=TEXTS, id=NUMBERS)
SUBSCRIPTION = message(
    rtc.UpdateSubscription,
    track_sids=st.lists(SIDS, max_size=3),
    subscribe=st.booleans(),
    participant_tracks=st.lists(
        message(models.ParticipantTracks, participant_sid=SIDS, track_sids=st.lists(SIDS, max_size=2)), max_size=2
    ),
)
CODEC = message(rtc.SimulcastCodec, codec=st.sampled_from(["vp8", "vp9", "", "novel", "opus"]), cid=TEXTS)
LAYER = message(
    models.VideoLayer, quality=st.sampled_from([0, 1, 2, 3, 9]), width=NUMBERS, height=NUMBERS, ssrc=NUMBERS
)
REQUESTS = st.one_of(
    st.tuples(st.just("offer"), DESCRIPTION),
    st.tuples(st.just("answer"), DESCRIPTION),
    st.tuples(
        st.just("trickle"),
        message(rtc.TrickleRequest, candidateInit=TEXTS, target=st.sampled_from([0, 1, 5]), final=st.booleans()),
    ),
    st.tuples(
        st.just("add_track"),
        message(
            rtc.AddTrackRequest, cid=TEXTS, type=st.sampled_from([0, 1, 2, 9]), source=st.sampled_from([0, 1, 2, 3, 4, 9]),
            muted=st.booleans(), sid=SIDS, simulcast_codecs=st.lists(CODEC, max_size=2), layers=st.lists(LAYER, max_size=4),
            stereo=st.booleans(), encryption=st.sampled_from([0, 1, 9]), backup_codec_policy=st.sampled_from([0, 1, 2, 9]),
        ),
    ),
    st.tuples(st.just("mute"), message(rtc.MuteTrackRequest, sid=SIDS, muted=st.booleans())),
    st.tuples(st.just("subscription"), SUBSCRIPTION),
    st.tuples(
        st.just("track_setting"),
        message(
            rtc.UpdateTrackSettings, track_sids=st.lists(SIDS, max_size=3), disabled=st.booleans(),
            quality=st.sampled_from([0, 1, 2, 3, 9]), width=NUMBERS, height=NUMBERS, fps=NUMBERS, priority=NUMBERS,
        ),
    ),
    st.tuples(
        st.just("subscription_permission"),
        message(
            rtc.SubscriptionPermission, all_participants=st.booleans(),
            track_permissions=st.lists(
                message(
                    rtc.TrackPermission, participant_sid=SIDS, participant_identity=IDENTITIES, all_tracks=st.booleans(),
                    track_sids=st.lists(SIDS, max_size=2),
                ),
                max_size=2,
            ),
        ),
    ),
    st.tuples(
        st.just("sync_state"),
        message(
            rtc.SyncState, answer=DESCRIPTION, offer=DESCRIPTION, subscription=SUBSCRIPTION,
            track_sids_disabled=st.lists(SIDS, max_size=2),
            publish_tracks=st.lists(
                st.builds(lambda sid: rtc.TrackPublishedResponse(track=models.TrackInfo(sid=sid)), SIDS), max_size=1
            ),
            datachannel_receive_states=st.lists(
                message(rtc.DataChannelReceiveState, publisher_sid=SIDS, last_seq=NUMBERS), max_size=2
            ),
        ),
    ),
    st.tuples(
        st.just("simulate"),
        st.one_of(
            message(rtc.SimulateScenario, speaker_update=NUMBERS),
            message(rtc.SimulateScenario, disconnect_signal_on_resume=st.booleans()),
            message(rtc.SimulateScenario, switch_candidate_protocol=st.sampled_from([0, 1, 9])),
        ),
    ),
    st.tuples(
        st.just("update_metadata"),
        message(
            rtc.UpdateParticipantMetadata, name=TEXTS, metadata=TEXTS, request_id=NUMBERS,
            attributes=st.dictionaries(TEXTS, TEXTS, max_size=2),
        ),
    ),
    st.tuples(st.just("ping"), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just("ping_req"), message(rtc.Ping, timestamp=st.integers(-(2**63), 2**63 - 1), rtt=NUMBERS)),
    st.tuples(
        st.just("update_audio_track"),
        message(rtc.UpdateLocalAudioTrack, track_sid=SIDS, features=st.lists(NUMBERS, max_size=3)),
    ),
    st.tuples(
        st.just("update_video_track"), message(rtc.UpdateLocalVideoTrack, track_sid=SIDS, width=NUMBERS, height=NUMBERS)
    ),
    st.tuples(
        st.just("publish_data_track_request"),
        message(rtc.PublishDataTrackRequest, pub_handle=NUMBERS, name=TEXTS, encryption=st.sampled_from([0, 1, 9])),
    ),
    st.tuples(st.just("unpublish_data_track_request"), message(rtc.UnpublishDataTrackRequest, pub_handle=NUMBERS)),
    st.tuples(
        st.just("update_data_subscription"),
        message(
            rtc.UpdateDataSubscription,
            updates=st.lists(message(rtc.UpdateDataSubscription.Update, track_sid=SIDS, subscribe=st.booleans()), max_size=2),
        ),
    ),
    st.tuples(st.just("leave"), message(rtc.LeaveRequest, reason=NUMBERS, action=st.sampled_from([0, 1, 2, 9]))),
)  # fmt: skip


def undisturbed(rig: Rig, alice: Client, bob: Client) -> None:
    """The two hold their call: sockets open, media and data flow, and both see who is really here."""
    assert alice.is_open()
    assert bob.is_open()
    sid = alice.track_sids[0]
    before = bob.media.received(sid)
    alice.media.published["mic"].send(3)
    alice.media.send_data(models.DataPacket(user=models.UserPacket(payload=b"still here")))
    rig.run(0.3)
    assert bob.media.received(sid) > before
    assert b"still here" in [packet.user.payload for packet in bob.media.data()]
    consistent(rig, [alice, bob])


def consistent(rig: Rig, clients: list[Client]) -> None:
    """Each open client's picture of the others is what the server answers to the API."""
    jwt = token("api", room_join=False, room_admin=True, now=rig.now)
    headers = {"authorization": f"Bearer {jwt}", "content-type": "application/protobuf"}
    body = wire.ListParticipantsRequest(room=ROOM).SerializeToString()
    answer = rig.request("POST", "/twirp/livekit.RoomService/ListParticipants", headers=headers, body=body)
    truth = {info.identity: info for info in wire.ListParticipantsResponse.FromString(answer.body).participants}
    for client in clients:
        if client.is_open() and client.answered:
            assert client.view == truth, client.identity


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(REQUESTS, max_size=12), st.booleans())
def test_random_requests_disturb_nobody_else(requests: list[tuple[str, Any]], v1: bool) -> None:
    rig, alice, bob = call()
    eve = rig.join("eve", media=True, v1=v1, can_update_own_metadata=True)
    rig.run(0.2)
    names = {"ALICE": alice.sid, "BOB": bob.sid, "EVE": eve.sid, "TRACK": alice.track_sids[0]}
    for name, content in requests:
        if not eve.is_open():
            eve.resume()
        if not eve.is_open():
            eve = rig.join("eve", media=True, v1=v1, can_update_own_metadata=True)
        request = rtc.SignalRequest(**{name: content})
        raw = request.SerializeToString()
        for word, sid in names.items():
            raw = _named(raw, word, sid)
        eve.send_frame(raw)
    rig.run(1)
    undisturbed(rig, alice, bob)


def _named(raw: bytes, word: str, sid: str) -> bytes:
    """The request with a placeholder replaced, if it still parses; lengths differ, so go through the message."""
    request = rtc.SignalRequest.FromString(raw)
    _replace(request, word, sid)
    return request.SerializeToString()


def _replace(message: Any, word: str, sid: str) -> None:
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE and field.is_repeated and not field.message_type.GetOptions().map_entry:
            for entry in value:
                _replace(entry, word, sid)
        elif field.type == field.TYPE_MESSAGE and not field.is_repeated:
            _replace(value, word, sid)
        elif field.type == field.TYPE_STRING and field.is_repeated:
            value[:] = [sid if one == word else one for one in value]
        elif field.type == field.TYPE_STRING and value == word:
            setattr(message, field.name, sid)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.one_of(st.binary(max_size=60), st.text(max_size=60)), min_size=1, max_size=6))
def test_any_frames_disturb_nobody_else(frames: list[bytes | str]) -> None:
    rig, alice, bob = call()
    for number, frame in enumerate(frames):
        eve = rig.join(f"eve{number}")
        eve.send_frame(frame)
        if eve.is_open():
            eve.send(ping=1)
            assert not eve.is_open() or eve.kinds[-1] == "pong"
        eve.drop_socket()
    rig.run(3)
    undisturbed(rig, alice, bob)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(st.sampled_from(["_reliable", "_lossy", "_data_track"]), st.binary(max_size=80)), max_size=8),
    st.lists(st.binary(max_size=60), max_size=8),
)
def test_any_data_and_datagrams_disturb_nobody_else(messages: list[tuple[str, bytes]], datagrams: list[bytes]) -> None:
    rig, alice, bob = call()
    eve = rig.join("eve", media=True)
    rig.run(0.3)
    for label, data in messages:
        if data:
            eve.media.send_data(data, label)
    phone = eve.media.publisher
    assert phone is not None
    for data in datagrams:
        rig.node.handle_datagram(rig.now, SERVER, phone.address, data)
        rig.node.handle_datagram(rig.now, SERVER, ("203.0.113.9", 9), data)
    rig.run(1)
    undisturbed(rig, alice, bob)


def act(rig: Rig, client: Client, clients: dict[str, Client], step: str) -> None:
    """One step of a client; requests on a closed socket are passed over."""
    if step in ("wait", "wait long"):
        rig.run(0.5 if step == "wait" else 8)
    elif step == "resume":
        client.resume()
        if client.kinds[:1] == ["reconnect"]:
            client.media.restart_ice()
            client.offer()
    elif step == "hang up":
        client.media.hang_up()
    elif client.is_open():
        others = [sid for other in clients.values() if other is not client for sid in own_tracks(other)]
        REQUEST_STEPS[step](client, others)


def unpublish(client: Client, others: list[str]) -> None:
    for published in list(client.media.published.values())[-1:]:
        client.media.unpublish(published)
        client.offer()


def mute(client: Client, others: list[str]) -> None:
    for sid in own_tracks(client)[:1]:
        client.send(mute=rtc.MuteTrackRequest(sid=sid, muted=True))


def drop(client: Client, others: list[str]) -> None:
    client.drop_socket()
    client.closed = Close(session=client.session)


REQUEST_STEPS: dict[str, Callable[[Client, list[str]], object]] = {
    "leave": lambda client, _: client.send(leave=rtc.LeaveRequest()),
    "drop": drop,
    "publish": lambda client, _: client.publish(f"mic{len(client.media.published)}"),
    "unpublish": unpublish,
    "mute": mute,
    "subscribe": lambda client, sids: client.send(subscription=rtc.UpdateSubscription(track_sids=sids, subscribe=True)),
    "unsubscribe": lambda client, sids: client.send(subscription=rtc.UpdateSubscription(track_sids=sids)),
    "forbid": lambda client, _: client.send(subscription_permission=rtc.SubscriptionPermission()),
    "allow": lambda client, _: client.send(subscription_permission=rtc.SubscriptionPermission(all_participants=True)),
    "rename": lambda client, _: client.send(
        update_metadata=rtc.UpdateParticipantMetadata(name=f"name {client.rig.now}")
    ),
    "data track": lambda client, _: client.send(
        publish_data_track_request=rtc.PublishDataTrackRequest(pub_handle=len(client.messages) + 1, name="n")
    ),
}


def own_tracks(client: Client) -> list[str]:
    info = client.view.get(client.identity)
    return [] if info is None else [track.sid for track in info.tracks]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["join", "join v1", "resume", "hang up", "wait", "wait long", *REQUEST_STEPS]),
    ),
    max_size=25,
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(STEPS)
def test_random_calls_leave_everybody_with_the_same_picture(steps: list[tuple[str, str]]) -> None:
    rig = Rig()
    clients: dict[str, Client] = {}
    for name, step in (("a", "join"), ("b", "join v1"), ("a", "publish"), *steps):
        if step.startswith("join") or name not in clients:
            clients[name] = rig.join(name, media=True, v1=step == "join v1", can_update_own_metadata=True)
        else:
            act(rig, clients[name], clients, step)
        rig.run(0.05)
    rig.run(3)
    consistent(rig, list(clients.values()))
    for client in clients.values():
        if client.is_open() and client.view[client.identity].state == State.ACTIVE:
            wanted = {
                track.sid for info in client.view.values() if info.identity != client.identity for track in info.tracks
            }
            assert set(client.media.tracks.values()) <= wanted, "no track of nobody is received"
    rig.node.close(rig.now)
    rig.settle()
    rig.run(1)
    assert rig.node.stats() == dict.fromkeys(rig.node.stats(), 0)


@pytest.mark.parametrize("path", ["/rtc", "/rtc/v1", "/agent", "/", "/x"])
def test_any_upgrade_is_answered(path: str) -> None:
    rig = Rig()
    for number, query in enumerate(({}, {"access_token": "x"}, {"access_token": token()}, {"join_request": "x"})):
        request = HttpRequest(method="GET", path=path, query=dict(query))
        rig.node.handle_connect(0.0, SessionId(1000 + number), request)
        commands = rig.node.poll_commands()
        assert isinstance(commands[0], Accept | Reject)
        assert commands[0].session == 1000 + number
