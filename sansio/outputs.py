"""What the core asks of its driver: datagrams in batches, and commands.

Datagrams leave as `Batch`es: one arena and a list of runs. A run is one or more datagrams to one destination that lie
end to end in the arena, all of `segment_bytes` but the last, which may be shorter; that is the shape UDP segmentation
offload takes. Iterating a batch gives single `Transmit`s, for small drivers and tests. The compiled kernel adds the same runs
as `Packed` records, so that a compiled driver need not look at a Python object for each.

Commands are imperative and frozen; events (`events.py`) are past tense. A command with a `ref` answers the request that
carried the same `ref` in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from struct import Struct
from typing import NamedTuple, TypeAlias

import attrs

from .ids import SessionId

Address: TypeAlias = tuple[str, int]
"""IP address as text (IPv4-mapped IPv6 already turned into IPv4) and port."""


class Transmit(NamedTuple):
    """One datagram to send from the socket bound to `local`."""

    local: Address
    remote: Address
    data: bytes


class Run(NamedTuple):
    """Datagrams to one destination: arena[start:end], cut every `segment_bytes`."""

    local: Address
    remote: Address
    start: int
    end: int
    segment_bytes: int


RUN_RECORD = Struct("=IIHHHH16s")
"""One run of `Packed`, which says what stands in it."""


class Packed(NamedTuple):
    """The runs of a batch for compiled drivers."""

    records: bytes
    """One `sansio.outputs.RUN_RECORD` for each run, in the machine's byte order: start, end, segment_bytes, remote port, version
    of the remote IP address (4 or 6; 0 if it is none), index of the local address in `locals`, remote address (16 bytes in
    network order, IPv4 in the first four)."""
    locals: tuple[Address, ...]


class Batch:
    """Datagrams to send, in order. The arena may not be reused while a driver still holds the batch."""

    __slots__ = ("arena", "packed", "runs")

    def __init__(
        self, arena: bytes | bytearray | memoryview, runs: Sequence[Run], packed: Packed | None = None
    ) -> None:
        self.arena = arena
        self.runs = runs
        self.packed = packed

    def __iter__(self) -> Iterator[Transmit]:
        view = memoryview(self.arena)
        for local, remote, start, end, segment_bytes in self.runs:
            for at in range(start, end, segment_bytes):
                yield Transmit(local, remote, bytes(view[at : min(at + segment_bytes, end)]))

    def __len__(self) -> int:
        """The number of datagrams."""
        return sum(-(-(run.end - run.start) // run.segment_bytes) for run in self.runs)

    @classmethod
    def of(cls, transmits: Sequence[Transmit]) -> Batch:
        """A batch of single datagrams; copies them into one arena."""
        arena = bytearray()
        runs = []
        for local, remote, data in transmits:
            if data:
                runs.append(Run(local, remote, len(arena), len(arena) + len(data), len(data)))
                arena += data
        return cls(arena, runs)


@attrs.frozen(kw_only=True)
class Accept:
    """Complete the WebSocket upgrade of `session`, then send these frames in order."""

    session: SessionId
    frames: tuple[bytes | str, ...] = ()


@attrs.frozen(kw_only=True)
class Reject:
    """Answer the upgrade request of `session` with a plain HTTP response instead; the session is over."""

    session: SessionId
    status: int
    body: str = ""


@attrs.frozen
class Send:
    """One frame on the WebSocket of `session`: bytes as binary, str as text."""

    session: SessionId
    frame: bytes | str


@attrs.frozen(kw_only=True)
class Close:
    """Close the WebSocket of `session` after what was sent before; the driver reports no disconnect for it."""

    session: SessionId
    code: int = 1000
    reason: str = ""


@attrs.frozen(kw_only=True)
class Respond:
    """The answer to the HTTP request that came in with `ref`."""

    ref: int
    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"


Command: TypeAlias = Accept | Reject | Send | Close | Respond


@attrs.frozen(kw_only=True)
class HttpRequest:
    """An HTTP request as the driver hands it in, upgrade requests included."""

    method: str
    path: str
    """Decoded path without the query, one leading slash."""
    query: dict[str, str] = attrs.field(factory=dict)
    """Decoded query parameters; the last of several wins."""
    headers: dict[str, str] = attrs.field(factory=dict)
    """Header names in lower case."""
    body: bytes = b""
    remote: str = ""
    """Address of the TCP peer, for logs."""
