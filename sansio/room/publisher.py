"""What one participant publishes: from `add_track` to announced tracks, and the matching of SDP sections to both.

Requests and offers come in any order (some clients send the offer without waiting, some wait), so both sides wait for each
other: requested tracks in `_pending`, sections without a track in `_unmatched`. A section belongs to the track whose `cid`
its `a=msid` names; failing that to the oldest pending track of its kind, because some browsers rename tracks.

A track is announced when its section is negotiated; for clients that name a video codec only by its first packet, when that
packet comes. It ends when its section goes inactive: there is no request for that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import attrs

from ..config import Config
from ..entropy import Entropy
from ..ids import TrackSid, mint_track
from ..kernel import Kernel
from ..sdp import Incoming, RemoteSection
from ..sfu import Dynacast
from ..transport import ReceiveSection, StreamBound
from ..wire import models, rtc
from .connection import Connection
from .participant import Participant
from .permission import may_publish
from .publication import Publication, PublishedCodec, receive_section
from .track_info import AUDIO, VIDEO, Feature, kind_name, source_name, track_info

Reason = rtc.RequestResponse.Reason
MAX_REQUEST_BYTES = 16_384
"""Of an add_track. What it says is repeated to everybody with each change, and real ones have a few hundred bytes."""

MAX_CODECS = 8
"""Of one track, a backup codec asked for again included."""


@attrs.frozen
class Announced:
    """Others may be told of the track, and subscribe."""

    publication: Publication


@attrs.frozen
class Changed:
    """What is said of an announced track changed, or what it is sent in."""

    publication: Publication


@attrs.frozen(kw_only=True)
class Unpublished:
    publication: Publication
    by_server: bool
    """Whether the client must be told that its track is gone."""


PublisherEvent: TypeAlias = Announced | Changed | Unpublished


class Publisher:
    """The tracks of one participant."""

    __slots__ = (
        "_assigned", "_by_ssrc", "_config", "_entropy", "_events", "_kernel", "_participant", "_pending", "_queued",
        "_refused", "_remote", "_streams", "_unclaimed", "_unmatched", "publications",
    )  # fmt: skip

    def __init__(self, participant: Participant, *, kernel: Kernel, config: Config, entropy: Entropy) -> None:
        self._participant = participant
        self._kernel = kernel
        self._config = config
        self._entropy = entropy
        self._pending: list[Publication] = []
        self._queued: list[rtc.AddTrackRequest] = []
        """Requests whose cid is taken by an earlier track."""
        self._unmatched: dict[str, RemoteSection] = {}
        self._assigned: dict[str, tuple[Publication, PublishedCodec]] = {}
        self._remote: dict[str, RemoteSection] = {}
        self._refused: set[str] = set()
        """Sections whose track was ended while the client still sends in them."""
        self._streams: dict[int, Publication] = {}
        self._unclaimed: dict[int, StreamBound] = {}
        """Streams of sections without a track."""
        self._by_ssrc: dict[int, int] = {}
        self._events: list[PublisherEvent] = []
        self.publications: dict[TrackSid, Publication] = {}
        """Announced tracks."""

    # Requests

    def add_track(self, now: float, request: rtc.AddTrackRequest) -> None:
        """Answer with `track_published`, or with a `request_response` that says why not."""
        refusal = self._refuse(request)
        if refusal is not None:
            self._respond(request, *refusal)
            return
        if request.sid:
            self._add_codec(now, request)
            return
        if self._is_taken(request.cid):
            self._queued.append(request)
            self._respond(request, Reason.QUEUED, "")
            return
        self._start(now, request)

    def _refuse(self, request: rtc.AddTrackRequest) -> tuple[int, str] | None:
        if request.type not in (AUDIO, VIDEO):
            return Reason.UNSUPPORTED_TYPE, "track type is neither audio nor video"
        if not may_publish(self._participant.permission, request.source):
            return Reason.NOT_ALLOWED, "does not have permission to publish this source"
        known = self._find(TrackSid(request.sid)) if request.sid else None
        if request.sid and known is None:
            return Reason.NOT_FOUND, "track to add a codec to is unknown"
        if known is not None and len(known.codecs) + len(request.simulcast_codecs) > MAX_CODECS:
            return Reason.LIMIT_EXCEEDED, "too many codecs"
        if request.ByteSize() > MAX_REQUEST_BYTES:
            return Reason.LIMIT_EXCEEDED, "track description too large"
        limit = self._config.limit
        if not request.sid and (
            len(self._pending) + len(self._queued) >= limit.max_pending_tracks
            or len(self.publications) >= limit.max_tracks_per_participant
        ):
            return Reason.LIMIT_EXCEEDED, "too many tracks"
        return None

    def _start(self, now: float, request: rtc.AddTrackRequest) -> None:
        sid = mint_track(self._entropy, kind_name(request.type), source_name(request.source))
        mimes = [codec.mime for codec in self._config.room.enabled_codecs]
        info = track_info(request, sid, mimes)
        publication = Publication(
            info=info, cid=request.cid, participant_sid=self._participant.sid, identity=self._participant.identity
        )
        self._pending.append(publication)
        self._send_published(request.cid, info)

    def _add_codec(self, now: float, request: rtc.AddTrackRequest) -> None:
        publication = self._find(TrackSid(request.sid))
        assert publication is not None  # _refuse has looked
        for codec in request.simulcast_codecs:
            mime = codec.codec.lower() if "/" in codec.codec else f"{publication.kind}/{codec.codec.lower()}"
            public = models.SimulcastCodecInfo(
                mime_type=mime,
                cid=codec.cid,
                layers=codec.layers or publication.info.layers,
                video_layer_mode=codec.video_layer_mode,
            )
            publication.add_codec(public)
        cid = request.cid or next((codec.cid for codec in request.simulcast_codecs), "")
        self._send_published(cid, publication.info)

    def _is_taken(self, cid: str) -> bool:
        return any(cid in publication.cids for publication in (*self._pending, *self.publications.values()))

    def _send_published(self, cid: str, info: models.TrackInfo) -> None:
        self._participant.outbox.send(
            rtc.SignalResponse(track_published=rtc.TrackPublishedResponse(cid=cid, track=info))
        )

    def _respond(self, request: rtc.AddTrackRequest, reason: int, message: str) -> None:
        if self._participant.client.takes_request_response:
            response = rtc.RequestResponse(reason=reason, message=message, add_track=request)  # type: ignore[arg-type]
            self._participant.outbox.send(rtc.SignalResponse(request_response=response))

    # Negotiation

    def match(self, now: float, sections: Sequence[RemoteSection]) -> dict[str, Incoming]:
        """Assign the sections of an offer to tracks, end tracks whose section stopped, and say how each is to be answered."""
        sending: list[RemoteSection] = []
        for section in sections:
            if section.rejected or section.direction not in ("sendonly", "sendrecv"):
                self._stopped(now, section.mid)
            elif section.kind != "application":
                sending.append(section)
        for section in sending:
            if section.mid not in self._refused:
                self._remote[section.mid] = section
        self._assign(section for section in sending if section.mid not in self._assigned)
        return {section.mid: self._incoming(section, self._assigned.get(section.mid)) for section in sending}

    def _assign(self, sections: Iterable[RemoteSection]) -> bool:
        """Find tracks for sections: first those that the sections name, then the oldest that still wait. Whether any was
        found."""
        nameless = []
        count = len(self._assigned)
        for section in sections:
            if section.mid not in self._refused and not self._claim_section(section, self._named(section.track_id)):
                nameless.append(section)
        for section in nameless:
            if not self._claim_section(section, self._oldest_pending(section.kind)):
                self._unmatched[section.mid] = section
        return len(self._assigned) > count

    def _claim_section(self, section: RemoteSection, found: tuple[Publication, PublishedCodec] | None) -> bool:
        if found is None:
            return False
        self._unmatched.pop(section.mid, None)
        self._assigned[section.mid] = found
        return True

    def _named(self, track_id: str) -> tuple[Publication, PublishedCodec] | None:
        for publication in (*self._pending, *self.publications.values()):
            codec = publication.codec_of_cid(track_id) if track_id else None
            if codec is not None and not self._has_section(codec):
                return publication, codec
        return None

    def _oldest_pending(self, kind: str) -> tuple[Publication, PublishedCodec] | None:
        for publication in self._pending:
            if publication.kind == kind and not self._has_section(publication.codecs[0]):
                return publication, publication.codecs[0]
        return None

    def _has_section(self, codec: PublishedCodec) -> bool:
        return any(other is codec for _, other in self._assigned.values())

    def _incoming(self, section: RemoteSection, assigned: tuple[Publication, PublishedCodec] | None) -> Incoming:
        client = self._participant.client
        if assigned is None:
            return Incoming(preferred=(), red=client.takes_red)
        publication, codec = assigned
        info = publication.info
        features = set(info.audio_features)
        return Incoming(
            preferred=(codec.mime_type,) if codec.mime_type else (),
            dtx=not (info.disable_dtx or Feature.TF_NO_DTX in features),
            stereo=info.stereo or Feature.TF_STEREO in features,
            red=not info.disable_red and client.takes_red,
            only_preferred=publication.is_video and client.only_preferred_codec and bool(codec.mime_type),
        )

    def negotiated(self, now: float, connection: Connection) -> None:
        """The answer is made: give the transport its sections, and announce what became known."""
        for mid, (publication, codec) in list(self._assigned.items()):
            section = connection.negotiation.section(mid)
            if section is None:
                continue
            codec.rids = self._remote[mid].rids_send
            changed = publication.negotiated(
                now,
                codec,
                section,
                track_id=self._remote[mid].track_id or "",
                kernel=self._kernel,
                config=self._config.rtc,
            )
            self._after_change(now, publication, changed)
        connection.peer.set_sections(now, self._sections(connection))
        self._claim(now)

    def _claim(self, now: float) -> None:
        """Bind streams that were found before their section had a track."""
        for stream, event in list(self._unclaimed.items()):
            if event.mid in self._assigned:
                del self._unclaimed[stream]
                self.bind(now, event)

    def _sections(self, connection: Connection) -> list[ReceiveSection]:
        sections = []
        for mid, remote in self._remote.items():
            section = connection.negotiation.section(mid)
            if section is not None and section.codecs:
                sections.append(receive_section(section, remote, self._config.rtc))
        return sections

    def retry_unmatched(self, now: float, connection: Connection) -> None:
        """Look again whether sections that were negotiated without a track have one now."""
        if self._assign(list(self._unmatched.values())):
            self.negotiated(now, connection)

    def _after_change(self, now: float, publication: Publication, changed: bool) -> None:
        if publication.is_announced:
            if changed:
                self._events.append(Changed(publication))
            return
        if publication not in self._pending:
            return
        if (
            publication.is_video
            and self._participant.client.announces_at_first_packet
            and not publication.codecs[0].streams
        ):
            publication.waits_for_packet = True
            return
        self._announce(now, publication)

    def _announce(self, now: float, publication: Publication) -> None:
        self._pending.remove(publication)
        publication.waits_for_packet = False
        publication.is_announced = True
        if publication.is_video:
            publication.dynacast = Dynacast(
                now,
                tuple(codec.mime_type.lower() for codec in publication.codecs),
                pause_delay=self._config.video.dynacast_pause_delay,
            )
        self.publications[publication.sid] = publication
        self._events.append(Announced(publication))

    def _stopped(self, now: float, mid: str) -> None:
        self._remote.pop(mid, None)
        self._unmatched.pop(mid, None)
        self._refused.discard(mid)
        assigned = self._assigned.pop(mid, None)
        if assigned is None:
            return
        publication, codec = assigned
        publication.stopped(codec)
        if not any(other is publication for other, _ in self._assigned.values()):
            self.unpublish(now, publication, by_server=False)
        else:
            self.changed(publication)

    # Media

    def bind(self, now: float, event: StreamBound) -> None:
        """A transport found a stream in one of our sections."""
        assigned = self._assigned.get(event.mid)
        if assigned is None:
            self._unclaimed[event.stream] = event
            return
        publication, codec = assigned
        self._streams[event.stream] = publication
        self._by_ssrc[event.ssrc] = event.stream
        remote = self._remote.get(event.mid)
        changed = publication.bind(
            now,
            codec,
            rid=event.rid,
            ssrc=event.ssrc,
            rtx_ssrc=remote.fid.get(event.ssrc, 0) if remote is not None else 0,
            stream=event.stream,
            payload_type=event.payload_type,
        )
        self._after_change(now, publication, changed)

    def unbind(self, now: float, stream: int) -> None:
        for ssrc in [ssrc for ssrc, bound in self._by_ssrc.items() if bound == stream]:
            del self._by_ssrc[ssrc]
        self._unclaimed.pop(stream, None)
        publication = self._streams.pop(stream, None)
        if publication is not None:
            publication.unbind(now, stream)

    def stream_of_ssrc(self, ssrc: int) -> int | None:
        return self._by_ssrc.get(ssrc)

    def publication_of_stream(self, stream: int) -> Publication | None:
        return self._streams.get(stream)

    # Commands

    def set_muted(self, now: float, sid: TrackSid, muted: bool) -> bool:
        """False if there is no such track."""
        publication = self._find(sid)
        if publication is None:
            return False
        if publication.set_muted(now, muted) and publication.is_announced:
            self._events.append(Changed(publication))
        return True

    def changed(self, publication: Publication) -> None:
        """Something in the track's info was written to."""
        if publication.is_announced:
            self._events.append(Changed(publication))

    def unpublish(self, now: float, publication: Publication, *, by_server: bool) -> None:
        """End a track. Its section may still be there; nothing more is taken from it."""
        if publication.ended:
            return
        publication.ended = True
        for mid in [mid for mid, (owner, _) in self._assigned.items() if owner is publication]:
            del self._assigned[mid]
            self._remote.pop(mid, None)
            self._refused.add(mid)
        for stream in [stream for stream, owner in self._streams.items() if owner is publication]:
            del self._streams[stream]
        if publication in self._pending:
            self._pending.remove(publication)
        elif self.publications.pop(publication.sid, None) is not None:
            self._events.append(Unpublished(publication=publication, by_server=by_server))
        self._start_queued(now, publication)

    def _start_queued(self, now: float, ended: Publication) -> None:
        for request in list(self._queued):
            if request.cid in ended.cids and not self._is_taken(request.cid):
                self._queued.remove(request)
                self._start(now, request)

    def enforce_permission(self, now: float) -> None:
        """End tracks whose source may no longer be published."""
        for publication in [*self.publications.values(), *self._pending]:
            if not may_publish(self._participant.permission, publication.info.source):
                self.unpublish(now, publication, by_server=True)

    def close(self, now: float) -> None:
        """End all tracks."""
        self._queued.clear()
        for publication in [*self.publications.values(), *self._pending]:
            self.unpublish(now, publication, by_server=False)

    # Outputs and getters

    def poll_events(self) -> list[PublisherEvent]:
        events, self._events = self._events, []
        return events

    def get(self, sid: str) -> Publication | None:
        """A pending or announced track."""
        return self._find(TrackSid(sid))

    @property
    def infos(self) -> list[models.TrackInfo]:
        """What is said of the announced tracks."""
        return [publication.info for publication in self.publications.values()]

    def _find(self, sid: TrackSid) -> Publication | None:
        return self.publications.get(sid) or next((p for p in self._pending if p.sid == sid), None)
