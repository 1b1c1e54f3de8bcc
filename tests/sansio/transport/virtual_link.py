"""Two endpoints and what lies between them, in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import TypeVar

from sansio.dtls import Certificate, DtlsRole, OpenSslHandshake
from sansio.entropy import SeededEntropy, random_unit
from sansio.ice import Candidate, Role
from sansio.kernel import Kernel
from sansio.kernel.pure import PureKernel
from sansio.outputs import Address
from sansio.transport import Endpoint, PeerEvent, PeerState, PeerTransport

CERTIFICATES = (Certificate.generate(1_700_000_000.0), Certificate.generate(1_700_000_000.0))
ADDRESSES: tuple[Address, Address] = (("192.0.2.1", 4000), ("192.0.2.2", 7882))
T = TypeVar("T")


class Side:
    """One endpoint with one peer."""

    def __init__(self, index: int, entropy: SeededEntropy, role: Role, *, lite: bool = False) -> None:
        self.address = ADDRESSES[index]
        self.kernel: Kernel = PureKernel(entropy.child("kernel"))
        self.endpoint = Endpoint(
            kernel=self.kernel,
            certificate=CERTIFICATES[index],
            handshake=OpenSslHandshake,
            entropy=entropy.child("endpoint"),
        )
        self.endpoint.add_local(Candidate.host(self.address), self.address)
        self.peer = self.endpoint.open_peer(0.0, role=role, lite=lite)
        self.events: list[PeerEvent] = []

    def of(self, kind: type[T]) -> list[T]:
        """The events of one class so far."""
        return [event for event in self.events if isinstance(event, kind)]


class Link:
    """Index 0 controls and is the DTLS client: a client that offers to a server, as on a publisher transport."""

    def __init__(self, seed: int | str = 1, *, loss: float = 0.0, latency: float = 0.02, lite: bool = False) -> None:
        entropy = SeededEntropy(f"link-{seed}")
        self.now = 0.0
        self.loss = loss
        self.latency = latency
        self._chance = entropy.child("loss")
        self._order = 0
        self._flying: list[tuple[float, int, int, tuple[Address, Address, bytes]]] = []
        self.filter: Callable[[int, bytes], bool] = lambda receiver, data: True
        self.sides = (
            Side(0, entropy.child("0"), Role.CONTROLLING),
            Side(1, entropy.child("1"), Role.CONTROLLED, lite=lite),
        )

    @property
    def peers(self) -> tuple[PeerTransport, PeerTransport]:
        return self.sides[0].peer, self.sides[1].peer

    def describe(self, index: int, *, with_candidates: bool = True) -> None:
        """Give a side the other's description."""
        me, other = self.sides[index], self.sides[1 - index]
        me.peer.set_remote(
            self.now,
            ufrag=other.peer.local_ufrag,
            pwd=other.peer.local_pwd,
            fingerprints=[("sha-256", other.peer.fingerprint)],
            role=DtlsRole.CLIENT if index == 0 else DtlsRole.SERVER,
            ice_lite=other.peer.lite,
            candidates=other.peer.candidates if with_candidates else (),
        )

    def connect(self, until: float = 20.0) -> None:
        self.describe(1)
        self.describe(0)
        self.run_until(lambda: all(peer.state is PeerState.CONNECTED for peer in self.peers), until)

    def run_until(self, done: Callable[[], bool], until: float) -> None:
        """Step to the next arrival or deadline until `done`, or the time is over."""
        self.flush()
        while not done():
            at = min(self._deadlines(), default=float("inf"))
            if at > until:
                self.now = until
                return
            self.now = max(self.now, at)
            self._deliver()
            for side in self.sides:
                side.endpoint.handle_timeout(self.now)
            self.flush()

    def run(self, until: float) -> None:
        self.run_until(lambda: False, until)

    def flush(self) -> None:
        for index, side in enumerate(self.sides):
            side.events += [event for _, event in side.endpoint.poll_events()]
            for batch in side.endpoint.poll_transmits():
                for local, remote, data in batch:
                    assert local == side.address
                    self.send(1 - index, local, remote, data)

    def send(self, receiver: int, source: Address, destination: Address, data: bytes) -> None:
        if not self.filter(receiver, data) or (self.loss and random_unit(self._chance) < self.loss):
            return
        self._order += 1
        heappush(self._flying, (self.now + self.latency, self._order, receiver, (destination, source, data)))

    def _deadlines(self) -> list[float]:
        deadlines = [self._flying[0][0]] if self._flying else []
        return deadlines + [at for side in self.sides if (at := side.endpoint.poll_timeout()) is not None]

    def _deliver(self) -> None:
        batches: tuple[list[tuple[Address, Address, bytes]], ...] = ([], [])
        while self._flying and self._flying[0][0] <= self.now:
            _, _, receiver, datagram = heappop(self._flying)
            batches[receiver].append(datagram)
        for side, batch in zip(self.sides, batches, strict=True):
            if batch:
                side.endpoint.handle_datagrams(self.now, batch)
