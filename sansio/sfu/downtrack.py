"""One subscription: which layer of a track one subscriber gets, and the leg in the kernel that carries it.

A down track is in one of four states, told by two fields. *Off*: the subscriber wants nothing or the publisher is muted;
the leg has no source. *Waiting*: no source yet, but one is wanted; the receiver looks for a start point (a key frame, or any
recent audio packet). *Streaming*: the leg has the source it should have. *Changing*: it has a source and waits for a key
frame of a better one, forwarding the old meanwhile. `_decide` compares what is with what should be and moves; everything
that could matter calls it. The way back from *off* always leads through a start point, so numbers and pictures go on
without a hole however long the break was.

What should be: the highest live layer up to the wanted one; below it the lowest that lives, even if it is more than was
asked for; while nothing lives, any layer that has a stream. An SVC track has one source, whose layers the kernel selects;
here only the ceilings are set, and a key frame is asked for where the kernel needs one.

Outgoing timestamps at a switch come from `munger`. Sender reports go out every 3 s while streaming. NACKs are answered by
the kernel. The object holds no timer but the one of its sender reports and, while it lasts, the one of filler frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TypeAlias

import attrs

from ..entropy import Entropy, random_unit
from ..errors import LocalProtocolError
from ..kernel import Kernel, Leg, LegMode, LegStats, Notice, NoticeKind
from ..rtcp import Fir, Nack, Pli, ReceiverReport, ReportBlock, SdesChunk, SdesType, SenderReport, SourceDescription
from .filler import BLANK_FRAME_S, BLANK_FRAMES, FRAME_S, PADDING, SILENCE_FRAMES, black, silence
from .layers import MAX_SPATIAL, PublishedLayer, Quality, WantedLayers, choose_layer, quality_for_spatial
from .munger import Incoming, Munger
from .playout_delay import PlayoutDelay
from .receiver import DEFAULT_RTT, TrackReceiver
from .source import NEVER, Source, StartPoint
from .stats import NO_LEG_STATS, DownTrackStats, ReportLog

REPORT_INTERVAL = 3.0
REPORT_RETRY = 0.5
"""Until the next try while the publisher's clock is not known yet."""
SDES_MID = 15
"""SDES item of the mid (RFC 8843 §15.3)."""
PLI_HOLDS_NACKS = 0.5
"""A subscriber for whom the publisher was asked for a key frame gets no retransmissions until it came, at most this long: a
key frame takes a round trip or two, and after that either it or the request was lost."""
MAX_REFUSALS = 3
"""Refused switches to a layer after which it is entered nevertheless."""
PLACEHOLDER_INTERVAL = 0.1
PLACEHOLDER_DURATION = 5.0


@attrs.frozen
class Started:
    """The first packet of the subscription was forwarded."""


@attrs.frozen
class LayerChanged:
    """Another spatial layer is forwarded from now on."""

    spatial: int


@attrs.frozen
class MaxLayerChanged:
    """The highest spatial layer that must keep flowing for this subscriber, -1 for none, and its quality."""

    spatial: int
    quality: Quality


DownTrackEvent: TypeAlias = Started | LayerChanged | MaxLayerChanged
ReportPacket: TypeAlias = SenderReport | SourceDescription


class DownTrack:
    """See the module's text."""

    __slots__ = (
        "_cname", "_entropy", "_events", "_filler_at", "_filler_left", "_forwarded_spatial", "_has_started",
        "_is_after_mute", "_is_closed", "_is_lost", "_is_muted", "_kernel", "_key_frames_at_pli",
        "_last_source", "_leg", "_log", "_max_told", "_munger", "_needs_key_frame", "_playout_delay", "_pli_at", "_receiver",
        "_refusals", "_report_at", "_rtcp", "_slot", "_source", "_trailer", "_wanted", "layers", "mid",
    )  # fmt: skip

    def __init__(
        self,
        *,
        kernel: Kernel,
        receiver: TrackReceiver,
        leg: Leg,
        layers: Sequence[PublishedLayer] = (),
        mid: str,
        cname: str,
        entropy: Entropy,
        trailer: bytes = b"",
        playout_delay: PlayoutDelay | None = None,
    ) -> None:
        self.layers = tuple(layers)
        """As the publisher declared them; they name the quality of a spatial index."""
        self.mid = mid
        self._kernel = kernel
        self._receiver = receiver
        self._playout_delay = playout_delay
        self._leg = leg = self._with_delay(leg)
        self._slot = kernel.add_leg(leg)
        self._cname = cname
        self._entropy = entropy
        self._trailer = trailer  # of the server's own frames on an encrypted track
        self._munger = Munger(leg.clock_rate)
        self._log = ReportLog(DEFAULT_RTT)
        self._wanted: WantedLayers | None = None
        self._is_muted = receiver.is_muted
        self._is_after_mute = False
        self._is_closed = False
        self._is_lost = False  # the kernel has no such leg any more
        self._source: Source | None = None
        self._last_source: Source | None = None
        self._forwarded_spatial = -1
        self._max_told = -1
        self._needs_key_frame = False
        self._refusals = 0
        self._has_started = False
        self._pli_at = NEVER
        self._key_frames_at_pli = -1  # while the subscriber has asked for none
        self._report_at: float | None = None
        self._filler_at: float | None = None
        self._filler_left = 0
        self._events: list[DownTrackEvent] = []
        self._rtcp: list[ReportPacket] = []
        receiver.attach(self)

    # Input

    def handle_rtcp(self, now: float, packet: object) -> None:
        """One RTCP packet of the subscriber; what is not about this down track is ignored."""
        if self._is_closed:
            return
        ssrc = self._leg.ssrc
        match packet:
            case Nack() if packet.media_ssrc == ssrc:
                self._handle_nack(now, packet.sequence_numbers)
            case Pli() if packet.media_ssrc == ssrc:
                self._log.plis += 1
                self._handle_key_frame_request(now)
            case Fir() if any(entry[0] == ssrc for entry in packet.entries):
                self._log.firs += 1
                self._handle_key_frame_request(now)
            case ReceiverReport() | SenderReport():
                for block in packet.reports:
                    if block.ssrc == ssrc:
                        self._handle_report_block(now, block)
            case _:
                pass

    def handle_notice(self, now: float, notice: Notice) -> None:
        """A kernel notice about this leg (the receiver passes them on)."""
        if notice.kind is NoticeKind.LEG_NEEDS_KEY_FRAME:
            self._needs_key_frame = True
            self._decide(now)
        elif notice.kind is NoticeKind.MARKED_SWITCH and notice.spatial != self._forwarded_spatial:
            self._forwarded_spatial = notice.spatial
            self._events.append(LayerChanged(notice.spatial))
            self._needs_key_frame = self._needs_key_frame and notice.spatial < self._ceiling()
            self._tell_max()
            self._decide(now)

    def handle_sources_changed(self, now: float) -> None:
        """The receiver's layers came, went, or changed their liveness."""
        self._decide(now)

    def handle_start_point(self, now: float, start: StartPoint) -> None:
        """The receiver offers a packet to start from to those who wait."""
        if start.source is self._source:
            self._needs_key_frame = False
            self._decide(now)
        elif self._is_acceptable(start.source.spatial):
            self._enter(now, start)

    def handle_timeout(self, now: float) -> None:
        if self._report_at is not None and self._report_at <= now:
            self._send_report(now)
        if self._filler_at is not None and self._filler_at <= now:
            self._send_filler(now)

    # Commands

    def set_wanted(self, now: float, wanted: WantedLayers | None) -> None:
        """The subscriber's choice; None stops forwarding (disabled, hidden)."""
        if self._is_closed or wanted == self._wanted:
            return
        before, self._wanted = self._wanted, wanted
        self._receiver.change_demand(_spatial_of(before), _spatial_of(wanted))
        if wanted is not None:
            self._set_ceilings(wanted)
            if self._receiver.is_svc and self._source is not None:
                self._needs_key_frame = self._forwarded_spatial < self._ceiling()
        self._refusals = 0
        self._decide(now)
        self._tell_max()

    def set_publisher_muted(self, now: float, muted: bool) -> None:
        """The publisher muted or unmuted; what is wanted upstream stays."""
        if self._is_closed or muted == self._is_muted:
            return
        self._is_muted = muted
        self._is_after_mute = self._is_after_mute or muted
        self._decide(now)

    def set_receiver(self, now: float, receiver: TrackReceiver, leg: Leg | None = None) -> None:
        """Follow another codec of the same track, or another in the same place; `leg` is the leg's data for it, with the same
        session and SSRC."""
        if self._is_closed:
            return
        wanted = _spatial_of(self._wanted)
        self._stop()
        self._receiver.detach(self)
        self._receiver.change_demand(wanted, -1)
        if leg is not None:
            self._replace_leg(leg)
        self._receiver = receiver
        receiver.attach(self)
        receiver.change_demand(-1, wanted)
        self._is_muted = receiver.is_muted
        self._max_told = -1  # what was told was about the codec before
        self._decide(now)
        self._tell_max()

    def set_leg(self, leg: Leg) -> None:
        """Replace the leg's data (renegotiated payload types, extensions); the ceilings in force stay."""
        self._replace_leg(attrs.evolve(leg, max_spatial=self._leg.max_spatial, max_temporal=self._leg.max_temporal))

    def _with_delay(self, leg: Leg) -> Leg:
        delay = self._playout_delay
        return leg if delay is None else attrs.evolve(leg, playout_delay_ms=delay.value)

    def _replace_leg(self, leg: Leg) -> None:
        self._leg = leg = self._with_delay(leg)
        if self._leg_stats() is None:
            return
        self._kernel.set_leg(self._slot, self._leg)
        if self._wanted is not None:
            self._set_ceilings(self._wanted)

    def set_rtt(self, rtt: float) -> None:
        """Round trip to the subscriber as its transport measured it."""
        self._log.rtt = rtt

    def send_placeholders(self, now: float) -> None:
        """Send silence or padding for a while although there is no media: for clients that announce a track at its first
        packet, and would never announce a muted one."""
        if not self._has_started and self._filler_at is None and not self._is_closed:
            step = FRAME_S if self._receiver.kind == "audio" else PLACEHOLDER_INTERVAL
            self._filler_at = now + PLACEHOLDER_INTERVAL
            self._filler_left = round(PLACEHOLDER_DURATION / step)

    def close(self, now: float, *, blank: bool = False) -> None:
        """End the subscription; also after the kernel has forgotten the leg along with a session. With `blank` a picture goes
        black first, which is for sections that will be used again."""
        if self._is_closed:
            return
        if blank and self._has_started:
            self._send_black(now)
        self._receiver.detach(self)
        self._receiver.change_demand(_spatial_of(self._wanted), -1)
        self._is_closed = True
        self._wanted = None
        self._source = self._last_source = None
        self._report_at = self._filler_at = None
        self._tell_max()
        with suppress(LocalProtocolError):
            self._kernel.remove_leg(self._slot)

    # Output

    def poll_rtcp(self) -> list[ReportPacket]:
        """Packets for the subscriber: a sender report and a source description, to go in one compound."""
        rtcp, self._rtcp = self._rtcp, []
        return rtcp

    def poll_events(self) -> list[DownTrackEvent]:
        events, self._events = self._events, []
        return events

    def poll_timeout(self) -> float | None:
        if self._report_at is None or self._filler_at is None:
            return self._filler_at if self._report_at is None else self._report_at
        return min(self._report_at, self._filler_at)

    # Getters

    @property
    def leg(self) -> int:
        """The leg's slot in the kernel."""
        return self._slot

    @property
    def ssrc(self) -> int:
        return self._leg.ssrc

    @property
    def receiver(self) -> TrackReceiver:
        return self._receiver

    @property
    def wanted(self) -> WantedLayers | None:
        return self._wanted

    @property
    def current_spatial(self) -> int:
        """The spatial layer forwarded now, -1 if none."""
        return -1 if self._source is None else self._forwarded_spatial

    @property
    def is_forwarding(self) -> bool:
        return self._source is not None

    @property
    def has_started(self) -> bool:
        return self._has_started

    @property
    def max_spatial(self) -> int:
        """The highest spatial layer this subscriber needs, -1 if none."""
        if self._wanted is None or self._receiver.kind != "video":
            return -1
        return max(min(self._wanted.spatial, MAX_SPATIAL), self.current_spatial)

    @property
    def rtt(self) -> float:
        return self._log.rtt

    def stats(self) -> DownTrackStats:
        """What the subscriber reported, and what was sent."""
        return self._log.stats(self._leg_stats() or NO_LEG_STATS)

    # Choice

    def _decide(self, now: float) -> None:
        """Bring the leg to where it should be, or wait for what that takes."""
        if self._source is not None and not self._receiver.has_source(self._source):
            self._stop()
        if self._is_closed or self._is_lost:
            return
        if self._wanted is None or self._is_muted:
            self._leave(now)
            return
        target = self._target()
        if self._source is not None and self._source.spatial == target and not self._needs_key_frame:
            self._receiver.stop_waiting(self)
            return
        if self._source is None:
            if self._has_started:
                self._filler_at = None  # silence would hide that the talker is back
            if self._start_in_past(now, target):
                return
        self._receiver.wait(now, self, target)

    def _target(self) -> int:
        """The spatial index of the source the leg should have."""
        if self._receiver.is_svc or self._receiver.kind == "audio" or self._wanted is None:
            return 0
        wanted = min(self._wanted.spatial, MAX_SPATIAL)
        live = choose_layer(wanted, self._receiver.layers)
        if live is not None:
            return live
        if self._source is not None:
            return self._source.spatial
        bound = choose_layer(wanted, self._receiver.bound)
        return wanted if bound is None else bound

    def _is_acceptable(self, spatial: int) -> bool:
        """Whether to enter a source that offers a key frame now, be it only on the way to the target."""
        target = self._target()
        layers = self._receiver.layers
        if self._source is None:
            return spatial <= target or not layers[target]
        current = self._source.spatial
        return current < spatial <= target or target <= spatial < current

    def _start_in_past(self, now: float, target: int) -> bool:
        source = self._receiver.source_at(target)
        start = None if source is None else self._receiver.recent_start(now, source)
        return start is not None and self._enter(now, start)

    def _enter(self, now: float, start: StartPoint) -> bool:
        """Switch the leg; False if the timestamps do not allow it yet."""
        stats = self._leg_stats()
        if stats is None or self._receiver.stats_of(start.source).first_position < 0:
            return False
        if self._has_started and start.arrival < stats.last_sent:
            return False  # it would show again what was shown
        packet = Incoming(start.timestamp, start.arrival, start.source is self._last_source, start.source.report)
        timestamp = self._munger.align(
            packet,
            stats,
            None if self._last_source is None else self._last_source.report,
            is_resuming=self._source is None,
            is_after_mute=self._is_after_mute,
            may_refuse=self._can_stay(),
        )
        if timestamp is None:
            self._refusals += 1
            return False
        self._munger.commit(packet, timestamp)
        self._source = self._last_source = start.source
        self._is_after_mute = self._needs_key_frame = False
        self._key_frames_at_pli = -1  # what was asked for is here
        self._refusals = 0
        self._filler_at = None
        self._kernel.switch(now, self._slot, start.source.stream, start.position, timestamp)
        self._after_switch(now, start.source)
        return True

    def _can_stay(self) -> bool:
        return (
            self._source is not None and self._receiver.layers[self._source.spatial] and self._refusals < MAX_REFUSALS
        )

    def _after_switch(self, now: float, source: Source) -> None:
        if not self._has_started:
            self._has_started = True
            self._events.append(Started())
        if self._report_at is None:
            # A random phase, so that the reports of down tracks that start together do not stay together.
            self._report_at = now + REPORT_RETRY * (0.5 + random_unit(self._entropy))
        if not self._receiver.is_svc and self._forwarded_spatial != source.spatial:
            self._forwarded_spatial = source.spatial
            self._events.append(LayerChanged(source.spatial))
        self._tell_max()
        self._decide(now)

    def _leave(self, now: float) -> None:
        """Off: no source, nobody to wait for; a listener gets a moment of silence."""
        self._receiver.stop_waiting(self)
        if self._source is None:
            return
        self._stop()
        if self._receiver.kind == "audio" and not self._is_lost:
            self._filler_at = now
            self._filler_left = SILENCE_FRAMES

    def _stop(self) -> None:
        if self._source is not None:
            self._source = None
            self._forwarded_spatial = -1
            if self._leg_stats() is not None:
                self._kernel.detach(self._slot)
        self._needs_key_frame = False
        self._report_at = None

    def _leg_stats(self) -> LegStats | None:
        """The leg's counters; None once the kernel has forgotten it along with a session: `close` is on its way then."""
        if not self._is_lost:
            try:
                return self._kernel.leg_stats(self._slot)
            except LocalProtocolError:
                self._is_lost = True
        return None

    def _ceiling(self) -> int:
        """The highest spatial layer of an SVC track that is wanted and was ever seen."""
        return min(_spatial_of(self._wanted), self._receiver.max_seen_spatial)

    def _set_ceilings(self, wanted: WantedLayers) -> None:
        leg = self._leg
        spatial = wanted.spatial if leg.mode is LegMode.SVC else leg.max_spatial
        if (spatial, wanted.temporal) != (leg.max_spatial, leg.max_temporal) and self._leg_stats() is not None:
            self._leg = attrs.evolve(leg, max_spatial=spatial, max_temporal=wanted.temporal)
            self._kernel.set_leg(self._slot, self._leg)

    def _tell_max(self) -> None:
        spatial = self.max_spatial
        if spatial != self._max_told:
            self._max_told = spatial
            self._events.append(MaxLayerChanged(spatial, quality_for_spatial(spatial, self.layers)))

    # Feedback

    def _handle_nack(self, now: float, numbers: Sequence[int]) -> None:
        self._log.nacks += 1
        if self._playout_delay is not None:
            self._playout_delay.handle_nack(len(numbers))
        if self._leg_stats() is not None and not self._is_key_frame_owed(now):
            self._kernel.retransmit(now, self._slot, numbers, self._log.rtt)

    def _is_key_frame_owed(self, now: float) -> bool:
        """Whether a key frame is on its way that makes up for all that was lost before it.

        A request that the throttle holds back does not count. The publisher was asked moments ago then, so the subscriber may
        lack a piece of that very key frame, or its request may have crossed it; repair is the fastest way on.
        """
        source = self._source
        if source is None or source.requested_at < self._pli_at or now - source.requested_at >= PLI_HOLDS_NACKS:
            return False
        return self._receiver.stats_of(source).key_frames == self._key_frames_at_pli

    def _handle_key_frame_request(self, now: float) -> None:
        if self._source is None or self._receiver.kind != "video":
            return
        if not self._is_key_frame_owed(now):
            self._pli_at = now
            self._key_frames_at_pli = self._receiver.stats_of(self._source).key_frames
        self._receiver.request_key_frame(now, self._source.spatial)

    def _handle_report_block(self, now: float, block: ReportBlock) -> None:
        if not self._has_started:
            self._filler_at = None  # the receiver knows the SSRC: placeholders have done their work
        self._log.handle_block(now, block)
        if self._playout_delay is not None:
            self._adjust_delay(now, block, self._playout_delay)

    def _adjust_delay(self, now: float, block: ReportBlock, delay: PlayoutDelay) -> None:
        stats = self._leg_stats()
        if stats is not None and delay.handle_report(
            now,
            jitter_ms=1000 * block.jitter / self._leg.clock_rate,
            highest_received=block.highest_sequence_number,
            last_sent=stats.last_sequence_number,
            packets=stats.packets,
        ):
            self._replace_leg(self._leg)

    def _send_report(self, now: float) -> None:
        stats = self._leg_stats()
        if stats is None or self._source is None:
            self._report_at = None
            return
        report = self._munger.outgoing_report(now, self._source.report)
        if report is None:
            self._report_at = now + REPORT_RETRY
            return
        self._report_at = now + REPORT_INTERVAL
        ntp_timestamp, rtp_timestamp = report
        self._rtcp.append(
            SenderReport(
                ssrc=self._leg.ssrc,
                ntp_timestamp=ntp_timestamp,
                rtp_timestamp=rtp_timestamp & 0xFFFFFFFF,
                packet_count=stats.packets & 0xFFFFFFFF,
                octet_count=stats.octets & 0xFFFFFFFF,
            )
        )
        items = ((SdesType.CNAME, self._cname), (SDES_MID, self.mid))
        self._rtcp.append(SourceDescription((SdesChunk(self._leg.ssrc, items),)))
        self._log.handle_report_sent(now, ntp_timestamp)

    def _send_filler(self, now: float) -> None:
        """The next frame of silence, or of padding on a video track, and when to send the one after it."""
        is_audio = self._receiver.kind == "audio"
        step = FRAME_S if is_audio else PLACEHOLDER_INTERVAL
        leg = self._leg
        mime_type = self._receiver.mime_type
        filler = silence(mime_type, leg.mode, leg.payload_types, self._trailer) if is_audio else PADDING
        if filler is None or self._leg_stats() is None:
            self._filler_at = None
            return
        self._filler_left -= 1
        self._filler_at = now + step if self._filler_left > 0 else None
        self._kernel.inject(
            now,
            self._slot,
            filler.payload,
            timestamp_step=round(leg.clock_rate * step),
            payload_type=filler.payload_type,
            padding=filler.padding_bytes,
        )

    def _send_black(self, now: float) -> None:
        """All frames at once: the end of the section is told by signalling, and that takes longer than they do."""
        stats = self._leg_stats()
        filler = black(self._receiver.mime_type, self._trailer)
        if stats is None or filler is None:
            return
        step = max(now - stats.last_sent, BLANK_FRAME_S)
        for _ in range(BLANK_FRAMES):
            self._kernel.inject(
                now, self._slot, filler.payload, timestamp_step=round(self._leg.clock_rate * step), marker=True
            )
            step = BLANK_FRAME_S


def _spatial_of(wanted: WantedLayers | None) -> int:
    return -1 if wanted is None else wanted.spatial
