"""The tree of exceptions, and the reasons for which input is dropped.

Three kinds of failure are kept apart: the caller broke the contract (`LocalProtocolError`), the peer did
(`RemoteProtocolError`, one subclass per protocol, raised by parsers only), and an expected "no" (`Refusal`).
`handle_*` methods never raise for what a peer sent: they count a `DropReason` or close with an event.
"""

from __future__ import annotations

from enum import Enum


class SansioError(Exception):
    """Base of all exceptions that the core raises on purpose."""


class LocalProtocolError(SansioError):
    """The caller used a machine against its contract; a bug on this side."""


class RemoteProtocolError(SansioError):
    """Bytes or messages of a peer that its protocol does not allow.

    `hint` is what to answer on the wire where the protocol has such an answer (a STUN error code, an SCTP cause).
    """

    def __init__(self, message: str, *, hint: int | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class Refusal(SansioError):  # noqa: N818 - an expected answer rather than an error
    """A request that is understood and declined.

    `code` is a Twirp code (`invalid_argument`, `not_found`, ...); `status` the HTTP status that goes with it.
    """

    def __init__(
        self, code: str, message: str, *, status: int | None = None, meta: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = HTTP_STATUS[code] if status is None else status
        self.meta = meta or {}


HTTP_STATUS = {
    "canceled": 408,
    "unknown": 500,
    "invalid_argument": 400,
    "malformed": 400,
    "deadline_exceeded": 408,
    "not_found": 404,
    "bad_route": 404,
    "already_exists": 409,
    "permission_denied": 403,
    "unauthenticated": 401,
    "resource_exhausted": 429,
    "failed_precondition": 412,
    "aborted": 409,
    "out_of_range": 400,
    "unimplemented": 501,
    "internal": 500,
    "unavailable": 503,
    "dataloss": 500,
}
"""Twirp codes and the HTTP status of each (Twirp v7 wire protocol, error codes)."""


class DropReason(Enum):
    """Why a datagram, packet, frame or message was thrown away. Counted by the one who drops it."""

    # Datagrams before any transport is known
    UNKNOWN_FIRST_BYTE = "unknown first byte"
    TOO_SHORT = "too short"
    UNKNOWN_ADDRESS = "unknown address"
    UNKNOWN_UFRAG = "unknown ufrag"
    TRANSPORT_CLOSED = "transport closed"
    # STUN and ICE
    STUN_MALFORMED = "malformed STUN"
    STUN_INTEGRITY = "STUN integrity"
    STUN_FINGERPRINT = "STUN fingerprint"
    STUN_UNEXPECTED = "unexpected STUN"
    # DTLS
    DTLS_MALFORMED = "malformed DTLS"
    DTLS_UNEXPECTED = "unexpected DTLS"
    # SRTP and SRTCP
    SRTP_NO_KEYS = "SRTP before keys"
    SRTP_AUTHENTICATION = "SRTP authentication"
    SRTP_REPLAY = "SRTP replay"
    SRTP_MALFORMED = "malformed SRTP"
    # RTP and RTCP
    RTP_MALFORMED = "malformed RTP"
    RTP_UNKNOWN_SSRC = "unknown SSRC"
    RTP_UNKNOWN_PAYLOAD_TYPE = "unknown payload type"
    RTP_DUPLICATE = "duplicate RTP"
    RTP_TOO_OLD = "RTP too old"
    RTP_PADDING_ONLY = "padding only"
    RTP_SSRC_LIMIT = "too many SSRCs"
    RTCP_MALFORMED = "malformed RTCP"
    # SCTP and data channels
    SCTP_MALFORMED = "malformed SCTP"
    SCTP_CHECKSUM = "SCTP checksum"
    SCTP_TAG = "SCTP verification tag"
    SCTP_UNEXPECTED = "unexpected SCTP"
    DCEP_MALFORMED = "malformed DCEP"
    DATA_MALFORMED = "malformed data packet"
    DATA_NOT_ALLOWED = "data not allowed"
    DATA_DUPLICATE = "duplicate data"
    DATA_TOO_LARGE = "data too large"
    DATA_NO_RECEIVER = "data without receiver"
    DATA_SLOW_RECEIVER = "slow data receiver"
    # Signalling
    SIGNAL_MALFORMED = "malformed signal message"
    SIGNAL_TOO_LARGE = "signal message too large"
    SIGNAL_UNEXPECTED = "unexpected signal message"
    JOB_UNKNOWN = "word of a worker about a job that is not its own"
    JOB_LATE = "answer to an offer that was withdrawn"
    WORKER_LOAD = "worker's load is not from 0 to 1"
    SDP_MALFORMED = "malformed SDP"
    CANDIDATE_MALFORMED = "malformed candidate"
    OUTBOX_FULL = "outbox full"
    # Driver
    SOCKET_FULL = "socket full"
    RECEIVE_QUEUE_FULL = "receive queue full"
    UNREACHABLE = "destination unreachable"
