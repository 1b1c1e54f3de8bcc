"""LiveKit's Python server SDK: RoomService over Twirp, and what participants see of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from livekit import api, rtc

from .people import AUDIO, call, falls_silent, hears, joined, soon, tone
from .server import KEY, SECRET, Server, new_room
from .waiting import eventually, scenario

pytestmark = pytest.mark.interop


@asynccontextmanager
async def service(server: Server, *, key: str = KEY, secret: str = SECRET) -> AsyncIterator[api.RoomService]:
    client = api.LiveKitAPI(server.http, key, secret)
    try:
        yield client.room
    finally:
        await client.aclose()


@scenario
async def test_rooms(server: Server) -> None:
    room = new_room()
    async with service(server) as rooms:
        asked = api.CreateRoomRequest(name=room, metadata="made", max_participants=1, empty_timeout=60)
        created = await soon(rooms.create_room(asked))
        assert (created.name, created.metadata, created.max_participants) == (room, "made", 1)
        assert created.sid.startswith("RM_")
        assert (await soon(rooms.create_room(asked))).sid == created.sid
        listed = await soon(rooms.list_rooms(api.ListRoomsRequest(names=[room, "absent"])))
        assert [each.sid for each in listed.rooms] == [created.sid]
        async with joined(server, "alice", room) as alice:
            assert alice.room.metadata == "made"
            with pytest.raises(rtc.ConnectError):  # there is room for one
                await soon(rtc.Room().connect(server.url, server.token("bob", room)))
            await soon(rooms.update_room_metadata(api.UpdateRoomMetadataRequest(room=room, metadata="changed")))
            await eventually(lambda: alice.room.metadata == "changed", "alice sees the room's metadata")
            await soon(rooms.delete_room(api.DeleteRoomRequest(room=room)))
            await eventually(lambda: alice.events("disconnected"), "alice is sent away")
            assert alice.events("disconnected") == [(rtc.DisconnectReason.ROOM_DELETED,)]
        assert not (await soon(rooms.list_rooms(api.ListRoomsRequest(names=[room])))).rooms


@scenario
async def test_participants(server: Server) -> None:
    room = new_room()
    async with service(server) as rooms, call(server, room, "alice", "bob") as (alice, bob), tone(alice) as sound:
        await hears(bob, "alice", 440)
        listed = await soon(rooms.list_participants(api.ListParticipantsRequest(room=room)))
        assert {each.identity: each.sid for each in listed.participants} == {"alice": alice.me.sid, "bob": bob.me.sid}
        who = api.RoomParticipantIdentity(room=room, identity="alice")
        got = await soon(rooms.get_participant(who))
        assert [track.sid for track in got.tracks] == [sound.sid]

        wanted = {"room": room, "identity": "bob", "track_sids": [sound.sid]}
        await soon(rooms.update_subscriptions(api.UpdateSubscriptionsRequest(**wanted, subscribe=False)))
        await falls_silent(bob.track("alice", AUDIO))  # this SDK keeps the track
        await soon(rooms.update_subscriptions(api.UpdateSubscriptionsRequest(**wanted, subscribe=True)))
        await hears(bob, "alice", 440)

        await soon(
            rooms.mute_published_track(
                api.MuteRoomTrackRequest(room=room, identity="alice", track_sid=sound.sid, muted=True)
            )
        )
        await eventually(lambda: bob.events("track_muted"), "bob sees the track muted")

        change = api.UpdateParticipantRequest(
            room=room, identity="alice", name="Al", metadata="new", attributes={"hand": "up"}
        )
        await soon(rooms.update_participant(change))
        await eventually(lambda: alice.me.attributes.get("hand") == "up", "alice sees her own change")
        await eventually(lambda: getattr(bob.sees("alice"), "metadata", "") == "new", "bob sees it")

        await soon(rooms.remove_participant(who))
        await eventually(lambda: alice.events("disconnected"), "alice is sent away")
        assert alice.events("disconnected") == [(rtc.DisconnectReason.PARTICIPANT_REMOVED,)]
        await eventually(lambda: not bob.sees("alice"), "bob sees her leave")


@scenario
async def test_messages(server: Server) -> None:
    room = new_room()
    async with service(server) as rooms, call(server, room, "alice", "bob") as (alice, bob):
        sent = api.SendDataRequest(
            room=room, data=b"for bob", topic="news", destination_identities=["bob"], kind=api.DataPacket.Kind.RELIABLE
        )
        await soon(rooms.send_data(sent))
        (packet,) = await eventually(lambda: bob.messages("news"), "bob gets it")
        assert (packet.data, packet.participant) == (b"for bob", None)
        assert not alice.messages("news")


@scenario
async def test_refusals(server: Server) -> None:
    room = new_room()
    refusals = []
    async with service(server) as rooms, service(server, secret="x" * 32) as forged:
        for request in (
            rooms.get_participant(api.RoomParticipantIdentity(room=room, identity="nobody")),
            rooms.update_room_metadata(api.UpdateRoomMetadataRequest(room=room, metadata="x")),
            forged.list_rooms(api.ListRoomsRequest()),
        ):
            with pytest.raises(api.TwirpError) as caught:
                await soon(request)
            refusals.append((caught.value.status, caught.value.code))
    assert refusals[:2] == [(404, "not_found")] * 2
    assert refusals[2][0] == 401
