"""A `Node` that holds its driver to the contract.

`GuardedNode` has the verbs of `Node` and passes all calls on. It raises `LocalProtocolError` where a driver breaks the
rules: time that goes back, and a deadline asked for (which a driver does before it sleeps) while outputs of an earlier input
have not been taken. Put it around the node in the tests of a driver; simulations do so in debug mode.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..errors import LocalProtocolError
from ..events import Event
from ..ids import SessionId
from ..node import Node
from ..outputs import Address, Batch, Command, HttpRequest

_LISTS = ("transmits", "commands", "events")


class GuardedNode:
    """See the module's text."""

    __slots__ = ("_node", "_now", "_undrained")

    def __init__(self, node: Node) -> None:
        self._node = node
        self._now = float("-inf")
        self._undrained: set[str] = set()

    @property
    def node(self) -> Node:
        """What is guarded, for its getters."""
        return self._node

    def add_socket(self, local: Address, advertised: Sequence[Address]) -> None:
        self._node.add_socket(local, advertised)

    # Inputs

    def handle_datagrams(self, now: float, batch: Iterable[tuple[Address, Address, bytes]]) -> None:
        self._enter(now)
        self._node.handle_datagrams(now, batch)

    def handle_datagram(self, now: float, local: Address, remote: Address, data: bytes) -> None:
        self._enter(now)
        self._node.handle_datagram(now, local, remote, data)

    def handle_connect(self, now: float, session: SessionId, request: HttpRequest) -> None:
        self._enter(now)
        self._node.handle_connect(now, session, request)

    def handle_message(self, now: float, session: SessionId, data: bytes | str) -> None:
        self._enter(now)
        self._node.handle_message(now, session, data)

    def handle_disconnect(self, now: float, session: SessionId) -> None:
        self._enter(now)
        self._node.handle_disconnect(now, session)

    def handle_request(self, now: float, ref: int, request: HttpRequest) -> None:
        self._enter(now)
        self._node.handle_request(now, ref, request)

    def handle_timeout(self, now: float) -> None:
        self._enter(now)
        self._node.handle_timeout(now)

    # Commands

    def set_wallclock(self, offset: float) -> None:
        self._node.set_wallclock(offset)

    def drain(self, now: float) -> None:
        self._enter(now)
        self._node.drain(now)

    def close(self, now: float) -> None:
        self._enter(now)
        self._node.close(now)

    # Outputs

    def poll_transmits(self) -> list[Batch]:
        self._undrained.discard("transmits")
        return self._node.poll_transmits()

    def poll_commands(self) -> list[Command]:
        self._undrained.discard("commands")
        return self._node.poll_commands()

    def poll_events(self) -> list[Event]:
        self._undrained.discard("events")
        return self._node.poll_events()

    def poll_timeout(self) -> float | None:
        if self._undrained:
            raise LocalProtocolError(f"not drained before sleeping: {', '.join(sorted(self._undrained))}")
        return self._node.poll_timeout()

    # Getters

    @property
    def rooms(self) -> tuple[str, ...]:
        return self._node.rooms

    @property
    def is_empty(self) -> bool:
        return self._node.is_empty

    def stats(self) -> dict[str, int]:
        return self._node.stats()

    def next_timer(self) -> tuple[float, str] | None:
        return self._node.next_timer()

    # Private

    def _enter(self, now: float) -> None:
        if now < self._now:
            raise LocalProtocolError(f"time went back from {self._now} to {now}")
        self._now = now
        self._undrained.update(_LISTS)
