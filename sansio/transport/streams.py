"""Which m-section and layer a received SSRC belongs to (RFC 8843 §9.2, RFC 8852, RFC 5888-style groups in SDP).

Theory of operation. The kernel knows SSRCs that were bound and hands packets of all others up. Such a packet is kept, a
bounded number of them per SSRC, and whatever it says about itself is noted: payload type, mid, rid, repaired rid. As soon
as that suffices the SSRC is bound and its packets go back to the kernel as if they had just come. What suffices, in order:

1. the SSRC stands in the description (`a=ssrc`, layers in the order of their SIM group);
2. mid, and rid where the section has several layers;
3. a payload type that only one section has.

A retransmission SSRC belongs to the stream that the FID group, the repaired rid, or - if the section has but one layer - the
section names. New sections, and every binding, are an occasion to try the waiting ones again: descriptions may come later
than packets, and retransmissions earlier than what they repair.

A layer that turns up under a new SSRC replaces the old stream (senders do that when they replace a track or codec). Late
packets of the replaced SSRC are ignored for a moment, so that reordering does not swap the two back and forth.

A slot that `StreamUnbound` names lives on in the kernel until `release`, which comes once the owner has read the event: what it
does meanwhile, often because of an earlier event about that very slot, must not fail. A section whose form has changed makes
its streams anew at that point, since an SSRC cannot have two slots.

Streams exist from their first packet on, not from the description: only then the codec is known, and what never sends costs
nothing. SSRC 0, under which libwebrtc probes, is never bound.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import TypeAlias

import attrs

from ..errors import DropReason
from ..kernel import Codec, ExtensionIds, Kernel, Notice, NoticeKind, StreamSpec
from ..rtp import RtpError, parse_extensions, parse_header
from ..rtp.extensions import parse_text
from .events import StreamBound, StreamUnbound

_MAX_UNKNOWN_SSRCS = 32
_MAX_PACKETS_PER_SSRC = 64
"""Of one unknown SSRC; the newest stay. A key frame of a camera fits."""
_MAX_PACKETS = 256
_RETIRED_FOR = 2.0
"""Seconds for which a replaced SSRC may not replace its successor."""
_RID_OF_LAYER = ("q", "h", "f")
"""Names given to layers of an SSRC group, lowest first: those that LiveKit's clients use for rids."""


@attrs.frozen(kw_only=True)
class ReceiveSection:
    """What may be received on one m-section."""

    mid: str
    kind: str
    """audio or video."""
    clock_rate: int
    codecs: dict[int, Codec]
    """By payload type, without RTX."""
    rtx: dict[int, int] = attrs.field(factory=dict)
    """RTX payload type to the payload type it repairs."""
    extensions: ExtensionIds = ExtensionIds()  # noqa: RUF009 - immutable
    ssrcs: tuple[int, ...] = ()
    """Declared media SSRCs, lowest layer first."""
    fid: dict[int, int] = attrs.field(factory=dict)
    """Media SSRC to RTX SSRC, as declared."""
    rids: tuple[str, ...] = ()
    nack: bool = False
    history: int = 512
    """Packets kept for retransmission."""


class BoundStream:
    """A received SSRC with a place."""

    __slots__ = ("mid", "payload_type", "rid", "rtx_ssrc", "section", "slot", "ssrc")

    def __init__(
        self, section: ReceiveSection, rid: str, ssrc: int, payload_type: int, slot: int, rtx_ssrc: int
    ) -> None:
        self.section = section
        self.mid = section.mid
        self.rid = rid
        self.ssrc = ssrc
        self.payload_type = payload_type
        self.slot = slot
        self.rtx_ssrc = rtx_ssrc


class _Unknown:
    """An SSRC that waits, and what its packets told."""

    __slots__ = ("mid", "packets", "payload_type", "repaired_rid", "rid", "ssrc")

    def __init__(self, ssrc: int) -> None:
        self.ssrc = ssrc
        self.payload_type = -1
        self.mid = ""
        self.rid = ""
        self.repaired_rid = ""
        self.packets: deque[bytes] = deque()


StreamsEvent: TypeAlias = StreamBound | StreamUnbound


class Streams:
    """The received SSRCs of one transport. `open` first; before that there is nothing to receive."""

    __slots__ = (
        "_by_layer", "_by_slot", "_declared", "_declared_rtx", "_drops", "_events", "_ids", "_kept", "_kernel", "_leaving",
        "_left", "_limit", "_refits", "_retired", "_sections", "_session", "_taken", "_unknown",
    )  # fmt: skip

    def __init__(self, kernel: Kernel, *, limit: int) -> None:
        self._kernel = kernel
        self._limit = limit
        self._session = -1
        self._sections: dict[str, ReceiveSection] = {}
        self._ids: tuple[ExtensionIds, ...] = ()
        self._declared: dict[int, tuple[ReceiveSection, str]] = {}
        self._declared_rtx: dict[int, int] = {}
        self._by_slot: dict[int, BoundStream] = {}
        self._by_layer: dict[tuple[str, str], BoundStream] = {}
        self._taken: dict[int, BoundStream] = {}  # media and RTX SSRCs
        self._unknown: dict[int, _Unknown] = {}  # least recently heard first
        self._kept = 0
        self._retired: dict[int, float] = {}
        self._leaving: dict[int, tuple[int, int]] = {}  # unbound slots that the kernel still has: their SSRCs
        self._left: list[int] = []  # those that were not polled yet
        self._refits: dict[int, BoundStream] = {}  # by the slot that must go first
        self._events: list[StreamsEvent] = []
        self._drops: Counter[DropReason] = Counter()

    def handle_unknown(self, now: float, ssrc: int, data: bytes) -> list[Notice]:
        """Take a decrypted packet of an SSRC without a stream. What the kernel says to replayed packets comes back."""
        if ssrc == 0:
            self._drops[DropReason.RTP_PADDING_ONLY] += 1
            return []
        if ssrc in self._taken:
            return self._inject(now, [data])  # bound by an earlier packet of the same burst
        if now < self._retired.get(ssrc, now):
            self._drops[DropReason.RTP_UNKNOWN_SSRC] += 1
            return []
        entry = self._unknown.pop(ssrc, None) or self._new_unknown(ssrc)
        self._unknown[ssrc] = entry
        if not self._learn(entry, data):
            self._drops[DropReason.RTP_MALFORMED] += 1
            return []
        self._keep(entry, data)
        return self._settle(now, [entry])

    def open(self, session: int) -> None:
        """The kernel's session exists now."""
        self._session = session

    def set_sections(self, now: float, sections: Sequence[ReceiveSection]) -> list[Notice]:
        """Replace what may be received; as `handle_unknown`, returns notices of packets that waited."""
        self._sections = {section.mid: section for section in sections}
        self._ids = tuple(dict.fromkeys(section.extensions for section in sections))
        self._declare(sections)
        notices: list[Notice] = []
        for stream in list(self._by_slot.values()):
            notices += self._refit(now, stream)
        for entry in self._unknown.values():
            for data in entry.packets:
                self._learn(entry, data)
        return notices + self._settle(now, list(self._unknown.values()))

    def release(self, slot: int) -> None:
        """The owner knows that the slot is gone; let the kernel forget it too."""
        del self._leaving[slot]
        self._kernel.remove_stream(slot)
        gone = self._refits.pop(slot, None)
        section = self._sections.get(gone.mid) if gone is not None else None
        if gone is not None and section is not None and (gone.mid, gone.rid) not in self._by_layer:
            self._add(section, gone.rid, gone.ssrc, gone.payload_type, gone.rtx_ssrc)

    def close(self) -> None:
        """Forget everything; the kernel's session takes the streams with it."""
        for slot in self._by_slot:
            self._events.append(StreamUnbound(slot))
        for table in (self._by_slot, self._by_layer, self._taken, self._unknown, self._sections):
            table.clear()
        self._refits.clear()
        self._kept = 0

    def poll_leaving(self) -> list[int]:
        """Slots to `release` after the events of until now were handled."""
        left, self._left = self._left, []
        return left

    def poll_events(self) -> list[StreamsEvent]:
        events, self._events = self._events, []
        return events

    def poll_drops(self) -> dict[DropReason, int]:
        drops = dict(self._drops)
        self._drops.clear()
        return drops

    @property
    def bound(self) -> list[BoundStream]:
        """In the order in which they appeared."""
        return list(self._by_slot.values())

    @property
    def last_unknown(self) -> int:
        """The waiting SSRC that was heard last; 0 if none waits."""
        return next(reversed(self._unknown), 0)

    def by_ssrc(self, ssrc: int) -> BoundStream | None:
        """The stream of a media SSRC (not of an RTX one)."""
        stream = self._taken.get(ssrc)
        return stream if stream is not None and stream.ssrc == ssrc else None

    def by_slot(self, slot: int) -> BoundStream | None:
        return self._by_slot.get(slot)

    # What is known

    def _declare(self, sections: Sequence[ReceiveSection]) -> None:
        """Tables of the SSRCs that stand in the descriptions."""
        self._declared.clear()
        self._declared_rtx.clear()
        for section in sections:
            for index, ssrc in enumerate(section.ssrcs):
                rid = _declared_rid(section, index)
                if rid is not None:
                    self._declared[ssrc] = (section, rid)
        for section in sections:
            for ssrc in section.fid:
                if rtx_ssrc := self._declared_rtx_of(section, ssrc):
                    self._declared_rtx[rtx_ssrc] = ssrc

    def _declared_rtx_of(self, section: ReceiveSection, ssrc: int) -> int:
        """The RTX SSRC of the description, if it can be one and is not in use; else 0."""
        rtx_ssrc = section.fid.get(ssrc, 0)
        if rtx_ssrc == ssrc or rtx_ssrc in self._declared or self._is_taken(rtx_ssrc):
            return 0
        return rtx_ssrc if 0 < rtx_ssrc < 1 << 32 else 0

    def _is_taken(self, ssrc: int) -> bool:
        """Whether the kernel has it, be it in a slot that is about to go."""
        return ssrc in self._taken or any(ssrc in ssrcs for ssrcs in self._leaving.values())

    def _new_unknown(self, ssrc: int) -> _Unknown:
        if len(self._unknown) >= _MAX_UNKNOWN_SSRCS:
            stalest = next(iter(self._unknown))
            self._forget(self._unknown[stalest])
        return _Unknown(ssrc)

    def _forget(self, entry: _Unknown) -> None:
        del self._unknown[entry.ssrc]
        self._kept -= len(entry.packets)
        self._drops[DropReason.RTP_UNKNOWN_SSRC] += len(entry.packets)

    def _keep(self, entry: _Unknown, data: bytes) -> None:
        if len(entry.packets) >= _MAX_PACKETS_PER_SSRC:
            entry.packets.popleft()
        elif self._kept < _MAX_PACKETS:
            self._kept += 1
        elif entry.packets:
            entry.packets.popleft()
        else:
            self._drops[DropReason.RTP_UNKNOWN_SSRC] += 1
            return
        entry.packets.append(data)

    def _learn(self, entry: _Unknown, data: bytes) -> bool:
        """Note what a packet says about its SSRC; False if it cannot be read."""
        try:
            header = parse_header(data)
            elements = parse_extensions(data, header)
        except RtpError:
            return False
        entry.payload_type = header.payload_type
        if not elements:
            return True
        unknown = ""
        for ids in self._ids:
            mid = _text(elements, ids.mid)
            if mid and mid not in self._sections:
                unknown = mid
                continue
            if mid and self._sections[mid].extensions != ids:
                continue  # those ids are another section's
            entry.mid = mid or entry.mid
            entry.rid = _text(elements, ids.rid) or entry.rid
            entry.repaired_rid = _text(elements, ids.repaired_rid) or entry.repaired_rid
            if mid:
                break
        else:
            # A section that is still to be described (RFC 8843 §9.2): no other may have the packet.
            entry.mid = entry.mid or unknown
        return True

    # Binding

    def _settle(self, now: float, entries: list[_Unknown]) -> list[Notice]:
        """Try these; after each binding the others too, since it may be what they waited for."""
        notices: list[Notice] = []
        if self._session < 0:
            return notices
        while entries:
            entry = entries.pop(0)
            stream = self._place(now, entry) if entry.ssrc in self._unknown else None
            if stream is None:
                continue
            notices += self._replay(now, entry)
            entries = [*entries, *(other for other in self._unknown.values() if other not in entries)]
        return notices

    def _place(self, now: float, entry: _Unknown) -> BoundStream | None:
        """Bind a waiting SSRC if enough is known about it."""
        if entry.ssrc in self._declared_rtx:
            return self._attach_rtx(self.by_ssrc(self._declared_rtx[entry.ssrc]), entry)
        if entry.ssrc in self._declared:
            section, rid = self._declared[entry.ssrc]
            return self._bind(now, section, rid, entry) if entry.payload_type in section.codecs else None
        section_or_none = self._sections.get(entry.mid) if entry.mid else self._section_of_type(entry.payload_type)
        if section_or_none is None:
            return None
        section = section_or_none
        if entry.payload_type in section.rtx:
            return self._attach_rtx(self._repaired(section, entry), entry)
        if entry.payload_type not in section.codecs or (section.ssrcs and not entry.mid):
            return None  # a section that names its SSRCs does not take others by their payload type
        rid = entry.rid or section.rids[0] if len(section.rids) == 1 else entry.rid
        if section.rids and rid not in section.rids:
            return None
        return self._bind(now, section, rid if section.rids else "", entry)

    def _section_of_type(self, payload_type: int) -> ReceiveSection | None:
        """The section that alone has this payload type."""
        candidates = [
            section
            for section in self._sections.values()
            if payload_type in section.codecs or payload_type in section.rtx
        ]
        return candidates[0] if len(candidates) == 1 else None

    def _repaired(self, section: ReceiveSection, entry: _Unknown) -> BoundStream | None:
        """The stream that an RTX SSRC without a FID group belongs to."""
        if entry.repaired_rid:
            return self._by_layer.get((section.mid, entry.repaired_rid))
        if len(section.rids) > 1 or len(section.ssrcs) > 1:
            return None
        return next((stream for stream in self._by_slot.values() if stream.mid == section.mid), None)

    def _bind(self, now: float, section: ReceiveSection, rid: str, entry: _Unknown) -> BoundStream | None:
        if len(self._by_slot) >= self._limit and (section.mid, rid) not in self._by_layer:
            self._drops[DropReason.RTP_SSRC_LIMIT] += 1
            return None
        replaced = self._by_layer.get((section.mid, rid))
        if replaced is not None:
            self._unbind(replaced)
            self._retire(now, replaced)
        return self._add(section, rid, entry.ssrc, entry.payload_type)

    def _add(self, section: ReceiveSection, rid: str, ssrc: int, payload_type: int, rtx_ssrc: int = 0) -> BoundStream:
        if not rtx_ssrc or self._is_taken(rtx_ssrc):
            rtx_ssrc = self._declared_rtx_of(section, ssrc)
        slot = self._kernel.add_stream(
            self._session,
            StreamSpec(
                ssrc=ssrc,
                clock_rate=section.clock_rate,
                is_audio=section.kind == "audio",
                codecs=section.codecs,
                extensions=section.extensions,
                rtx_ssrc=rtx_ssrc,
                rtx_payload_types=section.rtx,
                history=section.history,
            ),
        )
        stream = BoundStream(section, rid, ssrc, payload_type, slot, rtx_ssrc)
        self._by_slot[slot] = self._by_layer[stream.mid, rid] = self._taken[ssrc] = stream
        if rtx_ssrc:
            self._taken[rtx_ssrc] = stream
        self._events.append(StreamBound(mid=stream.mid, rid=rid, ssrc=ssrc, stream=slot, payload_type=payload_type))
        return stream

    def _attach_rtx(self, stream: BoundStream | None, entry: _Unknown) -> BoundStream | None:
        """Make a waiting SSRC the retransmissions of `stream`."""
        if stream is None:
            return None
        if stream.rtx_ssrc:
            self._taken.pop(stream.rtx_ssrc, None)
        stream.rtx_ssrc = entry.ssrc
        self._taken[entry.ssrc] = stream
        self._kernel.set_rtx(stream.slot, entry.ssrc)
        return stream

    def _replay(self, now: float, entry: _Unknown) -> list[Notice]:
        del self._unknown[entry.ssrc]
        self._kept -= len(entry.packets)
        return self._inject(now, list(entry.packets))

    def _inject(self, now: float, packets: Sequence[bytes]) -> list[Notice]:
        notices = self._kernel.inject_received(now, self._session, packets)
        return [notice for notice in notices if notice.kind is not NoticeKind.UNKNOWN_SSRC]

    def _unbind(self, stream: BoundStream) -> None:
        del self._by_slot[stream.slot], self._by_layer[stream.mid, stream.rid], self._taken[stream.ssrc]
        if stream.rtx_ssrc:
            self._taken.pop(stream.rtx_ssrc, None)
        self._leaving[stream.slot] = (stream.ssrc, stream.rtx_ssrc)
        self._left.append(stream.slot)
        self._events.append(StreamUnbound(stream.slot))

    def _retire(self, now: float, stream: BoundStream) -> None:
        self._retired = {ssrc: until for ssrc, until in self._retired.items() if until > now}
        self._retired[stream.ssrc] = now + _RETIRED_FOR

    def _refit(self, now: float, stream: BoundStream) -> list[Notice]:
        """Fit a stream to the new form of its section: keep it, make it anew, or let it go."""
        section = self._sections.get(stream.mid)
        if section is None or (stream.ssrc in self._declared and self._declared[stream.ssrc][0] is not section):
            self._unbind(stream)
            return []
        previous, stream.section = stream.section, section
        if _spec_fields(previous) != _spec_fields(section):
            self._unbind(stream)
            self._refits[stream.slot] = stream
            return []
        declared = self._declared_rtx_of(section, stream.ssrc)
        if declared:
            waiting = self._unknown.get(declared)
            self._attach_rtx(stream, waiting or _Unknown(declared))
            return self._replay(now, waiting) if waiting is not None else []
        return []


def _spec_fields(section: ReceiveSection) -> tuple[object, ...]:
    """What the kernel was told of a section; it takes no changes."""
    return section.kind, section.clock_rate, section.codecs, section.rtx, section.extensions, section.history


def _declared_rid(section: ReceiveSection, index: int) -> str | None:
    """The layer that the SSRC at `index` of a description is; None where its packets must say it."""
    if len(section.rids) > 1:
        return None  # the order of rids is the peer's taste, not that of the layers
    if section.rids:
        return section.rids[0] if index == 0 else None
    if len(section.ssrcs) == 1:
        return ""
    return _RID_OF_LAYER[index] if index < len(_RID_OF_LAYER) else None


def _text(elements: dict[int, bytes], identifier: int) -> str:
    value = elements.get(identifier) if identifier else None
    if value is None:
        return ""
    try:
        return parse_text(value)
    except RtpError:
        return ""
