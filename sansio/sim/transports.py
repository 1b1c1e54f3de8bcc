"""The peer connections of a simulated client: one or two, each on a UDP port of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..dtls import Certificate, HandshakeFactory
from ..entropy import Entropy
from ..errors import DropReason
from ..outputs import Address, Batch
from .connection import PUBLISHER, SUBSCRIBER, ClientConnection
from .kernel import MediaKernel


class Transports:
    """Opens them, drops them, and treats them as one. Iterating gives those that are open."""

    __slots__ = (
        "_address", "_certificate", "_closed", "_entropy", "_handshake", "_kernel", "_opened", "_ports", "publisher",
        "subscriber",
    )  # fmt: skip

    def __init__(
        self, *, address: Address, ports: int, kernel: MediaKernel, entropy: Entropy, certificate: Certificate,
        handshake: HandshakeFactory,
    ) -> None:  # fmt: skip
        """`address` is that of the first UDP socket; each connection that is opened takes the next of so many `ports`."""
        self._address = address
        self._ports = ports
        self._kernel = kernel
        self._entropy = entropy
        self._certificate = certificate
        self._handshake = handshake
        self._opened = 0
        self._closed: list[ClientConnection] = []
        """Connections whose goodbye is still to be sent."""
        self.publisher: ClientConnection | None = None
        self.subscriber: ClientConnection | None = None

    # Input

    def handle_datagrams(
        self, now: float, batch: Sequence[tuple[Address, Address, bytes]], arrivals: Sequence[float] = ()
    ) -> None:
        """(local, remote, data) each, and when each came if not now."""
        for connection in self:
            own = [index for index, one in enumerate(batch) if one[0] == connection.address]
            if own:
                came = [arrivals[index] for index in own] if arrivals else ()
                connection.endpoint.handle_datagrams(now, [batch[index] for index in own], came)

    def handle_timeout(self, now: float) -> None:
        for connection in self:
            connection.endpoint.handle_timeout(now)

    # Commands

    def open_publisher(self, now: float) -> ClientConnection:
        """The connection that the client offers."""
        self.publisher = self._open(now, PUBLISHER)
        return self.publisher

    def open_subscriber(self, now: float) -> ClientConnection:
        """The connection that the server offers."""
        self.subscriber = self._open(now, SUBSCRIBER)
        return self.subscriber

    def drop(self, now: float) -> None:
        """Close all, with a goodbye."""
        for connection in self:
            connection.endpoint.close_peer(now, connection.peer)
            self._closed.append(connection)
        self.forget()

    def forget(self) -> None:
        """Be without them at once."""
        self.publisher = self.subscriber = None

    # Output

    def poll_transmits(self) -> list[Batch]:
        closed, self._closed = self._closed, []
        return [batch for connection in (*closed, *self) for batch in connection.endpoint.poll_transmits()]

    def poll_drops(self) -> dict[DropReason, int]:
        total: dict[DropReason, int] = {}
        for connection in self:
            for reason, count in connection.endpoint.poll_drops().items():
                total[reason] = total.get(reason, 0) + count
        return total

    def poll_timeout(self) -> float | None:
        deadlines = [connection.endpoint.poll_timeout() for connection in self]
        return min((at for at in deadlines if at is not None), default=None)

    # Getters

    def __iter__(self) -> Iterator[ClientConnection]:
        return iter([one for one in (self.publisher, self.subscriber) if one is not None])

    @property
    def are_connected(self) -> bool:
        """Whether there are any, and all of them are up."""
        connections = list(self)
        return bool(connections) and all(one.is_connected for one in connections)

    def _open(self, now: float, target: int) -> ClientConnection:
        host, port = self._address
        address = (host, port + self._opened % self._ports)
        self._opened += 1
        return ClientConnection(
            now,
            target=target,
            address=address,
            kernel=self._kernel,
            entropy=self._entropy,
            certificate=self._certificate,
            handshake=self._handshake,
        )
