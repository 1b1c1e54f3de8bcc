"""What an association reports to its owner."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import attrs


@attrs.frozen
class Established:
    """Both sides may send. Reported once."""


class Message(NamedTuple):
    """One whole user message of the peer. A tuple, since there is one for each message."""

    stream: int
    ppid: int
    data: bytes


@attrs.frozen
class StreamsReset:
    """The peer restarted the numbering of what it sends on these streams: it closed its half (RFC 6525, 8831 §6.7)."""

    streams: tuple[int, ...]


@attrs.frozen
class ResetDone:
    """The peer has answered our `reset_stream` of these streams; they may be used anew."""

    streams: tuple[int, ...]


@attrs.frozen
class Restarted:
    """The peer lost its association and made a new one in its place. All that was queued or half received is gone."""


@attrs.frozen
class AssociationClosed:
    """The association is over, by either side or for want of answers."""

    reason: str


SctpEvent: TypeAlias = Established | Message | StreamsReset | ResetDone | Restarted | AssociationClosed
