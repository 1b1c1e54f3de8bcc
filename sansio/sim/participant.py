"""A client of a world, in the hands of a test: what it does, it does now.

Everything here is said shorter than with `Client`, whose verbs take the time; `client` is that machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..ids import SessionId
from ..wire import models, rtc
from .client import Client, Phase
from .data import Received
from .link import Link
from .media import AUDIO_FRAME_S, ONE_LAYER, SIMULCAST, VideoLayer
from .publishing import VOICE_LEVEL, PublishedTrack, TrackOptions
from .session import Connected
from .sink import AudioSink, Sink, VideoSink

if TYPE_CHECKING:
    from .world import Seat, World

Source = models.TrackSource


class Participant:
    """One client of a world."""

    __slots__ = ("_moves", "_seat", "_world")

    def __init__(self, world: World, seat: Seat) -> None:
        self._world = world
        self._seat = seat
        self._moves = 0

    def __repr__(self) -> str:
        return f"Participant({self.identity})"

    # Session

    def join(self) -> None:
        self._do(lambda client: client.join(self._world.now))

    def leave(self) -> None:
        """Say goodbye."""
        self._do(lambda client: client.leave(self._world.now))

    def vanish(self) -> None:
        """Stop without a word: the process is killed, the machine asleep."""
        seat = self._seat
        self._do(lambda client: client.vanish(self._world.now))
        seat.up.is_cut = seat.down.is_cut = True
        seat.session = None

    def lose_socket(self) -> None:
        """The WebSocket breaks; the client resumes by itself."""
        self._do(lambda client: client.lose_socket(self._world.now))

    def rejoin(self) -> None:
        """Begin a session anew, as after a failed resume."""
        self._do(lambda client: client.rejoin(self._world.now))

    def restart_ice(self) -> None:
        self._do(lambda client: client.restart_ice(self._world.now))

    def request(self, request: rtc.SignalRequest) -> None:
        """Send any signal request."""
        self._do(lambda client: client.request(self._world.now, request))

    # Network

    def set_link(self, up: Link, down: Link | None = None) -> None:
        """Other conditions from now on."""
        self._seat.up.link = up
        self._seat.down.link = down or up

    def cut(self) -> None:
        """No datagram passes, either way; the WebSocket lives on."""
        self._seat.up.is_cut = self._seat.down.is_cut = True

    def restore(self) -> None:
        """Undo `cut`."""
        self._seat.up.is_cut = self._seat.down.is_cut = False

    def rebind(self) -> None:
        """A NAT gives the client another address, as the server sees it; the client does not know."""
        self._moves += 1
        self._world.move(self._seat, f"172.{15 + self._moves}.{self.client.address[0].split('.', 2)[2]}")

    # Publishing

    def publish_video(
        self, *, frames: int | None = None, simulcast: bool = False, fps: float = 30.0, name: str = "camera",
        source: int = Source.CAMERA, layers: tuple[VideoLayer, ...] | None = None, muted: bool = False,
        wait_for_subscriber: bool | None = None,
    ) -> PublishedTrack:  # fmt: skip
        """Publish a camera. One that sends so many `frames` waits for its first subscriber, so that it can have them all."""
        options = TrackOptions(
            name=name,
            source=source,
            layers=layers or (SIMULCAST if simulcast else ONE_LAYER),
            fps=fps,
            frames=frames,
            muted=muted,
            wait_for_subscriber=frames is not None if wait_for_subscriber is None else wait_for_subscriber,
        )
        return self._publish(options)

    def publish_audio(
        self, *, frames: int | None = None, red: bool = False, name: str = "microphone", level: int = VOICE_LEVEL,
        source: int = Source.MICROPHONE, muted: bool = False, wait_for_subscriber: bool | None = None,
    ) -> PublishedTrack:  # fmt: skip
        """Publish a microphone: 50 frames a second, loud as -`level` dBov."""
        options = TrackOptions(
            name=name,
            source=source,
            fps=1 / AUDIO_FRAME_S,
            frames=frames,
            red=red,
            level=level,
            muted=muted,
            wait_for_subscriber=frames is not None if wait_for_subscriber is None else wait_for_subscriber,
        )
        return self._publish(options)

    def unpublish(self, track: PublishedTrack) -> None:
        self._do(lambda client: client.unpublish(self._world.now, track))

    def mute(self, track: PublishedTrack, muted: bool = True) -> None:
        self._do(lambda client: client.set_muted(self._world.now, track, muted))

    # Subscribing

    def subscribe(self, track: PublishedTrack, wanted: bool = True) -> None:
        """Wish for a track, or not."""
        update = rtc.UpdateSubscription(track_sids=[track.sid], subscribe=wanted)
        self.request(rtc.SignalRequest(subscription=update))

    def set_quality(self, track: PublishedTrack, quality: int, *, disabled: bool = False) -> None:
        """Ask for a quality (0 low to 2 high) of a video track, or for none of it."""
        settings = rtc.UpdateTrackSettings(track_sids=[track.sid], quality=quality, disabled=disabled)  # type: ignore[arg-type]
        self.request(rtc.SignalRequest(track_setting=settings))

    def allow(self, *identities: str, everybody: bool = False) -> None:
        """Let only these participants subscribe to any track of this one."""
        permission = rtc.SubscriptionPermission(
            all_participants=everybody,
            track_permissions=[rtc.TrackPermission(participant_identity=one, all_tracks=True) for one in identities],
        )
        self.request(rtc.SignalRequest(subscription_permission=permission))

    # Data

    def send(self, payload: bytes, *, topic: str = "", reliable: bool = True, to: Sequence[str] = ()) -> None:
        """Send data to all others, or to these identities."""
        self._do(lambda client: client.send_data(self._world.now, payload, topic=topic, reliable=reliable, to=to))

    def send_packet(self, packet: models.DataPacket, *, reliable: bool = True) -> None:
        """Send a data packet of any kind."""
        self._do(lambda client: client.send_packet(self._world.now, packet, reliable=reliable))

    def publish_data_track(self, name: str) -> None:
        self._do(lambda client: client.publish_data_track(self._world.now, name))

    def unpublish_data_track(self, name: str) -> None:
        self._do(lambda client: client.unpublish_data_track(self._world.now, name))

    def send_on(self, name: str, payload: bytes) -> None:
        """One packet on a data track of this client."""
        self._do(lambda client: client.send_on_data_track(self._world.now, name, payload))

    def subscribe_data(self, sid: str, wanted: bool = True) -> None:
        """Wish for a data track, or not."""
        update = rtc.UpdateDataSubscription.Update(track_sid=sid, subscribe=wanted)
        self.request(rtc.SignalRequest(update_data_subscription=rtc.UpdateDataSubscription(updates=[update])))

    def data_tracks(self, other: Participant) -> dict[str, str]:
        """Sids of another participant's data tracks, by name."""
        seen = self.sees(other)
        return {} if seen is None else {info.name: info.sid for info in seen.data_tracks}

    def data_from(self, other: Participant) -> list[bytes]:
        """Payloads that came on data tracks of another participant."""
        return [one.payload for one in self.client.inbox.track_packets if one.sender == other.identity]

    @property
    def messages(self) -> list[Received]:
        """All that came, in order."""
        return self.client.inbox.messages

    def payloads(self, topic: str | None = None, *, sender: str | None = None) -> list[bytes]:
        """Payloads that came, of one topic or sender if named."""
        return [
            one.payload
            for one in self.messages
            if (topic is None or one.topic == topic) and (sender is None or one.sender == sender)
        ]

    # What it sees

    @property
    def client(self) -> Client:
        return self._seat.client

    @property
    def identity(self) -> str:
        return self.client.identity

    @property
    def sid(self) -> str:
        return self.client.sid

    @property
    def session(self) -> SessionId | None:
        return self._seat.session

    @property
    def is_joined(self) -> bool:
        return self.client.phase is Phase.JOINED

    @property
    def is_connected(self) -> bool:
        """Whether all transports are up."""
        return self.client.is_connected

    @property
    def is_gone(self) -> bool:
        """Whether its session is over for good; `why_left` says why."""
        return self.client.phase is Phase.OVER

    @property
    def why_left(self) -> str:
        return "" if self.client.left is None else self.client.left.reason

    @property
    def events(self) -> list[object]:
        """What its client reported, in order."""
        return list(self._seat.events)

    @property
    def times_connected(self) -> int:
        return sum(isinstance(event, Connected) for event in self._seat.events)

    @property
    def others(self) -> list[str]:
        """Identities of the others that it knows to be there."""
        return [one.identity for one in self.client.view.participants.values()]

    def sees(self, other: Participant) -> models.ParticipantInfo | None:
        """What it was told of another participant."""
        return next((one for one in self.client.view.participants.values() if one.identity == other.identity), None)

    def video_sinks(self, other: Participant) -> list[VideoSink]:
        return [sink for sink in self.client.sinks(other.identity) if isinstance(sink, VideoSink)]

    def audio_sinks(self, other: Participant) -> list[AudioSink]:
        return [sink for sink in self.client.sinks(other.identity) if isinstance(sink, AudioSink)]

    def sinks(self, other: Participant | None = None) -> list[Sink]:
        """Where media of another participant ends, or of all."""
        sinks = self.client.receiving.sinks.values()
        return [sink for sink in sinks if other is None or sink.identity == other.identity]

    def frames_from(self, other: Participant) -> int:
        """Frames of its video tracks that came whole and in order."""
        return sum(sink.frames for sink in self.video_sinks(other))

    def audio_from(self, other: Participant) -> int:
        """Frames of its audio tracks that came whole and in order."""
        return sum(sink.frames for sink in self.audio_sinks(other))

    # Private

    def _publish(self, options: TrackOptions) -> PublishedTrack:
        made: list[PublishedTrack] = []
        self._do(lambda client: made.append(client.publish(self._world.now, options)))
        return made[0]

    def _do(self, command: Callable[[Client], object]) -> None:
        self._world.apply(self._seat, command)
