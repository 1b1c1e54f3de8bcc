"""Data packets: who may send what, to whom it goes, and what is stamped on the way.

A `DataPacket` comes in on a sender's `_reliable` or `_lossy` channel and goes out on the same kind of channel of its
destinations. The server stamps the sender (clients trust those fields), mirrors addresses between the packet and its legacy
`UserPacket`, drops duplicates, and forwards everything else as it is, unknown kinds included. It never looks inside an
encrypted packet.

Reliable packets carry the sender's own sequence numbers; `accept` keeps the highest seen for each sender, so that packets sent
again after a resume are dropped and the resume can say where the sender stands.

`Replay` is the room's short memory of reliable packets for receivers that were connecting or resuming meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from ..errors import DropReason
from ..wire import WireError, models, parse

RELIABLE = models.DataPacket.Kind.RELIABLE
LOSSY = models.DataPacket.Kind.LOSSY

REPLAY_S = 2.0  # livekit/livekit keeps as long and as much
REPLAY_BYTES = 100_000
NONCES = 100

_FORWARDED_IMPERSONATION = ("chat_message", "stream_header")


class Nonces:
    """The last nonces seen, to drop a repeated SendData."""

    __slots__ = ("_order", "_seen")

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._order: deque[bytes] = deque()

    def is_new(self, nonce: bytes) -> bool:
        if nonce in self._seen:
            return False
        self._seen.add(nonce)
        self._order.append(nonce)
        if len(self._order) > NONCES:
            self._seen.discard(self._order.popleft())
        return True


class Sender:
    """What stamping needs to know of a packet's sender."""

    __slots__ = ("highest_sequence", "identity", "is_agent", "is_hidden", "may_send", "sid")

    def __init__(self, *, identity: str, sid: str) -> None:
        self.identity = identity
        self.sid = sid
        self.is_agent = False
        self.is_hidden = False
        self.may_send = True
        self.highest_sequence = 0


class Routed:
    """A stamped packet and where it goes: all others of the room, or some identities and sids."""

    __slots__ = ("data", "identities", "packet", "sequence", "sids")

    def __init__(self, packet: models.DataPacket, identities: Mapping[str, None], sids: Mapping[str, None]) -> None:
        """Dicts stand in for sets, since packets leave in the order of destinations."""
        self.packet = packet
        self.data = packet.SerializeToString(deterministic=True)
        self.identities = identities
        self.sids = sids
        self.sequence = packet.sequence

    @property
    def is_addressed(self) -> bool:
        return bool(self.identities or self.sids)

    def is_for(self, identity: str, sid: str) -> bool:
        return not self.is_addressed or identity in self.identities or sid in self.sids


def accept(sender: Sender, data: bytes, kind: int, nonces: Nonces) -> Routed | DropReason:
    """Check and stamp one packet of `sender`; the reason if it is dropped."""
    if not sender.may_send:
        return DropReason.DATA_NOT_ALLOWED
    try:
        packet = parse(models.DataPacket, data)
    except WireError:
        return DropReason.DATA_MALFORMED
    what = packet.WhichOneof("value")
    if what == "speaker" or (what == "transcription" and not sender.is_agent) or what == "metrics":
        return DropReason.DATA_NOT_ALLOWED
    if kind == RELIABLE and packet.sequence:
        if packet.sequence <= sender.highest_sequence:
            return DropReason.DATA_DUPLICATE
        sender.highest_sequence = packet.sequence
    if what == "user" and packet.user.nonce and not nonces.is_new(packet.user.nonce):
        return DropReason.DATA_DUPLICATE
    _stamp(packet, sender, kind)
    return _routed(packet)


def from_server(packet: models.DataPacket) -> Routed:
    """A packet of the server's own: no sender."""
    return _routed(packet)


def _routed(packet: models.DataPacket) -> Routed:
    identities = dict.fromkeys((*packet.destination_identities, *packet.user.destination_identities))
    sids: dict[str, None] = {}
    if packet.HasField("user"):
        sids = dict.fromkeys(packet.user.destination_sids)
        _mirror_destinations(packet, identities)
    return Routed(packet, identities, sids)


def _mirror_destinations(packet: models.DataPacket, identities: Iterable[str]) -> None:
    """Old clients read destinations inside the user packet, new ones outside."""
    known = sorted(identities)
    if not known:
        return
    del packet.destination_identities[:]
    packet.destination_identities.extend(known)
    del packet.user.destination_identities[:]
    packet.user.destination_identities.extend(known)


def _stamp(packet: models.DataPacket, sender: Sender, kind: int) -> None:
    """Write the sender over whatever the packet says; an agent may speak for another participant."""
    packet.kind = kind  # type: ignore[assignment]
    what = packet.WhichOneof("value")
    claimed = packet.participant_identity
    packet.participant_sid = sender.sid
    if sender.is_agent and claimed and claimed != sender.identity and what in _FORWARDED_IMPERSONATION:
        if what == "chat_message":
            packet.chat_message.generated = True
        elif packet.stream_header.WhichOneof("content_header") == "text_header":
            packet.stream_header.text_header.generated = True
        else:
            packet.participant_identity = sender.identity
    else:
        packet.participant_identity = "" if sender.is_hidden else sender.identity
    if what == "user":
        packet.user.participant_sid = "" if sender.is_hidden else sender.sid
        packet.user.participant_identity = "" if sender.is_hidden else sender.identity


class Replay:
    """Reliable packets of the last moments."""

    __slots__ = ("_bytes", "_kept")

    def __init__(self) -> None:
        self._kept: deque[tuple[float, Routed]] = deque()
        self._bytes = 0

    def add(self, now: float, routed: Routed) -> None:
        self._kept.append((now, routed))
        self._bytes += len(routed.data)
        while self._kept and (self._bytes > REPLAY_BYTES or self._kept[0][0] < now - REPLAY_S):
            self._bytes -= len(self._kept.popleft()[1].data)

    def newer_than(self, sequences: dict[str, int]) -> Sequence[Routed]:
        """Packets beyond those numbers, by sender sid; senders that are not named are left out."""
        return [
            routed
            for _, routed in self._kept
            if routed.sequence and routed.sequence > sequences.get(routed.packet.participant_sid, 1 << 32)
        ]
