"""The small modules of a room by themselves: traits of clients, permissions, participants, outboxes, batching."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio import RoomPreset
from sansio.auth import Claims, VideoGrant
from sansio.errors import LocalProtocolError
from sansio.ids import ParticipantSid, RoomName
from sansio.room.client import ClientTraits
from sansio.room.options import RoomOptions
from sansio.room.outbox import Frame, Outbox
from sansio.room.participant import DisconnectReason, Participant, State, kind_details_of, kind_of
from sansio.room.permission import Audience, may_publish, permission_of, source_names
from sansio.room.updates import CALM_ROOM, LONGEST_TICK_S, Updates, tick
from sansio.wire import models, room, rtc

SDK = models.ClientInfo.SDK
Source = models.TrackSource


def traits(**info: Any) -> ClientTraits:
    return ClientTraits(models.ClientInfo(**info))


# Clients (J-30, 10)


@pytest.mark.parametrize(
    ("trait", "gate"),
    [
        ("subscriber_primary", 2),
        ("wants_track_unpublished", 6),
        ("wants_disconnected_on_resume", 8),
        ("syncs_streams", 9),
        ("knows_quality_lost", 10),
        ("replaces_by_identity", 11),
        ("knows_request_ok", 14),
    ],
)
def test_gates_open_above_their_number(trait: str, gate: int) -> None:
    assert [getattr(traits(protocol=gate + step), trait) for step in (-1, 0, 1)] == [False, False, True]


QUIRKS: list[Any] = [
    ("is_firefox", {"browser": "Firefox"}, True),
    ("is_firefox", {"browser": "Chrome"}, False),
    ("is_safari", {"browser": "Safari"}, True),
    ("is_go", {"sdk": SDK.GO}, True),
    ("is_go", {"sdk": SDK.JS}, False),
    ("allows_ice_lite", {"protocol": 6}, True),
    ("allows_ice_lite", {"protocol": 5}, False),
    ("allows_ice_lite", {"protocol": 16, "browser": "firefox"}, False),
    ("reuses_transceivers", {"protocol": 4}, True),
    ("reuses_transceivers", {"protocol": 3}, False),
    ("reuses_transceivers", {"protocol": 16, "browser": "safari"}, False),
    ("syncs_streams", {"protocol": 16, "browser": "firefox"}, False),
    ("takes_red", {"browser": "Chrome"}, True),
    ("takes_red", {"browser": "Firefox"}, False),
    ("only_preferred_codec", {"browser": "Firefox", "os": "Linux"}, True),
    ("only_preferred_codec", {"browser": "Firefox", "os": "Windows"}, False),
    ("takes_request_response", {"sdk": SDK.RUST, "protocol": 9}, False),
    ("takes_request_response", {"sdk": SDK.RUST, "protocol": 10}, True),
    ("takes_request_response", {"sdk": SDK.JS}, True),
    ("has_reconnect_message", {"sdk": SDK.JS, "version": "1.6.2"}, False),
    ("has_reconnect_message", {"sdk": SDK.JS, "version": "1.6.3-beta"}, True),
    ("has_reconnect_message", {"sdk": SDK.JS, "version": "2.0"}, True),
    ("has_reconnect_message", {"sdk": SDK.JS, "version": "novel"}, True),
    ("has_reconnect_message", {"sdk": SDK.RUST, "version": "0.1.0"}, True),
    ("announces_at_first_packet", {"sdk": SDK.GO}, True),
]


@pytest.mark.parametrize(("trait", "info", "expected"), QUIRKS)
def test_quirks_of_clients(trait: str, info: dict[str, Any], expected: bool) -> None:
    assert getattr(traits(**info), trait) is expected


# Permissions (T-6, T-7, U-9)


def test_a_grant_becomes_a_permission() -> None:
    grant = VideoGrant(
        can_publish=False, can_publish_data=True, can_publish_sources=("camera", "screen_share_audio", "novel"),
        can_update_own_metadata=True, hidden=True, recorder=True, agent=True, can_subscribe_metrics=True,
        can_manage_agent_session=True,
    )  # fmt: skip
    permission = permission_of(grant)
    assert permission == models.ParticipantPermission(
        can_subscribe=True, can_publish=False, can_publish_data=True, hidden=True, recorder=True, agent=True,
        can_publish_sources=[Source.CAMERA, Source.SCREEN_SHARE_AUDIO], can_update_metadata=True,
        can_subscribe_metrics=True, can_manage_agent_session=True,
    )  # fmt: skip
    assert source_names(permission) == ("camera", "screen_share_audio")
    plain = permission_of(VideoGrant())
    assert plain == models.ParticipantPermission(can_subscribe=True, can_publish=True, can_publish_data=True)


def test_which_sources_may_be_published() -> None:
    permission = models.ParticipantPermission(can_publish=True)
    assert may_publish(permission, Source.MICROPHONE)
    permission.can_publish_sources.append(Source.CAMERA)
    assert [may_publish(permission, source) for source in (Source.CAMERA, Source.MICROPHONE)] == [True, False]
    permission.can_publish = False
    assert not may_publish(permission, Source.CAMERA)


NAMES = st.sampled_from(["alice", "bob", "PA_alice", "PA_bob", "", "x"])
TRACKS = st.lists(st.sampled_from(["TR_1", "TR_2", ""]), max_size=2)
ENTRY = st.builds(
    lambda identity, sid, whole, tracks: rtc.TrackPermission(
        participant_identity=identity, participant_sid=sid, all_tracks=whole, track_sids=tracks
    ),
    NAMES, NAMES, st.booleans(), TRACKS,
)  # fmt: skip


@given(st.booleans(), st.lists(ENTRY, max_size=5), st.sampled_from(["alice", "bob"]), st.sampled_from(["TR_1", "TR_2"]))
def test_an_audience_agrees_with_a_search_through_its_list(
    everybody: bool, entries: list[rtc.TrackPermission], who: str, track: str
) -> None:
    expected = everybody or any(
        (entry.participant_identity in (who, f"PA_{who}") or entry.participant_sid in (who, f"PA_{who}"))
        and (entry.all_tracks or track in entry.track_sids)
        for entry in entries
    )
    audience = Audience(rtc.SubscriptionPermission(all_participants=everybody, track_permissions=entries))
    assert audience.allows(who, f"PA_{who}", track) is expected


# Participants (J-15, J-18, J-19, T-8, T-9)


def participant(
    name: str = "alice", *, permission: models.ParticipantPermission | None = None, **claims: Any
) -> Participant:
    return Participant(
        claims=Claims(issuer="key", identity=name, video=VideoGrant(), **claims),
        sid=ParticipantSid(f"PA_{name}"),
        client=traits(protocol=16),
        permission=permission or models.ParticipantPermission(),
        joined_at_ms=1_700_000_000_123,
    )


def test_the_walk_of_states_never_goes_back() -> None:
    walker = participant()
    for state in (State.JOINED, State.ACTIVE, State.DISCONNECTED):
        walker.move_to(state)
        for earlier in (State.JOINING, State.JOINED, State.ACTIVE):
            if earlier <= state:
                with pytest.raises(LocalProtocolError, match="cannot go"):
                    walker.move_to(earlier)
    assert walker.is_closed


def test_info_is_made_anew_with_a_higher_version_after_each_change() -> None:
    walker = participant()
    first = walker.info()
    assert walker.info() is first
    assert (first.version, first.joined_at, first.joined_at_ms) == (1, 1_700_000_000, 1_700_000_000_123)
    walker.touch()
    second = walker.info()
    assert (second.version, first.version) == (2, 1)
    walker.set_tracks([models.TrackInfo(sid="TR_x")])
    assert walker.info().is_publisher
    walker.set_tracks([])
    assert (len(walker.info().tracks), walker.info().is_publisher) == (0, True)
    walker.set_tracks([models.TrackInfo(sid="TR_x")])
    walker.disconnect(DisconnectReason.ROOM_DELETED)
    gone = walker.info()
    assert (len(gone.tracks), gone.disconnect_reason) == (0, DisconnectReason.ROOM_DELETED)


@pytest.mark.parametrize(
    ("name", "kind"), [("agent", "AGENT"), ("EGRESS", "EGRESS"), ("", "STANDARD"), ("novel", "STANDARD")]
)
def test_kinds(name: str, kind: str) -> None:
    assert kind_of(name) == models.ParticipantInfo.Kind.Value(kind)
    assert kind_details_of(["cloud_agent", "novel", "FORWARDED"]) == [0, 1]


@pytest.mark.parametrize(
    ("claims", "permission", "dependent", "recorder"),
    [
        ({"kind": "agent"}, {}, True, False),
        ({"kind": "egress"}, {}, True, True),
        ({}, {"agent": True}, True, False),
        ({}, {"recorder": True}, True, True),
        ({"kind": "sip"}, {}, False, False),
    ],
)
def test_who_is_a_dependent(
    claims: dict[str, Any], permission: dict[str, Any], dependent: bool, recorder: bool
) -> None:
    who = participant(permission=models.ParticipantPermission(**permission), **claims)
    assert (who.is_dependent, who.is_recorder) == (dependent, recorder)
    who.permission = models.ParticipantPermission(hidden=True)
    assert who.is_hidden


# Outboxes and updates (J-20, J-24)


def test_a_frame_is_encoded_once_in_each_form() -> None:
    frame = Frame(rtc.SignalResponse(pong=5))
    assert frame.encode() is frame.encode()
    assert frame.encode(as_json=True) is frame.encode(as_json=True)
    assert frame.encode() == b"\x90\x01\x05"
    assert frame.encode(as_json=True) == '{"pong": "5"}'


def test_an_outbox_without_a_socket_keeps_nothing() -> None:
    outbox = Outbox()
    outbox.send(rtc.SignalResponse(pong=1))
    assert not outbox
    outbox.is_open = True
    outbox.send(rtc.SignalResponse(pong=2))
    outbox.send(Frame(rtc.SignalResponse(pong=3)))
    assert outbox
    assert [frame.message.pong for frame in outbox.poll()] == [2, 3]
    assert outbox.poll() == []


def test_the_tick_grows_with_the_room() -> None:
    assert tick(CALM_ROOM) == 0
    assert 0 < tick(CALM_ROOM + 1) < tick(100) < tick(100_000) == LONGEST_TICK_S


@given(st.lists(st.integers(0, 400), max_size=30), st.integers(1, 600))
def test_chunks_hold_everything_in_order_near_the_limit(sizes: list[int], target: int) -> None:
    infos = [models.ParticipantInfo(sid=f"PA_{number}", metadata="m" * size) for number, size in enumerate(sizes)]
    chunks = list(Updates(target).chunks(infos))
    assert [info for chunk in chunks for info in chunk] == infos
    assert all(len(chunk) == 1 or sum(info.ByteSize() for info in chunk) <= target for chunk in chunks)


def test_hidden_ones_are_never_noted() -> None:
    updates = Updates(1000)
    updates.push(0.0, participant(permission=models.ParticipantPermission(hidden=True)), urgent=True, room_size=1)
    assert updates.poll_timeout() is None
    assert updates.take_due(5.0) == []


# Options (L-8)


@pytest.mark.parametrize(
    ("wishes", "limits"),
    [
        ([], None),
        ([RoomPreset(min_playout_delay=100)], (100, 0)),
        ([RoomPreset(min_playout_delay=100), room.RoomConfiguration(max_playout_delay=400)], (100, 400)),
        ([room.RoomConfiguration(min_playout_delay=100), room.CreateRoomRequest(min_playout_delay=50)], (50, 0)),
    ],
    ids=["none", "preset", "preset and token", "the later counts"],
)
def test_a_room_is_held_back_as_its_makers_wish(wishes: list[Any], limits: tuple[int, int] | None) -> None:
    options = RoomOptions(name=RoomName("room"), empty_timeout=1, departure_timeout=1, max_participants=0)
    for wish in wishes:
        options.fill(wish)
    assert options.playout_delay == limits
