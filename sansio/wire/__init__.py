"""The only door to LiveKit's protobuf messages, and to protobuf itself.

The messages come from the `livekit-protocol` package. They are this product's vocabulary on the wire, so published state
(`TrackInfo`, `ParticipantInfo`, `Room`) is kept in them rather than mirrored in values of our own and copied back and forth.

`parse` and `parse_json` are total: a message or `WireError`. JSON follows the proto3 mapping; `encode_json` writes
lowerCamelCase without defaults (signalling), `encode_twirp_json` snake_case with defaults (Twirp).
"""

from __future__ import annotations

import json
from typing import TypeVar

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from livekit.protocol import agent as agent
from livekit.protocol import agent_dispatch as agent_dispatch
from livekit.protocol import egress as egress
from livekit.protocol import ingress as ingress
from livekit.protocol import models as models
from livekit.protocol import room as room
from livekit.protocol import rtc as rtc
from livekit.protocol import sip as sip

from ..errors import RemoteProtocolError

M = TypeVar("M", bound=Message)


class WireError(RemoteProtocolError):
    """Bytes or text that are not the message they should be."""


def parse(message_type: type[M], data: bytes) -> M:
    """Decode protobuf; unknown fields are kept and ignored. Raises WireError."""
    message = message_type()
    try:
        message.ParseFromString(data)
    except (DecodeError, RecursionError) as exc:
        raise WireError(f"not a {message_type.DESCRIPTOR.name}") from exc
    return message


def parse_json(message_type: type[M], text: str | bytes) -> M:
    """Decode proto3 JSON, in either field name style; unknown fields are ignored. Raises WireError."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise WireError(f"not a {message_type.DESCRIPTOR.name}: not JSON") from exc
    return parse_dict(message_type, value)


def parse_dict(message_type: type[M], value: object) -> M:
    """Like `parse_json`, from what a JSON parser made. Raises WireError."""
    message = message_type()
    if not isinstance(value, dict):
        raise WireError(f"not a {message_type.DESCRIPTOR.name}: not an object")
    try:
        json_format.ParseDict(value, message, ignore_unknown_fields=True, max_recursion_depth=32)
    except (json_format.Error, ValueError, TypeError, RecursionError, AttributeError) as exc:
        raise WireError(f"not a {message_type.DESCRIPTOR.name}") from exc
    return message


def to_dict(message: Message) -> dict[str, object]:
    """proto3 JSON as plain values, lowerCamelCase, defaults omitted."""
    value: dict[str, object] = json_format.MessageToDict(message)
    return value


def encode_json(message: Message) -> str:
    """proto3 JSON on one line: lowerCamelCase, defaults omitted, int64 as strings."""
    return json_format.MessageToJson(message, indent=None)


def encode_twirp_json(message: Message) -> bytes:
    """JSON as Twirp servers in Go answer: snake_case, defaults written, unset message fields null."""
    value = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    _add_unset_messages(message, value)
    return _dumps(value)


def _add_unset_messages(message: Message, value: dict[str, object]) -> None:
    """Go writes an unset singular message field as null, but leaves out explicitly optional ones; do so at the top level."""
    for field in message.DESCRIPTOR.fields:
        optional = field.containing_oneof is not None
        if field.message_type is not None and field.has_presence and not optional and field.name not in value:
            value[field.name] = None


def _dumps(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
