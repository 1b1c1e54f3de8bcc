"""Compound RTCP packets: splitting and joining, reduced-size ones included. RFC 3550 §6.1, RFC 5506.

Reading is lenient: packets of unknown type or format are skipped by their length, one that contradicts itself is skipped
as well, and one whose length runs past the datagram ends the compound. So it never raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from .feedback import Fir, Nack, PayloadFormat, Pli, Remb, TransportFormat
from .packets import (
    HEADER_BYTES,
    Goodbye,
    PacketType,
    ReceiverReport,
    RtcpError,
    SenderReport,
    SourceDescription,
)
from .twcc import TransportFeedback
from .xr import ExtendedReport

Packet: TypeAlias = (
    SenderReport
    | ReceiverReport
    | SourceDescription
    | Goodbye
    | Nack
    | TransportFeedback
    | Pli
    | Fir
    | Remb
    | ExtendedReport
)

_COUNTED: dict[int, Callable[[int, bytes], Packet]] = {
    PacketType.SENDER_REPORT: SenderReport.parse,
    PacketType.RECEIVER_REPORT: ReceiverReport.parse,
    PacketType.SOURCE_DESCRIPTION: SourceDescription.parse,
    PacketType.GOODBYE: Goodbye.parse,
}
_FEEDBACK: dict[tuple[int, int], Callable[[bytes], Packet]] = {
    (PacketType.TRANSPORT_FEEDBACK, TransportFormat.NACK): Nack.parse,
    (PacketType.TRANSPORT_FEEDBACK, TransportFormat.TRANSPORT_CC): TransportFeedback.parse,
    (PacketType.PAYLOAD_FEEDBACK, PayloadFormat.PLI): Pli.parse,
    (PacketType.PAYLOAD_FEEDBACK, PayloadFormat.FIR): Fir.parse,
    (PacketType.PAYLOAD_FEEDBACK, PayloadFormat.APPLICATION): Remb.parse,
}


def parse_compound(data: bytes) -> list[Packet]:
    """The packets of a datagram that are understood, in order."""
    packets: list[Packet] = []
    position = 0
    while position + HEADER_BYTES <= len(data) and data[position] >> 6 == 2:
        after = position + 4 * ((data[position + 2] << 8 | data[position + 3]) + 1)
        if after > len(data):
            break
        try:
            packet = parse_packet(data[position:after])
        except RtcpError:
            packet = None
        if packet is not None:
            packets.append(packet)
        position = after
    return packets


def parse_packet(data: bytes) -> Packet | None:
    """One packet of exactly its own length; None if its type is unknown, RtcpError if it contradicts itself."""
    if len(data) < HEADER_BYTES or data[0] >> 6 != 2 or len(data) != 4 * ((data[2] << 8 | data[3]) + 1):
        raise RtcpError("not an RTCP packet")
    end = len(data)
    if data[0] & 0x20:
        if not 0 < data[-1] <= end - HEADER_BYTES:
            raise RtcpError("impossible padding count")
        end -= data[-1]
    count, body = data[0] & 0x1F, data[HEADER_BYTES:end]
    if data[1] == PacketType.EXTENDED_REPORT:
        return ExtendedReport.parse(body)
    counted = _COUNTED.get(data[1])
    if counted is not None:
        return counted(count, body)
    feedback = _FEEDBACK.get((data[1], count))
    return None if feedback is None else feedback(body)


def encode_compound(packets: Iterable[Packet]) -> bytes:
    """The packets one after the other. Unless reduced-size RTCP was agreed, the first must be an SR or RR."""
    return b"".join([packet.encode() for packet in packets])
