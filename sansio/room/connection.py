"""One peer connection of a participant: the SDP of it (`Negotiation`) and the transport under it (`PeerTransport`).

Two kinds. On a *publisher* connection (and on the only one of a single-connection client) the client offers and we answer.
On a *subscriber* connection we offer, one offer at a time: what changes while an offer is out is remembered in
`needs_offer` and goes into the next (RFC 3264 §4; LiveKit clients rely on it). Offers are numbered; an answer without a
number is taken for the latest.

Candidates of the client may come before its description and are kept, bounded, until it is set. Our own are all host
candidates and known from the start, so they travel in the description and are never trickled.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import TypeAlias

from ..dtls import DtlsRole
from ..errors import DropReason
from ..ice import Candidate, IceError
from ..kernel import ExtensionIds
from ..sdp import (
    ABS_CAPTURE_TIME,
    ABS_SEND_TIME,
    AUDIO_LEVEL,
    DEPENDENCY_DESCRIPTOR,
    MID,
    PLAYOUT_DELAY,
    REPAIRED_RID,
    RID,
    TRANSPORT_CC,
    Incoming,
    Negotiation,
    Outgoing,
    RemoteDescription,
    TransportParameters,
)
from ..transport import PeerState, PeerTransport
from ..wire import rtc

PUBLISHER = rtc.SignalTarget.PUBLISHER
SUBSCRIBER = rtc.SignalTarget.SUBSCRIBER

SectionPlan: TypeAlias = Mapping[str, Incoming | Outgoing | None]

_ROLE_OF_SETUP = {"active": DtlsRole.CLIENT, "passive": DtlsRole.SERVER}

_FIELDS = {
    MID: "mid",
    RID: "rid",
    REPAIRED_RID: "repaired_rid",
    AUDIO_LEVEL: "audio_level",
    TRANSPORT_CC: "transport_cc",
    ABS_SEND_TIME: "abs_send_time",
    ABS_CAPTURE_TIME: "abs_capture_time",
    DEPENDENCY_DESCRIPTOR: "dependency_descriptor",
    PLAYOUT_DELAY: "playout_delay",
}


def extension_ids(extensions: Mapping[str, int], mixed: bool) -> ExtensionIds:
    """What the kernel wants of a section's agreed header extensions."""
    known = {_FIELDS[uri]: number for uri, number in extensions.items() if uri in _FIELDS}
    return ExtensionIds(**known, mixed=mixed)


class Connection:
    """SDP and transport of one peer connection."""

    __slots__ = (
        "_drops",
        "_early_candidates",
        "_max_candidates",
        "_offer_id",
        "_pending_offer",
        "_remote",
        "_taken_candidates",
        "is_registered",
        "is_single",
        "needs_offer",
        "negotiation",
        "offered_at",
        "peer",
        "target",
        "was_connected",
    )  # fmt: skip

    def __init__(
        self,
        *,
        target: int,
        peer: PeerTransport,
        negotiation: Negotiation,
        first_offer_id: int = 1,
        drops: Counter[DropReason],
        is_single: bool = False,
        max_candidates: int = 64,
    ) -> None:
        self.target = target
        self.peer = peer
        self.negotiation = negotiation
        self.is_single = is_single
        self.needs_offer = False
        self.offered_at: float | None = None
        self.was_connected = False
        self.is_registered = False
        """Whether the room has told its registry whose transport this is."""
        self._drops = drops
        self._offer_id = first_offer_id - 1
        self._pending_offer = False
        self._remote: tuple[str, str] | None = None
        self._early_candidates: list[str] = []
        self._max_candidates = max_candidates
        self._taken_candidates = 0

    # As answerer

    def handle_offer(self, now: float, text: str) -> RemoteDescription:
        """Take the client's offer; `answer` must follow. New credentials mean an ICE restart. Raises SdpError."""
        remote = self.negotiation.handle_offer(text)
        if self._remote not in (None, (remote.ufrag, remote.pwd)):
            self.peer.restart_ice(now)
        return remote

    def answer(self, now: float, remote: RemoteDescription, sections: SectionPlan) -> str:
        """The answer to the offer taken last, which was `remote`; the transport starts."""
        text = self.negotiation.answer(self._parameters("active"), sections)
        self._set_remote(now, remote)
        return text

    # As offerer

    @property
    def awaits_answer(self) -> bool:
        return self._pending_offer

    def offer(self, now: float) -> tuple[int, str]:
        """Number and text of a new offer. Only while none is out."""
        self._offer_id += 1
        self._pending_offer = True
        self.needs_offer = False
        self.offered_at = now
        return self._offer_id, self.negotiation.offer(self._parameters(self.negotiation.setup or "actpass"))

    def handle_answer(self, now: float, text: str, offer_id: int) -> bool:
        """Take the client's answer; False if it is not for the offer that is out. Raises SdpError."""
        if not self._pending_offer or (offer_id and offer_id != self._offer_id):
            return False
        remote = self.negotiation.handle_answer(text)
        self._pending_offer = False
        self.offered_at = None
        self._set_remote(now, remote)
        return True

    def restart(self, now: float) -> None:
        """Ask for new ICE credentials on both sides: the next offer carries ours. An offer that was out is given up."""
        self.peer.restart_ice(now)
        self._pending_offer = False
        self.offered_at = None
        self.needs_offer = True

    # Candidates

    def handle_candidate(self, now: float, init: str) -> bool:
        """Take a trickled RTCIceCandidateInit; False if it is not JSON of that kind."""
        line = _candidate_line(init)
        if line is None:
            self._drops[DropReason.CANDIDATE_MALFORMED] += 1
            return False
        if not line:
            return True
        if self._remote is None:
            if len(self._early_candidates) < self._max_candidates:
                self._early_candidates.append(line)
        else:
            self._add_candidate(now, line)
        return True

    def _add_candidate(self, now: float, line: str) -> None:
        if self._taken_candidates >= self._max_candidates:
            return
        try:
            candidate = Candidate.parse(line)
        except IceError:
            self._drops[DropReason.CANDIDATE_MALFORMED] += 1
            return
        self._taken_candidates += 1
        self.peer.add_remote_candidate(now, candidate)

    # Getters

    @property
    def is_usable(self) -> bool:
        """Whether the transport is up, or silent but not given up."""
        return self.peer.state in (PeerState.CONNECTED, PeerState.DISCONNECTED)

    @property
    def has_remote(self) -> bool:
        return self._remote is not None

    # Private

    def _set_remote(self, now: float, remote: RemoteDescription) -> None:
        credentials = (remote.ufrag, remote.pwd)
        if not remote.ufrag:
            return
        if credentials != self._remote:
            self._taken_candidates = 0
        self._remote = credentials
        self.peer.set_remote(
            now,
            ufrag=remote.ufrag,
            pwd=remote.pwd,
            fingerprints=remote.fingerprints,
            role=_ROLE_OF_SETUP[self.negotiation.setup],
            ice_lite=remote.ice_lite,
            candidates=[],
        )
        early, self._early_candidates = self._early_candidates, []
        for line in (*remote.candidates, *early):
            self._add_candidate(now, line)

    def _parameters(self, setup: str) -> TransportParameters:
        return TransportParameters(
            ufrag=self.peer.local_ufrag,
            pwd=self.peer.local_pwd,
            fingerprint=("sha-256", self.peer.fingerprint),
            setup=setup,
            candidates=tuple(candidate.encode() for candidate in self.peer.candidates),
            ice_lite=self.peer.lite,
        )


def _candidate_line(init: str) -> str | None:
    """The candidate text of an RTCIceCandidateInit in JSON, or None if it is none."""
    try:
        value = json.loads(init)
    except (ValueError, RecursionError):
        return None
    line = value.get("candidate") if isinstance(value, dict) else None
    return line if isinstance(line, str) else None
