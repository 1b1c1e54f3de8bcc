"""What a simulated client receives: from streams that its transports find to sinks, with the repair that a browser would do.

Each stream has a `TrackReceiver` of the server's own kind, which asks for lost packets and key frames. A sink belongs to a track
and outlives the stream, so that it can tell what a viewer saw over reconnections.
"""

from __future__ import annotations

from typing import NamedTuple

from ..kernel import Kernel, Notice
from ..kernel.packets import Packet
from ..rtcp import Nack, Pli
from ..sfu import TrackReceiver
from ..transport import ReceiveSection, StreamBound
from .connection import ClientConnection
from .media import source_number
from .sink import AudioSink, Sink, VideoSink
from .view import RoomView


class _Stream(NamedTuple):
    sink: Sink
    receiver: TrackReceiver
    connection: ClientConnection


class _Waiting(NamedTuple):
    """A stream without a place, and what came of it so far."""

    connection: ClientConnection
    bound: StreamBound
    packets: list[Packet]
    notices: list[Notice]


class Receiving:
    """All tracks that reach one client."""

    __slots__ = ("_kernel", "_streams", "_waiting", "sinks", "strays")

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._streams: dict[int, _Stream] = {}
        self._waiting: dict[int, _Waiting] = {}
        self.sinks: dict[str, Sink] = {}
        """By track sid."""
        self.strays = 0
        """Packets of streams that belong to no track."""

    # Inputs

    def handle_bound(self, connection: ClientConnection, event: StreamBound) -> None:
        """A transport found a stream. Its packets wait until it is known whose it is, for media may overtake the
        description that announces it."""
        self._waiting[event.stream] = _Waiting(connection, event, [], [])

    def place_waiting(self, now: float, view: RoomView) -> None:
        """Find the tracks of streams, once the description has come that names them."""
        for connection, event, *_ in list(self._waiting.values()):
            sid = connection.track_of_ssrc.get(event.ssrc)
            section = connection.sections.get(event.mid)
            if sid is None or section is None:
                continue
            known = view.track(sid)
            sink = self.sink_of(sid, section.kind, known[0].identity if known else "")
            if known is not None and sink.source is None:
                sink.source = source_number(known[0].identity, known[1].name)
            self._place(now, event.stream, section, sink)

    def _place(self, now: float, slot: int, section: ReceiveSection, sink: Sink) -> None:
        """The stream belongs to the track whose sink this is."""
        connection, event, packets, notices = self._waiting.pop(slot)
        self._streams = {slot: one for slot, one in self._streams.items() if one.sink is not sink}
        receiver = TrackReceiver(
            kernel=self._kernel,
            kind=section.kind,
            mime_type=f"{section.kind}/{section.codecs[event.payload_type].value}",
            clock_rate=section.clock_rate,
            nack=section.nack,
        )
        receiver.add_layer(now, 0, event.stream, event.ssrc)
        sink.bind()
        if isinstance(sink, AudioSink):
            sink.set_codecs(section.codecs)
        self._streams[slot] = _Stream(sink, receiver, connection)
        for notice in notices:
            self.handle_notice(now, notice)
        if packets:
            self.handle_packets(now, [(slot, packets)])

    def handle_unbound(self, now: float, slot: int) -> None:
        self._waiting.pop(slot, None)
        stream = self._streams.pop(slot, None)
        if stream is not None:
            stream.receiver.close(now)

    def handle_notice(self, now: float, notice: Notice) -> None:
        stream = self._streams.get(notice.stream)
        if stream is not None:
            stream.receiver.set_rtt(stream.connection.peer.rtt)
            stream.receiver.handle_notice(now, notice)
        elif notice.stream in self._waiting:
            self._waiting[notice.stream].notices.append(notice)

    def handle_packets(self, now: float, taken: list[tuple[int, list[Packet]]]) -> None:
        for slot, packets in taken:
            stream = self._streams.get(slot)
            if stream is not None:
                stream.sink.handle_packets(now, packets)
                self._drain(now, stream)
            elif slot in self._waiting:
                self._waiting[slot].packets.extend(packets)
            else:
                self.strays += len(packets)

    def handle_timeout(self, now: float) -> None:
        for stream in list(self._streams.values()):
            stream.receiver.handle_timeout(now)
            stream.sink.handle_timeout(now)

    # Outputs

    def send_feedback(self, now: float) -> None:
        """Hand NACKs and key frame requests to the transports."""
        for stream in self._streams.values():
            self._drain(now, stream)
            packets: list[Nack | Pli] = stream.receiver.poll_rtcp()
            if packets:
                stream.connection.send_rtcp(now, packets)

    def poll_timeout(self) -> float | None:
        deadlines: list[float | None] = []
        for stream in self._streams.values():
            deadlines += [stream.receiver.poll_timeout(), stream.sink.poll_timeout()]
        return min((at for at in deadlines if at is not None), default=None)

    # Commands

    def sink_of(self, sid: str, kind: str, identity: str) -> Sink:
        """The sink of a track, made at its first use."""
        known = self.sinks.get(sid)
        if known is None:
            known = self.sinks[sid] = VideoSink(sid, identity) if kind == "video" else AudioSink(sid, identity)
        return known

    def forget_streams(self) -> None:
        """The transports are gone; the sinks stay."""
        self._streams.clear()
        self._waiting.clear()

    @staticmethod
    def _drain(now: float, stream: _Stream) -> None:
        stream.receiver.poll_events()
        stream.receiver.poll_touched()
        if isinstance(stream.sink, VideoSink) and stream.sink.wants_key_frame:
            stream.sink.wants_key_frame = False
            stream.receiver.request_key_frame(now, 0)
