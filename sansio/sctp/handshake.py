"""The parts of the handshake that need no state: our end, the answer to INIT, the state cookie and what it proves.

RFC 9260 §5.1 (normal), §5.2 (collisions, restarts). The cookie is what INIT ACK would have to remember, given to the peer to
hand back. It has no MAC, since DTLS already proves who sends it; a forged one harms only its maker. It is bounded in size
and age.
"""

from __future__ import annotations

from enum import Enum
from struct import Struct

import attrs

from ..entropy import Entropy
from .chunks import Cause, ChunkType, Init, SctpError, encode_error
from .config import SctpConfig

_FIELDS = Struct(">4sdIIIHHIBII")
_MAGIC = b"atr1"
_FORWARD_TSN, _RE_CONFIG, _ZERO_CHECKSUM = 1, 2, 4


@attrs.frozen
class End:
    """Our side of an association: the tag that its packets to us carry, and where our TSNs begin."""

    tag: int
    initial_tsn: int

    @classmethod
    def draw(cls, entropy: Entropy) -> End:
        while not (tag := int.from_bytes(entropy(4), "big")):
            pass
        return cls(tag, int.from_bytes(entropy(4), "big"))

    def describe(self, config: SctpConfig, *, cookie: bytes = b"", unrecognized: tuple[bytes, ...] = ()) -> Init:
        """Our INIT or INIT ACK."""
        return Init(
            tag=self.tag,
            receive_window_bytes=config.receive_window_bytes,
            outbound_streams=config.streams,
            inbound_streams=config.streams,
            initial_tsn=self.initial_tsn,
            forward_tsn=True,
            re_config=True,
            zero_checksum=config.zero_checksum,
            cookie=cookie,
            unrecognized=unrecognized,
        )


def answer_init(now: float, config: SctpConfig, end: End, peer: Init, *, tied: tuple[int, int]) -> bytes:
    """An INIT ACK chunk that offers `end`; `tied` are our and the peer's tag in use, 0 where there is none."""
    cookie = Cookie(
        made_at=now,
        local_tag=end.tag,
        local_initial_tsn=end.initial_tsn,
        local_tie_tag=tied[0],
        peer_tie_tag=tied[1],
        peer=peer,
    )
    ours = end.describe(config, cookie=cookie.encode(), unrecognized=peer.unrecognized)
    return ours.encode(ChunkType.INIT_ACK)


@attrs.frozen(kw_only=True)
class Cookie:
    """Both ends as they stood when INIT was answered."""

    made_at: float
    local_tag: int
    local_initial_tsn: int
    peer: Init
    local_tie_tag: int = 0
    """Tags of the association that was there already, 0 if none was (RFC 9260 §5.2.2)."""
    peer_tie_tag: int = 0

    def encode(self) -> bytes:
        peer = self.peer
        abilities = (
            (_FORWARD_TSN if peer.forward_tsn else 0)
            | (_RE_CONFIG if peer.re_config else 0)
            | (_ZERO_CHECKSUM if peer.zero_checksum else 0)
        )
        return _FIELDS.pack(
            _MAGIC,
            self.made_at,
            self.local_tag,
            peer.tag,
            peer.receive_window_bytes,
            peer.outbound_streams,
            peer.inbound_streams,
            peer.initial_tsn,
            abilities,
            self.local_tie_tag,
            self.peer_tie_tag,
        ) + self.local_initial_tsn.to_bytes(4, "big")

    @classmethod
    def parse(cls, data: bytes) -> Cookie:
        if len(data) != _FIELDS.size + 4 or not data.startswith(_MAGIC):
            raise SctpError("not a cookie of ours")
        _, made_at, local_tag, tag, window, outbound, inbound, tsn, abilities, *ties = _FIELDS.unpack_from(data)
        if not (local_tag and tag and outbound and inbound):
            raise SctpError("cookie with a zero tag or no streams")
        return cls(
            made_at=made_at,
            local_tag=local_tag,
            local_initial_tsn=int.from_bytes(data[_FIELDS.size :], "big"),
            local_tie_tag=ties[0],
            peer_tie_tag=ties[1],
            peer=Init(
                tag=tag,
                receive_window_bytes=window,
                outbound_streams=outbound,
                inbound_streams=inbound,
                initial_tsn=tsn,
                forward_tsn=bool(abilities & _FORWARD_TSN),
                re_config=bool(abilities & _RE_CONFIG),
                zero_checksum=bool(abilities & _ZERO_CHECKSUM),
            ),
        )


def report_stale(cookie: Cookie, now: float, lifetime: float) -> bytes | None:
    """The ERROR chunk for a cookie that is too old, None for a good one (RFC 9260 §5.2.6)."""
    age = now - cookie.made_at
    if 0 <= age <= lifetime:
        return None
    staleness_us = int(min(age - lifetime, 4000) * 1e6) if age > lifetime else 0
    return encode_error(Cause.STALE_COOKIE, staleness_us.to_bytes(4, "big"))


class Verdict(Enum):
    """What a COOKIE ECHO means: the actions of RFC 9260 §5.2.4, table 12."""

    UP = "B or D during the handshake: the association is up"
    REPEATED = "D later: our COOKIE ACK was lost"
    RESTART = "A: the peer lost its association and made a new one"
    FOREIGN = "C and all else: not of this association"


def judge(cookie: Cookie, *, tag: int, peer_tag: int, is_handshaking: bool) -> Verdict:
    """Weigh a cookie against the tags in use; `peer_tag` is 0 while the peer is unknown."""
    is_ours, is_peers = cookie.local_tag == tag, cookie.peer.tag == peer_tag
    if is_handshaking:
        return Verdict.UP if is_ours else Verdict.FOREIGN
    if is_ours and is_peers:
        return Verdict.REPEATED
    is_tied = (cookie.local_tie_tag, cookie.peer_tie_tag) == (tag, peer_tag)
    return Verdict.RESTART if is_tied and not is_ours and not is_peers else Verdict.FOREIGN
