"""WebSocket frames to requests and back: protobuf in binary frames, its JSON mapping in text frames."""

from __future__ import annotations

from ..wire import parse, parse_json, rtc


def decode_request(frame: bytes | str) -> rtc.SignalRequest:
    """Raises WireError."""
    return parse_json(rtc.SignalRequest, frame) if isinstance(frame, str) else parse(rtc.SignalRequest, frame)
