"""The state cookie: what INIT ACK would have to remember, given to the peer to hand back (RFC 9260 §5.1.3).

It has no MAC, since DTLS already proves who sends it; a forged one harms only its maker. It is bounded in size and age.
"""

from __future__ import annotations

from struct import Struct

import attrs

from .chunks import Init, SctpError

_FIELDS = Struct(">4sdIIIHHIBII")
_MAGIC = b"atr1"
_FORWARD_TSN, _RE_CONFIG, _ZERO_CHECKSUM = 1, 2, 4


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
