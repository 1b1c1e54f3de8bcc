"""The driver of examples/asyncio_driver.py, with LiveKit's Python SDK joining it."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from server_process import Server, running

rtc = pytest.importorskip("livekit.rtc", reason="needs LiveKit's Python SDK: pip install livekit")
api = pytest.importorskip("livekit.api", reason="needs LiveKit's server API: pip install livekit-api")

pytestmark = [pytest.mark.interop, pytest.mark.net]

RATE = 48_000
FRAME_SAMPLES = RATE // 100
WAIT = 15.0


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running(["examples/asyncio_driver.py", "{port}", "{udp_port}"]) as server:
        yield server


def token(identity: str) -> str:
    grants = api.VideoGrants(room_join=True, room="embedded")
    return str(api.AccessToken("devkey", "secret").with_identity(identity).with_grants(grants).to_jwt())


async def hears_something(track: object) -> None:
    """Returns when the track carries audio that is no silence."""
    async for event in rtc.AudioStream(track):
        if any(event.frame.data):
            return


async def speak(source: object) -> None:
    """A square wave, until cancelled."""
    samples = b"".join(
        (8000 if at // 50 % 2 else -8000).to_bytes(2, "little", signed=True) for at in range(FRAME_SAMPLES)
    )
    while True:
        await source.capture_frame(rtc.AudioFrame(samples, RATE, 1, FRAME_SAMPLES))  # type: ignore[attr-defined]


async def call(url: str) -> tuple[bytes, str]:
    """Alice speaks and sends a message; returns what Bob got as message and from whom, once he hears her."""
    alice, bob = rtc.Room(), rtc.Room()
    message: asyncio.Future[tuple[bytes, str]] = asyncio.get_running_loop().create_future()
    heard: list[asyncio.Task[None]] = []
    arrived = asyncio.Event()

    @bob.on("data_received")  # type: ignore[untyped-decorator]
    def on_data(packet: object) -> None:
        message.set_result((packet.data, packet.participant.identity))  # type: ignore[attr-defined]

    @bob.on("track_subscribed")  # type: ignore[untyped-decorator]
    def on_track(track: object, *_: object) -> None:
        heard.append(asyncio.ensure_future(hears_something(track)))
        arrived.set()

    speaking: asyncio.Task[None] | None = None
    try:
        async with asyncio.timeout(WAIT):
            await bob.connect(url, token("bob"))
            await alice.connect(url, token("alice"))
            source = rtc.AudioSource(RATE, 1)
            track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
            await alice.local_participant.publish_track(track)
            speaking = asyncio.ensure_future(speak(source))
            await alice.local_participant.publish_data(b"hello", reliable=True)
            received = await message
            await arrived.wait()
            await heard[0]
    finally:
        if speaking is not None:
            speaking.cancel()
        await alice.disconnect()
        await bob.disconnect()
    return received


def test_two_participants_of_the_python_sdk_hear_and_message_each_other(server: Server) -> None:
    assert asyncio.run(call(server.url)) == (b"hello", "alice")


def test_a_refused_join_gets_its_status(server: Server) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{server.http}/rtc/validate", timeout=5)


def test_health_is_answered(server: Server) -> None:
    with urllib.request.urlopen(server.http, timeout=5) as answer:
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
