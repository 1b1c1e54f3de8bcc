"""One peer connection of a simulated client: its SDP, its transport, and the RTP that goes over it.

A client offers on its publisher connection (the only one, where there is but one) and answers on its subscriber connection.
One offer is out at a time; what changes meanwhile goes into the next. Candidates are trickled, as clients do.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from ..config import RtcConfig
from ..dtls import Certificate, DtlsRole, HandshakeFactory
from ..entropy import Entropy, random_bits
from ..ice import Candidate, IceError, Role
from ..kernel import ExtensionIds
from ..outputs import Address
from ..room.connection import extension_ids
from ..room.publication import receive_section
from ..rtcp import Packet
from ..sdp import Negotiation, RemoteDescription, TransportParameters, client_capabilities
from ..transport import Endpoint, PeerState, PeerTransport, ReceiveSection
from ..wire import rtc
from .kernel import MediaKernel
from .media import Payload, RtpSender

PUBLISHER = rtc.SignalTarget.PUBLISHER
SUBSCRIBER = rtc.SignalTarget.SUBSCRIBER

CHANNELS: tuple[tuple[str, bool, int | None], ...] = (
    ("_lossy", False, 0),
    ("_reliable", True, None),
    ("_data_track", False, 0),
)
"""Label, ordered, retransmissions; as LiveKit's clients open them."""
_ROLE_OF_SETUP = {"active": DtlsRole.CLIENT, "passive": DtlsRole.SERVER}


class ClientConnection:
    """SDP and transport of one peer connection."""

    __slots__ = (
        "_early_candidates", "_kernel", "_offer_id", "_remote", "_transport_number", "_trickled", "address", "channels",
        "endpoint", "is_pending", "needs_offer", "negotiation", "peer", "sections", "target", "track_of_mid", "track_of_ssrc",
    )  # fmt: skip

    def __init__(
        self, now: float, *, target: int, address: Address, kernel: MediaKernel, entropy: Entropy, certificate: Certificate,
        handshake: HandshakeFactory,
    ) -> None:  # fmt: skip
        """`address` is that of a UDP socket of its own, since servers tell transports apart by addresses."""
        self.target = target
        self.address = address
        self.endpoint = Endpoint(kernel=kernel, certificate=certificate, handshake=handshake, entropy=entropy)
        self.endpoint.add_local(Candidate.host(address), address)
        role = Role.CONTROLLING if target == PUBLISHER else Role.CONTROLLED
        self.peer: PeerTransport = self.endpoint.open_peer(now, role=role)
        self.negotiation = Negotiation(session_id=random_bits(entropy, 62), capabilities=client_capabilities())
        self.is_pending = False
        """Our offer waits for its answer."""
        self.needs_offer = False
        self.channels: dict[str, int] = {}
        """Open data channels by label."""
        self.track_of_mid: dict[str, str] = {}
        """Sids of the tracks that the server sends, by mid."""
        self.track_of_ssrc: dict[int, str] = {}
        self.sections: dict[str, ReceiveSection] = {}
        """What is received, by mid."""
        self._kernel = kernel
        self._remote: tuple[str, str] | None = None
        self._trickled: tuple[str, str] | None = None
        self._early_candidates: list[Candidate] = []
        self._offer_id = 0
        self._transport_number = 0

    # Descriptions

    def first_offer(self, now: float, *, receivers: int = 0) -> rtc.SessionDescription:
        """The offer that opens the connection: data channels, and so many sections of each kind to receive in."""
        for kind in ("audio", "video"):
            for _ in range(receivers):
                self.negotiation.add_receive(kind)
        self.negotiation.add_application()
        for label, ordered, max_retransmits in CHANNELS:
            self.peer.open_channel(now, label, ordered=ordered, max_retransmits=max_retransmits)
        return self.offer()

    def offer(self) -> rtc.SessionDescription:
        """A new offer; only while none is out."""
        self._offer_id += 1
        self.is_pending, self.needs_offer = True, False
        text = self.negotiation.offer(self._parameters(self.negotiation.setup or "actpass"))
        return rtc.SessionDescription(type="offer", sdp=text, id=self._offer_id)

    def handle_answer(self, now: float, answer: rtc.SessionDescription) -> bool:
        """False for an answer to another offer than the last."""
        if not self.is_pending or answer.id not in (0, self._offer_id):
            return False
        remote = self.negotiation.handle_answer(answer.sdp)
        self.is_pending = False
        self._set_remote(now, remote)
        self._note_tracks(now, remote, dict(answer.mid_to_track_id))
        return True

    def answer(self, now: float, offer: rtc.SessionDescription) -> rtc.SessionDescription:
        """Answer the server's offer. New credentials in it restart ICE."""
        remote = self.negotiation.handle_offer(offer.sdp)
        if self._remote not in (None, (remote.ufrag, remote.pwd)):
            self.peer.restart_ice(now)
        text = self.negotiation.answer(self._parameters("active"), {})
        self._set_remote(now, remote)
        self._note_tracks(now, remote, dict(offer.mid_to_track_id))
        return rtc.SessionDescription(type="answer", sdp=text, id=offer.id)

    def restart(self, now: float) -> None:
        """New credentials go into the next offer; one that is out is given up."""
        self.peer.restart_ice(now)
        self.is_pending, self.needs_offer = False, True

    def add_receivers(self, wanted: rtc.MediaSectionsRequirement) -> None:
        """The server asks for an offer, with so many more sections to receive in."""
        for kind, count in (("audio", wanted.num_audios), ("video", wanted.num_videos)):
            for _ in range(count):
                self.negotiation.add_receive(kind)
        self.needs_offer = True

    def take_candidates(self) -> list[rtc.TrickleRequest]:
        """Our candidates, to be trickled after each description with new credentials; nothing if they were taken."""
        if self._trickled == self.credentials:
            return []
        self._trickled = self.credentials
        lines = [candidate.encode() for candidate in self.peer.candidates]
        return [
            rtc.TrickleRequest(
                candidateInit=json.dumps({"candidate": line, "sdpMid": "0", "sdpMLineIndex": 0}),
                target=self.target,  # type: ignore[arg-type]
                final=index == len(lines) - 1,
            )
            for index, line in enumerate(lines)
        ]

    def handle_candidate(self, now: float, init: str) -> None:
        """A trickled candidate of the server."""
        line = json.loads(init).get("candidate", "")
        if line:
            self._add_candidates(now, [line])

    @property
    def credentials(self) -> tuple[str, str]:
        return self.peer.local_ufrag, self.peer.local_pwd

    @property
    def is_connected(self) -> bool:
        return self.peer.state is PeerState.CONNECTED

    # RTP

    def send_media(
        self, sender: RtpSender, timestamp: int, payload: Payload, *, payload_type: int | None = None,
        level: int | None = None,
    ) -> None:  # fmt: skip
        """One packet of a track."""
        if self.peer.session is not None:
            self._transport_number += 1
            packet = sender.encode(
                timestamp, payload, transport_number=self._transport_number, payload_type=payload_type, level=level
            )
            self._kernel.send_rtp(self.peer.session, packet)

    def send_again(self, sender: RtpSender, numbers: Sequence[int]) -> None:
        """Answer a NACK."""
        for number in numbers:
            packet = sender.encode_again(number, transport_number=self._transport_number + 1)
            if packet is not None and self.peer.session is not None:
                self._transport_number += 1
                self._kernel.send_rtp(self.peer.session, packet)

    def send_rtcp(self, now: float, packets: Sequence[Packet]) -> None:
        self.peer.send_rtcp(now, packets)

    def extensions(self, mid: str) -> ExtensionIds:
        """What was agreed on for a section."""
        section = self.negotiation.section(mid)
        return ExtensionIds() if section is None else extension_ids(section.extensions, section.allow_mixed)

    # Private

    def _parameters(self, setup: str) -> TransportParameters:
        ufrag, pwd = self.credentials
        fingerprint = ("sha-256", self.peer.fingerprint)
        return TransportParameters(ufrag=ufrag, pwd=pwd, fingerprint=fingerprint, setup=setup)

    def _set_remote(self, now: float, remote: RemoteDescription) -> None:
        if not remote.ufrag:
            return
        self._remote = (remote.ufrag, remote.pwd)
        self.peer.set_remote(
            now,
            ufrag=remote.ufrag,
            pwd=remote.pwd,
            fingerprints=remote.fingerprints,
            role=_ROLE_OF_SETUP[self.negotiation.setup],
            ice_lite=remote.ice_lite,
        )
        self._add_candidates(now, remote.candidates)
        early, self._early_candidates = self._early_candidates, []
        for candidate in early:
            self.peer.add_remote_candidate(now, candidate)

    def _add_candidates(self, now: float, lines: Sequence[str]) -> None:
        for line in lines:
            try:
                candidate = Candidate.parse(line)
            except IceError:
                continue
            if self._remote is None:
                self._early_candidates.append(candidate)
            else:
                self.peer.add_remote_candidate(now, candidate)

    def _note_tracks(self, now: float, remote: RemoteDescription, track_of_mid: dict[str, str]) -> None:
        """Which tracks the server sends where, and what the transport must know to receive them."""
        self.track_of_mid, self.track_of_ssrc = {}, {}
        self.sections = {}
        for described in remote.sections:
            section = self.negotiation.section(described.mid)
            if section is None or described.kind == "application" or not described.direction.sends:
                continue
            sid = track_of_mid.get(described.mid, "")
            if not sid or described.rejected or not section.codecs:
                continue
            self.track_of_mid[described.mid] = sid
            self.track_of_ssrc.update((ssrc, sid) for ssrc in described.layer_ssrcs)
            self.sections[described.mid] = receive_section(section, described, RtcConfig())
        self.peer.set_sections(now, list(self.sections.values()))
