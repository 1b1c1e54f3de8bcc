"""The answerer's half of offer and answer (RFC 3264 §6, RFC 8829 §5.3), for one transport.

An offer is read into slots, one per m-section; the answer goes through the slots in order. Slots are never dropped or
reordered. A slot that either side refused stays refused until the offerer reuses it with another mid (RFC 8829 §5.2.2).

Left out: rollback, provisional answers, sections outside the BUNDLE group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from ..errors import LocalProtocolError
from .capabilities import Capabilities, KindCapabilities
from .codecs import common_formats, ordered_formats, without_codec
from .grammar import SdpError
from .local import application_media, describe, rejected_media, rtp_media, with_opus_parameters, with_track
from .parser import parse
from .remote import check_mids, live_sections, remote_description, remote_section, rids
from .session import Description, Direction, ExtMap, Format, MediaSection, Rid
from .values import Incoming, NegotiatedSection, Outgoing, RemoteDescription, RemoteSection, TransportParameters

OPPOSITE_SETUP = {"active": "passive", "passive": "active"}
OPPOSITE_DIRECTION = {"sendonly": "recvonly", "recvonly": "sendonly"}
STEREO_PUBLISH_PARAMETERS = ("stereo=1", "maxaveragebitrate=510000")
PLAIN = Incoming(dtx=False)
"""For a section that nobody spoke of: accepted as offered."""

Wish = Incoming | Outgoing | None


@attrs.define(eq=False)
class _Slot:
    offered: MediaSection
    remote: RemoteSection
    outgoing: Outgoing | None = None
    """What the last answer sends here."""
    was_used: bool = False
    """Some answer sent a track here."""
    agreed: NegotiatedSection | None = None


class Answerer:
    """Reads offers, writes answers."""

    __slots__ = (
        "_capabilities",
        "_description",
        "_limit_characters",
        "_previous",
        "_slots",
        "_slots_by_mid",
        "is_pending",
        "setup",
    )

    def __init__(self, capabilities: Capabilities, limit_characters: int) -> None:
        self._capabilities = capabilities
        self._limit_characters = limit_characters
        self._slots: list[_Slot] = []
        self._slots_by_mid: dict[str, _Slot] = {}
        self._previous: RemoteDescription | None = None
        self._description: Description | None = None
        self.is_pending = False
        """An offer waits for its answer."""
        self.setup = ""
        """Our DTLS role once answered, `active` or `passive`."""

    def handle_offer(self, text: str) -> RemoteDescription:
        description = parse(text, limit_characters=self._limit_characters)
        check_mids(description)
        slots = self._merge(description)
        remote = remote_description(description, [slot.remote for slot in slots], self._previous)
        self._slots, self._description, self._previous = slots, description, remote
        self._slots_by_mid = {slot.offered.mid: slot for slot in slots}
        self.is_pending = True
        return remote

    def answer(
        self, transport: TransportParameters, wishes: Mapping[str, Wish], *, session_id: int, session_version: int
    ) -> str:
        if not self.is_pending or self._description is None or self._previous is None:
            raise LocalProtocolError("no offer to answer")
        unknown = wishes.keys() - self._slots_by_mid.keys()
        if unknown:
            raise LocalProtocolError(f"no section has mid {sorted(unknown)[0]!r}")
        if self._previous.ufrag:
            self.setup = self._choose_setup(self._previous.setup, transport.setup)
        media = [self._answer_slot(slot, wishes) for slot in self._slots]
        self.is_pending = False
        return describe(
            transport,
            self.setup,
            media,
            session_id=session_id,
            session_version=session_version,
            bundle=self._bundle(self._description),
            extmap_allow_mixed=self._description.extmap_allow_mixed,
        )

    # Getters

    @property
    def mids(self) -> tuple[str, ...]:
        return tuple(slot.offered.mid for slot in self._slots)

    def section(self, mid: str) -> NegotiatedSection | None:
        slot = self._slots_by_mid.get(mid)
        return None if slot is None else slot.agreed

    def free_receivers(self, kind: str) -> list[str]:
        """Mids of the sections in which the peer waits for media and the last answer sends none."""
        return [slot.offered.mid for slot in self._slots if slot.offered.kind == kind and _is_free(slot)]

    # Reading

    def _merge(self, description: Description) -> list[_Slot]:
        if len(description.media) < len(self._slots):
            raise SdpError("the offer has fewer sections than the one before")
        alive = live_sections(description)
        slots = []
        for index, section in enumerate(description.media):
            previous = self._slots[index] if index < len(self._slots) else None
            slots.append(self._slot(index, description, section, previous, is_alive=alive[index]))
        return slots

    def _slot(
        self, index: int, description: Description, section: MediaSection, previous: _Slot | None, *, is_alive: bool
    ) -> _Slot:
        if previous is not None and previous.offered.mid != section.mid:
            if not (previous.remote.rejected or section.is_rejected):
                raise SdpError(f"section {index} changed its mid")
            previous = None
        if previous is not None and previous.offered.kind != section.kind:
            raise SdpError(f"section {index} changed its kind")
        is_refused = not is_alive or (previous is not None and previous.remote.rejected)
        ours = self._ours(section)
        codecs = () if ours is None or is_refused else common_formats(section.codecs, ours.codecs)
        is_refused = is_refused or (ours is not None and not codecs)
        uris = () if ours is None or is_refused else ours.extensions
        remote = remote_section(index, description, section, codecs=codecs, uris=uris, rejected=is_refused)
        if previous is None or is_refused:
            return _Slot(section, remote)
        return attrs.evolve(previous, offered=section, remote=remote)

    def _ours(self, section: MediaSection) -> KindCapabilities | None:
        """What we can do in the section: a peer that only receives is sent to, any other is received from."""
        is_sending = section.direction == Direction.RECVONLY
        return (self._capabilities.send if is_sending else self._capabilities.receive).get(section.kind)

    # Writing

    def _choose_setup(self, offered: str, wanted: str) -> str:
        """The role once taken is kept (RFC 8842 §5.5); before, an offer may leave the choice to us."""
        if offered in OPPOSITE_SETUP:
            return OPPOSITE_SETUP[offered]
        return self.setup or (wanted if wanted in OPPOSITE_SETUP else "active")

    def _bundle(self, description: Description) -> list[str]:
        live = {slot.offered.mid for slot in self._slots if not slot.remote.rejected}
        return [mid for mid in description.bundle if mid in live] or [mid for mid in self.mids if mid in live]

    def _answer_slot(self, slot: _Slot, wishes: Mapping[str, Wish]) -> MediaSection:
        offered, remote = slot.offered, slot.remote
        if remote.rejected:
            slot.outgoing = None
            slot.agreed = NegotiatedSection(
                mid=offered.mid, kind=offered.kind, direction=Direction.INACTIVE, rejected=True
            )
            number = offered.codecs[0].payload_type if offered.codecs else 0
            return rejected_media(
                offered.kind, offered.protocol, offered.mid, formats=offered.formats, payload_type=number
            )
        if offered.kind == "application":
            slot.agreed = NegotiatedSection(mid=offered.mid, kind=offered.kind, direction=Direction.SENDRECV)
            return application_media(offered.mid, offered.protocol, self._capabilities.max_message_size)
        return self._answer_rtp(slot, _effective_wish(slot, wishes))

    def _answer_rtp(self, slot: _Slot, wish: Wish) -> MediaSection:
        offered, remote = slot.offered, slot.remote
        direction = _direction(slot, wish)
        slot.outgoing = wish if isinstance(wish, Outgoing) else None
        slot.was_used = slot.was_used or slot.outgoing is not None
        codecs = _answered_codecs(offered.kind, remote.codecs, wish)
        accepted = rids(offered, "send") if isinstance(wish, Incoming) and direction.receives else ()
        slot.agreed = NegotiatedSection(
            mid=offered.mid,
            kind=offered.kind,
            direction=direction,
            codecs=codecs,
            extensions=remote.extensions,
            allow_mixed=remote.extmap_allow_mixed,
            rids=accepted,
        )
        section = rtp_media(
            offered.kind, offered.protocol, offered.mid,
            direction=direction, codecs=codecs, extensions=_answered_extensions(offered, remote),
        )  # fmt: skip
        section = attrs.evolve(
            section,
            extmap_allow_mixed=offered.extmap_allow_mixed,
            rids=tuple(Rid(rid, "recv") for rid in accepted),
            simulcast_recv=accepted if offered.simulcast_send else (),
        )
        return section if slot.outgoing is None else with_track(section, slot.outgoing)


def _is_free(slot: _Slot) -> bool:
    return not slot.remote.rejected and slot.remote.direction == Direction.RECVONLY and slot.outgoing is None


def _effective_wish(slot: _Slot, wishes: Mapping[str, Wish]) -> Wish:
    """The wish as far as the peer's direction allows it."""
    peer = slot.remote.direction
    wish = wishes.get(slot.offered.mid, PLAIN if peer.sends else None)
    if isinstance(wish, Outgoing):
        return wish if peer.receives else None
    if isinstance(wish, Incoming):
        return wish if peer.sends else None
    return None


def _direction(slot: _Slot, wish: Wish) -> Direction:
    """Ours. A section that waits for its first track is answered `sendonly` without one, as LiveKit's server does;
    after its track has gone it is `inactive`, so that the next one is news to the client."""
    if isinstance(wish, Outgoing):
        return Direction.SENDONLY
    if isinstance(wish, Incoming):
        return Direction.RECVONLY
    is_waiting = slot.remote.direction == Direction.RECVONLY and not slot.was_used
    return Direction.SENDONLY if is_waiting else Direction.INACTIVE


def _answered_extensions(offered: MediaSection, remote: RemoteSection) -> list[ExtMap]:
    """The common ones, each in the direction that mirrors the offered one (RFC 8285 §6)."""
    return [
        ExtMap(extension.id, extension.uri, OPPOSITE_DIRECTION.get(extension.direction, ""))
        for extension in offered.extensions
        if remote.extensions.get(extension.uri) == extension.id
    ]


def _answered_codecs(kind: str, codecs: Sequence[Format], wish: Wish) -> tuple[Format, ...]:
    if isinstance(wish, Outgoing):
        ordered = ordered_formats(kind, codecs, wish.preferred)
        return with_opus_parameters(ordered, "sprop-stereo=1" if wish.stereo else "")
    if not isinstance(wish, Incoming) or wish is PLAIN:
        return tuple(codecs)
    if kind == "audio" and not wish.red:
        codecs = without_codec(codecs, "red")
    preferred = _with_red(wish.preferred) if wish.red else wish.preferred
    ordered = ordered_formats(kind, codecs, preferred, only_preferred=wish.only_preferred)
    ordered = with_opus_parameters(
        ordered, "usedtx=1" if wish.dtx else "", *(STEREO_PUBLISH_PARAMETERS if wish.stereo else ())
    )
    return _without_nack_beside_red(ordered)


def _with_red(preferred: Sequence[str]) -> tuple[str, ...]:
    """RED before Opus, where only Opus (or nothing) is named."""
    mimes = [mime.lower() for mime in preferred] or ["audio/opus"]
    if "audio/red" not in mimes and "audio/opus" in mimes:
        mimes.insert(mimes.index("audio/opus"), "audio/red")
    return tuple(mimes)


def _without_nack_beside_red(codecs: Sequence[Format]) -> tuple[Format, ...]:
    """Redundant audio repairs itself; NACKs for it would only add load."""
    if not any(codec.name == "red" for codec in codecs):
        return tuple(codecs)
    return tuple(
        attrs.evolve(codec, feedback=tuple(one for one in codec.feedback if one != "nack")) for codec in codecs
    )
