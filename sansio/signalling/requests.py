"""What each client request does: a table from the name of a `SignalRequest`'s field to its handler.

A handler gets the room and the member and speaks to them; it never raises for what a client sent. Answers that are no state
change (`pong`, `request_response`) go to the member's outbox, in order with everything else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from google.protobuf.message import Message

from ..config import LimitConfig
from ..ids import TrackSid, mint
from ..room import Action, DisconnectReason, Member, Room
from ..room.data_tracks import DataTrackRefusal
from ..wire import models, rtc
from .join import attributes_size
from .messages import freshen_token
from .scenarios import simulate

Reason = rtc.RequestResponse.Reason
MAX_FEATURES = 64
"""Of an audio track; there are half a dozen by now."""
Handler: TypeAlias = Callable[[float, Room, Member, Any], None]


def respond(member: Member, reason: int, message: str = "", *, request_id: int = 0, **request: Message) -> None:
    """Answer one request with its outcome and an echo of it; clients match most requests by the echo."""
    client = member.participant.client
    if not client.takes_request_response or (reason == Reason.OK and not client.knows_request_ok):
        return
    response = rtc.RequestResponse(request_id=request_id, reason=reason, message=message, **request)  # type: ignore[arg-type]
    member.participant.outbox.send(rtc.SignalResponse(request_response=response))


# Negotiation


def _offer(now: float, room: Room, member: Member, offer: rtc.SessionDescription) -> None:
    if not member.handle_offer(now, offer):
        room.send_away(now, member, DisconnectReason.STATE_MISMATCH, Action.RECONNECT)


def _answer(now: float, room: Room, member: Member, answer: rtc.SessionDescription) -> None:
    if not member.handle_answer(now, answer):
        room.send_away(now, member, DisconnectReason.STATE_MISMATCH, Action.RECONNECT)


def _trickle(now: float, room: Room, member: Member, trickle: rtc.TrickleRequest) -> None:
    if not member.handle_trickle(now, trickle):
        respond(member, Reason.UNCLASSIFIED_ERROR, "candidate cannot be read", trickle=trickle)


# Publishing


def _add_track(now: float, room: Room, member: Member, request: rtc.AddTrackRequest) -> None:
    member.publisher.add_track(now, request)
    if member.links.publisher is not None:
        member.publisher.retry_unmatched(now, member.links.publisher)


def _mute(now: float, room: Room, member: Member, mute: rtc.MuteTrackRequest) -> None:
    if not member.publisher.set_muted(now, TrackSid(mute.sid), mute.muted):
        respond(member, Reason.NOT_FOUND, "track not found", mute=mute)


def _update_audio_track(now: float, room: Room, member: Member, update: rtc.UpdateLocalAudioTrack) -> None:
    publication = member.publisher.get(update.track_sid)
    if publication is None or not publication.is_audio:
        respond(member, Reason.NOT_FOUND, "track not found", update_audio_track=update)
        return
    info = publication.info
    del info.audio_features[:]
    info.audio_features.extend(list(dict.fromkeys(update.features))[:MAX_FEATURES])
    info.stereo = models.AudioTrackFeature.TF_STEREO in info.audio_features
    info.disable_dtx = models.AudioTrackFeature.TF_NO_DTX in info.audio_features
    member.publisher.changed(publication)


def _update_video_track(now: float, room: Room, member: Member, update: rtc.UpdateLocalVideoTrack) -> None:
    publication = member.publisher.get(update.track_sid)
    if publication is None or not publication.is_video:
        respond(member, Reason.NOT_FOUND, "track not found", update_video_track=update)
        return
    publication.info.width, publication.info.height = update.width, update.height
    member.publisher.changed(publication)


# Subscribing


def _subscription(now: float, room: Room, member: Member, update: rtc.UpdateSubscription) -> None:
    room.tracks.update_subscription(now, member, update.track_sids, update.participant_tracks, update.subscribe)


def _track_setting(now: float, room: Room, member: Member, settings: rtc.UpdateTrackSettings) -> None:
    for subscription in member.subscriber.set_settings(now, settings):
        room.media.settings_changed(now, subscription)


def _subscription_permission(now: float, room: Room, member: Member, permission: rtc.SubscriptionPermission) -> None:
    room.tracks.set_permissions(now, member, permission)
    room.data.offer(member)


# Oneself


def _update_metadata(now: float, room: Room, member: Member, update: rtc.UpdateParticipantMetadata) -> None:
    participant = member.participant
    if not participant.permission.can_update_metadata:
        text = "does not have permission to update own metadata"
        respond(member, Reason.NOT_ALLOWED, text, request_id=update.request_id, update_metadata=update)
        return
    excess = metadata_excess(
        room.context.config.limit, update.name, update.metadata, update.attributes, participant.attributes
    )
    if excess is not None:
        text = f"exceeds {excess.argument} {excess.measure} limit"
        respond(member, Reason.LIMIT_EXCEEDED, text, request_id=update.request_id, update_metadata=update)
        return
    room.update_participant(now, member, name=update.name, metadata=update.metadata, attributes=dict(update.attributes))
    freshen_token(room.context.config, participant, room.context.wallclock.seconds(now))
    respond(member, Reason.OK, request_id=update.request_id, update_metadata=update)


class Excess(NamedTuple):
    """What of a change of name, metadata or attributes is too long."""

    argument: str
    measure: str
    most: int


def metadata_excess(
    limit: LimitConfig, name: str, metadata: str, attributes: Any, current: dict[str, str]
) -> Excess | None:
    """The first thing that is too long, if any is."""
    if limit.max_participant_name_length and len(name.encode()) > limit.max_participant_name_length:
        return Excess("name", "length", limit.max_participant_name_length)
    if limit.max_metadata_size and len(metadata.encode()) > limit.max_metadata_size:
        return Excess("metadata", "size", limit.max_metadata_size)
    merged = {key: value for key, value in {**current, **attributes}.items() if value}
    if limit.max_attributes_size and attributes_size(merged) > limit.max_attributes_size:
        return Excess("attributes", "size", limit.max_attributes_size)
    return None


def _leave(now: float, room: Room, member: Member, leave: rtc.LeaveRequest) -> None:
    known = (
        DisconnectReason.CLIENT_INITIATED,
        DisconnectReason.USER_UNAVAILABLE,
        DisconnectReason.USER_REJECTED,
        DisconnectReason.AGENT_ERROR,
    )
    reason = leave.reason if leave.reason in known else DisconnectReason.CLIENT_INITIATED
    room.leave(now, member, reason, action=Action.DISCONNECT)


def _sync_state(now: float, room: Room, member: Member, state: rtc.SyncState) -> None:
    """Compare the resuming client's picture with ours; one that names a track we do not know must come anew."""
    if any(member.publisher.get(published.track.sid) is None for published in state.publish_tracks):
        room.send_away(now, member, DisconnectReason.STATE_MISMATCH, Action.RECONNECT)
        return
    if any(member.data_tracks.get(published.info.pub_handle) is None for published in state.publish_data_tracks):
        room.send_away(now, member, DisconnectReason.STATE_MISMATCH, Action.RECONNECT)
        return
    member.subscriber.set_disabled(now, state.track_sids_disabled)
    if state.HasField("subscription"):
        _subscription(now, room, member, state.subscription)
    if state.HasField("data_subscription"):
        _update_data_subscription(now, room, member, state.data_subscription)
    room.data.replay(now, member, state.datachannel_receive_states)


# Pings


def _ping(now: float, room: Room, member: Member, timestamp: int) -> None:
    pong = room.context.wallclock.milliseconds(now)
    member.participant.outbox.send(rtc.SignalResponse(pong=pong))


def _ping_req(now: float, room: Room, member: Member, ping: rtc.Ping) -> None:
    pong = rtc.Pong(last_ping_timestamp=ping.timestamp, timestamp=room.context.wallclock.milliseconds(now))
    member.participant.outbox.send(rtc.SignalResponse(pong_resp=pong))


# Data tracks and blobs


def _publish_data_track(now: float, room: Room, member: Member, request: rtc.PublishDataTrackRequest) -> None:
    config = room.context.config
    try:
        if not config.enable_data_tracks:
            raise DataTrackRefusal(Reason.NOT_ALLOWED, "data tracks are not enabled")
        sid = mint("DTR_", room.context.entropy)
        track = room.data.publish_track(request, member, sid, config.limit.max_data_track_custom_encoding_length)
    except DataTrackRefusal as refusal:
        respond(member, refusal.reason, refusal.message, publish_data_track=request)
        return
    response = rtc.PublishDataTrackResponse(info=track.info)
    member.participant.outbox.send(rtc.SignalResponse(publish_data_track_response=response))
    room.announce(now, member, urgent=True)


def _unpublish_data_track(now: float, room: Room, member: Member, request: rtc.UnpublishDataTrackRequest) -> None:
    track = room.data.unpublish_track(member, request.pub_handle)
    if track is None:
        respond(member, Reason.NOT_FOUND, "data track not found", unpublish_data_track=request)
        return
    response = rtc.UnpublishDataTrackResponse(info=track.info)
    member.participant.outbox.send(rtc.SignalResponse(unpublish_data_track_response=response))
    room.announce(now, member, urgent=True)


def _update_data_subscription(now: float, room: Room, member: Member, request: rtc.UpdateDataSubscription) -> None:
    for update in request.updates[: room.context.config.limit.max_subscription_wishes]:
        room.data.update_subscription(member, update)


def _store_data_blob(now: float, room: Room, member: Member, request: rtc.StoreDataBlobRequest) -> None:
    respond(member, Reason.NOT_ALLOWED, "data blob not enabled")


def _get_data_blob(now: float, room: Room, member: Member, request: rtc.GetDataBlobRequest) -> None:
    respond(member, Reason.NOT_FOUND, "data blob not found")


def _ignore(now: float, room: Room, member: Member, request: object) -> None:
    """Known, and without effect on this server (`update_layers` of old clients)."""


HANDLERS: dict[str, Handler] = {
    "offer": _offer,
    "answer": _answer,
    "trickle": _trickle,
    "add_track": _add_track,
    "mute": _mute,
    "subscription": _subscription,
    "track_setting": _track_setting,
    "leave": _leave,
    "update_layers": _ignore,
    "subscription_permission": _subscription_permission,
    "sync_state": _sync_state,
    "simulate": simulate,
    "ping": _ping,
    "update_metadata": _update_metadata,
    "ping_req": _ping_req,
    "update_audio_track": _update_audio_track,
    "update_video_track": _update_video_track,
    "publish_data_track_request": _publish_data_track,
    "unpublish_data_track_request": _unpublish_data_track,
    "update_data_subscription": _update_data_subscription,
    "store_data_blob_request": _store_data_blob,
    "get_data_blob_request": _get_data_blob,
}
