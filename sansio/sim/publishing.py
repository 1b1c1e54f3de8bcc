"""What a simulated client publishes: tracks from their request to their last frame, and the answers to feedback about them.

    requested --track_published--> placed in an offer --answer--> sending --unpublished--> over

A track begins to send when its section is agreed and the transport is up; one with a number of frames waits, unless told
otherwise, until somebody has subscribed, so that its frames can be counted at the other end. Such a track begins and ends with
some frames that do not count: nobody can tell that the first packet of a stream was lost, or its last.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from ..entropy import Entropy, random_bits
from ..ids import token_word
from ..rtcp import Fir, Nack, Packet, Pli, ReceiverReport, SenderReport, SourceDescription
from ..rtp import red
from ..sdp import Outgoing
from ..wire import models, rtc
from .connection import ClientConnection
from .media import (
    AUDIO_CLOCK_RATE,
    AUDIO_FRAME_S,
    VIDEO_CLOCK_RATE,
    Payload,
    RtpSender,
    VideoEncoder,
    VideoLayer,
    encode_audio,
    source_number,
)

HEAD_S, TAIL_S = 0.5, 1.5
"""How long a track of counted frames sends others before and after: a key frame that is asked for again, and some rounds of
NACK and retransmission on bad links."""
REPORT_INTERVAL_S = 1.0
VOICE_LEVEL = 20
"""-dBov of a voice; 127 is silence."""
_QUALITIES = (models.VideoQuality.LOW, models.VideoQuality.MEDIUM, models.VideoQuality.HIGH)
_RED_MAX_OFFSET = 1 << 14


@attrs.frozen(kw_only=True)
class TrackOptions:
    """How a track is published."""

    name: str
    source: int
    """A `TrackSource`."""
    layers: tuple[VideoLayer, ...] = ()
    """None for audio."""
    fps: float = 1 / AUDIO_FRAME_S
    frames: int | None = None
    """Send so many; None for no end."""
    wait_for_subscriber: bool = False
    muted: bool = False
    red: bool = False
    """Send Opus in RED, with the frame before in each packet."""
    level: int = VOICE_LEVEL

    @property
    def is_video(self) -> bool:
        return bool(self.layers)


class PublishedTrack:
    """One track of a client."""

    __slots__ = (
        "_entropy",
        "_head_until",
        "_in_red",
        "_opus_type",
        "_previous",
        "_tail_until",
        "cid",
        "encoders",
        "frame",
        "has_subscriber",
        "is_muted",
        "is_over",
        "is_ready",
        "level",
        "limit",
        "mid",
        "next_at",
        "number",
        "options",
        "report_at",
        "senders",
        "sid",
    )  # fmt: skip

    def __init__(self, identity: str, cid: str, options: TrackOptions, entropy: Entropy) -> None:
        self.cid = cid
        self.options = options
        self.number = source_number(identity, options.name)
        self._entropy = entropy
        self.encoders = [VideoEncoder(self.number, i, layer, entropy) for i, layer in enumerate(options.layers)]
        self.senders: list[RtpSender] = []
        self.sid = ""
        self.mid = ""
        self.frame = 0
        """Number of the next."""
        self.limit = options.frames
        """After so many frames it ends."""
        self.is_muted = options.muted
        self.level = options.level
        self.is_over = False
        self.is_ready = False
        """Whether section and transport allow to send."""
        self.has_subscriber = False
        self.next_at: float | None = None
        """When the next frame is due; None while nothing is sent."""
        self.report_at: float | None = None
        self._head_until = self._tail_until = float("inf")
        self._in_red = False
        self._opus_type = 0
        self._previous: tuple[int, bytes] | None = None

    # Signalling

    def request(self) -> rtc.AddTrackRequest:
        """The `add_track` of it."""
        options = self.options
        request = rtc.AddTrackRequest(
            cid=self.cid,
            name=options.name,
            type=models.TrackType.VIDEO if options.is_video else models.TrackType.AUDIO,
            source=options.source,  # type: ignore[arg-type]
            muted=self.is_muted,
            disable_red=not options.red,
        )
        if options.is_video:
            request.width, request.height = options.layers[-1].width, options.layers[-1].height
            layers = [
                models.VideoLayer(quality=quality, width=layer.width, height=layer.height, bitrate=500_000)
                for quality, layer in zip(_QUALITIES[-len(options.layers) :], options.layers, strict=True)
            ]
            request.layers.extend(layers)
            codec = rtc.SimulcastCodec(codec="vp8", cid=self.cid, layers=layers)
            request.simulcast_codecs.append(codec)
        return request

    def place(self, connection: ClientConnection) -> None:
        """Add a section for it to the next offer; a new stream begins."""
        self.senders = [
            RtpSender(_ssrc(self._entropy), _ssrc(self._entropy) if self.options.is_video else 0, self._entropy)
            for _ in range(max(1, len(self.options.layers)))
        ]
        rids = [layer.rid for layer in self.options.layers if layer.rid]
        outgoing = Outgoing(
            stream_id=f"stream-{self.cid}",
            track_id=self.cid,
            ssrc=self.senders[0].ssrc,
            rtx_ssrc=self.senders[0].rtx_ssrc,
            cname=self.cid,
            preferred=("video/VP8",) if self.options.is_video else ("audio/opus",),
        )
        kind = "video" if self.options.is_video else "audio"
        self.mid = connection.negotiation.add_publish(kind, outgoing, rids=rids)
        self.is_ready = False
        self.stop()

    def negotiated(self, connection: ClientConnection) -> bool:
        """Take over what was agreed on; False if the section was refused or is not there yet."""
        section = connection.negotiation.section(self.mid)
        if section is None or section.rejected or not section.direction.sends:
            return False
        wanted = "vp8" if self.options.is_video else "opus"
        main = next((codec for codec in section.codecs if codec.name.lower() == wanted), None)
        if main is None:
            return False
        repairs = {repaired: number for number, repaired in section.rtx.items()}
        self._in_red = section.codecs[0].name.lower() == "red"
        first = section.codecs[0].payload_type if self._in_red else main.payload_type
        for sender, rid in zip(self.senders, self._rids(), strict=True):
            sender.mid, sender.rid = self.mid, rid
            sender.payload_type = first
            sender.rtx_payload_type = repairs.get(main.payload_type, 0)
            sender.extensions = connection.extensions(self.mid)
        self._opus_type = main.payload_type
        return True

    def _rids(self) -> list[str]:
        return [layer.rid for layer in self.options.layers] or [""]

    # Sending

    @property
    def is_sending(self) -> bool:
        return self.next_at is not None

    @property
    def is_done(self) -> bool:
        """Whether all frames of a counted track were sent."""
        return self.limit is not None and self.frame >= self.limit

    @property
    def frame_count(self) -> int:
        """Frames sent, without those that only follow the last."""
        return self.frame if self.limit is None else min(self.frame, self.limit)

    def finish(self) -> None:
        """Let the frame sent last be the last."""
        self.limit = self.frame_count

    def start(self, now: float) -> None:
        """Send from now on, if nothing speaks against it."""
        waits = self.options.wait_for_subscriber and not self.has_subscriber
        if self.is_sending or self.is_muted or self.is_over or waits:
            return
        self.next_at = now
        self._head_until = now + HEAD_S if self.options.wait_for_subscriber else now
        self.report_at = now + REPORT_INTERVAL_S
        for encoder in self.encoders:
            encoder.wants_key_frame = True

    def stop(self) -> None:
        """Stop sending; numbering goes on where it ended."""
        self.next_at = self.report_at = None
        self._previous = None

    def set_muted(self, now: float, muted: bool) -> None:
        self.is_muted = muted
        if muted:
            self.stop()
        elif self.is_ready:
            self.start(now)

    def handle_timeout(self, now: float, connection: ClientConnection) -> None:
        """Send the frames and reports that are due."""
        while self.next_at is not None and self.next_at <= now:
            captured = self.next_at
            self.next_at = captured + 1 / self.options.fps
            self._send_frame(captured, now, connection)
        if self.report_at is not None and self.report_at <= now:
            self.report_at = now + REPORT_INTERVAL_S
            connection.send_rtcp(now, self._reports(now))

    def poll_timeout(self) -> float | None:
        return min((at for at in (self.next_at, self.report_at) if at is not None), default=None)

    def _send_frame(self, captured: float, now: float, connection: ClientConnection) -> None:
        if self.is_done:
            self._tail_until = min(self._tail_until, captured + TAIL_S)
            if captured > self._tail_until:
                self.stop()
                return
        is_head = captured < self._head_until
        is_extra = is_head or self.is_done
        captured_ms, sent_us = round(captured * 1000), round(now * 1e6)
        if self.options.is_video:
            timestamp = captured_ms * (VIDEO_CLOCK_RATE // 1000)
            for encoder, sender in zip(self.encoders, self.senders, strict=True):
                for payload in encoder.encode(self.frame, captured_ms, is_extra=is_extra, sent_us=sent_us):
                    connection.send_media(sender, timestamp, payload)
        else:
            self._send_audio(captured_ms, sent_us, is_extra, connection)
        self.frame += not is_head

    def _send_audio(self, captured_ms: int, sent_us: int, is_extra: bool, connection: ClientConnection) -> None:
        timestamp = captured_ms * (AUDIO_CLOCK_RATE // 1000)
        data = encode_audio(self.number, self.frame, captured_ms, is_extra=is_extra, sent_us=sent_us)
        payload = data
        if self._in_red:
            previous, self._previous = self._previous, (timestamp, data)
            redundant = []
            if previous is not None and timestamp - previous[0] < _RED_MAX_OFFSET:
                redundant.append((self._opus_type, timestamp - previous[0], previous[1]))
            payload = red.encode(self._opus_type, data, redundant)
        connection.send_media(self.senders[0], timestamp, Payload(payload, False), level=self.level)

    def _reports(self, now: float) -> list[Packet]:
        captured_ms = round(now * 1000)
        timestamp = captured_ms * ((VIDEO_CLOCK_RATE if self.options.is_video else AUDIO_CLOCK_RATE) // 1000)
        reports: list[Packet] = []
        for sender in self.senders:
            report = sender.report(int(now * (1 << 32)), timestamp)
            if report is not None:
                reports += [report, SourceDescription.of_cname(sender.ssrc, self.cid)]
        return reports

    # Feedback

    def sender_of(self, ssrc: int) -> RtpSender | None:
        return next((sender for sender in self.senders if sender.ssrc == ssrc), None)

    def handle_rtcp(self, packet: Packet, connection: ClientConnection) -> None:
        """NACKs, key frame requests and reports about this track; others are passed over."""
        match packet:
            case Nack():
                sender = self.sender_of(packet.media_ssrc)
                if sender is not None:
                    connection.send_again(sender, packet.sequence_numbers)
            case Pli():
                self._want_key_frame(packet.media_ssrc)
            case Fir():
                for ssrc, _ in packet.entries:
                    self._want_key_frame(ssrc)
            case ReceiverReport() | SenderReport():
                for block in packet.reports:
                    sender = self.sender_of(block.ssrc)
                    if sender is not None:
                        sender.is_identified = True
            case _:
                pass

    def _want_key_frame(self, ssrc: int) -> None:
        for encoder, sender in zip(self.encoders, self.senders, strict=False):
            if sender.ssrc == ssrc:
                encoder.wants_key_frame = True

    def set_qualities(self, enabled: dict[int, bool]) -> None:
        """Dynacast: which qualities are watched; those not named stay as they are."""
        for quality, encoder in zip(_QUALITIES[-len(self.encoders) :], self.encoders, strict=False):
            encoder.is_active = enabled.get(quality, encoder.is_active)


class Publishing:
    """All tracks of one client."""

    __slots__ = ("_entropy", "_identity", "tracks")

    def __init__(self, identity: str, entropy: Entropy) -> None:
        self._identity = identity
        self._entropy = entropy
        self.tracks: dict[str, PublishedTrack] = {}
        """By cid."""

    def add(self, options: TrackOptions) -> PublishedTrack:
        cid = f"{options.name}-{token_word(self._entropy, 8)}"
        track = self.tracks[cid] = PublishedTrack(self._identity, cid, options, self._entropy)
        return track

    def remove(self, track: PublishedTrack, connection: ClientConnection | None) -> None:
        """End a track; its section is emptied with the next offer."""
        track.is_over = True
        track.stop()
        self.tracks.pop(track.cid, None)
        if track.mid and connection is not None:
            connection.negotiation.remove_outgoing(track.mid)
            connection.needs_offer = True

    def restart(self) -> None:
        """The session is over; the next one knows nothing of these tracks."""
        for track in self.tracks.values():
            track.stop()
            track.is_ready = False
            track.sid = track.mid = ""

    # From the server

    def accepted(self, published: rtc.TrackPublishedResponse, connection: ClientConnection) -> None:
        track = self.tracks.get(published.cid)
        if track is not None:
            track.sid = published.track.sid
            if not track.mid:
                track.place(connection)
                connection.needs_offer = True

    def subscribed(self, now: float, sid: str) -> None:
        track = self.of_sid(sid)
        if track is not None:
            track.has_subscriber = True
            if track.is_ready:
                track.start(now)

    def negotiated(self, now: float, connection: ClientConnection) -> None:
        """Sections were agreed on, or the transport is up: send what can be sent."""
        for track in self.tracks.values():
            if track.mid and not track.is_sending:
                track.is_ready = track.negotiated(connection) and connection.peer.session is not None
                if track.is_ready:
                    track.start(now)

    def set_qualities(self, update: rtc.SubscribedQualityUpdate) -> None:
        track = self.of_sid(update.track_sid)
        if track is not None:
            codecs = [one.qualities for one in update.subscribed_codecs] or [update.subscribed_qualities]
            track.set_qualities({int(one.quality): one.enabled for one in codecs[0]})

    def handle_rtcp(self, packets: Iterable[Packet], connection: ClientConnection) -> None:
        for packet in packets:
            for track in self.tracks.values():
                track.handle_rtcp(packet, connection)

    def handle_timeout(self, now: float, connection: ClientConnection) -> None:
        for track in self.tracks.values():
            track.handle_timeout(now, connection)

    # Output and getters

    def requests(self) -> list[rtc.AddTrackRequest]:
        """An `add_track` for each, for a new session."""
        return [track.request() for track in self.tracks.values()]

    def states(self) -> list[rtc.TrackPublishedResponse]:
        """What a resume says of them."""
        return [
            rtc.TrackPublishedResponse(cid=track.cid, track=models.TrackInfo(sid=track.sid))
            for track in self.tracks.values()
            if track.sid
        ]

    def poll_timeout(self) -> float | None:
        deadlines = [track.poll_timeout() for track in self.tracks.values()]
        return min((at for at in deadlines if at is not None), default=None)

    def of_sid(self, sid: str) -> PublishedTrack | None:
        return next((track for track in self.tracks.values() if track.sid == sid), None)


def _ssrc(entropy: Entropy) -> int:
    return random_bits(entropy, 32) or 1
