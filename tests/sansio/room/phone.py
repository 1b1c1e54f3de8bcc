"""The media half of a test client: peer connections made of the server's own machines in the client's role.

A `Phone` answers the server's offers, sends its own when asked to, opens the three data channels, publishes tracks whose
packets the test sends one by one, and counts what it receives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import attrs
from instant_handshake import InstantHandshake

from sansio.config import RtcConfig
from sansio.dtls import Certificate, DtlsRole
from sansio.entropy import SeededEntropy, random_bits
from sansio.ice import Candidate, Role
from sansio.kernel import PureKernel, StreamStats
from sansio.kernel.srtp import Srtp, ffi, lib
from sansio.outputs import Address
from sansio.room.publication import receive_section
from sansio.rtcp import Packet
from sansio.rtp import encode_audio_level, encode_extensions, encode_packet
from sansio.sdp import (
    AUDIO_LEVEL,
    MID,
    RID,
    Capabilities,
    Incoming,
    Negotiation,
    Outgoing,
    RemoteDescription,
    TransportParameters,
    client_capabilities,
)
from sansio.transport import (
    ChannelMessage,
    ChannelOpened,
    Endpoint,
    PeerEvent,
    PeerState,
    RtcpReceived,
    StreamBound,
)
from sansio.wire import models, rtc

CERTIFICATE = Certificate.generate(1_700_000_000.0)
LABELS = (("_lossy", False, 0), ("_reliable", True, None), ("_data_track", False, 0))
KEY_FRAME = b"\x10\x00\x00\x00\x9d\x01\x2a\x40\x01\xf0\x00" + bytes(20)
"""VP8, 320x240."""
VP9_KEY_FRAME = b"\x0c" + bytes(20)
"""Of one layer, whole."""
DELTA_FRAME = b"\x10\x01\x00\x00" + bytes(20)
T = TypeVar("T")


def capabilities(mimes: Sequence[str]) -> Capabilities:
    """A browser's, or only so much of them."""
    whole = client_capabilities()
    if not mimes:
        return whole
    kept = {
        kind: attrs.evolve(of_kind, codecs=tuple(codec for codec in of_kind.codecs if f"{kind}/{codec.name}" in mimes))
        for kind, of_kind in whole.send.items()
    }
    return attrs.evolve(whole, send=kept, receive=kept)


class Connection:
    """One peer connection of the client."""

    def __init__(self, phone: Phone, target: int, role: Role, *, is_single: bool = False) -> None:
        self.target = target
        self.phone = phone
        entropy = phone.entropy.child(f"connection {target}")
        self.address: Address = (phone.host, 5000 + target)
        self.kernel = PureKernel(entropy.child("kernel"))
        self.handshake = InstantHandshake(CERTIFICATE)
        self.endpoint = Endpoint(
            kernel=self.kernel, certificate=CERTIFICATE, handshake=lambda _: self.handshake, entropy=entropy
        )
        self.endpoint.add_local(Candidate.host(self.address), self.address)
        self.peer = self.endpoint.open_peer(phone.now, role=role)
        self.negotiation = Negotiation(
            session_id=random_bits(phone.entropy, 62), capabilities=capabilities(phone.mimes), is_single=is_single
        )
        self.offer_id = 0
        self.remote: RemoteDescription | None = None
        self.channels: dict[str, int] = {}
        self._srtp: Srtp | None = None

    @property
    def is_connected(self) -> bool:
        return self.peer.state is PeerState.CONNECTED

    def parameters(self, setup: str) -> TransportParameters:
        return TransportParameters(
            ufrag=self.peer.local_ufrag,
            pwd=self.peer.local_pwd,
            fingerprint=("sha-256", self.peer.fingerprint),
            setup=setup,
            candidates=tuple(candidate.encode() for candidate in self.peer.candidates),
        )

    def offer(self) -> rtc.SessionDescription:
        self.offer_id += 1
        text = self.negotiation.offer(self.parameters(self.negotiation.setup or "actpass"))
        return rtc.SessionDescription(type="offer", sdp=text, id=self.offer_id)

    def handle_answer(self, answer: rtc.SessionDescription) -> None:
        self._set_remote(self.negotiation.handle_answer(answer.sdp))

    def handle_offer(self, offer: rtc.SessionDescription) -> rtc.SessionDescription:
        remote = self.negotiation.handle_offer(offer.sdp)
        if remote.ice_restart:
            self.peer.restart_ice(self.phone.now)
        plan = {s.mid: Incoming() for s in remote.sections if s.kind != "application" and s.direction == "sendonly"}
        text = self.negotiation.answer(self.parameters("active"), plan)
        self._set_remote(remote)
        return rtc.SessionDescription(type="answer", sdp=text, id=offer.id)

    def open_channels(self) -> None:
        for label, ordered, retransmits in LABELS:
            self.channels[label] = self.peer.open_channel(
                self.phone.now, label, ordered=ordered, max_retransmits=retransmits
            )

    def abort_data(self) -> None:
        """End the SCTP association under the channels, as a peer that has lost its state does."""
        channels = self.peer._channels
        assert channels is not None
        channels.abort(self.phone.now, "state lost")
        self.peer.handle_timeout(self.phone.now)
        self.endpoint.touch(self.peer)

    def send_plain(self, packet: bytes) -> None:
        """Protect an RTP packet and send it."""
        if self._srtp is None:
            keys = self.handshake.keys
            assert keys is not None
            self._srtp = Srtp(keys.profile, keys.local_key, keys.remote_key)
        buffer = ffi.new("unsigned char[]", packet + bytes(148))
        length = ffi.new("int *", len(packet))
        assert lib.srtp_protect(self._srtp.outbound, buffer, length) == 0
        path = self.peer.path
        assert path is not None
        self.phone.transmit(path[0], path[1], bytes(ffi.buffer(buffer, length[0])))

    def _set_remote(self, remote: RemoteDescription) -> None:
        self.remote = remote
        if not remote.ufrag:
            return
        self.peer.set_remote(
            self.phone.now,
            ufrag=remote.ufrag,
            pwd=remote.pwd,
            fingerprints=remote.fingerprints,
            role=DtlsRole.CLIENT if self.negotiation.setup == "active" else DtlsRole.SERVER,
            ice_lite=remote.ice_lite,
            candidates=[Candidate.parse(line) for line in remote.candidates],
        )
        sections = []
        for section in remote.sections:
            agreed = self.negotiation.section(section.mid)
            if agreed is not None and section.kind != "application" and not section.rejected and section.ssrcs:
                sections.append(receive_section(agreed, section, RtcConfig()))
        self.peer.set_sections(self.phone.now, sections)


class Published:
    """A track that the client sends, in one m-section."""

    def __init__(self, connection: Connection, cid: str, kind: str, mid: str, outgoing: Outgoing, rids: Sequence[str]):
        self.connection = connection
        self.cid = cid
        self.kind = kind
        self.mid = mid
        self.rids = tuple(rids)
        self.ssrcs = tuple(outgoing.ssrc + index for index in range(max(1, len(rids))))
        self._number = 100
        self.timestamp = 10_000

    def send(self, frames: int = 1, *, key: bool = True, level: int = 10, rids: Sequence[str] | None = None,
             codec: str = "", tail: bytes = b"") -> None:  # fmt: skip
        """Frames of one packet each, on every encoding or on those named, in the first codec agreed or in that named. `tail`
        is put behind each."""
        section = self.connection.negotiation.section(self.mid)
        assert section is not None
        name = "opus" if self.kind == "audio" else codec or section.codecs[0].name
        payload_type = next(codec.payload_type for codec in section.codecs if codec.name == name)
        picture = VP9_KEY_FRAME if name == "VP9" else KEY_FRAME if key else DELTA_FRAME
        for _ in range(frames):
            self._number += 1
            self.timestamp += 960 if self.kind == "audio" else 3000
            for index, ssrc in enumerate(self.ssrcs):
                if rids is not None and self.rids[index] not in rids:
                    continue
                elements = [(section.extensions[MID], self.mid.encode())]
                if self.rids:
                    elements.append((section.extensions[RID], self.rids[index].encode()))
                if self.kind == "audio":
                    elements.append((section.extensions[AUDIO_LEVEL], encode_audio_level(True, level)))
                payload = b"opus frame" if self.kind == "audio" else picture
                packet = encode_packet(
                    payload_type=payload_type,
                    sequence_number=self._number & 0xFFFF,
                    timestamp=self.timestamp,
                    ssrc=ssrc,
                    payload=payload + tail,
                    marker=True,
                    extension=encode_extensions(elements),
                )
                self.connection.send_plain(packet)


class Phone:
    """Peer connections of one client. `transmit` takes its datagrams."""

    def __init__(
        self, name: str, host: str, now: float, transmit: Callable[[Address, Address, bytes], None], *, is_single: bool
    ) -> None:
        self.now = now
        self.host = host
        self.transmit = transmit
        self.is_single = is_single
        self.entropy = SeededEntropy(f"phone {name} {host}")
        self.publisher: Connection | None = None
        self.subscriber: Connection | None = None
        self.tracks: dict[str, str] = {}
        """Mid to track sid, as last told."""
        self.events: list[tuple[Connection, PeerEvent]] = []
        self.published: dict[str, Published] = {}
        """By cid."""
        self.mimes: tuple[str, ...] = ()
        """Codecs of connections made from now on; empty for all."""
        self.answers = True
        """Whether offers and requirements of the server are followed."""

    # Commands

    def open_publisher(self) -> Connection:
        """The connection that the client offers, with data channels; in single mode with sections to receive in."""
        if self.publisher is None:
            self.publisher = Connection(self, rtc.SignalTarget.PUBLISHER, Role.CONTROLLING, is_single=self.is_single)
            if self.is_single:
                for kind in ("audio",) * 3 + ("video",) * 3:
                    self.publisher.negotiation.add_receive(kind)
            self.publisher.negotiation.add_application()
            self.publisher.open_channels()
        return self.publisher

    def add_publish(self, cid: str, kind: str, *, rids: Sequence[str] = (), preferred: Sequence[str] = ()) -> Published:
        """A section that sends; the next offer has it."""
        connection = self.open_publisher()
        ssrc = random_bits(self.entropy, 31) + 1
        outgoing = Outgoing(
            stream_id="stream",
            track_id=cid,
            ssrc=ssrc,
            rtx_ssrc=ssrc + 16 if kind == "video" and not rids else 0,
            cname="client",
            preferred=tuple(preferred),
        )
        mid = connection.negotiation.add_publish(kind, outgoing, rids=rids)
        published = self.published[cid] = Published(connection, cid, kind, mid, outgoing, rids)
        return published

    def unpublish(self, published: Published) -> None:
        """Stop its section; the next offer says so."""
        published.connection.negotiation.remove_outgoing(published.mid)

    def restart_ice(self) -> None:
        """New credentials on the connection that the client offers; its next offer has them."""
        self.open_publisher().peer.restart_ice(self.now)

    def handle(self, message: rtc.SignalResponse) -> list[rtc.SignalRequest]:
        """React to what the server says, as clients do."""
        match message.WhichOneof("message"):
            case "offer":
                return self._handle_offer(message.offer)
            case "answer":
                if self.publisher is not None and message.answer.id == self.publisher.offer_id:
                    self.publisher.handle_answer(message.answer)
                    if self.is_single:
                        self.tracks = dict(message.answer.mid_to_track_id)
            case "media_sections_requirement" if self.answers and self.publisher is not None:
                requirement = message.media_sections_requirement
                for kind, count in (("audio", requirement.num_audios), ("video", requirement.num_videos)):
                    for _ in range(count):
                        self.publisher.negotiation.add_receive(kind)
                return [rtc.SignalRequest(offer=self.publisher.offer())]
            case _:
                pass
        return []

    def _handle_offer(self, offer: rtc.SessionDescription) -> list[rtc.SignalRequest]:
        self.tracks = dict(offer.mid_to_track_id)
        if not self.answers:
            return []
        if self.subscriber is None:
            self.subscriber = Connection(self, rtc.SignalTarget.SUBSCRIBER, Role.CONTROLLED)
        return [rtc.SignalRequest(answer=self.subscriber.handle_offer(offer))]

    def send_data(self, packet: models.DataPacket | bytes, label: str = "_reliable") -> None:
        connection = self.open_publisher()
        data = packet if isinstance(packet, bytes) else packet.SerializeToString()
        connection.peer.send_data(self.now, connection.channels[label], data)

    def open_channel(self, label: str) -> None:
        """One more, of a name of its own."""
        connection = self.open_publisher()
        connection.channels[label] = connection.peer.open_channel(self.now, label)

    def send_rtcp(self, packets: Sequence[Packet]) -> None:
        """To the server, on the connection that receives."""
        connection = self.publisher if self.is_single else self.subscriber
        assert connection is not None
        connection.peer.send_rtcp(self.now, packets)

    def hang_up(self) -> None:
        """Close all transports, as a client that leaves does."""
        for connection in self.connections:
            connection.peer.close(self.now)

    # Time and datagrams

    def deliver(self, destination: Address, source: Address, data: bytes) -> None:
        for connection in self.connections:
            if connection.address == destination:
                connection.endpoint.handle_datagram(self.now, destination, source, data)

    def handle_timeout(self) -> None:
        for connection in self.connections:
            connection.endpoint.handle_timeout(self.now)

    def poll_timeout(self) -> float | None:
        deadlines = [connection.endpoint.poll_timeout() for connection in self.connections]
        return min((at for at in deadlines if at is not None), default=None)

    def settle(self) -> None:
        """Collect events and hand out datagrams."""
        for connection in self.connections:
            connection.endpoint.poll_drops()
            self.events += [(connection, event) for _, event in connection.endpoint.poll_events()]
            for batch in connection.endpoint.poll_transmits():
                for local, remote, data in batch:
                    self.transmit(local, remote, data)

    # What happened

    @property
    def connections(self) -> list[Connection]:
        return [connection for connection in (self.publisher, self.subscriber) if connection is not None]

    def of(self, kind: type[T]) -> list[T]:
        """Transport events of one class so far."""
        return [event for _, event in self.events if isinstance(event, kind)]

    def data(self, label: str = "_reliable") -> list[models.DataPacket]:
        """Data packets received on a channel so far."""
        return [models.DataPacket.FromString(raw) for raw in self.raw_data(label)]

    def raw_data(self, label: str) -> list[bytes]:
        return [message.data for message in self.of(ChannelMessage) if message.label == label]

    def opened(self) -> list[str]:
        return [event.label for event in self.of(ChannelOpened)]

    def rtcp(self, kind: type[T]) -> list[T]:
        """RTCP packets of one class received so far."""
        return [packet for event in self.of(RtcpReceived) for packet in event.packets if isinstance(packet, kind)]

    def received(self, sid: str) -> int:
        """Packets received of a track so far, over all streams that carried it."""
        return sum(stats.packets for stats in self._streams(sid))

    @property
    def total(self) -> int:
        """Packets received so far, of all that was ever received."""
        return sum(
            connection.kernel.stream_stats(event.stream).packets
            for connection, event in self.events
            if isinstance(event, StreamBound)
        )

    def payload_bytes(self, sid: str) -> int:
        """Bytes of payload received of a track so far."""
        return sum(stats.bytes for stats in self._streams(sid))

    def header_bytes(self, sid: str) -> int:
        """Bytes of RTP headers received of a track so far."""
        return sum(stats.header_bytes for stats in self._streams(sid))

    def ssrc(self, sid: str) -> int:
        """The newest under which a track came."""
        mids = {mid for mid, track in self.tracks.items() if track == sid}
        return [event.ssrc for event in self.of(StreamBound) if event.mid in mids][-1]

    def missed(self, sid: str) -> int:
        """Sequence numbers of a track that were passed over."""
        return sum(stats.expected - stats.received for stats in self._streams(sid))

    def _streams(self, sid: str) -> list[StreamStats]:
        receiving = self.publisher if self.is_single else self.subscriber
        mids = {mid for mid, track in self.tracks.items() if track == sid}
        streams = {
            event.stream
            for connection, event in self.events
            if connection is receiving and isinstance(event, StreamBound) and event.mid in mids
        }
        return [receiving.kernel.stream_stats(stream) for stream in streams] if receiving else []
