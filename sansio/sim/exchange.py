"""The data of a simulated client, out and in: packets on the channels of its publisher connection, and data tracks."""

from __future__ import annotations

from ..transport import ChannelMessage
from ..wire import models, rtc
from .connection import ClientConnection
from .data import DataPublisher, Inbox, Outgoing, Received

_HIGH_WATER_BYTES = 262_144
"""On a reliable channel; what goes beyond waits here, as in LiveKit's clients."""


class DataExchange:
    """What a client sent, sends and received."""

    __slots__ = ("_outgoing", "_tracks", "inbox")

    def __init__(self) -> None:
        self.inbox = Inbox()
        self._outgoing = Outgoing()
        self._tracks = DataPublisher()

    # Packets

    def add(self, packet: models.DataPacket, *, reliable: bool) -> None:
        """Queue a packet; it leaves with `send_waiting`."""
        self._outgoing.add(packet, reliable=reliable)

    def send_waiting(self, now: float, publisher: ClientConnection) -> None:
        """Send what the channels, which are open, take."""
        waiting = self._outgoing.waiting
        while waiting:
            data, reliable = waiting[0]
            channel = publisher.channels["_reliable" if reliable else "_lossy"]
            if reliable and publisher.peer.buffered_bytes(channel) > _HIGH_WATER_BYTES:
                return
            if not publisher.peer.send_data(now, channel, data):
                return
            waiting.popleft()

    def handle_message(self, now: float, event: ChannelMessage) -> Received | None:
        """A message on a channel; what it was if it is a data packet that did not come before."""
        if event.label in ("_reliable", "_lossy"):
            return self.inbox.add(now, event.data, reliable=event.label == "_reliable")
        if event.label == "_data_track":
            self.inbox.add_track_packet(now, event.data)
        return None

    # Data tracks

    def publish_track(self, name: str) -> rtc.SignalRequest:
        return rtc.SignalRequest(publish_data_track_request=self._tracks.add(name))

    def unpublish_track(self, name: str) -> rtc.SignalRequest:
        return rtc.SignalRequest(unpublish_data_track_request=self._tracks.remove(name))

    def send_on_track(self, now: float, name: str, payload: bytes, publisher: ClientConnection | None) -> bool:
        """One packet; False if there is no channel for it, for nothing waits there."""
        data = self._tracks.encode(now, name, payload)
        channel = None if publisher is None else publisher.channels.get("_data_track")
        return publisher is not None and channel is not None and publisher.peer.send_data(now, channel, data)

    # Sessions

    def resume(self, last_seen: int) -> None:
        """The server has reliable packets up to that number: queue the rest again."""
        self._outgoing.resume(last_seen)

    def restart(self) -> None:
        """A new session begins."""
        self._outgoing.restart()

    def requests(self) -> list[rtc.SignalRequest]:
        """What publishes the data tracks in a new session."""
        return [rtc.SignalRequest(publish_data_track_request=request) for request in self._tracks.requests()]

    def describe(self, state: rtc.SyncState) -> None:
        """Say in a sync state what came, and what is published."""
        state.datachannel_receive_states.extend(self.inbox.states())
        state.publish_data_tracks.extend(self._tracks.states())
