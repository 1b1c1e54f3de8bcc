"""What transports report, brought to the member and machine that it concerns.

A table from event to handler. Sender reports, goodbyes and notices go to what a member publishes; NACKs, key frame requests
and receiver reports to what it receives; transport-wide feedback to its bandwidth estimator; channel messages to the room's
data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import DropReason
from ..events import PeerStateChanged as PeerStateObserved
from ..ids import PeerId
from ..rtcp import Fir, Goodbye, Nack, Packet, Pli, ReceiverReport, Remb, SenderReport, TransportFeedback
from ..transport import (
    ChannelClosed,
    ChannelMessage,
    ChannelOpened,
    ChannelsDown,
    PeerEvent,
    PeerState,
    PeerStateChanged,
    RtcpReceived,
    StreamBound,
    StreamNotice,
    StreamUnbound,
)
from ..wire import rtc
from .connection import Connection
from .links import DATA_TRACK_LABEL, LOSSY_LABEL, RELIABLE_LABEL
from .member import Member, MemberTimer
from .messages import Action
from .participant import DisconnectReason
from .room import Room

GOODBYE_PATIENCE_S = 2.0
"""From a transport closed by its client to the leave message, or to asking for a resume."""


def handle_peer_event(now: float, room: Room, member: Member, peer: PeerId, event: PeerEvent) -> None:
    """Bring one transport event where it belongs."""
    connection = member.links.of_peer(peer)
    if connection is None or member.is_closed:
        return
    _HANDLERS[type(event)](now, room, member, connection, event)


def _state_changed(now: float, room: Room, member: Member, connection: Connection, event: PeerStateChanged) -> None:
    links = member.links
    room.observe(
        PeerStateObserved(
            room=room.name,
            identity=member.participant.identity,
            target=rtc.SignalTarget.Name(connection.target).lower(),
            state=event.state.value,
        )
    )
    if event.state is PeerState.CONNECTED:
        connection.was_connected = True
        if member.participant.session is not None:
            member.timers.cancel(MemberTimer.RESUME)
        if connection is links.primary:
            room.activated(now, member)
        if connection is links.sending:
            member.subscriber.bind_all(now, connection)
        room.touch(member)
    elif event.state in (PeerState.FAILED, PeerState.CLOSED):
        _failed(now, room, member, event.state)


def _failed(now: float, room: Room, member: Member, state: PeerState) -> None:
    """A transport is gone for good: the client may resume or come anew. One that closed it itself is about to leave, and its
    leave message may still be under way; one that has hung up as well has left."""
    if state is PeerState.CLOSED and member.participant.session is not None:
        member.timers.set_if_unset(MemberTimer.GOODBYE, now + GOODBYE_PATIENCE_S)
        room.touch(member)
    elif state is PeerState.CLOSED:
        room.leave(now, member, DisconnectReason.CLIENT_INITIATED, action=None)
    elif member.participant.session is not None:
        room.send_away(now, member, DisconnectReason.UNKNOWN_REASON, Action.RESUME)
    else:
        member.timers.set_if_unset(MemberTimer.RESUME, now + room.context.config.rtc.resume_grace)
        room.touch(member)


def _stream_bound(now: float, room: Room, member: Member, connection: Connection, event: StreamBound) -> None:
    member.publisher.bind(now, event)
    publication = member.publisher.publication_of_stream(event.stream)
    room.touch(member)
    if publication is not None:
        room.media.drain_publication(now, publication)


def _stream_unbound(now: float, room: Room, member: Member, connection: Connection, event: StreamUnbound) -> None:
    publication = member.publisher.publication_of_stream(event.stream)
    member.publisher.unbind(now, event.stream)
    if publication is not None:
        room.media.drain_publication(now, publication)


def _notice(now: float, room: Room, member: Member, connection: Connection, event: StreamNotice) -> None:
    publication = member.publisher.publication_of_stream(event.notice.stream)
    if publication is not None:
        publication.handle_notice(now, event.notice)
        room.media.drain_publication(now, publication)


def _rtcp(now: float, room: Room, member: Member, connection: Connection, event: RtcpReceived) -> None:
    for packet in event.packets:
        match packet:
            case SenderReport():
                _sender_report(now, member, connection, packet)
                _to_down_tracks(now, room, member, packet, [block.ssrc for block in packet.reports])
            case Goodbye():
                _goodbye(now, room, member, packet)
            case ReceiverReport():
                _to_down_tracks(now, room, member, packet, [block.ssrc for block in packet.reports])
            case Nack() | Pli():
                _to_down_tracks(now, room, member, packet, [packet.media_ssrc])
            case Fir():
                _to_down_tracks(now, room, member, packet, [ssrc for ssrc, _ in packet.entries])
            case Remb():
                member.bandwidth.handle_remb(now, packet)
            case TransportFeedback():
                if connection.peer.session is not None:
                    member.bandwidth.handle_sent(now, room.context.kernel.take_sent(connection.peer.session))
                member.bandwidth.handle_feedback(now, packet)
            case _:
                pass


def _goodbye(now: float, room: Room, member: Member, goodbye: Goodbye) -> None:
    """Some of a track's layers stop; the track itself ends by signalling only."""
    for ssrc in goodbye.ssrcs:
        stream = member.publisher.stream_of_ssrc(ssrc)
        publication = None if stream is None else member.publisher.publication_of_stream(stream)
        codec = None if publication is None or stream is None else publication.codec_of_stream(stream)
        if publication is not None and codec is not None and codec.receiver is not None and stream is not None:
            codec.receiver.handle_goodbye(now, stream)
            room.media.drain_publication(now, publication)


def _sender_report(now: float, member: Member, connection: Connection, report: SenderReport) -> None:
    stream = member.publisher.stream_of_ssrc(report.ssrc)
    publication = None if stream is None else member.publisher.publication_of_stream(stream)
    codec = None if publication is None or stream is None else publication.codec_of_stream(stream)
    noted = None if stream is None else connection.peer.sender_report(stream)
    if codec is not None and codec.receiver is not None and noted is not None and stream is not None:
        codec.receiver.set_rtt(connection.peer.rtt)
        codec.receiver.handle_sender_report(now, stream, *noted)


def _to_down_tracks(now: float, room: Room, member: Member, packet: Packet, ssrcs: list[int]) -> None:
    for ssrc in ssrcs:
        subscription = member.subscriber.of_ssrc(ssrc)
        if subscription is None or subscription.down_track is None:
            continue
        subscription.down_track.handle_rtcp(now, packet)
        room.media.drain_down_track(now, subscription.down_track)
        room.media.drain_publication(now, subscription.publication)


def _channel_opened(now: float, room: Room, member: Member, connection: Connection, event: ChannelOpened) -> None:
    member.links.channel_opened(now, connection.peer.id, event.label, event.channel)


def _channel_message(now: float, room: Room, member: Member, connection: Connection, event: ChannelMessage) -> None:
    room.news.tell_of(now, member)  # nobody gets data of somebody unknown
    if event.label == DATA_TRACK_LABEL:
        room.data.handle_track_packet(now, member, event.data)
    elif event.label in (RELIABLE_LABEL, LOSSY_LABEL):
        routed = room.data.handle_packet(now, member, event.data, reliable=event.label == RELIABLE_LABEL)
        if routed is not None:
            room.rpc.handle_packet(now, member, routed.packet)
    else:
        member.drops[DropReason.DATA_NO_RECEIVER] += 1


def _channel_closed(now: float, room: Room, member: Member, connection: Connection, event: ChannelClosed) -> None:
    member.links.channel_closed(connection.peer.id, event.label, event.channel)


def _channels_down(now: float, room: Room, member: Member, connection: Connection, event: ChannelsDown) -> None:
    """The association is gone while the transport lives: only a new session brings data back."""
    if member.participant.session is not None and connection.is_usable:
        room.send_away(now, member, DisconnectReason.STATE_MISMATCH, Action.RECONNECT)


_HANDLERS: dict[type, Callable[[float, Room, Member, Connection, Any], None]] = {
    PeerStateChanged: _state_changed,
    StreamBound: _stream_bound,
    StreamUnbound: _stream_unbound,
    StreamNotice: _notice,
    RtcpReceived: _rtcp,
    ChannelOpened: _channel_opened,
    ChannelMessage: _channel_message,
    ChannelClosed: _channel_closed,
    ChannelsDown: _channels_down,
}
