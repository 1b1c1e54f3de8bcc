"""SRTP and SRTCP protection through libsrtp (RFC 3711, RFC 7714), called in place.

One `Srtp` holds the two directions of a peer transport as wildcard policies; libsrtp clones a stream per SSRC at its first
authentic packet. The functions of the binding are called directly on memory of our own, which halves the cost against
`pylibsrtp.Session` and lifts its limit of 1,356 bytes. The hot path in `legs.py` calls `protect` itself, on the arena.

The replay window is 1,024 both ways: browsers send bursts, and some probe with repeated packets. Sending may repeat an
index, because a retransmission without RTX is the same packet again; that it is byte for byte the same is the duty of
`legs.py` (RFC 7714 §8.4). The header is not checked for alignment: packets lie end to end in the arena so that a driver can
let the system segment them, and the machines that libsrtp is built for load unaligned words.

Left out: MKI, header extension encryption (RFC 6904), cryptex (RFC 9335); no client of this server uses them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, Final

from pylibsrtp import Policy
from pylibsrtp._binding import ffi as _ffi
from pylibsrtp._binding import lib as _lib

from ..errors import DropReason, LocalProtocolError
from .interface import SrtpProfile

ffi: Final[Any] = _ffi
lib: Final[Any] = _lib

KEY_BYTES: Final = {
    SrtpProfile.AES128_CM_SHA1_80: 30,
    SrtpProfile.AEAD_AES_128_GCM: 28,
    SrtpProfile.AEAD_AES_256_GCM: 44,
}
"""Master key and salt (RFC 5764 §4.1.2, RFC 7714 §12)."""

TAG_BYTES: Final = {
    SrtpProfile.AES128_CM_SHA1_80: 10,
    SrtpProfile.AEAD_AES_128_GCM: 16,
    SrtpProfile.AEAD_AES_256_GCM: 16,
}

REPLAY_WINDOW: Final = 1024
TRAILER_BYTES: Final = 148
"""What libsrtp may write behind a packet at most: E flag and index, tag, MKI."""

_REPLAY_CODES: Final = frozenset((9, 10))  # srtp_err_status_replay_fail, srtp_err_status_replay_old
_AUTHENTICATION_CODE: Final = 7  # srtp_err_status_auth_fail
_SCRATCH_BYTES: Final = 65536 + TRAILER_BYTES
_MAX_INBOUND_SSRCS: Final = 256
"""Contexts of received SSRCs kept; any authentic sender could otherwise grow libsrtp's list without end."""
_MAX_RETIRED: Final = 64
"""Contexts of SSRCs we no longer send that are kept, so that their numbering could go on."""

_scratch: Final[Any] = ffi.new("unsigned char[]", _SCRATCH_BYTES)
_scratch_bytes: Final[Any] = ffi.buffer(_scratch)
_scratch_view: Final = memoryview(_scratch_bytes)
_length: Final[Any] = ffi.new("int *")


def drop_reason(code: int) -> DropReason:
    """What a failed unprotect means."""
    if code == _AUTHENTICATION_CODE:
        return DropReason.SRTP_AUTHENTICATION
    return DropReason.SRTP_REPLAY if code in _REPLAY_CODES else DropReason.SRTP_MALFORMED


class Srtp:
    """Both directions of one transport."""

    __slots__ = ("_inbound", "_inbound_ssrcs", "_outbound", "_retired", "tag_bytes")

    def __init__(self, profile: SrtpProfile, local_key: bytes, remote_key: bytes) -> None:
        expected = KEY_BYTES[profile]
        if len(local_key) != expected or len(remote_key) != expected:
            raise LocalProtocolError(f"{profile.name} takes keys of {expected} bytes")
        self._outbound = _context(profile, local_key, Policy.SSRC_ANY_OUTBOUND)
        self._inbound = _context(profile, remote_key, Policy.SSRC_ANY_INBOUND)
        self._inbound_ssrcs: dict[int, None] = {}  # oldest first
        self._retired: dict[int, None] = {}  # oldest first
        self.tag_bytes = TAG_BYTES[profile]

    @property
    def outbound(self) -> Any:
        """The libsrtp handle to send with; valid while this object lives."""
        return self._outbound[0]

    def unprotect(self, data: bytes) -> bytes | int:
        """The plain RTP packet, or the error code of libsrtp."""
        return self._open(lib.srtp_unprotect, data)

    def unprotect_rtcp(self, data: bytes) -> bytes | int:
        """The plain compound packet, or the error code of libsrtp."""
        return self._open(lib.srtp_unprotect_rtcp, data)

    def _open(self, function: Any, data: bytes) -> bytes | int:
        size = len(data)
        if size > 65536:
            return -1
        _scratch_view[:size] = data
        _length[0] = size
        code: int = function(self._inbound[0], _scratch, _length)
        if code:
            return code
        plain: bytes = _scratch_bytes[0 : _length[0]]
        return plain

    def protect_rtcp(self, packet: bytes) -> bytes | None:
        """The SRTCP packet, None if libsrtp refuses it."""
        size = len(packet)
        if not 8 <= size <= 65000:
            return None
        _scratch_view[:size] = packet
        _length[0] = size
        if lib.srtp_protect_rtcp(self._outbound[0], _scratch, _length):
            return None
        protected: bytes = _scratch_bytes[0 : _length[0]]
        return protected

    def note_inbound(self, ssrc: int, bound: Iterable[int]) -> bool:
        """Account for the context of an SSRC just heard. At the limit the oldest that is not in `bound` goes; False if
        that is this one."""
        seen = self._inbound_ssrcs
        if ssrc in seen:
            return True
        seen[ssrc] = None
        if len(seen) <= _MAX_INBOUND_SSRCS:
            return True
        keep = frozenset(bound)
        victim = next((one for one in seen if one not in keep), ssrc)
        del seen[victim]
        lib.srtp_remove_stream(self._inbound[0], _network_order(victim))
        return victim != ssrc

    def retire(self, ssrc: int) -> int | None:
        """An SSRC is not sent any more. Its context stays a while; returns the SSRC whose context went instead."""
        self._retired[ssrc] = None
        if len(self._retired) <= _MAX_RETIRED:
            return None
        oldest = next(iter(self._retired))
        del self._retired[oldest]
        lib.srtp_remove_stream(self._outbound[0], _network_order(oldest))
        return oldest

    def revive(self, ssrc: int) -> None:
        """A retired SSRC is sent again."""
        self._retired.pop(ssrc, None)


def _context(profile: SrtpProfile, key: bytes, direction: int) -> Any:
    policy = Policy(key=key, ssrc_type=direction, srtp_profile=int(profile))
    policy.window_size = REPLAY_WINDOW
    policy.allow_repeat_tx = True
    handle = ffi.new("srtp_t *")
    if lib.srtp_create(handle, policy._policy):
        raise LocalProtocolError("libsrtp refused the keys")
    return ffi.gc(handle, lambda owned: lib.srtp_dealloc(owned[0]))


def _network_order(ssrc: int) -> int:
    return int.from_bytes(ssrc.to_bytes(4, "big"), sys.byteorder)
