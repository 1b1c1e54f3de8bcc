"""The endpoint: all peer transports behind shared sockets, and the way of each datagram to its peer (RFC 7983 §7).

Theory of operation. A datagram's first byte tells its protocol. STUN requests name our ufrag, which also heals a client that
comes back from the same port under another transport; answers to our own requests are known by their transaction id;
everything else goes by its pair of addresses, and only pairs that ICE has validated are in that table. So DTLS and SRTP of
strangers cost one look-up. SRTP of a batch is grouped and enters the kernel once per peer.

Costs follow traffic: input and commands put a peer into the touched set, only those are polled, and one heap holds the
deadline of every peer. Peers that are closed are forgotten at the next poll.

Slots in the kernel that an event declares gone (of a stream, of a closed peer's session) work until the owner polls events
again, when it must have dealt with them.

Left out: TURN channels, QUIC and ZRTP on these ports are dropped; streams (ICE over TCP) would enter as datagrams.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import repeat

from ..config import LimitConfig, RtcConfig
from ..dtls import Certificate, HandshakeFactory
from ..entropy import Entropy
from ..errors import DropReason
from ..ice import AgentConfig, Candidate, Role
from ..ids import PeerId
from ..kernel import Kernel
from ..outputs import Address, Batch, Transmit
from ..stun import peek_ufrag
from ..timers import DeadlineHeap
from .events import PeerEvent, PeerState
from .peer import PeerConfig, PeerTransport
from .traffic import Traffic

_MAX_PATHS_PER_PEER = 8
"""Validated address pairs remembered for one peer, as mediasoup does; the oldest unused one goes first."""
_MAX_REQUESTS_PER_PEER = 128
"""Transaction ids whose answer may still come: more than the pairs of an agent."""

Path = tuple[Address, Address]


class _Entry:
    """What the tables hold of a peer, to take it out again. Dicts stand in for ordered sets."""

    __slots__ = ("paths", "peer", "requests", "ufrags")

    def __init__(self, peer: PeerTransport) -> None:
        self.peer = peer
        self.ufrags: tuple[str, ...] = ()
        self.paths: dict[Path, None] = {}
        self.requests: dict[bytes, None] = {}


class Endpoint:
    """All peer transports of a node. Drain events, transmits and the deadline after input and commands."""

    __slots__ = (
        "_by_path", "_by_request", "_by_ufrag", "_candidates", "_certificate", "_config", "_deadlines", "_drops",
        "_entries", "_entropy", "_events", "_handshake", "_kernel", "_leaving", "_next_id", "_told", "_touched",
        "_traffic", "_transmits", "_unpolled",
    )  # fmt: skip

    def __init__(
        self,
        *,
        kernel: Kernel,
        certificate: Certificate,
        handshake: HandshakeFactory,
        entropy: Entropy,
        config: RtcConfig | None = None,
        limit: LimitConfig | None = None,
    ) -> None:
        self._kernel = kernel
        self._certificate = certificate
        self._handshake = handshake
        self._entropy = entropy
        limit = limit or LimitConfig()
        self._config = _peer_config(config or RtcConfig(), limit)
        self._traffic = Traffic() if limit.bytes_per_sec else None  # counted only where it matters
        self._candidates: list[tuple[Candidate, Address]] = []
        self._next_id = 1
        self._entries: dict[PeerId, _Entry] = {}
        self._by_ufrag: dict[str, PeerTransport] = {}
        self._by_path: dict[Path, PeerTransport] = {}
        self._by_request: dict[bytes, PeerTransport] = {}
        self._touched: dict[PeerTransport, None] = {}
        self._unpolled: dict[PeerTransport, None] = {}  # may have drops to tell
        self._deadlines: DeadlineHeap[PeerId] = DeadlineHeap()
        self._transmits: list[Transmit] = []
        self._events: list[tuple[PeerId, PeerEvent]] = []
        self._leaving: list[tuple[PeerTransport, int]] = []  # slots that queued events declare gone
        self._told: list[tuple[PeerTransport, int]] = []  # slots that polled events have
        self._drops: Counter[DropReason] = Counter()

    # Input

    def handle_datagrams(
        self, now: float, batch: Iterable[tuple[Address, Address, bytes]], arrivals: Sequence[float] = ()
    ) -> None:
        """Take (local, remote, data) of one or more sockets, in order of arrival, and when each came if not now."""
        if self._traffic is not None:
            batch = list(batch)
            self._traffic.advance(now)
            self._traffic.add(sum(len(data) for _, _, data in batch))
        by_path = self._by_path
        groups: dict[PeerTransport, tuple[list[bytes], list[float]]] = {}
        for (local, remote, data), at in zip(batch, arrivals or repeat(now)):  # noqa: B905 - repeats for ever
            first = data[0] if data else 255
            if 128 <= first < 192:
                peer = by_path.get((local, remote))
                if peer is None:
                    self._drops[DropReason.UNKNOWN_ADDRESS] += 1
                elif peer in groups:
                    group = groups[peer]
                    group[0].append(data)
                    group[1].append(at)
                else:
                    groups[peer] = [data], [at]
            elif first < 4:
                self._handle_stun(now, local, remote, data)
            elif 20 <= first < 64:
                self._handle_dtls(now, local, remote, data)
            else:
                self._drops[DropReason.UNKNOWN_FIRST_BYTE] += 1
        for peer, (datagrams, times) in groups.items():
            if peer.handle_srtp(now, datagrams, times):
                self._touched[peer] = None

    def handle_datagram(self, now: float, local: Address, remote: Address, data: bytes) -> None:
        self.handle_datagrams(now, ((local, remote, data),))

    def handle_timeout(self, now: float) -> None:
        self._settle()
        for peer_id in self._deadlines.pop_due(now):
            peer = self._entries[peer_id].peer
            peer.handle_timeout(now)
            self._touched[peer] = None

    # Commands

    def add_local(self, advertised: Candidate, base: Address) -> None:
        """A bound socket, and what peers that are opened from now on are told of it."""
        self._candidates.append((advertised, base))

    def open_peer(self, now: float, *, role: Role, lite: bool = False) -> PeerTransport:  # noqa: ARG002
        peer = PeerTransport(
            PeerId(self._next_id),
            kernel=self._kernel,
            certificate=self._certificate,
            handshake=self._handshake,
            entropy=self._entropy,
            config=self._config,
            role=role,
            lite=lite,
            candidates=self._candidates,
            touched=self._touched,
        )
        self._next_id += 1
        entry = self._entries[peer.id] = _Entry(peer)
        self._learn_ufrags(entry)
        return peer

    def close_peer(self, now: float, peer: PeerTransport) -> None:
        peer.close(now)

    def touch(self, peer: PeerTransport) -> None:
        """Have `peer` polled; its own commands see to that themselves."""
        self._touched[peer] = None

    # Output

    def poll_events(self) -> list[tuple[PeerId, PeerEvent]]:
        """What peers report. Handle all of it before the next call: slots that it declares gone are unknown from then on."""
        for peer, slot in self._told:
            peer.release(slot)
        self._settle()
        self._told, self._leaving = self._leaving, []
        events, self._events = self._events, []
        return events

    @property
    def has_news(self) -> bool:
        """Whether `poll_events` has anything to do. Media that is only forwarded makes none."""
        return bool(self._touched or self._events or self._leaving or self._told)

    def poll_transmits(self) -> list[Batch]:
        """Control datagrams first: they may be what lets the peer read the rest."""
        self._settle()
        transmits, self._transmits = self._transmits, []
        batches = self._kernel.poll_transmits()
        if transmits:
            batches = [Batch.of(transmits), *batches]
        if self._traffic is not None:
            self._traffic.add(sum(end - start for batch in batches for _, _, start, end, _ in batch.runs))
        return batches

    def poll_timeout(self) -> float | None:
        self._settle()
        return self._deadlines.next()

    def poll_drops(self) -> dict[DropReason, int]:
        peers = {**self._unpolled, **self._touched} if self._unpolled or self._touched else ()
        self._unpolled.clear()
        for found in (self._kernel.poll_drops(), *(peer.poll_drops() for peer in peers)):
            if found:
                self._drops.update(found)
        if not self._drops:
            return {}
        drops, self._drops = dict(self._drops), Counter()
        return drops

    # Getters

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """What peers are told of our sockets."""
        return tuple(candidate for candidate, _ in self._candidates)

    @property
    def fingerprint(self) -> str:
        return self._certificate.fingerprint

    def peer(self, peer_id: PeerId) -> PeerTransport | None:
        entry = self._entries.get(peer_id)
        return entry.peer if entry is not None else None

    def bytes_per_second(self, now: float) -> float:
        """What passes the sockets, both ways. Measured only if `limit.bytes_per_sec` is set, else 0."""
        return 0.0 if self._traffic is None else self._traffic.bytes_per_second(now)

    def __len__(self) -> int:
        """The number of open peers."""
        return len(self._entries)

    # Demultiplexing

    def _handle_stun(self, now: float, local: Address, remote: Address, data: bytes) -> None:
        ufrag = peek_ufrag(data)
        if ufrag is not None:
            peer = self._by_ufrag.get(ufrag)
        else:
            peer = self._by_request.get(data[8:20]) or self._by_path.get((local, remote))
        if peer is None:
            self._drops[DropReason.UNKNOWN_ADDRESS if ufrag is None else DropReason.UNKNOWN_UFRAG] += 1
            return
        peer.handle_stun(now, local, remote, data)
        self._learn_paths(self._entries[peer.id])
        self._touched[peer] = None

    def _handle_dtls(self, now: float, local: Address, remote: Address, data: bytes) -> None:
        peer = self._by_path.get((local, remote))
        if peer is None:
            self._drops[DropReason.UNKNOWN_ADDRESS] += 1
            return
        peer.handle_dtls(now, data)
        self._touched[peer] = None

    # Tables

    def _settle(self) -> None:
        """Collect from the touched peers and bring the tables up to date."""
        while self._touched:
            touched = list(self._touched)
            self._touched.clear()
            for peer in touched:
                entry = self._entries.get(peer.id)
                if entry is not None:
                    self._collect(entry)

    def _collect(self, entry: _Entry) -> None:
        peer = entry.peer
        self._events += [(peer.id, event) for event in peer.poll_events()]
        self._leaving += [(peer, slot) for slot in peer.poll_leaving()]
        self._transmits += peer.poll_transmits()
        self._unpolled[peer] = None
        self._learn_ufrags(entry)
        if peer.state is PeerState.CLOSED:
            self._forget(entry)
            return
        self._learn_paths(entry)
        self._learn_requests(entry)
        self._deadlines.set(peer.id, peer.poll_timeout())

    def _learn_ufrags(self, entry: _Entry) -> None:
        ufrags = entry.peer.ufrags
        if ufrags == entry.ufrags:
            return
        for ufrag in entry.ufrags:
            self._by_ufrag.pop(ufrag, None)
        for ufrag in ufrags:
            self._by_ufrag[ufrag] = entry.peer
        entry.ufrags = ufrags

    def _learn_paths(self, entry: _Entry) -> None:
        peer = entry.peer
        for path in peer.poll_paths():
            previous = self._by_path.get(path)
            if previous is not None and previous is not peer:
                # Same addresses, new transport: a page was reloaded, or a NAT gave a port to another client.
                self._entries[previous.id].paths.pop(path, None)
            self._by_path[path] = peer
            entry.paths.pop(path, None)
            entry.paths[path] = None
            while len(entry.paths) > _MAX_PATHS_PER_PEER:
                oldest = next(known for known in entry.paths if known != peer.path)
                del entry.paths[oldest], self._by_path[oldest]

    def _learn_requests(self, entry: _Entry) -> None:
        for transaction_id in entry.peer.poll_requests():
            entry.requests[transaction_id] = None
            self._by_request[transaction_id] = entry.peer
        while len(entry.requests) > _MAX_REQUESTS_PER_PEER:
            oldest = next(iter(entry.requests))
            del entry.requests[oldest], self._by_request[oldest]

    def _forget(self, entry: _Entry) -> None:
        del self._entries[entry.peer.id]
        self._unpolled.pop(entry.peer, None)
        self._drops.update(entry.peer.poll_drops())
        self._deadlines.set(entry.peer.id, None)
        for path in entry.paths:
            del self._by_path[path]
        for transaction_id in entry.requests:
            del self._by_request[transaction_id]


def _peer_config(config: RtcConfig, limit: LimitConfig) -> PeerConfig:
    return PeerConfig(
        ice=AgentConfig(
            disconnected_timeout=config.ice_disconnected_timeout,
            failed_timeout=config.ice_failed_timeout,
            connect_timeout=config.ice_connect_timeout,
            max_remote_candidates=limit.max_remote_candidates,
        ),
        max_ssrcs=limit.max_ssrcs_per_transport,
    )
