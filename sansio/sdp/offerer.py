"""The offerer's half of offer and answer (RFC 3264 §5, RFC 8829 §5.2), for one transport.

Sections are added and emptied at any time; `offer` writes all of them, in the order of their adding, and remembers what
it said of each, since sections may change again before the answer comes. An emptied section is offered `inactive` and may
be reused for another track of its kind once an answer has confirmed that; a refused one never.

An offer may be repeated before it is answered (its signalling connection was lost); the later one counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from ..errors import LocalProtocolError
from .capabilities import Capabilities, KindCapabilities
from .codecs import ordered_formats
from .grammar import SdpError
from .local import application_media, describe, rejected_media, rtp_media, with_opus_parameters, with_track
from .parser import parse
from .remote import answered_formats, check_mids, live_sections, remote_description, remote_section, rids
from .session import Description, Direction, ExtMap, MediaSection, Rid
from .values import NegotiatedSection, Outgoing, RemoteDescription, RemoteSection, TransportParameters

PROTOCOL = "UDP/TLS/RTP/SAVPF"
DATA_PROTOCOL = "UDP/DTLS/SCTP"


@attrs.define(eq=False)
class _Slot:
    index: int
    mid: str
    kind: str
    receives: bool = False
    """A section in which we wait for media; otherwise one to send in."""
    outgoing: Outgoing | None = None
    rids: tuple[str, ...] = ()
    only_preferred: bool = False
    use_rtx: bool = True
    refused: bool = False
    """The peer answered port 0."""
    offered: MediaSection | None = None
    """As in the last offer."""
    answered: MediaSection | None = None
    """As in the last offer that was answered."""
    agreed: NegotiatedSection | None = None

    @property
    def direction(self) -> Direction:
        if self.kind == "application":
            return Direction.SENDRECV
        return Direction.of(sends=self.outgoing is not None, receives=self.receives)

    @property
    def is_reusable(self) -> bool:
        is_empty = self.kind != "application" and not self.receives and self.outgoing is None
        is_confirmed = self.offered is None or (self.answered is not None and not self.answered.direction.sends)
        is_quiet = self.offered is None or not self.offered.direction.sends
        return is_empty and is_confirmed and is_quiet and not self.refused


class Offerer:
    """Writes offers, reads answers."""

    __slots__ = (
        "_capabilities", "_limit_characters", "_previous", "_slots", "_slots_by_mid", "is_pending", "needs_offer", "setup",
    )  # fmt: skip

    def __init__(self, capabilities: Capabilities, limit_characters: int) -> None:
        self._capabilities = capabilities
        self._limit_characters = limit_characters
        self._slots: list[_Slot] = []
        self._slots_by_mid: dict[str, _Slot] = {}
        self._previous: RemoteDescription | None = None
        self.needs_offer = False
        """Something changed since the last offer."""
        self.is_pending = False
        """An offer waits for its answer."""
        self.setup = ""
        """Our DTLS role once answered, `active` or `passive`."""

    # Commands

    def add_application(self) -> str:
        """The section of the data channels; the one that is there already if there is one."""
        present = next((slot for slot in self._slots if slot.kind == "application" and not slot.refused), None)
        return present.mid if present is not None else self._add("application").mid

    def add_outgoing(self, kind: str, outgoing: Outgoing, *, reuse: bool) -> str:
        slot = next((slot for slot in self._slots if reuse and slot.kind == kind and slot.is_reusable), None)
        if slot is None:
            slot = self._add(kind)
        slot.outgoing, slot.rids, slot.only_preferred, slot.use_rtx = outgoing, (), False, True
        self.needs_offer = True
        return slot.mid

    def add_publish(
        self, kind: str, outgoing: Outgoing, *, rids: Sequence[str], only_preferred: bool, use_rtx: bool
    ) -> str:
        slot = self._add(kind)
        slot.outgoing, slot.rids = outgoing, tuple(rids)
        slot.only_preferred, slot.use_rtx = only_preferred, use_rtx
        return slot.mid

    def add_receive(self, kind: str) -> str:
        slot = self._add(kind)
        slot.receives = True
        return slot.mid

    def remove_outgoing(self, mid: str) -> None:
        slot = self._find(mid)
        self.needs_offer = self.needs_offer or slot.outgoing is not None
        slot.outgoing, slot.rids = None, ()

    def offer(self, transport: TransportParameters, *, session_id: int, session_version: int) -> str:
        for slot in self._slots:
            slot.offered = self._media(slot)
        self.needs_offer, self.is_pending = False, True
        return describe(
            transport,
            transport.setup,
            [slot.offered for slot in self._slots if slot.offered is not None],
            session_id=session_id,
            session_version=session_version,
            bundle=[slot.mid for slot in self._slots if not slot.refused],
            extmap_allow_mixed=True,
        )

    def handle_answer(self, text: str) -> RemoteDescription:
        if not self.is_pending:
            raise SdpError("answer without an offer")
        description = parse(text, limit_characters=self._limit_characters)
        check_mids(description)
        remotes = self._match(description)
        remote = remote_description(description, remotes, self._previous)
        if remote.ufrag and remote.setup not in ("active", "passive"):
            raise SdpError(f"answer with setup {remote.setup!r}")
        for slot, section in zip(self._offered_slots(), remotes, strict=True):
            self._confirm(slot, section, description.media[section.index])
        if remote.ufrag:
            self.setup = "passive" if remote.setup == "active" else "active"
        self._previous, self.is_pending = remote, False
        return remote

    # Getters

    @property
    def mids(self) -> tuple[str, ...]:
        return tuple(slot.mid for slot in self._slots)

    def section(self, mid: str) -> NegotiatedSection | None:
        slot = self._slots_by_mid.get(mid)
        return None if slot is None else slot.agreed

    # Writing

    def _add(self, kind: str) -> _Slot:
        slot = _Slot(len(self._slots), str(len(self._slots)), kind)
        self._slots.append(slot)
        self._slots_by_mid[slot.mid] = slot
        self.needs_offer = True
        return slot

    def _find(self, mid: str) -> _Slot:
        slot = self._slots_by_mid.get(mid)
        if slot is None:
            raise LocalProtocolError(f"no section has mid {mid!r}")
        return slot

    def _offered_slots(self) -> list[_Slot]:
        return [slot for slot in self._slots if slot.offered is not None]

    def _media(self, slot: _Slot) -> MediaSection:
        if slot.refused:
            is_data = slot.kind == "application"
            formats = ("webrtc-datachannel",) if is_data else ()
            return rejected_media(slot.kind, DATA_PROTOCOL if is_data else PROTOCOL, slot.mid, formats=formats)
        if slot.kind == "application":
            return application_media(slot.mid, DATA_PROTOCOL, self._capabilities.max_message_size)
        ours = self._ours(slot)
        preferred = slot.outgoing.preferred if slot.outgoing else ()
        codecs = ordered_formats(slot.kind, ours.codecs, preferred, only_preferred=slot.only_preferred)
        if not slot.use_rtx:
            codecs = tuple(codec for codec in codecs if not codec.is_rtx)
        if slot.outgoing is not None and slot.outgoing.stereo:
            codecs = with_opus_parameters(codecs, "sprop-stereo=1")
        extensions = [ExtMap(self._capabilities.extension_ids[uri], uri) for uri in ours.extensions]
        section = rtp_media(
            slot.kind, PROTOCOL, slot.mid, direction=slot.direction, codecs=codecs, extensions=extensions
        )
        section = attrs.evolve(section, rids=tuple(Rid(rid, "send") for rid in slot.rids), simulcast_send=slot.rids)
        return section if slot.outgoing is None else with_track(section, slot.outgoing, with_ssrcs=not slot.rids)

    def _ours(self, slot: _Slot) -> KindCapabilities:
        return (self._capabilities.receive if slot.receives else self._capabilities.send)[slot.kind]

    # Reading

    def _match(self, description: Description) -> list[RemoteSection]:
        slots = self._offered_slots()
        if len(description.media) != len(slots):
            raise SdpError(f"answer with {len(description.media)} sections, offer had {len(slots)}")
        alive = live_sections(description)
        return [
            self._read(slot, description, section, is_alive=is_alive)
            for slot, section, is_alive in zip(slots, description.media, alive, strict=True)
        ]

    def _read(self, slot: _Slot, description: Description, section: MediaSection, *, is_alive: bool) -> RemoteSection:
        offered = slot.offered
        assert offered is not None
        if section.kind != slot.kind or (section.mid != slot.mid and is_alive):
            raise SdpError(f"section {slot.index} of the answer is not the one offered")
        is_refused = slot.refused or not is_alive
        codecs = () if is_refused else answered_formats(section.codecs, offered.codecs)
        is_refused = is_refused or (offered.is_rtp and not codecs)
        uris = () if is_refused else tuple(extension.uri for extension in offered.extensions)
        remote = remote_section(slot.index, description, section, codecs=codecs, uris=uris, rejected=is_refused)
        return attrs.evolve(remote, mid=slot.mid)

    def _confirm(self, slot: _Slot, remote: RemoteSection, section: MediaSection) -> None:
        offered = slot.offered
        assert offered is not None
        slot.refused, slot.answered = remote.rejected, offered
        if slot.refused:
            slot.outgoing, slot.receives = None, False
        direction = Direction.of(
            sends=offered.direction.sends and remote.direction.receives and not remote.rejected,
            receives=offered.direction.receives and remote.direction.sends and not remote.rejected,
        )
        accepted = frozenset(rids(section, "recv"))
        slot.agreed = NegotiatedSection(
            mid=slot.mid,
            kind=slot.kind,
            direction=direction,
            rejected=remote.rejected,
            codecs=remote.codecs,
            extensions=remote.extensions,
            allow_mixed=remote.extmap_allow_mixed,
            rids=tuple(rid.id for rid in offered.rids if rid.id in accepted),
        )
