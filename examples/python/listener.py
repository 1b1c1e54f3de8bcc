"""Print what is heard and seen in a room, on LiveKit's Python SDK.

    python examples/python/listener.py --url ws://127.0.0.1:7880 --token TOKEN

Without a token one is made from LIVEKIT_API_KEY and LIVEKIT_API_SECRET, or from the key pair of `atrium dev`.
"""

import asyncio

import numpy as np
from livekit import rtc
from where import arguments, connect, until_interrupted


async def listen(name: str, track: rtc.Track) -> None:
    """Once a second: how loud it is, and the strongest frequency."""
    samples = np.empty(0)
    async for event in rtc.AudioStream(track, sample_rate=48_000, num_channels=1):
        samples = np.append(samples, np.frombuffer(event.frame.data, np.int16))
        if len(samples) < 48_000:
            continue
        loudness = np.sqrt(np.mean(samples**2))
        hertz = np.abs(np.fft.rfft(samples)).argmax()  # of one second: the n-th value is that of n hertz
        print(f"{name}: " + (f"hears {hertz} Hz, loudness {loudness:.0f}" if loudness > 50 else "silence"), flush=True)
        samples = np.empty(0)


async def watch(name: str, track: rtc.Track) -> None:
    """Once a second: how large the picture is, and how many came."""
    frames, since = 0, asyncio.get_running_loop().time()
    async for event in rtc.VideoStream(track):
        frames += 1
        now = asyncio.get_running_loop().time()
        if now - since >= 1:
            print(
                f"{name}: sees {event.frame.width}x{event.frame.height}, {frames / (now - since):.0f} fps", flush=True
            )
            frames, since = 0, now


async def main() -> None:
    url, token = arguments(__doc__, identity="listener")
    room = rtc.Room()
    tasks: set[asyncio.Task[None]] = set()  # a task that nobody holds may vanish

    @room.on("track_subscribed")
    def subscribed(track: rtc.Track, _: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant) -> None:
        follow = listen if track.kind == rtc.TrackKind.KIND_AUDIO else watch
        task = asyncio.create_task(follow(participant.identity, track))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    @room.on("participant_connected")
    def joined(participant: rtc.RemoteParticipant) -> None:
        print(f"{participant.identity} joined", flush=True)

    @room.on("participant_disconnected")
    def left(participant: rtc.RemoteParticipant) -> None:
        print(f"{participant.identity} left", flush=True)

    async def read(reader: rtc.TextStreamReader, identity: str) -> None:
        print(f"{identity} writes: {await reader.read_all()}", flush=True)

    def chat(reader: rtc.TextStreamReader, identity: str) -> None:
        task = asyncio.create_task(read(reader, identity))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    room.register_text_stream_handler("lk.chat", chat)
    await connect(room, url, token)
    others = ", ".join(room.remote_participants) or "nobody yet"
    print(f"in room {room.name} as {room.local_participant.identity}, with {others}; Ctrl+C stops", flush=True)
    await until_interrupted(room)
    for task in tasks:
        task.cancel()
    await room.disconnect()


asyncio.run(main())
