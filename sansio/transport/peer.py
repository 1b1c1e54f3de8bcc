"""One peer transport: an ICE agent, a DTLS association, an SRTP session in the kernel, and data channels, as one machine.

Theory of operation. Everything a transport receives comes through three doors, by kind of datagram: `handle_stun`,
`handle_dtls`, `handle_srtp`. What a child makes of it is drained at once, in the order ICE, DTLS, data channels, because
each may set off the next: a validated path lets the DTLS client start, a finished handshake opens the kernel's session and
starts SCTP, an application record is an SCTP packet. SRTP takes the short way: a batch goes into the kernel, and only its
notices come back here.

What comes too early waits, within bounds: a ClientHello before we know our role makes us the server (only a client sends
one); other DTLS is left to the peer's retransmission. SRTP before the keys is queued. Packets of unknown SSRCs wait in
`streams.py`. Anything after the end is dropped.

State: ICE and DTLS taken together, see `_settle_state`. A restart of ICE keeps the state while the old path still works.

Left out: a second DTLS association on the same transport (RFC 8842 §5.5); a changed fingerprint fails the transport.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import attrs

from ..dtls import (
    Certificate,
    Closed,
    Completed,
    Data,
    DtlsRole,
    Failed,
    Handshake,
    HandshakeFactory,
)
from ..entropy import Entropy, random_bits
from ..errors import DropReason, LocalProtocolError
from ..ice import Agent, AgentConfig, AgentState, Candidate, PathValidated, Role
from ..ids import PeerId, token_word
from ..kernel import Kernel
from ..outputs import Address, Transmit
from ..rtcp import Packet
from ..sctp import Path, SctpConfig
from .channels import ChannelClosed, ChannelMessage, ChannelOpened, ChannelsDown, DataChannels
from .drain import Drain
from .events import PeerEvent, PeerState, PeerStateChanged
from .media import Media
from .streams import ReceiveSection

_ACTIVITY_INTERVAL = 0.5
"""How often arriving media is told to ICE as a sign of life; its timers count in seconds."""
_DEFAULT_RTT = 0.07
_HANDSHAKE_RECORD = 22
_CLIENT_HELLO = 1


@attrs.frozen(kw_only=True)
class PeerConfig:
    """What all transports of an endpoint have in common."""

    ice: AgentConfig = attrs.Factory(AgentConfig)
    sctp: SctpConfig = attrs.Factory(SctpConfig)
    max_message_size: int = 65535
    max_ssrcs: int = 64
    max_remote_candidates: int = 64


class PeerTransport:
    """One peer. Made by `Endpoint.open_peer`; commands are called by its owner, `handle_*` by the endpoint."""

    __slots__ = (
        "_activity_at", "_agent", "_candidates", "_certificate", "_channels", "_config", "_drops",
        "_dtls_over", "_entropy", "_events", "_failure", "_fingerprints", "_handshake", "_live_channels",
        "_media", "_new_paths", "_path", "_remote", "_requests", "_restarted", "_state", "_touched",
        "_transmits", "_wants_client", "id",
    )  # fmt: skip

    def __init__(
        self,
        peer_id: PeerId,
        *,
        kernel: Kernel,
        certificate: Certificate,
        handshake: HandshakeFactory,
        entropy: Entropy,
        config: PeerConfig,
        role: Role,
        lite: bool,
        candidates: Sequence[tuple[Candidate, Address]],
        touched: dict[PeerTransport, None],
    ) -> None:
        self.id = peer_id
        self._certificate = certificate
        self._entropy = entropy
        self._config = config
        self._touched = touched
        self._candidates = tuple(candidate for candidate, _ in candidates)
        ufrag, pwd = _credentials(entropy)
        self._agent = Agent(
            role=role,
            lite=lite,
            ufrag=ufrag,
            pwd=pwd,
            tie_breaker=random_bits(entropy, 64),
            entropy=entropy,
            config=config.ice,
        )
        for candidate, base in candidates:
            self._agent.add_local_candidate(candidate, base)
        self._handshake: Handshake = handshake(certificate)
        self._channels: DataChannels | None = None
        self._live_channels: set[int] = set()
        self._media = Media(kernel, ssrc=random_bits(entropy, 32) or 1, max_ssrcs=config.max_ssrcs)
        self._path: tuple[Address, Address] | None = None
        self._remote: tuple[str, str] | None = None
        self._restarted = False
        self._fingerprints: tuple[tuple[str, str], ...] = ()
        self._wants_client = False
        self._dtls_over = False
        self._failure = ""
        self._activity_at = float("-inf")
        self._state = PeerState.NEW
        self._new_paths: list[tuple[Address, Address]] = []
        self._requests: list[bytes] = []
        self._transmits: list[Transmit] = []
        self._events: list[PeerEvent] = []
        self._drops: Counter[DropReason] = Counter()

    # Input

    def handle_stun(self, now: float, local: Address, remote: Address, data: bytes) -> None:
        self._agent.handle_stun(now, local, remote, data)
        self._drain(now)

    def handle_dtls(self, now: float, data: bytes) -> None:
        """A datagram of a validated address whose first byte says DTLS (RFC 7983 §7)."""
        if self._handshake.role is None and _is_client_hello(data):
            self._handshake.start(now, DtlsRole.SERVER)
        self._handshake.handle_datagram(now, data)
        self._drain(now)

    def handle_srtp(self, now: float, datagrams: Sequence[bytes], arrivals: Sequence[float] = ()) -> bool:
        """SRTP and SRTCP of validated addresses, oldest first, and when each came if not now. Whether there is anything
        to poll now."""
        changed = self._media.handle_datagrams(now, datagrams, arrivals)
        if now - self._activity_at >= _ACTIVITY_INTERVAL and self._media.last_arrival == now:
            self._activity_at = now
            self._agent.handle_activity(now)
            self._drain(now)
            return True
        return changed

    def handle_timeout(self, now: float) -> None:
        self._agent.handle_timeout(now)
        self._handshake.handle_timeout(now)
        if self._channels is not None:
            self._channels.handle_timeout(now)
        self._media.handle_timeout(now)
        self._drain(now)

    # Commands

    def set_remote(
        self,
        now: float,
        *,
        ufrag: str,
        pwd: str,
        fingerprints: Sequence[tuple[str, str]],
        role: DtlsRole,
        ice_lite: bool = False,
        candidates: Sequence[Candidate] = (),
    ) -> None:
        """What the peer's description says; `role` is ours. Unchanged values do nothing, so call it for every description.

        New ICE credentials that we did not ask for are a restart by the peer: `local_ufrag` and `local_pwd` are new after
        it too, and belong into the answer.
        """
        if self._is_over:
            return
        self._agent.set_remote_lite(ice_lite)
        if self._remote is not None and self._remote != (ufrag, pwd) and not self._restarted:
            self._agent.restart(now, *_credentials(self._entropy))
        self._restarted = self._restarted and self._remote == (ufrag, pwd)
        self._remote = (ufrag, pwd)
        self._agent.set_remote_credentials(now, ufrag, pwd)
        for candidate in candidates:
            self._agent.add_remote_candidate(now, candidate)
        self._set_fingerprints(now, fingerprints)
        self._set_role(now, role)
        self._command(now)

    def add_remote_candidate(self, now: float, candidate: Candidate) -> None:
        """One trickled candidate (RFC 8838); may come before `set_remote`."""
        if not self._is_over:
            self._agent.add_remote_candidate(now, candidate)
            self._command(now)

    def restart_ice(self, now: float) -> None:
        """New local credentials, for an offer; the old ones are good until a path of the new generation works."""
        if not self._is_over:
            self._agent.restart(now, *_credentials(self._entropy))
            self._restarted = True
            self._command(now)

    def open_channel(self, now: float, label: str, *, ordered: bool = True, max_retransmits: int | None = None) -> int:
        """Announce a data channel, or note to do so once connected; messages may be sent on it at once."""
        channel = self._data_channels.open(now, label, ordered=ordered, max_retransmits=max_retransmits)
        self._live_channels.add(channel)
        if self._handshake.complete:
            self._start_channels(now)
        self._command(now)
        return channel

    def close_channel(self, now: float, channel: int) -> None:
        if channel in self._live_channels:
            self._live_channels.discard(channel)
            self._data_channels.close(now, channel)
            self._command(now)

    def send_data(self, now: float, channel: int, data: bytes, *, binary: bool = True) -> bool:
        """Queue a message. False if it cannot go: the channel is gone, which the owner may not have heard yet, or too much
        waits already."""
        if channel not in self._live_channels or self._is_over:
            return False
        accepted = self._data_channels.send(now, channel, data, binary=binary)
        self._command(now)
        return accepted

    def set_sections(self, now: float, sections: Sequence[ReceiveSection]) -> None:
        """What may be received from now on. Known streams of sections that stay keep their slots."""
        if self._is_over:
            return
        self._media.set_sections(now, sections)
        self._command(now)

    def send_rtcp(self, now: float, packets: Sequence[Packet]) -> None:  # noqa: ARG002
        """Compound packets of up to 1200 bytes; nothing before the keys are there."""
        self._media.send_rtcp(packets)

    def set_proxied_loss(self, stream: int, fraction_lost: int) -> None:
        """Report at least this loss (1/256) for a stream from now on, so that its sender protects it for our receivers."""
        self._media.set_proxied_loss(stream, fraction_lost)

    def close(self, now: float) -> None:
        """Say goodbye and stop; the session, its streams and the legs to and from it go away."""
        if self._state is PeerState.CLOSED:
            return
        self._handshake.close(now)
        self._send_dtls()
        self._shut(now, "")
        self._touched[self] = None

    # Output

    def poll_events(self) -> list[PeerEvent]:
        events, self._events = [*self._events, *self._media.poll_events()], []
        return events

    def poll_transmits(self) -> list[Transmit]:
        transmits, self._transmits = self._transmits, []
        return transmits

    def poll_leaving(self) -> list[int]:
        """Slots in the kernel that events since the last call declared gone; `release` each once those were handled."""
        return self._media.poll_leaving()

    def release(self, slot: int) -> None:
        self._media.release(slot)
        self._touched[self] = None

    def poll_paths(self) -> list[tuple[Address, Address]]:
        """Address pairs that ICE has validated since the last call."""
        paths, self._new_paths = self._new_paths, []
        return paths

    def poll_requests(self) -> list[bytes]:
        """Transaction ids of STUN requests among the transmits, so that their answers find back."""
        requests, self._requests = self._requests, []
        return requests

    def poll_drops(self) -> dict[DropReason, int]:
        for machine in (self._agent, self._handshake, self._media, self._channels):
            found = None if machine is None else machine.poll_drops()
            if found:
                self._drops.update(found)
        if not self._drops:
            return {}
        drops, self._drops = dict(self._drops), Counter()
        return drops

    def poll_timeout(self) -> float | None:
        if self._state is PeerState.CLOSED:
            return None
        deadlines = [
            self._agent.poll_timeout(),
            self._handshake.poll_timeout(),
            self._media.poll_timeout(),
            None if self._channels is None else self._channels.poll_timeout(),
        ]
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    # Getters

    @property
    def state(self) -> PeerState:
        return self._state

    @property
    def session(self) -> int | None:
        """The kernel's slot, once the handshake is done."""
        return self._media.session

    @property
    def role(self) -> Role:
        return self._agent.role

    @property
    def dtls_role(self) -> DtlsRole | None:
        return self._handshake.role

    @property
    def lite(self) -> bool:
        return self._agent.lite

    @property
    def local_ufrag(self) -> str:
        return self._agent.ufrag

    @property
    def local_pwd(self) -> str:
        return self._agent.pwd

    @property
    def ufrags(self) -> tuple[str, ...]:
        """All local ones that the peer may still use."""
        return () if self._state is PeerState.CLOSED else self._agent.ufrags

    @property
    def fingerprint(self) -> str:
        """SHA-256 of our certificate."""
        return self._certificate.fingerprint

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        return self._candidates

    @property
    def path(self) -> tuple[Address, Address] | None:
        """Where datagrams go now: (local, remote)."""
        return self._path

    @property
    def rtt(self) -> float:
        """Seconds; a guess before anything was measured."""
        return self._agent.rtt or self._media.rtt or _DEFAULT_RTT

    @property
    def stream_rtt(self) -> float:
        """From RTCP XR where the peer answers it, else as `rtt`."""
        return self._media.rtt or self.rtt

    def sender_report(self, stream: int) -> tuple[int, int, float] | None:
        """Of the last sender report about a stream: NTP timestamp, extended RTP timestamp, arrival."""
        return self._media.sender_report(stream)

    def buffered_bytes(self, channel: int) -> int:
        """Bytes that the peer has not acknowledged; 0 for a channel that is gone."""
        return 0 if self._channels is None else self._channels.buffered_bytes(channel)

    def drain_of(self, now: float, channel: int) -> Drain | None:
        """How fast a data channel drains; None for one that is gone or was not announced yet."""
        return None if self._channels is None else self._channels.drain(now, channel)

    @property
    def data_path(self) -> Path | None:
        """What all data channels together have to share, once it is known."""
        return None if self._channels is None else self._channels.path

    # Children

    @property
    def _is_over(self) -> bool:
        return self._state is PeerState.CLOSED

    @property
    def _data_channels(self) -> DataChannels:
        """Made when somebody first wants one: many transports never do."""
        if self._is_over:
            raise LocalProtocolError("the transport is closed")
        if self._channels is None:
            self._channels = DataChannels(
                entropy=self._entropy, config=self._config.sctp, max_message_size=self._config.max_message_size
            )
        return self._channels

    def _command(self, now: float) -> None:
        self._drain(now)
        self._touched[self] = None

    def _drain(self, now: float) -> None:
        """Pass on what the children made; each may set off the next."""
        if self._is_over:
            return
        self._drain_agent(now)
        self._drain_handshake(now)
        self._drain_channels(now)
        self._send_dtls()
        self._settle_state()

    def _drain_agent(self, now: float) -> None:
        for event in self._agent.poll_events():
            if isinstance(event, PathValidated):
                self._new_paths.append((event.local, event.remote))
        for transmit in self._agent.poll_transmits():
            if transmit.data[:2] == b"\x00\x01":
                self._requests.append(transmit.data[8:20])
            self._transmits.append(transmit)
        path = self._agent.send_path
        if path == self._path or path is None:
            return
        self._path = path
        self._media.set_path(path)
        self._start_client(now)

    def _drain_handshake(self, now: float) -> None:
        for event in self._handshake.poll_events():
            match event:
                case Completed():
                    self._open_session(now, event)
                case Data():
                    self._agent.handle_activity(now)
                    self._start_channels(now)
                    self._data_channels.handle_packet(now, event.data)
                case Failed():
                    self._dtls_over, self._failure = True, event.reason
                case Closed():
                    self._shut(now, "closed by the peer")
                    return

    def _drain_channels(self, now: float) -> None:
        if self._channels is None:
            return
        for packet in self._channels.poll_transmits():
            if self._handshake.complete:
                self._handshake.send(now, packet)
        for event in self._channels.poll_events():
            match event:
                case ChannelOpened():
                    self._live_channels.add(event.channel)
                case ChannelClosed():
                    self._live_channels.discard(event.channel)
                case ChannelsDown():
                    self._live_channels.clear()
                case ChannelMessage():
                    pass
            self._events.append(event)

    def _send_dtls(self) -> None:
        datagrams = self._handshake.poll_transmits()
        if self._path is not None:
            local, remote = self._path
            self._transmits += [Transmit(local, remote, data) for data in datagrams]

    def _settle_state(self) -> None:
        """ICE and DTLS together; the worse of the two counts."""
        if self._is_over:
            return
        ice = self._agent.state
        if self._dtls_over or ice is AgentState.FAILED:
            state = PeerState.FAILED
        elif ice is AgentState.CLOSED:
            state = PeerState.CLOSED
        elif ice is AgentState.DISCONNECTED:
            state = PeerState.DISCONNECTED
        elif ice is AgentState.CONNECTED and self._media.session is not None:
            state = PeerState.CONNECTED
        elif ice is AgentState.NEW:
            state = PeerState.NEW
        elif self._state is PeerState.CONNECTED:
            state = PeerState.CONNECTED  # an ICE restart: media still uses the old path
        else:
            state = PeerState.CONNECTING
        self._set_state(state, self._failure or "no path to the peer" if state is PeerState.FAILED else "")

    def _set_state(self, state: PeerState, reason: str) -> None:
        if state is not self._state:
            self._state = state
            self._events.append(PeerStateChanged(state, reason))

    # DTLS and SRTP

    def _set_fingerprints(self, now: float, fingerprints: Sequence[tuple[str, str]]) -> None:
        announced = tuple(sorted((algorithm.lower(), value.upper()) for algorithm, value in fingerprints))
        if announced == self._fingerprints:
            return
        if self._fingerprints and self._handshake.complete:
            self._dtls_over, self._failure = True, "the peer changed its certificate"
            return
        self._fingerprints = announced
        self._handshake.set_remote_fingerprints(now, announced)

    def _set_role(self, now: float, role: DtlsRole) -> None:
        if self._handshake.role is None:
            if role is DtlsRole.SERVER or self._path is not None:
                self._handshake.start(now, role)
            else:
                self._wants_client = True

    def _start_client(self, now: float) -> None:
        if self._wants_client and self._handshake.role is None and self._path is not None:
            self._handshake.start(now, DtlsRole.CLIENT)

    def _open_session(self, now: float, keys: Completed) -> None:
        self._agent.handle_activity(now)
        self._media.open(now, keys, self._path)
        if self._channels is not None:
            self._start_channels(now)

    def _start_channels(self, now: float) -> None:
        self._data_channels.start(now, self._handshake.role is DtlsRole.CLIENT)

    def _shut(self, now: float, reason: str) -> None:
        """The end, by either side."""
        self._media.close()
        self._events += self._media.poll_events()
        self._agent.close(now)
        if self._live_channels:
            self._events.append(ChannelsDown(reason))
            self._live_channels.clear()
        self._channels = None
        self._set_state(PeerState.CLOSED, reason)


def _credentials(entropy: Entropy) -> tuple[str, str]:
    """A fresh ufrag and password (RFC 8445 §5.3 wants 24 and 128 bits); the ufrag is also the key of the demultiplexer."""
    return token_word(entropy, 16), token_word(entropy, 32)


def _is_client_hello(data: bytes) -> bool:
    return len(data) > 13 and data[0] == _HANDSHAKE_RECORD and data[13] == _CLIENT_HELLO
