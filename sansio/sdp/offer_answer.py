"""Offer and answer of one peer connection, from either side (RFC 3264, RFC 8829 in part).

Theory of operation. In LiveKit each peer connection has one side that always offers: the client on its publisher and
single peer connections, the server on the subscriber one. So a `Negotiation` takes its role with its first call and
keeps it:

    answerer    handle_offer -> RemoteDescription      answer(transport, wishes) -> text      and again
    offerer     add_..., remove_outgoing, offer(transport) -> text      handle_answer -> RemoteDescription      and again

Both roles are whole, so that the server and the simulated client are the same code mirrored. What the peer can do is cut
down to what is common as its description is read; what we wish decides the rest when ours is written; `section(mid)` then
tells what holds. Texts that do not parse, or that break the order of sections, raise SdpError and change nothing.

The transport's parameters come from outside with each description, because ICE owns them: a restart is nothing but other
credentials. The DTLS role is chosen once, in the first answer.

Left out: glare and rollback (there is one offerer), provisional answers, several transports, more than one track in a
section, RFC 8851 restrictions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import LocalProtocolError
from .answerer import Answerer, Wish
from .capabilities import Capabilities
from .grammar import DEFAULT_LIMIT_CHARACTERS, SdpError
from .offerer import Offerer
from .values import NegotiatedSection, Outgoing, RemoteDescription, TransportParameters


class Negotiation:
    """One side of one peer connection."""

    __slots__ = ("_capabilities", "_half", "_limit_characters", "_session_id", "_session_version")

    def __init__(
        self,
        *,
        session_id: int,
        capabilities: Capabilities,
        is_single: bool = False,
        limit_characters: int = DEFAULT_LIMIT_CHARACTERS,
    ) -> None:
        """`is_single`: this connection carries both directions."""
        self._session_id = session_id
        self._session_version = 0
        self._capabilities = (capabilities.single or capabilities) if is_single else capabilities
        self._limit_characters = limit_characters
        self._half: Answerer | Offerer | None = None

    # Answerer

    def handle_offer(self, text: str) -> RemoteDescription:
        """Read the peer's offer. Raises SdpError."""
        if isinstance(self._half, Offerer):
            raise SdpError("offer from the answering side")
        half = self._half or Answerer(self._capabilities, self._limit_characters)
        remote = half.handle_offer(text)
        self._half = half
        return remote

    def answer(self, transport: TransportParameters, sections: Mapping[str, Wish]) -> str:
        """Answer the offer read last.

        `sections` says by mid what to do: receive with the wishes of an `Incoming`, send the track of an `Outgoing`, or
        nothing (None). A wish that the peer's direction does not allow counts as None. Sections that are not named are
        received plainly where the peer sends, and left without a track otherwise.
        """
        half = self._answerer()
        return half.answer(transport, sections, session_id=self._session_id, session_version=self._next_version())

    # Offerer

    def add_application(self) -> str:
        """Offer data channels; returns the mid. Once is enough."""
        return self._offerer().add_application()

    def add_outgoing(self, kind: str, outgoing: Outgoing, *, reuse: bool) -> str:
        """Send a track; returns its mid. With `reuse`, in an emptied section of the kind if there is one."""
        return self._offerer().add_outgoing(kind, outgoing, reuse=reuse)

    def remove_outgoing(self, mid: str) -> None:
        """Empty the section; no effect if it is empty."""
        self._offerer().remove_outgoing(mid)

    def add_receive(self, kind: str) -> str:
        """A client's section in which it waits for media; returns the mid."""
        return self._offerer().add_receive(kind)

    def add_publish(
        self,
        kind: str,
        outgoing: Outgoing,
        *,
        rids: Sequence[str] = (),
        only_preferred: bool = False,
        use_rtx: bool = True,
    ) -> str:
        """A client's section in which it sends; returns the mid. With rids the SSRCs are not signalled."""
        half = self._offerer()
        return half.add_publish(kind, outgoing, rids=rids, only_preferred=only_preferred, use_rtx=use_rtx)

    def offer(self, transport: TransportParameters) -> str:
        """Describe everything added so far. Takes the place of an offer that was not answered."""
        half = self._offerer()
        return half.offer(transport, session_id=self._session_id, session_version=self._next_version())

    def handle_answer(self, text: str) -> RemoteDescription:
        """Read the peer's answer to the last offer. Raises SdpError."""
        if not isinstance(self._half, Offerer):
            raise SdpError("answer without an offer")
        return self._half.handle_answer(text)

    # Getters

    @property
    def needs_offer(self) -> bool:
        """Something was added or removed since the last offer."""
        return isinstance(self._half, Offerer) and self._half.needs_offer

    @property
    def is_pending(self) -> bool:
        """An offer, ours or the peer's, waits for its answer."""
        return self._half is not None and self._half.is_pending

    @property
    def setup(self) -> str:
        """Our DTLS role, `active` (client) or `passive` (server); empty before the first answer."""
        return "" if self._half is None else self._half.setup

    @property
    def mids(self) -> tuple[str, ...]:
        """Of all sections in order; empty strings for refused sections without one."""
        return () if self._half is None else self._half.mids

    def section(self, mid: str) -> NegotiatedSection | None:
        """What the last completed exchange agreed on; None before, or if there is no such section."""
        return None if self._half is None else self._half.section(mid)

    def free_receivers(self, kind: str) -> list[str]:
        """As answerer: mids of the sections in which the peer waits for media of that kind and gets none so far."""
        return self._half.free_receivers(kind) if isinstance(self._half, Answerer) else []

    # Private

    def _answerer(self) -> Answerer:
        if not isinstance(self._half, Answerer):
            raise LocalProtocolError("no offer to answer")
        return self._half

    def _offerer(self) -> Offerer:
        if self._half is None:
            self._half = Offerer(self._capabilities, self._limit_characters)
        if not isinstance(self._half, Offerer):
            raise LocalProtocolError("this side answers")
        return self._half

    def _next_version(self) -> int:
        self._session_version += 1
        return self._session_version
