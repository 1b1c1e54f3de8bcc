"""A worker of LiveKit's agents framework whose agents talk, with a voice pipeline that needs no model and no network.

Words are tones: the speech-to-text hears which tone was whistled, the language model says what it heard, and the text-to-speech
whistles it an octave higher. Whoever hears the octave knows that each part did its work.
"""

# mypy: allow-subclassing-any

from __future__ import annotations

import re
from typing import Any

import numpy as np
from livekit import rtc
from livekit.agents import Agent, AgentSession, JobContext, WorkerOptions, cli, llm, stt, tts, utils

RATE = 24_000
LOUD = 500
"""Root mean square of a frame, of 32767, from which on it is taken for speech."""
PAUSE_SECONDS = 0.4
"""Of silence, which end what was said."""
ANSWER_SECONDS = 4.0


class Hearing(stt.STT[Any]):
    """Understands tones: a tone of 440 Hz is the words "440 hertz"."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=False))

    def stream(self, **options: Any) -> stt.RecognizeStream:
        return _Listening(stt=self, conn_options=options["conn_options"], sample_rate=RATE)

    async def _recognize_impl(self, *arguments: Any, **options: Any) -> stt.SpeechEvent:
        raise AssertionError("a pipeline that streams does not ask for this")


class _Listening(stt.RecognizeStream):
    async def _run(self) -> None:
        said: list[Any] = []
        silence = 0.0
        async for frame in self._input_ch:
            if not isinstance(frame, rtc.AudioFrame):
                continue
            samples = np.frombuffer(frame.data, np.int16).astype(float)
            if np.sqrt(np.mean(samples**2)) >= LOUD:
                if not said:
                    self._tell(stt.SpeechEventType.START_OF_SPEECH)
                said.append(samples)
                silence = 0.0
            elif said:
                silence += frame.duration
                if silence >= PAUSE_SECONDS:
                    self._tell(stt.SpeechEventType.FINAL_TRANSCRIPT, words(np.concatenate(said)))
                    self._tell(stt.SpeechEventType.END_OF_SPEECH)
                    said = []

    def _tell(self, kind: stt.SpeechEventType, text: str = "") -> None:
        alternatives = [stt.SpeechData(language="en", text=text, confidence=1.0)] if text else []
        self._event_ch.send_nowait(stt.SpeechEvent(type=kind, alternatives=alternatives))


def words(samples: Any) -> str:
    """What a tone says, to ten hertz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    hertz = np.fft.rfftfreq(len(samples), 1 / RATE)[spectrum.argmax()]
    return f"{round(hertz / 10) * 10} hertz"


class Thinking(llm.LLM[Any]):
    """Repeats what it was told."""

    def chat(self, *, chat_ctx: llm.ChatContext, tools: Any = None, **options: Any) -> llm.LLMStream:
        return _Thought(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=options["conn_options"])


class _Thought(llm.LLMStream):
    async def _run(self) -> None:
        told = next(item for item in reversed(self._chat_ctx.messages()) if item.role == "user")
        for piece in ("You ", "whistled ", f"{told.text_content}."):
            delta = llm.ChoiceDelta(role="assistant", content=piece)
            self._event_ch.send_nowait(llm.ChatChunk(id="thought", delta=delta))


class Whistling(tts.TTS[Any]):
    """Whistles the tone that a text names, an octave higher."""

    def __init__(self) -> None:
        super().__init__(capabilities=tts.TTSCapabilities(streaming=False), sample_rate=RATE, num_channels=1)

    def synthesize(self, text: str, **options: Any) -> tts.ChunkedStream:
        return _Whistle(tts=self, input_text=text, conn_options=options["conn_options"])


class _Whistle(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(request_id=utils.shortuuid(), sample_rate=RATE, num_channels=1, mime_type="audio/pcm")
        named = re.search(r"(\d+) hertz", self.input_text)
        assert named, self.input_text
        turns = 2 * int(named[1]) * np.arange(int(ANSWER_SECONDS * RATE)) / RATE
        output_emitter.push((np.sin(2 * np.pi * turns) * 10_000).astype(np.int16).tobytes())
        output_emitter.flush()


async def entrypoint(context: JobContext) -> None:
    session: AgentSession[None] = AgentSession(
        stt=Hearing(),
        llm=Thinking(),
        tts=Whistling(),
        vad=None,
        turn_handling={
            "turn_detection": "stt",
            "endpointing": {"min_delay": 0.1},
            "interruption": {"enabled": False},
        },
        aec_warmup_duration=None,
    )
    await session.start(Agent(instructions="Repeat."), room=context.room, record=False)
    await context.connect()


if __name__ == "__main__":
    cli.run_app(
        WorkerOptions(
            entrypoint_fnc=entrypoint,
            load_fnc=lambda: 0.0,
            num_idle_processes=1,
            drain_timeout=1,
            host="127.0.0.1",
            port=0,
        )
    )
