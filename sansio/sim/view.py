"""What a simulated client knows of its room, from what the server told it."""

from __future__ import annotations

from ..wire import models, rtc


class RoomView:
    """One client's picture. `handle` takes every message of the server; those that concern others are passed over."""

    __slots__ = (
        "own_sid", "participants", "qualities", "refusals", "room", "speakers", "stream_states", "subscription_allowed",
        "subscription_errors",
    )  # fmt: skip

    def __init__(self) -> None:
        self.own_sid = ""
        self.room = models.Room()
        self.participants: dict[str, models.ParticipantInfo] = {}
        """The others that were named and are not gone, by sid."""
        self.speakers: dict[str, float] = {}
        """Levels of those who speak, by participant sid."""
        self.qualities: dict[str, str] = {}
        """Connection quality by participant sid."""
        self.stream_states: dict[str, str] = {}
        """Of subscribed tracks, by sid."""
        self.subscription_allowed: dict[str, bool] = {}
        """By track sid."""
        self.subscription_errors: dict[str, int] = {}
        """By track sid."""
        self.refusals: list[rtc.RequestResponse] = []
        """Requests that were declined."""

    def handle(self, response: rtc.SignalResponse) -> None:
        match response.WhichOneof("message"):
            case "join":
                self._join(response.join)
            case "update":
                for info in response.update.participants:
                    self._update(info)
            case "room_update":
                self.room = response.room_update.room
            case "speakers_changed":
                self._speakers(response.speakers_changed)
            case "connection_quality":
                for quality in response.connection_quality.updates:
                    self.qualities[quality.participant_sid] = models.ConnectionQuality.Name(quality.quality)
            case "request_response":
                if response.request_response.reason != rtc.RequestResponse.Reason.OK:
                    self.refusals.append(response.request_response)
            case _:
                self._handle_about_subscriptions(response)

    def _handle_about_subscriptions(self, response: rtc.SignalResponse) -> None:
        match response.WhichOneof("message"):
            case "stream_state_update":
                for state in response.stream_state_update.stream_states:
                    self.stream_states[state.track_sid] = rtc.StreamState.Name(state.state)
            case "subscription_permission_update":
                permission = response.subscription_permission_update
                self.subscription_allowed[permission.track_sid] = permission.allowed
            case "subscription_response":
                self.subscription_errors[response.subscription_response.track_sid] = response.subscription_response.err
            case _:
                pass

    def track(self, sid: str) -> tuple[models.ParticipantInfo, models.TrackInfo] | None:
        """A track of another participant, and that participant."""
        for participant in self.participants.values():
            for info in participant.tracks:
                if info.sid == sid:
                    return participant, info
        return None

    def _join(self, join: rtc.JoinResponse) -> None:
        self.own_sid = join.participant.sid
        self.room = join.room
        self.participants = {other.sid: other for other in join.other_participants}
        self.speakers.clear()

    def _update(self, info: models.ParticipantInfo) -> None:
        if info.sid == self.own_sid:
            return
        if info.state == models.ParticipantInfo.State.DISCONNECTED:
            self.participants.pop(info.sid, None)
            return
        # An identity is known by its newest sid; clients of this protocol get no goodbye to the older one.
        for sid in [one.sid for one in self.participants.values() if one.identity == info.identity]:
            del self.participants[sid]
        self.participants[info.sid] = info

    def _speakers(self, changed: rtc.SpeakersChanged) -> None:
        for speaker in changed.speakers:
            self.speakers.pop(speaker.sid, None)
            if speaker.active:
                self.speakers[speaker.sid] = speaker.level
