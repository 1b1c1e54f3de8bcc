"""Participants on LiveKit's Python SDK, and the sound and pictures that they send and judge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, TypeVar

import numpy as np
from livekit import rtc

from .server import Server
from .waiting import DEADLINE, eventually

T = TypeVar("T")

AUDIO, VIDEO = rtc.TrackKind.KIND_AUDIO, rtc.TrackKind.KIND_VIDEO
SAMPLE_RATE = 48_000
FRAME_SAMPLES = SAMPLE_RATE // 100
SETTLING_SECONDS = 0.5
"""Of a new audio track: its jitter buffer stretches sound at first."""
LISTENING_SECONDS = 3.0
"""After which what was heard so far is all."""
RECORDED = (
    "active_speakers_changed",
    "data_received",
    "data_track_published",
    "data_track_unpublished",
    "disconnected",
    "participant_disconnected",
    "reconnected",
    "track_muted",
    "track_unmuted",
    "track_unpublished",
    "track_unsubscribed",
)


class Person:
    """Somebody in a room, with a record of what happened there."""

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.room = rtc.Room()
        self.record: list[tuple[str, tuple[Any, ...]]] = []
        for event in RECORDED:
            self.room.on(event, self._recorder(event))

    def _recorder(self, event: str) -> Any:
        return lambda *arguments: self.record.append((event, arguments))

    @property
    def me(self) -> rtc.LocalParticipant:
        return self.room.local_participant

    def events(self, name: str) -> list[tuple[Any, ...]]:
        return [arguments for event, arguments in self.record if event == name]

    def sees(self, identity: str) -> rtc.RemoteParticipant | None:
        return self.room.remote_participants.get(identity)

    def publication(self, identity: str, kind: int) -> rtc.RemoteTrackPublication | None:
        person = self.sees(identity)
        found = (each for each in person.track_publications.values() if each.kind == kind) if person else ()
        return next(iter(found), None)

    def track(self, identity: str, kind: int) -> Any:
        """The subscribed track, or None."""
        publication = self.publication(identity, kind)
        return publication.track if publication else None

    def messages(self, topic: str) -> list[rtc.DataPacket]:
        return [packet for (packet,) in self.events("data_received") if packet.topic == topic]

    @property
    def speakers(self) -> set[str]:
        """Whoever was told as speaking so far."""
        return {each.identity for (speakers,) in self.events("active_speakers_changed") for each in speakers}

    async def gets_track(self, identity: str, kind: int) -> Any:
        return await eventually(lambda: self.track(identity, kind), f"{self.identity} gets a track of {identity}")


@asynccontextmanager
async def joined(
    server: Server, identity: str, room: str, *, options: Any = None, **token: Any
) -> AsyncIterator[Person]:
    """Somebody in a room until the end of the block."""
    person = Person(identity)
    await soon(person.room.connect(server.url, server.token(identity, room, **token), options or rtc.RoomOptions()))
    try:
        yield person
    finally:
        with suppress(TimeoutError):
            await soon(person.room.disconnect())


@asynccontextmanager
async def call(server: Server, room: str, *identities: str, **options: Any) -> AsyncIterator[list[Person]]:
    """Several in a room, who all see each other. `options` are fields of RoomOptions."""
    async with AsyncExitStack() as stack:
        people = [
            await stack.enter_async_context(joined(server, each, room, options=rtc.RoomOptions(**options)))
            for each in identities
        ]
        for one in people:
            for other in people:
                if other is not one:
                    await eventually(lambda: one.sees(other.identity), f"{one.identity} sees {other.identity}")  # noqa: B023
        yield people


async def soon(awaitable: Awaitable[T]) -> T:
    """Within the deadline. Raises TimeoutError."""
    return await asyncio.wait_for(awaitable, DEADLINE)


@asynccontextmanager
async def tone(person: Person, hertz: int = 440, **options: Any) -> AsyncIterator[rtc.LocalTrackPublication]:
    """A published sine of a third of full scale."""
    source = rtc.AudioSource(SAMPLE_RATE, 1, queue_size_ms=300)
    track = rtc.LocalAudioTrack.create_audio_track("tone", source)
    second = np.sin(2 * np.pi * hertz * np.arange(SAMPLE_RATE) / SAMPLE_RATE)  # whole hertz join on to themselves
    pieces = (second * 10_000).astype(np.int16).reshape(-1, FRAME_SAMPLES)

    async def play() -> None:
        while True:
            for piece in pieces:
                await source.capture_frame(rtc.AudioFrame(piece.tobytes(), SAMPLE_RATE, 1, FRAME_SAMPLES))

    async with _playing(play):
        chosen = rtc.TrackPublishOptions(**{"source": rtc.TrackSource.SOURCE_MICROPHONE} | options)
        yield await soon(person.me.publish_track(track, chosen))
    await source.aclose()


async def hertz_heard(track: rtc.Track, *, seconds: float = 0.5) -> float:
    """The strongest frequency of what is heard, or 0 where next to nothing is."""
    stream = rtc.AudioStream(track, sample_rate=SAMPLE_RATE)
    pieces: list[Any] = []
    skipped = heard = 0
    try:
        async with asyncio.timeout(LISTENING_SECONDS):
            async for event in stream:
                if skipped < SETTLING_SECONDS * SAMPLE_RATE:
                    skipped += event.frame.samples_per_channel
                    continue
                pieces.append(np.frombuffer(event.frame.data, np.int16).astype(float))
                heard += event.frame.samples_per_channel
                if heard >= seconds * SAMPLE_RATE:
                    break
    except TimeoutError:  # the SDK gives no frames of a track that gets nothing
        pass
    finally:
        await stream.aclose()
    return _strongest(np.concatenate(pieces)) if pieces else 0.0


def _strongest(samples: Any) -> float:
    if np.sqrt(np.mean(samples**2)) < 100:
        return 0.0
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)[spectrum.argmax()])


async def hears(person: Person, identity: str, hertz: int) -> None:
    """Hold that the tone comes through, now or soon."""
    heard = 0.0
    for _ in range(6):
        heard = await hertz_heard(await person.gets_track(identity, AUDIO))
        if abs(heard - hertz) < 5:
            return
    raise AssertionError(f"{person.identity} hears {heard:.0f} Hz, not {hertz} Hz, from {identity}")


async def falls_silent(track: rtc.Track) -> None:
    """Hold that nothing is heard of a track, now or soon."""
    heard = 1.0
    for _ in range(6):
        heard = await hertz_heard(track)
        if heard == 0:
            return
    raise AssertionError(f"still heard: {heard:.0f} Hz")


UPPER, LOWER = (200, 60, 40), (40, 90, 200)
"""Colours of the test picture's halves."""
STRIPES = 8


@asynccontextmanager
async def picture(
    person: Person, width: int = 320, height: int = 180, *, fps: int = 10, codec: int = rtc.VideoCodec.VP8,
    simulcast: bool = False,
) -> AsyncIterator[rtc.LocalTrackPublication]:  # fmt: skip
    """A published picture: two halves of known colours, and a white stripe that wanders through eight places."""
    source = rtc.VideoSource(width, height)
    track = rtc.LocalVideoTrack.create_video_track("picture", source)
    still = np.full((height, width, 4), 255, np.uint8)
    still[: height // 2, :, :3] = UPPER
    still[height // 2 :, :, :3] = LOWER

    async def play() -> None:
        number = 0
        while True:
            pixels = still.copy()
            left = number % STRIPES * width // STRIPES
            pixels[height * 2 // 5 : height * 3 // 5, left : left + width // STRIPES] = 255
            source.capture_frame(rtc.VideoFrame(width, height, rtc.VideoBufferType.RGBA, pixels.tobytes()))
            number += 1
            await asyncio.sleep(1 / fps)

    options = rtc.TrackPublishOptions(
        source=rtc.TrackSource.SOURCE_CAMERA, video_codec=codec, simulcast=simulcast,
        video_encoding=rtc.VideoEncoding(max_bitrate=700_000, max_framerate=fps),
    )  # fmt: skip
    async with _playing(play):
        yield await soon(person.me.publish_track(track, options))
    await source.aclose()


@asynccontextmanager
async def _playing(play: Any) -> AsyncIterator[None]:
    task = asyncio.ensure_future(play())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Viewer:
    """Looks at a track's frames until closed."""

    def __init__(self, track: rtc.Track) -> None:
        self._stream = rtc.VideoStream(track, format=rtc.VideoBufferType.RGBA, capacity=10)
        self._task = asyncio.ensure_future(self._look())
        self.good = 0
        """Frames with the picture's colours."""
        self.frames = 0
        self.stripes: set[int] = set()
        self.size = (0, 0)

    async def _look(self) -> None:
        async for event in self._stream:
            frame = event.frame
            self.size = (frame.width, frame.height)
            self.frames += 1
            pixels = np.frombuffer(frame.data, np.uint8).reshape(frame.height, frame.width, 4)[:, :, :3].astype(int)
            third = frame.height // 3
            seen = (pixels[:third].mean(axis=(0, 1)), pixels[-third:].mean(axis=(0, 1)))
            if all(np.abs(mean - colour).max() < 30 for mean, colour in zip(seen, (UPPER, LOWER), strict=True)):
                self.good += 1
                middle = pixels[frame.height // 2 - 2 : frame.height // 2 + 2].mean(axis=(0, 2))
                columns = middle[: frame.width // STRIPES * STRIPES].reshape(STRIPES, -1).mean(axis=1)
                self.stripes.add(int(columns.argmax()))

    async def aclose(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._stream.aclose()


@asynccontextmanager
async def viewing(track: rtc.Track) -> AsyncIterator[Viewer]:
    viewer = Viewer(track)
    try:
        yield viewer
    finally:
        await viewer.aclose()


async def sees_picture(person: Person, identity: str) -> None:
    """Hold that the test picture comes through."""
    async with viewing(await person.gets_track(identity, VIDEO)) as viewer:
        await eventually(lambda: viewer.good > 3, f"{person.identity} sees the picture of {identity}")


async def inbound_packets(track: rtc.Track) -> int:
    """How many packets of a track have come."""
    for stats in await soon(track.get_stats()):
        if stats.WhichOneof("stats") == "inbound_rtp":
            return int(stats.inbound_rtp.received.packets_received)
    return 0
