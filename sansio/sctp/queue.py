"""Messages that wait to be sent, by stream, and whose turn it is.

Streams with messages take turns message by message: a message of one stream waits for at most one message of each other
stream. A stream whose reset was asked for sends what it had, and holds back what comes later until the reset is done
(RFC 6525 §5.1.2).
"""

from __future__ import annotations

from collections import deque


class Outgoing:
    """A user message on its way."""

    __slots__ = (
        "data",
        "expires_at",
        "first_tsn",
        "last_tsn",
        "max_retransmits",
        "offset",
        "ordered",
        "ppid",
        "ssn",
        "stream",
    )

    def __init__(
        self,
        stream: int,
        data: bytes,
        ppid: int,
        ordered: bool,
        max_retransmits: int | None,
        expires_at: float | None,
    ) -> None:
        self.stream = stream
        self.data = data
        self.ppid = ppid
        self.ordered = ordered
        self.max_retransmits = max_retransmits
        self.expires_at = expires_at
        self.offset = 0
        """Bytes that have been cut into chunks."""
        self.ssn = 0
        self.first_tsn = 0
        self.last_tsn = 0


class _Stream:
    __slots__ = ("buffered_bytes", "held", "is_resetting", "messages", "next_ssn", "waiting_bytes")

    def __init__(self) -> None:
        self.messages: deque[Outgoing] = deque()
        self.held: deque[Outgoing] = deque()  # sent after a reset was asked for
        self.is_resetting = False
        self.next_ssn = 0
        self.buffered_bytes = 0
        self.waiting_bytes = 0


class SendQueue:
    """Round robin over streams, message by message."""

    __slots__ = ("_current", "_streams", "_turns", "buffered_bytes")

    def __init__(self) -> None:
        self._streams: dict[int, _Stream] = {}
        self._turns: deque[int] = deque()
        self._current: Outgoing | None = None
        self.buffered_bytes = 0
        """Bytes of all streams that are queued or not yet acknowledged."""

    def put(self, message: Outgoing) -> None:
        stream = self._stream(message.stream)
        size = len(message.data)
        stream.buffered_bytes += size
        stream.waiting_bytes += size
        self.buffered_bytes += size
        if stream.is_resetting:
            stream.held.append(message)
            return
        if not stream.messages:
            self._turns.append(message.stream)
        stream.messages.append(message)

    def current(self) -> Outgoing | None:
        """The message to cut chunks from: the one begun, else the next in turn."""
        if self._current is None and self._turns:
            turn = self._turns.popleft()
            messages = self._streams[turn].messages
            self._current = messages.popleft()
            if messages:
                self._turns.append(turn)
        return self._current

    def begin(self, message: Outgoing) -> None:
        """Its first chunk is made: an ordered message takes its number now, and so none if it never came to this."""
        if message.ordered:
            stream = self._streams[message.stream]
            message.ssn = stream.next_ssn
            stream.next_ssn = (stream.next_ssn + 1) & 0xFFFF

    def cut(self, message: Outgoing, size_bytes: int) -> None:
        """So much of it went into a chunk."""
        message.offset += size_bytes
        self._streams[message.stream].waiting_bytes -= size_bytes
        if message.offset == len(message.data):
            self._current = None

    def drop_rest(self, message: Outgoing) -> None:
        """What of it is in no chunk yet will never be."""
        rest = len(message.data) - message.offset
        self._streams[message.stream].waiting_bytes -= rest
        self.release(message.stream, rest)
        if self._current is message:
            self._current = None

    def release(self, stream: int, size_bytes: int) -> None:
        """So many bytes were acknowledged or given up."""
        self._stream(stream).buffered_bytes -= size_bytes
        self.buffered_bytes -= size_bytes

    def reclaim(self, stream: int, size_bytes: int) -> None:
        """The opposite: they are owed again."""
        self.release(stream, -size_bytes)

    def hold(self, stream: int) -> None:
        """A reset of the stream was asked for."""
        self._stream(stream).is_resetting = True

    def is_drained(self, stream: int) -> bool:
        """Whether everything put before the reset has been cut into chunks."""
        is_current = self._current is not None and self._current.stream == stream
        return not is_current and not self._stream(stream).messages

    def restart(self, stream: int) -> None:
        """The reset is done: numbering begins anew."""
        known = self._stream(stream)
        known.is_resetting = False
        known.next_ssn = 0
        if known.held:
            known.messages, known.held = known.held, known.messages
            self._turns.append(stream)
        elif not known.buffered_bytes:
            del self._streams[stream]

    def buffered_on(self, stream: int) -> int:
        known = self._streams.get(stream)
        return 0 if known is None else known.buffered_bytes

    def waiting_on(self, stream: int) -> int:
        """Bytes of a stream that are in no chunk yet."""
        known = self._streams.get(stream)
        return 0 if known is None else known.waiting_bytes

    @property
    def has_messages(self) -> bool:
        """Whether there is something to cut chunks from."""
        return self._current is not None or bool(self._turns)

    def _stream(self, stream: int) -> _Stream:
        known = self._streams.get(stream)
        if known is None:
            known = self._streams[stream] = _Stream()
        return known
