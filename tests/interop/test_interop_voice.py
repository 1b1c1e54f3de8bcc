"""A talk with an agent: a user of the Python SDK and LiveKit's voice pipeline, whose parts understand and speak tones."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from livekit import rtc

from .people import AUDIO, FRAME_SAMPLES, SAMPLE_RATE, Person, hears, joined, soon
from .server import Server, new_room
from .waiting import eventually, scenario
from .workers import HERE, agents, working

pytestmark = pytest.mark.interop
SAID_HERTZ, WRITTEN_HERTZ = 440, 660
TRANSCRIPTION = "lk.transcription"


@scenario
async def test_an_agent_hears_reads_and_answers(server: Server, tmp_path: Path) -> None:
    said = tmp_path / "said.wav"
    record(said, SAID_HERTZ)
    async with working(server, HERE / "voice_agent.py"), joined(server, "alice", new_room()) as alice:
        transcripts = Transcripts(alice)
        async with speaking(alice, said) as speak:
            [agent] = await eventually(lambda: agents(alice), "the agent comes")
            await eventually(lambda: agent.attributes.get("lk.agent.state") == "listening", "the agent listens")
            await eventually(lambda: alice.publication(agent.identity, AUDIO), "the agent has a voice")
            speak.set()
            await hears(alice, agent.identity, 2 * SAID_HERTZ)
            answer = f"You whistled {SAID_HERTZ} hertz."
            await eventually(lambda: answer in transcripts.of(agent.identity), "the answer is written down")
            assert transcripts.of("alice") == [f"{SAID_HERTZ} hertz"]
            await eventually(lambda: agent.attributes.get("lk.agent.state") == "listening", "the agent listens again")
            await alice.me.send_text(f"{WRITTEN_HERTZ} hertz", topic="lk.chat")
            await hears(alice, agent.identity, 2 * WRITTEN_HERTZ)
        assert transcripts.of(agent.identity)[0] == answer


class Transcripts:
    """What is written down of a talk, by whose words they are. The final text of a segment takes the place of drafts."""

    def __init__(self, person: Person) -> None:
        self._texts: dict[tuple[str, str], str] = {}
        self._reading: set[asyncio.Task[None]] = set()
        person.room.register_text_stream_handler(TRANSCRIPTION, self._on_stream)

    def _on_stream(self, reader: rtc.TextStreamReader, identity: str) -> None:
        task = asyncio.ensure_future(self._read(reader, identity))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def _read(self, reader: rtc.TextStreamReader, identity: str) -> None:
        assert reader.info.attributes is not None
        segment = reader.info.attributes["lk.segment_id"]
        with suppress(rtc.StreamError):  # whoever wrote it has left
            self._texts[identity, segment] = await reader.read_all()

    def of(self, identity: str) -> list[str]:
        return [text for (speaker, _), text in self._texts.items() if speaker == identity]


def record(path: Path, hertz: int) -> None:
    """A second of a tone."""
    samples = np.sin(2 * np.pi * hertz * np.arange(SAMPLE_RATE) / SAMPLE_RATE) * 10_000
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.astype(np.int16).tobytes())


@asynccontextmanager
async def speaking(person: Person, recording: Path) -> AsyncIterator[asyncio.Event]:
    """A published microphone; setting the event plays the recording into it, once."""
    source = rtc.AudioSource(SAMPLE_RATE, 1, queue_size_ms=100)
    speak = asyncio.Event()

    async def play(samples: bytes) -> None:
        for at in range(0, len(samples), 2 * FRAME_SAMPLES):
            piece = samples[at : at + 2 * FRAME_SAMPLES]
            await source.capture_frame(rtc.AudioFrame(piece, SAMPLE_RATE, 1, len(piece) // 2))

    async def open_microphone() -> None:
        silence = bytes(2 * FRAME_SAMPLES)
        while not speak.is_set():
            await play(silence)
        with wave.open(str(recording)) as file:
            await play(file.readframes(file.getnframes()))
        while True:
            await play(silence)

    track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
    microphone = asyncio.ensure_future(open_microphone())
    try:
        await soon(person.me.publish_track(track, options))
        yield speak
    finally:
        microphone.cancel()
        await asyncio.gather(microphone, return_exceptions=True)
        await source.aclose()
