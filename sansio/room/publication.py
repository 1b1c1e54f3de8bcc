"""A published track: what is said of it (`TrackInfo`), how its media arrives, and who subscribes.

    pending --its SDP section is negotiated--> announced --section inactive, removed, left--> ended

A publication holds one `PublishedCodec` for each codec that the client offers it in (usually one; a backup codec makes two).
Each of these has its own m-section and, once the section is negotiated, its own `TrackReceiver`, to which the streams found
in that section are added as layers.

Codec regression: once a backup codec's media is there, the publisher's policy may be that everybody is to get that codec, so
that it need not encode twice. It then comes first among the codecs that subscribers are offered, until its section stops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..config import RtcConfig
from ..ids import Identity, ParticipantSid, TrackSid
from ..kernel import Codec, Kernel, Notice
from ..rtcp import Packet
from ..sdp import Format, NegotiatedSection, RemoteSection
from ..sfu import Dynacast, TrackReceiver, spatial_for_rid
from ..transport import ReceiveSection
from ..wire import models
from .connection import extension_ids
from .track_info import AUDIO, SVC_MIMES, VIDEO, BackupPolicy, Mode, Source, canonical_mime, kind_name, published_layers

if TYPE_CHECKING:
    from .subscription import Subscription

KERNEL_CODECS = {
    "vp8": Codec.VP8,
    "vp9": Codec.VP9,
    "h264": Codec.H264,
    "h265": Codec.H265,
    "av1": Codec.AV1,
    "opus": Codec.OPUS,
    "red": Codec.RED,
}


def is_encrypted(info: models.TrackInfo) -> bool:
    return info.encryption != models.Encryption.Type.NONE


class PublishedCodec:
    """One codec of a publication: its m-section, and the receiver of what comes in it."""

    __slots__ = ("cid", "formats", "index", "is_svc", "mid", "mime_type", "receiver", "rids", "streams")

    def __init__(self, index: int, cid: str, mime_type: str, is_svc: bool) -> None:
        self.index = index
        """In `TrackInfo.codecs`."""
        self.cid = cid
        self.mime_type = mime_type
        """As wanted; as negotiated, in its canonical spelling, once `mid` is set."""
        self.is_svc = is_svc
        self.mid: str | None = None
        self.formats: tuple[Format, ...] = ()
        """What the section may carry, in the client's numbering."""
        self.rids: tuple[str, ...] = ()
        """Simulcast encodings of the section, in the order of its SDP."""
        self.receiver: TrackReceiver | None = None
        self.streams: dict[int, tuple[int, int]] = {}
        """Kernel stream to (ssrc, spatial layer)."""

    def format_of(self, payload_type: int) -> Format | None:
        return next((f for f in self.formats if f.payload_type == payload_type), None)


class Publication:
    """One track of one publisher."""

    __slots__ = (
        "codecs", "dynacast", "ended", "identity", "info", "is_announced", "participant_sid", "regressed_to", "routed_as",
        "subscribed_told", "subscriptions", "waits_for_packet",
    )  # fmt: skip

    def __init__(
        self, *, info: models.TrackInfo, cid: str, participant_sid: ParticipantSid, identity: Identity
    ) -> None:
        self.info = info
        self.participant_sid = participant_sid
        self.identity = identity
        self.is_announced = False
        self.waits_for_packet = False
        """Negotiated, but announced only when media comes (clients that name the codec by their first packet)."""
        self.ended = False
        self.subscribed_told = False
        """Whether the publisher has been told of its first subscriber."""
        self.subscriptions: dict[ParticipantSid, Subscription] = {}
        self.dynacast: Dynacast[ParticipantSid] | None = None
        self.regressed_to: PublishedCodec | None = None
        """The backup codec that everybody is to get."""
        self.routed_as: object = None
        """What it was sent in when subscribers were last given the codecs that fit them."""
        self.codecs = [
            PublishedCodec(
                index,
                codec.cid or cid,
                codec.mime_type,
                codec.video_layer_mode == Mode.MULTIPLE_SPATIAL_LAYERS_PER_STREAM,
            )
            for index, codec in enumerate(info.codecs)
        ]

    # Getters

    @property
    def sid(self) -> TrackSid:
        return TrackSid(self.info.sid)

    @property
    def kind(self) -> str:
        return kind_name(self.info.type)

    @property
    def is_video(self) -> bool:
        return self.info.type == VIDEO

    @property
    def is_audio(self) -> bool:
        return self.info.type == AUDIO

    @property
    def is_muted(self) -> bool:
        return self.info.muted

    @property
    def cids(self) -> tuple[str, ...]:
        return tuple(codec.cid for codec in self.codecs)

    @property
    def receivers(self) -> list[TrackReceiver]:
        return [codec.receiver for codec in self.codecs if codec.receiver is not None]

    @property
    def sent_codecs(self) -> list[PublishedCodec]:
        """Those that have a section, the one to prefer first."""
        sent = [codec for codec in self.codecs if codec.mid is not None and codec.receiver is not None]
        return sorted(sent, key=lambda codec: codec is not self.regressed_to)

    @property
    def sent_as(self) -> object:
        """What subscribers' choice of a codec depends on; compare it with an earlier value."""
        return [(codec.mid, codec.mime_type, codec.formats) for codec in self.sent_codecs]

    @property
    def qualities(self) -> tuple[int, ...]:
        """Declared qualities, lowest first; stream i has the i-th (see `track_info`)."""
        declared = tuple(sorted({int(layer.quality) for layer in self.info.layers}))
        return declared or (models.VideoQuality.HIGH,)

    def codec_of_cid(self, cid: str) -> PublishedCodec | None:
        return next((codec for codec in self.codecs if codec.cid == cid), None)

    def codec_of_stream(self, stream: int) -> PublishedCodec | None:
        return next((codec for codec in self.codecs if stream in codec.streams), None)

    # Commands

    def add_codec(self, codec: models.SimulcastCodecInfo) -> PublishedCodec:
        """A further codec of the same track (a backup codec), under its own cid."""
        known = next((c for c in self.codecs if c.mime_type.lower() == codec.mime_type.lower()), None)
        if known is not None:
            known.cid = codec.cid
            self.info.codecs[known.index].cid = codec.cid
            return known
        self.info.codecs.append(codec)
        is_svc = codec.video_layer_mode == Mode.MULTIPLE_SPATIAL_LAYERS_PER_STREAM
        added = PublishedCodec(len(self.info.codecs) - 1, codec.cid, codec.mime_type, is_svc)
        self.codecs.append(added)
        if self.dynacast is not None:
            self.dynacast.add_codec(codec.mime_type.lower())
        return added

    def negotiated(
        self,
        now: float,
        codec: PublishedCodec,
        section: NegotiatedSection,
        *,
        track_id: str,
        kernel: Kernel,
        config: RtcConfig,
    ) -> bool:
        """The section of `codec` was agreed; True if this changes what is said of the track."""
        codec.mid = section.mid
        codec.formats = section.codecs
        main = next((f for f in section.codecs if not f.is_rtx), None)
        if main is None:
            return False
        changed = self._set_mime(codec, canonical_mime(self.kind, main.name))
        public = self.info.codecs[codec.index]
        if public.mid != section.mid:
            public.mid = section.mid
            changed = True
        if track_id and track_id != codec.cid and public.sdp_cid != track_id:
            public.sdp_cid = track_id
            changed = True
        if codec.index == 0:
            self.info.mid = section.mid
        if codec.receiver is None:
            codec.receiver = self._receiver(now, codec, main, kernel, config)
        return changed

    def stopped(self, codec: PublishedCodec) -> None:
        """The section of `codec` is not sent any more."""
        codec.mid = None
        self.info.codecs[codec.index].mid = ""
        if codec is self.regressed_to:
            self.regressed_to = None

    def regress(self, room_size: int, threshold: int) -> bool:
        """Settle on a backup codec whose media has come if policy wants that; True if that is new. Publishers that only prefer
        it do so in rooms of fewer participants than `threshold` (0: in all)."""
        policy = self.info.backup_codec_policy
        is_small = threshold == 0 or room_size < threshold
        if self.regressed_to is not None or not self.is_video:
            return False
        if policy == BackupPolicy.REGRESSION or (policy == BackupPolicy.PREFER_REGRESSION and is_small):
            self.regressed_to = next((codec for codec in self.sent_codecs if codec.index and codec.streams), None)
        return self.regressed_to is not None

    def bind(
        self, now: float, codec: PublishedCodec, *, rid: str, ssrc: int, rtx_ssrc: int, stream: int, payload_type: int
    ) -> bool:
        """A stream was found in the codec's section; True if this changes what is said of the track."""
        if codec.receiver is None:
            return False
        spatial = 0 if codec.is_svc else spatial_for_rid(rid, published_layers(self.info), codec.rids)
        changed = not codec.streams  # whether it has media decides who gets it
        codec.streams[stream] = (ssrc, spatial)
        codec.receiver.add_layer(now, spatial, stream, ssrc)
        self._note_levels(now, codec)
        found = codec.format_of(payload_type)
        if found is not None and not found.is_rtx and not codec.streams.keys() - {stream}:
            changed |= self._set_mime(codec, canonical_mime(self.kind, found.name))
        for layers in (self.info.codecs[codec.index].layers, self.info.layers if codec.index == 0 else ()):
            if spatial < len(layers):
                layer = layers[spatial]
                layer.ssrc, layer.repair_ssrc, layer.rid, layer.spatial_layer = ssrc, rtx_ssrc, rid, spatial
                changed = True
        return changed

    def unbind(self, now: float, stream: int) -> None:
        codec = self.codec_of_stream(stream)
        if codec is not None:
            del codec.streams[stream]
            if codec.receiver is not None:
                codec.receiver.remove_layer(now, stream)

    def handle_notice(self, now: float, notice: Notice) -> None:
        codec = self.codec_of_stream(notice.stream)
        if codec is not None and codec.receiver is not None:
            codec.receiver.handle_notice(now, notice)

    def set_muted(self, now: float, muted: bool) -> bool:
        """True if that is a change."""
        if self.info.muted == muted:
            return False
        self.info.muted = muted
        if self.dynacast is not None:
            self.dynacast.set_muted(muted)
        for receiver in self.receivers:
            receiver.set_muted(now, muted)
        return True

    def poll_rtcp(self) -> list[Packet]:
        """NACKs and key frame requests for the publisher."""
        return [packet for receiver in self.receivers for packet in receiver.poll_rtcp()]

    def poll_timeout(self) -> float | None:
        deadlines = [receiver.poll_timeout() for receiver in self.receivers]
        if self.dynacast is not None:
            deadlines.append(self.dynacast.poll_timeout())
        return min((at for at in deadlines if at is not None), default=None)

    def handle_timeout(self, now: float) -> None:
        for receiver in self.receivers:
            receiver.handle_timeout(now)
        if self.dynacast is not None:
            self.dynacast.handle_timeout(now)

    # Private

    def _note_levels(self, now: float, codec: PublishedCodec) -> None:
        """Tell dynacast how many levels of a simulcast have come."""
        if self.dynacast is None or len(codec.rids) < 2:
            return
        qualities = self.qualities
        highest = max(spatial for _, spatial in codec.streams.values())
        sent = qualities[min(highest, len(qualities) - 1)]
        self.dynacast.note_levels(now, codec.mime_type, sent + 1, qualities[-1] + 1)

    def _set_mime(self, codec: PublishedCodec, mime_type: str) -> bool:
        public = self.info.codecs[codec.index]
        if public.mime_type == mime_type and codec.mime_type == mime_type:
            return False
        if self.dynacast is not None:
            self.dynacast.rename_codec(codec.mime_type.lower(), mime_type.lower())
        codec.mime_type = public.mime_type = mime_type
        if codec.receiver is not None:
            codec.receiver.mime_type = mime_type
        if codec.index == 0:
            self.info.mime_type = mime_type
        if mime_type.lower() in SVC_MIMES and public.video_layer_mode == Mode.MODE_UNUSED:
            public.video_layer_mode = Mode.MULTIPLE_SPATIAL_LAYERS_PER_STREAM
        return True

    def _receiver(
        self, now: float, codec: PublishedCodec, main: Format, kernel: Kernel, config: RtcConfig
    ) -> TrackReceiver:
        receiver = TrackReceiver(
            kernel=kernel,
            kind=self.kind,
            mime_type=codec.mime_type,
            clock_rate=main.clock_rate,
            is_svc=codec.is_svc,
            throttle=config.pli_throttle,
            nack="nack" in main.feedback,
            is_screen_share=self.info.source == Source.SCREEN_SHARE,
        )
        receiver.set_muted(now, self.info.muted)
        return receiver


def receive_section(section: NegotiatedSection, remote: RemoteSection, config: RtcConfig) -> ReceiveSection:
    """What a transport must know to find the streams of a publisher's section."""
    main = next((f for f in section.codecs if not f.is_rtx), None)
    codecs = {f.payload_type: KERNEL_CODECS.get(f.name.lower(), Codec.OPAQUE) for f in section.codecs if not f.is_rtx}
    return ReceiveSection(
        mid=section.mid,
        kind=section.kind,
        clock_rate=main.clock_rate if main is not None else 90_000,
        codecs=codecs,
        rtx=section.rtx,
        extensions=extension_ids(section.extensions, section.allow_mixed),
        ssrcs=remote.layer_ssrcs,
        fid=remote.fid,
        rids=remote.rids_send,
        nack=section.has_nack,
        history=config.packet_buffer_size_audio if section.kind == "audio" else config.packet_buffer_size_video,
    )
