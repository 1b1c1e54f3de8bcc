"""Publish a tone and a moving picture, on LiveKit's Python SDK.

    python examples/python/publisher.py --url ws://127.0.0.1:7880 --token TOKEN

Without a token one is made from LIVEKIT_API_KEY and LIVEKIT_API_SECRET, or from the key pair of `atrium dev`.
"""

import asyncio
import contextlib

import numpy as np
from livekit import rtc
from where import arguments, connect, until_interrupted

RATE = 48_000
WIDTH, HEIGHT, FPS = 640, 360, 15


async def play_tone(source: rtc.AudioSource, hertz: int = 440) -> None:
    """A quiet sine, in pieces of 10 ms. `capture_frame` waits while the queue is full, so this keeps time by itself."""
    second = np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE) * 3000
    pieces = second.astype(np.int16).reshape(100, -1)  # whole hertz: the end joins on to the start
    while True:
        for piece in pieces:
            await source.capture_frame(rtc.AudioFrame(piece.tobytes(), RATE, 1, len(piece)))


async def play_picture(source: rtc.VideoSource) -> None:
    """A ball that goes round on a slowly changing ground."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    for number in range(10**9):
        turn = number / FPS
        picture = np.empty((HEIGHT, WIDTH, 4), np.uint8)
        picture[..., 0] = 40 + 30 * np.sin(turn / 3)
        picture[..., 1] = 70 + y * 60 // HEIGHT
        picture[..., 2] = 90 + x * 60 // WIDTH
        picture[..., 3] = 255
        left, top = WIDTH / 2 + 200 * np.cos(turn), HEIGHT / 2 + 100 * np.sin(turn)
        picture[(x - left) ** 2 + (y - top) ** 2 < 45**2, :3] = (250, 200, 90)
        source.capture_frame(rtc.VideoFrame(WIDTH, HEIGHT, rtc.VideoBufferType.RGBA, picture.tobytes()))
        await asyncio.sleep(1 / FPS)


async def main() -> None:
    url, token = arguments(__doc__, identity="publisher")
    room = rtc.Room()
    await connect(room, url, token)
    print(f"in room {room.name} as {room.local_participant.identity}", flush=True)

    tone, picture = rtc.AudioSource(RATE, 1), rtc.VideoSource(WIDTH, HEIGHT)
    audio = rtc.LocalAudioTrack.create_audio_track("tone", tone)
    video = rtc.LocalVideoTrack.create_video_track("ball", picture)
    await room.local_participant.publish_track(audio, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE))
    await room.local_participant.publish_track(video, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA))
    print("publishing; Ctrl+C stops", flush=True)

    players = [asyncio.create_task(play_tone(tone)), asyncio.create_task(play_picture(picture))]
    await until_interrupted(room)
    for player in players:
        player.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await player
    await room.disconnect()


asyncio.run(main())
