"""One subscription: a published track on its way to one subscriber.

    wished --allowed, section found--> placed --section negotiated--> negotiated --transport up--> bound (a DownTrack runs)

Placed means that the subscriber's SDP has a section for it; bound, that the kernel forwards it. A subscription keeps its SSRC
from its start to its end, whatever layer or codec feeds it.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from ..entropy import Entropy, random_bits
from ..ids import ParticipantSid, TrackSid
from ..kernel import Kernel, Leg, LegMode
from ..sdp import PLAYOUT_DELAY, Format, NegotiatedSection, Outgoing
from ..sdp.codecs import common_formats
from ..sfu import DownTrack, PlayoutDelay, Quality, WantedLayers, wanted_for
from ..wire import rtc
from .connection import extension_ids
from .publication import Publication, PublishedCodec, is_encrypted
from .track_info import Source, published_layers, quality_of


@attrs.frozen(kw_only=True)
class Binding:
    """How a published codec fits into a subscriber's section."""

    codec: PublishedCodec
    mode: LegMode
    payload_types: dict[int, int]
    rtx_payload_types: dict[int, int]
    clock_rate: int
    red_payload_type: int = 0


class Subscription:
    """One track for one subscriber."""

    __slots__ = (
        "_binding", "_cuts_trailers", "down_track", "failed", "mid", "negotiated", "outgoing", "publication", "settings", "since",
        "subscriber", "was_bound",
    )  # fmt: skip

    def __init__(self, now: float, publication: Publication, subscriber: ParticipantSid, outgoing: Outgoing, *,
                 takes_trailers: bool = True) -> None:  # fmt: skip
        self.publication = publication
        self.subscriber = subscriber
        self.outgoing = outgoing
        self.settings: rtc.UpdateTrackSettings | None = None
        self.mid: str | None = None
        self.negotiated = False
        self._binding: Binding | None = None
        self._cuts_trailers = not takes_trailers and bool(publication.info.packet_trailer_features)
        self.down_track: DownTrack | None = None
        self.was_bound = False
        self.failed = False
        """No published codec fits the subscriber; it has been told."""
        self.since = now

    @property
    def sid(self) -> TrackSid:
        return self.publication.sid

    @property
    def codec(self) -> PublishedCodec | None:
        """The codec that is forwarded, or was last."""
        return None if self._binding is None else self._binding.codec

    @property
    def is_disabled(self) -> bool:
        return self.settings is not None and self.settings.disabled

    def set_settings(self, now: float, settings: rtc.UpdateTrackSettings, initial: Quality) -> None:
        self.settings = settings
        self.apply_settings(now, initial)

    def apply_settings(self, now: float, initial: Quality) -> None:
        """Ask the down track for what the subscriber wants."""
        if self.down_track is not None:
            self.down_track.set_wanted(now, self.wanted(initial))

    def wanted(self, initial: Quality) -> WantedLayers | None:
        """The layers that the settings ask for; None while disabled."""
        if self.is_disabled:
            return None
        if not self.publication.is_video:
            return WantedLayers(0)
        layers = published_layers(self.publication.info)
        settings = self.settings
        if settings is None:
            return wanted_for(initial, 0, 0, 0, layers)
        return wanted_for(quality_of(settings.quality), settings.width, settings.height, settings.fps, layers)

    def bind(self, now: float, binding: Binding, section: NegotiatedSection, session: int, *, kernel: Kernel, entropy: Entropy,
             initial: Quality, trailer: bytes, playout_delay: tuple[int, int] | None = None) -> DownTrack:  # fmt: skip
        """Start to forward. `trailer` ends the server's own frames on an encrypted track; `playout_delay` has the limits in
        ms of what a subscriber that negotiated it is asked for."""
        receiver = binding.codec.receiver
        assert receiver is not None  # choose_binding looks for codecs that have one
        self._binding = binding
        self.down_track = DownTrack(
            kernel=kernel,
            receiver=receiver,
            leg=self._leg(binding, section, session),
            layers=published_layers(self.publication.info),
            mid=section.mid,
            cname=self.outgoing.cname,
            entropy=entropy,
            trailer=trailer if is_encrypted(self.publication.info) else b"",
            playout_delay=self._playout_delay(now, section, playout_delay),
        )
        self.was_bound = True
        if self.publication.is_muted:
            self.down_track.set_publisher_muted(now, True)
        self.down_track.set_wanted(now, self.wanted(initial))
        return self.down_track

    def _playout_delay(
        self, now: float, section: NegotiatedSection, limits: tuple[int, int] | None
    ) -> PlayoutDelay | None:
        if limits is None or PLAYOUT_DELAY not in section.extensions:
            return None
        is_screen = self.publication.info.source == Source.SCREEN_SHARE
        return PlayoutDelay(now, *limits, ignores_jitter=is_screen)

    def follow(self, now: float, binding: Binding, section: NegotiatedSection, session: int) -> bool:
        """Forward that instead; False if it is what is forwarded already."""
        receiver = binding.codec.receiver
        assert receiver is not None  # as in bind
        if self.down_track is None or binding == self._binding:
            return False
        self._binding = binding
        self.down_track.set_receiver(now, receiver, self._leg(binding, section, session))
        return True

    def _leg(self, binding: Binding, section: NegotiatedSection, session: int) -> Leg:
        return Leg(
            session=session,
            ssrc=self.outgoing.ssrc,
            payload_types=binding.payload_types,
            mode=binding.mode,
            clock_rate=binding.clock_rate,
            extensions=extension_ids(section.extensions, section.allow_mixed),
            rtx_ssrc=self.outgoing.rtx_ssrc if binding.rtx_payload_types else 0,
            rtx_payload_types=binding.rtx_payload_types,
            red_payload_type=binding.red_payload_type,
            cuts_trailers=self._cuts_trailers,
        )

    def unbind(self, now: float, *, blank: bool = False) -> None:
        """Stop to forward, with a black picture at last if the section may be used again; the section stays placed."""
        if self.down_track is not None:
            self.down_track.close(now, blank=blank)
            self.down_track = None


def new_outgoing(publication: Publication, entropy: Entropy, taken: set[int], *, sync_streams: bool) -> Outgoing:
    """SDP identity of a track towards one subscriber, with SSRCs of its own."""
    stream = publication.info.stream if sync_streams else publication.sid
    ssrc = _new_ssrc(entropy, taken)
    return Outgoing(
        stream_id=f"{publication.participant_sid}|{stream}",
        track_id=publication.sid,
        ssrc=ssrc,
        rtx_ssrc=_new_ssrc(entropy, taken) if publication.is_video else 0,
        cname=publication.participant_sid,
        preferred=tuple(codec.mime_type for codec in publication.codecs if codec.mime_type),
        stereo=publication.info.stereo,
    )


def choose_binding(publication: Publication, section: NegotiatedSection, *, make_red: bool = False) -> Binding | None:
    """The first codec in which the track is sent that the subscriber's section can carry; None if there is none. With
    `make_red` plain Opus becomes RED where the section can carry that."""
    for codec in publication.sent_codecs:
        binding = _binding(publication, codec, section)
        if binding is not None:
            return _with_red(publication, binding, section) if make_red else binding
    return None


def choose_backup(publication: Publication, section: NegotiatedSection) -> str | None:
    """The first codec that the publisher has named, does not send, and that the section can carry."""
    formats = {f"{section.kind}/{f.name}".lower() for f in section.codecs if not f.is_rtx}
    waiting = (codec.mime_type for codec in publication.codecs if codec.mid is None)
    return next((mime for mime in waiting if mime.lower() in formats), None)


def _binding(publication: Publication, codec: PublishedCodec, section: NegotiatedSection) -> Binding | None:
    sources = [f for f in codec.formats if not f.is_rtx]
    payload_types = _payload_types(sources, section.codecs)
    main = next((f for f in sources if _is_mime(publication.kind, f, codec.mime_type)), None)
    if main is None:
        return None
    mode = _mode(main)
    red = next((f for f in sources if f.name.lower() == "red"), None)
    opus = next((f for f in section.codecs if f.name.lower() == "opus"), None)
    if (
        red is not None
        and red.payload_type not in payload_types
        and opus is not None
        and not is_encrypted(publication.info)
    ):
        mode = LegMode.RED_TO_OPUS
        payload_types[red.payload_type] = opus.payload_type
    if main.payload_type not in payload_types:
        return None
    # The codec's own type is to be the first: frames that the server makes itself carry it.
    payload_types = {main.payload_type: payload_types[main.payload_type]} | payload_types
    targets = set(payload_types.values())
    rtx = {f.apt: f.payload_type for f in section.codecs if f.apt is not None and f.apt in targets}
    return Binding(
        codec=codec, mode=mode, payload_types=payload_types, rtx_payload_types=rtx, clock_rate=main.clock_rate
    )


def _with_red(publication: Publication, binding: Binding, section: NegotiatedSection) -> Binding:
    """The same with redundancy of our own making, if it is plain Opus that may be touched."""
    red = next((f for f in section.codecs if f.name.lower() == "red"), None)
    sources = [f for f in binding.codec.formats if f.payload_type in binding.payload_types]
    opus = next((f for f in sources if f.name.lower() == "opus"), None)
    is_plain = binding.mode is LegMode.PLAIN and all(f.name.lower() != "red" for f in sources)
    if red is None or opus is None or not is_plain or publication.info.disable_red or is_encrypted(publication.info):
        return binding
    return attrs.evolve(
        binding,
        mode=LegMode.OPUS_TO_RED,
        payload_types={opus.payload_type: binding.payload_types[opus.payload_type]},
        red_payload_type=red.payload_type,
    )


def _mode(main: Format) -> LegMode:
    name = main.name.lower()
    if name == "vp8":
        return LegMode.VP8
    if name in ("vp9", "av1"):
        return LegMode.SVC
    return LegMode.PLAIN


def _payload_types(sources: Sequence[Format], targets: Sequence[Format]) -> dict[int, int]:
    """Each source payload type to the target's for the same codec, where there is one."""
    pairs: dict[int, int] = {}
    for source in sources:
        for target in targets:
            if target.is_rtx or target.name.lower() != source.name.lower():
                continue
            if source.name.lower() == "red" or common_formats((source,), (target,)):
                pairs[source.payload_type] = target.payload_type
                break
    return pairs


def _is_mime(kind: str, found: Format, mime_type: str) -> bool:
    return f"{kind}/{found.name}".lower() == mime_type.lower()


def _new_ssrc(entropy: Entropy, taken: set[int]) -> int:
    while (ssrc := random_bits(entropy, 32)) in taken or ssrc == 0:
        pass
    taken.add(ssrc)
    return ssrc
