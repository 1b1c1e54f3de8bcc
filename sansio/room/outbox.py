"""Signal messages on their way out: encoded once however many receive them, in the order of state changes.

A `Frame` wraps one `SignalResponse` and remembers its encodings, so that an update to a thousand participants is
serialised once. An `Outbox` belongs to one participant: it holds what its socket has not been given yet. While there is no
socket (between a lost one and the resume) messages are dropped, because a resume sends a full snapshot.
"""

from __future__ import annotations

from ..wire import encode_json, rtc


class Frame:
    """One message and its encodings, each made when first asked for."""

    __slots__ = ("_binary", "_text", "message")

    def __init__(self, message: rtc.SignalResponse) -> None:
        self.message = message
        self._binary: bytes | None = None
        self._text: str | None = None

    def encode(self, as_json: bool = False) -> bytes | str:
        if as_json:
            if self._text is None:
                self._text = encode_json(self.message)
            return self._text
        if self._binary is None:
            # In maps, protobuf's order is another in each process unless it is asked to sort.
            self._binary = self.message.SerializeToString(deterministic=True)
        return self._binary


class Outbox:
    """What one participant is to be told, in order."""

    __slots__ = ("_frames", "is_open")

    def __init__(self) -> None:
        self._frames: list[Frame] = []
        self.is_open = False
        """Whether there is a socket that the frames can go to."""

    def send(self, message: rtc.SignalResponse | Frame) -> None:
        if self.is_open:
            self._frames.append(message if isinstance(message, Frame) else Frame(message))

    def poll(self) -> list[Frame]:
        """Take all frames."""
        frames, self._frames = self._frames, []
        return frames

    def __bool__(self) -> bool:
        return bool(self._frames)
