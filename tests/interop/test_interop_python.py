"""LiveKit's Python SDK (the Rust client) in rooms of the server, with one and with two peer connections."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest
from livekit import rtc
from livekit.rtc.participant import PublishDataError, PublishTrackError

from .people import (
    AUDIO,
    VIDEO,
    Person,
    call,
    falls_silent,
    hears,
    hertz_heard,
    joined,
    picture,
    sees_picture,
    soon,
    tone,
    viewing,
)
from .server import Server, new_room
from .waiting import eventually, scenario, stays_false

pytestmark = pytest.mark.interop
SCENARIO = rtc.SimulateScenarioKind


@pytest.fixture(params=[None, False], ids=["default", "two-connections"])
def mode(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Options that every test of media and messages runs with."""
    return {"single_peer_connection": request.param}


@scenario
async def test_participants_see_each_other(server: Server) -> None:
    room = new_room()
    async with (
        call(server, room, "alice", "bob") as (alice, bob),
        joined(server, "helper", room, kind="agent") as helper,
    ):
        seen = bob.sees("alice")
        assert seen is not None
        assert (seen.sid, seen.name, seen.attributes) == (alice.me.sid, "Alice", {"colour": "green"})
        assert alice.me.sid.startswith("PA_")
        assert (await soon(alice.room.sid)).startswith("RM_")
        assert alice.room.name == room
        await eventually(lambda: alice.sees("helper"), "alice sees the helper")
        kind = alice.sees("helper")
        assert kind is not None
        assert kind.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        await soon(helper.room.disconnect())
        await eventually(lambda: not bob.sees("helper"), "bob sees the helper leave")


@scenario
async def test_a_tone_is_heard(server: Server, mode: dict[str, Any]) -> None:
    async with call(server, new_room(), "alice", "bob", **mode) as (alice, bob), tone(alice, 440) as published:
        assert published.sid.startswith("TR_")
        await hears(bob, "alice", 440)
        await soon(published.wait_for_subscription())
        await eventually(lambda: "alice" in bob.speakers, "alice is told as a speaker")
        async with tone(bob, 700):  # the other way
            await hears(alice, "bob", 700)
        await alice.me.unpublish_track(published.sid)
        await eventually(lambda: bob.events("track_unpublished"), "bob sees the track end")


@scenario
async def test_plain_opus_is_heard(server: Server) -> None:
    async with call(server, new_room(), "alice", "bob") as (alice, bob), tone(alice, 500, red=False, dtx=False):
        await hears(bob, "alice", 500)


@pytest.mark.parametrize("codec", ["VP8", "H264", "VP9", "AV1"])
@scenario
async def test_video_is_seen(server: Server, codec: str) -> None:
    named = rtc.VideoCodec.Value(codec)
    async with call(server, new_room(), "alice", "bob") as (alice, bob), picture(alice, codec=named):
        track = await bob.gets_track("alice", VIDEO)
        publication = bob.publication("alice", VIDEO)
        assert publication is not None
        assert publication.mime_type.lower() == f"video/{codec.lower()}"
        async with viewing(track) as viewer:
            await eventually(lambda: viewer.good >= 10, "good frames")
            await eventually(lambda: len(viewer.stripes) == 8, "the stripe wanders through the picture")
            assert viewer.size == (320, 180)


@scenario
async def test_late_joiners_see_video(server: Server, mode: dict[str, Any]) -> None:
    room = new_room()
    async with call(server, room, "alice", "bob", **mode) as (alice, bob), picture(alice):
        await sees_picture(bob, "alice")
        async with joined(server, "late", room, options=rtc.RoomOptions(**mode)) as late:
            await sees_picture(late, "alice")


@scenario
async def test_layers_follow_the_quality_asked_for(server: Server, mode: dict[str, Any]) -> None:
    async with AsyncExitStack() as stack:
        alice, bob = await stack.enter_async_context(call(server, new_room(), "alice", "bob", dynacast=True, **mode))
        await stack.enter_async_context(picture(alice, 960, 540, simulcast=True))
        viewer = await stack.enter_async_context(viewing(await bob.gets_track("alice", VIDEO)))
        publication = bob.publication("alice", VIDEO)
        assert publication is not None
        assert publication.simulcasted
        await eventually(lambda: viewer.size[0] == 960, "the full size", within=30)
        for quality, width in (("LOW", 320), ("MEDIUM", 640), ("HIGH", 960)):
            publication.set_video_quality(rtc.VideoQuality.Value(f"VIDEO_QUALITY_{quality}"))
            await eventually(lambda: viewer.size[0] == width, f"{quality} is {width} wide", within=30)  # noqa: B023
        before = viewer.good
        await eventually(lambda: viewer.good > before + 5, "the picture is whole after the switches")


@scenario
async def test_subscriptions_follow_the_subscriber(server: Server, mode: dict[str, Any]) -> None:
    room = new_room()
    picky = rtc.RoomOptions(auto_subscribe=False, **mode)
    async with call(server, room, "alice", "bob", **mode) as (alice, bob), tone(alice):
        await hears(bob, "alice", 440)
        async with joined(server, "carol", room, options=picky) as carol:
            await eventually(lambda: carol.publication("alice", AUDIO), "carol is told of the track")
            publication = carol.publication("alice", AUDIO)
            assert publication is not None
            await stays_false(lambda: carol.track("alice", AUDIO), "carol gets a track without asking")
            publication.set_subscribed(True)
            await hears(carol, "alice", 440)
            publication.set_subscribed(False)
            await eventually(lambda: carol.events("track_unsubscribed"), "carol's subscription ends")
            publication.set_subscribed(True)
            await hears(carol, "alice", 440)


@scenario
async def test_mute_is_seen_and_heard(server: Server, mode: dict[str, Any]) -> None:
    async with AsyncExitStack() as stack:
        alice, bob = await stack.enter_async_context(call(server, new_room(), "alice", "bob", **mode))
        sound = await stack.enter_async_context(tone(alice))
        image = await stack.enter_async_context(picture(alice))
        viewer = await stack.enter_async_context(viewing(await bob.gets_track("alice", VIDEO)))
        await hears(bob, "alice", 440)
        await eventually(lambda: viewer.good > 3, "the picture")
        for publication in (sound, image):
            publication.track.mute()
        await eventually(lambda: len(bob.events("track_muted")) == 2, "bob sees both muted")
        await falls_silent(bob.track("alice", AUDIO))
        for publication in (sound, image):
            publication.track.unmute()
        await eventually(lambda: len(bob.events("track_unmuted")) == 2, "bob sees both unmuted")
        before = viewer.good
        await eventually(lambda: viewer.good > before + 3, "the picture again")
        await hears(bob, "alice", 440)


@scenario
async def test_data_reaches_whom_it_is_for(server: Server, mode: dict[str, Any]) -> None:
    async with call(server, new_room(), "alice", "bob", "carol", **mode) as (alice, bob, carol):
        await alice.me.publish_data(b"to all", topic="open")
        for one in (bob, carol):
            (packet,) = await eventually(lambda: one.messages("open"), "reliable data")  # noqa: B023
            assert (packet.data, packet.kind) == (b"to all", rtc.DataPacketKind.KIND_RELIABLE)
            assert packet.participant is not None
            assert packet.participant.identity == "alice"
        await alice.me.publish_data(b"to bob", topic="private", destination_identities=["bob"])
        await alice.me.publish_data(bytes(60_000), topic="large")
        for number in range(100):
            await alice.me.publish_data(str(number), topic="count")
        await alice.me.publish_data(b"perhaps", topic="lossy", reliable=False)
        await eventually(lambda: len(carol.messages("count")) == 100, "a hundred messages")
        assert [packet.data.decode() for packet in carol.messages("count")] == [str(number) for number in range(100)]
        await eventually(lambda: bob.messages("private"), "targeted data")
        (packet,) = await eventually(lambda: bob.messages("large"), "large data")
        assert packet.data == bytes(60_000)
        (packet,) = await eventually(lambda: bob.messages("lossy"), "lossy data")
        assert packet.kind == rtc.DataPacketKind.KIND_LOSSY
        assert not carol.messages("private")
        assert not alice.events("data_received")


@scenario
async def test_rpc(server: Server, mode: dict[str, Any]) -> None:
    async with call(server, new_room(), "alice", "bob", **mode) as (alice, bob):

        async def shout(asked: rtc.RpcInvocationData) -> str:
            if not asked.payload:
                raise rtc.RpcError(404, "nothing to shout", "")
            return f"{asked.caller_identity}: {asked.payload.upper()}"

        bob.me.register_rpc_method("shout", shout)

        async def ask(method: str, payload: str, *, of: str = "bob") -> str:
            asking = alice.me.perform_rpc(
                destination_identity=of, method=method, payload=payload, max_round_trip_latency=2
            )
            return await soon(asking)

        assert await ask("shout", "hello") == "alice: HELLO"
        assert await ask("shout", "x" * 12_000) == "alice: " + "X" * 12_000
        errors = {}
        for method, to in (("shout", "bob"), ("whisper", "bob"), ("shout", "nobody")):
            with pytest.raises(rtc.RpcError) as caught:
                await ask(method, "", of=to)
            errors[method, to] = caught.value.code
        assert errors["shout", "bob"] == 404
        assert errors["whisper", "bob"] == rtc.RpcError.ErrorCode.UNSUPPORTED_METHOD
        assert errors["shout", "nobody"] in (
            rtc.RpcError.ErrorCode.RECIPIENT_NOT_FOUND,
            rtc.RpcError.ErrorCode.CONNECTION_TIMEOUT,
        )


@scenario
async def test_text_and_byte_streams(server: Server, mode: dict[str, Any]) -> None:
    async with call(server, new_room(), "alice", "bob", **mode) as (alice, bob):
        arrived: dict[str, Any] = {}
        tasks: list[asyncio.Task[None]] = []

        async def read_text(reader: rtc.TextStreamReader, identity: str) -> None:
            arrived["text"] = (identity, await reader.read_all(), dict(reader.info.attributes or {}))

        async def read_bytes(reader: rtc.ByteStreamReader, identity: str) -> None:
            arrived["bytes"] = (identity, b"".join([chunk async for chunk in reader]), reader.info.name)

        def handler(read: Any) -> Any:
            return lambda reader, identity: tasks.append(asyncio.ensure_future(read(reader, identity)))

        bob.room.register_text_stream_handler("chat", handler(read_text))
        bob.room.register_byte_stream_handler("files", handler(read_bytes))
        text = "Grüße, 世界 🎈\n" * 4_000
        await soon(alice.me.send_text(text, topic="chat", attributes={"mood": "good"}))
        await eventually(lambda: "text" in arrived, "the text")
        assert arrived["text"] == ("alice", text, {"mood": "good"})
        payload = bytes(range(256)) * 1_200
        writer = await soon(alice.me.stream_bytes("dump.bin", total_size=len(payload), topic="files"))
        await soon(writer.write(payload))
        await soon(writer.aclose())
        await eventually(lambda: "bytes" in arrived, "the bytes")
        assert arrived["bytes"] == ("alice", payload, "dump.bin")
        await asyncio.gather(*tasks)


@scenario
async def test_state_of_participants(server: Server) -> None:
    async with call(server, new_room(), "alice", "bob") as (alice, bob):
        # The SDK sends name, metadata and attributes together, as it knows them: nothing of this may undo another part.
        for number in range(5):
            await soon(alice.me.set_metadata(f"version {number}"))
            await soon(alice.me.set_name(f"Alice {number}"))
            await soon(alice.me.set_attributes({"colour": "", "hand": f"up {number}"}))
        wanted = ("version 4", "Alice 4", {"hand": "up 4"})

        def seen() -> tuple[str, str, dict[str, str]] | None:
            person = bob.sees("alice")
            return (person.metadata, person.name, dict(person.attributes)) if person else None

        await eventually(lambda: seen() == wanted, "bob sees alice's state")


@scenario
async def test_encrypted_media_is_for_those_with_the_key(server: Server) -> None:
    room = new_room()

    def with_key(key: bytes) -> Any:
        return rtc.RoomOptions(encryption=rtc.E2EEOptions(key_provider_options=rtc.KeyProviderOptions(shared_key=key)))

    async with AsyncExitStack() as stack:
        alice, bob, eve = [
            await stack.enter_async_context(joined(server, who, room, options=with_key(key)))
            for who, key in (("alice", b"one"), ("bob", b"one"), ("eve", b"other"))
        ]
        await stack.enter_async_context(tone(alice))
        await stack.enter_async_context(picture(alice))
        seen = await stack.enter_async_context(viewing(await bob.gets_track("alice", VIDEO)))
        not_seen = await stack.enter_async_context(viewing(await eve.gets_track("alice", VIDEO)))
        await hears(bob, "alice", 440)
        await eventually(lambda: seen.good > 5, "bob sees the picture")
        publication = bob.publication("alice", VIDEO)
        assert publication is not None
        assert publication.encryption_type == rtc.EncryptionType.GCM
        assert abs(await hertz_heard(await eve.gets_track("alice", AUDIO)) - 440) > 5
        assert not_seen.good == 0


@scenario
async def test_grants_are_kept_to(server: Server) -> None:
    room = new_room()
    async with AsyncExitStack() as stack:

        async def enter(identity: str, **grants: Any) -> Person:
            return await stack.enter_async_context(joined(server, identity, room, **grants))

        async def try_to_publish(person: Person) -> None:
            async with tone(person):
                raise AssertionError(f"{person.identity} publishes")

        alice = await enter("alice")
        silent = await enter("silent", can_publish=False, can_publish_data=False)
        deaf = await enter("deaf", can_subscribe=False)
        camera = await enter("camera", can_publish_sources=["camera"])
        ghost = await enter("ghost", hidden=True)
        attempts = [asyncio.ensure_future(try_to_publish(person)) for person in (silent, camera)]
        await stack.enter_async_context(tone(alice))
        await stack.enter_async_context(picture(camera))
        await alice.gets_track("camera", VIDEO)
        await hears(ghost, "alice", 440)
        await eventually(lambda: deaf.sees("alice"), "the deaf one sees alice")
        await stays_false(lambda: deaf.track("alice", AUDIO), "a track without the grant")
        with suppress(PublishDataError):  # the server drops what the SDK lets through
            await soon(silent.me.publish_data(b"no", topic="forbidden"))
        await stays_false(lambda: alice.messages("forbidden"), "data without the grant")
        assert not alice.sees("ghost")
        assert not alice.publication("silent", AUDIO)
        assert not alice.publication("camera", AUDIO)
        for attempt in attempts:  # the SDK would take 10 s to call them failed
            attempt.cancel()
        outcomes = await asyncio.gather(*attempts, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} <= {asyncio.CancelledError, PublishTrackError}


@scenario
async def test_bad_tokens_are_refused(server: Server) -> None:
    room = new_room()
    good = server.token("x", room)
    bad = {
        "expired": server.token("x", room, seconds=-300),
        "signature": good[:-6] + ("aaaaaa" if not good.endswith("aaaaaa") else "bbbbbb"),
        "no join": server.token("x", room, room_join=False, room_list=True),
        "none": "nonsense",
    }
    for what, token in bad.items():
        refusal = ""
        try:
            await soon(rtc.Room().connect(server.url, token))
        except rtc.ConnectError as error:
            refusal = str(error)
        assert refusal, what


@scenario
async def test_a_second_device_takes_the_place_of_the_first(server: Server) -> None:
    room = new_room()
    async with call(server, room, "alice", "bob") as (alice, bob), joined(server, "bob", room) as again:
        await eventually(lambda: bob.events("disconnected"), "the first is sent away")
        assert bob.events("disconnected") == [(rtc.DisconnectReason.DUPLICATE_IDENTITY,)]
        await eventually(lambda: getattr(alice.sees("bob"), "sid", "") == again.me.sid, "alice sees the second")


@scenario
async def test_data_tracks(server: Server) -> None:
    async with call(server, new_room(), "alice", "bob") as (alice, bob):
        mine = await soon(alice.me.publish_data_track(name="joints"))
        ((theirs,),) = await eventually(lambda: bob.events("data_track_published"), "bob is told of the data track")
        assert (theirs.info.name, theirs.publisher_identity) == ("joints", "alice")
        frames: list[bytes] = []

        async def read() -> None:
            async for frame in theirs.subscribe():
                frames.append(bytes(frame.payload))

        reading = asyncio.ensure_future(read())

        def push() -> bool:
            mine.try_push(rtc.DataTrackFrame(payload=b"angles" * 100))
            return len(frames) >= 5

        await eventually(push, "frames arrive")
        assert set(frames) == {b"angles" * 100}
        await mine.unpublish()
        await eventually(lambda: bob.events("data_track_unpublished"), "bob sees it end")
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


@scenario
async def test_a_lost_signal_connection_resumes(server: Server, mode: dict[str, Any]) -> None:
    async with call(server, new_room(), "alice", "bob", **mode) as (alice, bob), tone(alice):
        await hears(bob, "alice", 440)
        track = bob.track("alice", AUDIO)
        for one, other in ((alice, bob), (bob, alice)):
            await soon(one.room.simulate_scenario(SCENARIO.SIMULATE_SIGNAL_RECONNECT))
            await alice.me.publish_data(one.identity, topic="meanwhile")
            await eventually(lambda: one.events("reconnected"), f"{one.identity} resumes")  # noqa: B023
            assert not other.events("participant_disconnected")
        assert bob.track("alice", AUDIO) is track
        await hears(bob, "alice", 440)
        await eventually(lambda: len(bob.messages("meanwhile")) == 2, "data sent meanwhile")
        await soon(bob.me.set_metadata("back"))
        await eventually(lambda: getattr(alice.sees("bob"), "metadata", "") == "back", "requests work again")


@pytest.mark.parametrize(
    ("kind", "single"),
    [("SIMULATE_FULL_RECONNECT", None), ("SIMULATE_NODE_FAILURE", None), ("SIMULATE_FULL_RECONNECT", False)],
    ids=["default-full-reconnect", "default-node-failure", "two-connections-full-reconnect"],
)
@scenario
async def test_a_lost_session_is_built_anew(server: Server, kind: str, single: bool | None) -> None:
    joining = call(server, new_room(), "alice", "bob", single_peer_connection=single)
    async with joining as (alice, bob), tone(alice):
        await hears(bob, "alice", 440)
        for one in (alice, bob):
            await soon(one.room.simulate_scenario(SCENARIO.Value(kind)))
            await eventually(lambda: one.events("reconnected"), f"{one.identity} comes back", within=40)  # noqa: B023
            await eventually(lambda: alice.sees("bob") and bob.sees("alice"), "both see each other")
            await hears(bob, "alice", 440)
        await alice.me.publish_data(b"again", topic="after")
        await eventually(lambda: bob.messages("after"), "data after it")


@scenario
async def test_the_server_says_goodbye(server: Server) -> None:
    async with call(server, new_room(), "alice", "bob") as (alice, bob):
        await soon(bob.room.simulate_scenario(SCENARIO.SIMULATE_SERVER_LEAVE))
        await eventually(lambda: bob.events("disconnected"), "bob is sent away")
        assert bob.events("disconnected") == [(rtc.DisconnectReason.SERVER_SHUTDOWN,)]
        await eventually(lambda: not alice.sees("bob"), "alice sees bob leave")
