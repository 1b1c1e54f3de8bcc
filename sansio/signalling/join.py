"""From an upgrade request to what the client asks for: token, room, settings, perhaps an offer.

`/rtc` carries parameters in its query (v0, two peer connections); `/rtc/v1`, and `/rtc` with a `join_request`, a compressed
`JoinRequest` (one peer connection). Both become a `Join`. The checks and their texts are LiveKit's, because clients read
them: a 404 with `requested room does not exist` decides about fallbacks, 401 and 403 end retries.
"""

from __future__ import annotations

import json
import zlib
from base64 import urlsafe_b64decode
from collections.abc import Mapping

import attrs

from ..auth import Claims, VideoGrant, bearer, verify
from ..config import Config, LimitConfig
from ..errors import Refusal
from ..outputs import HttpRequest
from ..room import Settings
from ..wire import WireError, models, parse, rtc

NO_PERMISSIONS = "no permissions to access the room"
ROOM_MISSING = "requested room does not exist"

_TRUE = ("1", "true", "t", "yes")
_SDK_NAMES = {
    "js": "JS", "ios": "SWIFT", "swift": "SWIFT", "android": "ANDROID", "flutter": "FLUTTER", "go": "GO", "unity": "UNITY",
    "reactnative": "REACT_NATIVE", "rust": "RUST", "python": "PYTHON", "cpp": "CPP", "unityweb": "UNITY_WEB", "node": "NODE",
    "unreal": "UNREAL", "esp32": "ESP32", "dotnet": "DOTNET",
}  # fmt: skip
_BROWSERS = (
    ("Edg/", "Edge"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Version/", "Safari"),
)
_SYSTEMS = (("Android", "Android"), ("iPhone", "iOS"), ("iPad", "iOS"), ("Windows", "Windows"), ("Mac OS X", "Mac OS X"),
            ("CrOS", "Chrome OS"), ("Linux", "Linux"))  # fmt: skip
_FROM_USER_AGENT = ("JS", "REACT_NATIVE", "FLUTTER", "UNITY", "UNKNOWN")


@attrs.frozen(kw_only=True)
class Join:
    """What a client wants of a room, checked against its token."""

    claims: Claims
    room: str
    client: models.ClientInfo
    settings: Settings
    is_reconnect: bool = False
    participant_sid: str = ""
    reconnect_reason: int = 0
    add_track_requests: tuple[rtc.AddTrackRequest, ...] = ()
    publisher_offer: rtc.SessionDescription | None = None


def parse_join(request: HttpRequest, config: Config, wallclock: float) -> Join:
    """Read and check a join. Raises Refusal (its status and message are the HTTP answer)."""
    claims = claims_of(request, config, wallclock)
    if claims is None or claims.video is None:
        raise Refusal("unauthenticated", NO_PERMISSIONS)
    wrapped = request.query.get("join_request", "")
    message = _unwrap(wrapped, config.limit) if wrapped or request.path.startswith("/rtc/v1") else None
    _check_names(claims, claims.video, config.limit)
    if message is None:
        join = _from_query(claims, claims.video, request)
    else:
        join = _from_message(claims, claims.video, message, request)
    _check_sizes(join.claims, config.limit)
    return join


def claims_of(request: HttpRequest, config: Config, wallclock: float) -> Claims | None:
    """The verified claims of a request's token, None if it has none. Raises TokenError."""
    token = bearer(request.headers, request.query)
    return None if token is None else verify(token, config.keys, wallclock)


def _check_names(claims: Claims, video: VideoGrant, limit: LimitConfig) -> None:
    if not video.room_join:
        raise Refusal("unauthenticated", "permissions denied")
    if not claims.identity:
        raise Refusal("invalid_argument", "identity cannot be empty")
    _check_identity(claims.identity, limit)
    if not video.room:
        raise Refusal("invalid_argument", "no room name")
    if limit.max_room_name_length and len(video.room.encode()) > limit.max_room_name_length:
        raise Refusal("invalid_argument", f"room name length exceeds limits: max length {limit.max_room_name_length}")


def _check_identity(identity: str, limit: LimitConfig) -> None:
    most = limit.max_participant_identity_length
    if most and len(identity.encode()) > most:
        raise Refusal("invalid_argument", f"participant identity length exceeds limits: max length {most}")


def _check_sizes(claims: Claims, limit: LimitConfig) -> None:
    _check_identity(claims.identity, limit)  # a publish suffix makes it longer
    if limit.max_metadata_size and len(claims.metadata.encode()) > limit.max_metadata_size:
        raise Refusal("invalid_argument", f"metadata size exceeds limits {limit.max_metadata_size}")
    if limit.max_participant_name_length and len(claims.name.encode()) > limit.max_participant_name_length:
        raise Refusal("invalid_argument", f"name length exceeds limits {limit.max_participant_name_length}")
    if limit.max_attributes_size and attributes_size(claims.attributes) > limit.max_attributes_size:
        raise Refusal("invalid_argument", f"attribute size exceeds limits {limit.max_attributes_size}")


def attributes_size(attributes: Mapping[str, str]) -> int:
    """Bytes of all keys and values."""
    return sum(len(key.encode()) + len(value.encode()) for key, value in attributes.items())


# v0


def _from_query(claims: Claims, video: VideoGrant, request: HttpRequest) -> Join:
    query = request.query
    if query.get("attributes"):
        _require_own_metadata(video)
        attributes = _query_attributes(query["attributes"], is_strict=request.path.endswith("/validate"))
        claims = _with_attributes(claims, attributes)
    publish = query.get("publish", "")
    if publish:
        if not video.publish_allowed:
            raise Refusal("unauthenticated", NO_PERMISSIONS)
        claims = attrs.evolve(claims, identity=f"{claims.identity}#{publish}")
    settings = Settings(
        is_single=False,
        auto_subscribe=not publish and _flag(query, "auto_subscribe", default=True),
        auto_subscribe_data_track=_flag(query, "auto_subscribe_data_track", default=False),
        adaptive_stream=_flag(query, "adaptive_stream", default=False),
        disable_ice_lite=_flag(query, "disable_ice_lite", default=False),
    )
    return Join(
        claims=claims,
        room=video.room,
        client=_client_of_query(query, request),
        settings=settings,
        is_reconnect=_flag(query, "reconnect", default=False),
        participant_sid=query.get("sid", ""),
        reconnect_reason=_number(query, "reconnect_reason"),
    )


def _client_of_query(query: Mapping[str, str], request: HttpRequest) -> models.ClientInfo:
    info = models.ClientInfo(
        sdk=_SDK_NAMES.get(query.get("sdk", "").lower(), "UNKNOWN"),
        version=query.get("version", ""),
        protocol=_number(query, "protocol"),
        os=query.get("os", ""),
        os_version=query.get("os_version", ""),
        device_model=query.get("device_model", ""),
        browser=query.get("browser", ""),
        browser_version=query.get("browser_version", ""),
        network=query.get("network", ""),
        client_protocol=_number(query, "client_protocol"),
    )
    names = query.get("capabilities", "").split(",")
    capabilities = models.ClientInfo.Capability.keys()
    info.MergeFrom(models.ClientInfo(capabilities=[name for name in capabilities if name in names]))
    return _complete(info, request)


def _query_attributes(text: str, *, is_strict: bool) -> dict[str, str]:
    """The `attributes` parameter; undecodable ones are refused by validate and ignored by the socket, as LiveKit does."""
    try:
        value = json.loads(_base64(text))
        json.dumps(value, ensure_ascii=False).encode()  # lone surrogates are no text
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict) and all(isinstance(v, str) for v in value.values()):
        return value
    if is_strict:
        raise Refusal("invalid_argument", "cannot decode attributes")
    return {}


# v1


def _unwrap(wrapped: str, limit: LimitConfig) -> rtc.JoinRequest:
    if not wrapped:
        raise Refusal("invalid_argument", "join_request is required")
    try:
        outer = parse(rtc.WrappedJoinRequest, _base64(wrapped))
    except WireError:
        raise Refusal("invalid_argument", "cannot unmarshal wrapped join request") from None
    except ValueError:
        raise Refusal("invalid_argument", "cannot base64 decode wrapped join request") from None
    if not outer.join_request:
        raise Refusal("invalid_argument", "join_request is required")
    data = outer.join_request
    if outer.compression == rtc.WrappedJoinRequest.Compression.GZIP:
        data = _gunzip(data, limit.max_join_request_size)
    if len(data) > limit.max_join_request_size:
        raise Refusal("invalid_argument", "join request too large")
    try:
        return parse(rtc.JoinRequest, data)
    except WireError:
        raise Refusal("invalid_argument", "cannot unmarshal join request") from None


def _gunzip(data: bytes, most: int) -> bytes:
    """Decompress at most `most` bytes; more is refused, never held."""
    inflater = zlib.decompressobj(wbits=31)
    try:
        out = inflater.decompress(data, most + 1)
    except zlib.error:
        raise Refusal("invalid_argument", "cannot read decompressed join request") from None
    if len(out) > most:
        raise Refusal("invalid_argument", "join request too large")
    if not inflater.eof:
        raise Refusal("invalid_argument", "cannot read decompressed join request")
    return out


def _from_message(claims: Claims, video: VideoGrant, message: rtc.JoinRequest, request: HttpRequest) -> Join:
    if message.metadata or message.participant_attributes:
        _require_own_metadata(video)
    if message.metadata:
        claims = attrs.evolve(claims, metadata=message.metadata)
    if message.participant_attributes:
        claims = _with_attributes(claims, dict(message.participant_attributes))
    connection = message.connection_settings
    return Join(
        claims=claims,
        room=video.room,
        client=_complete(message.client_info, request),
        settings=Settings(
            is_single=True,
            auto_subscribe=connection.auto_subscribe,
            auto_subscribe_data_track=connection.auto_subscribe_data_track,
            adaptive_stream=connection.adaptive_stream,
            disable_ice_lite=connection.disable_ice_lite,
        ),
        is_reconnect=message.reconnect,
        participant_sid=message.participant_sid,
        reconnect_reason=message.reconnect_reason,
        add_track_requests=tuple(message.add_track_requests),
        publisher_offer=message.publisher_offer if message.HasField("publisher_offer") else None,
    )


# Both


def _require_own_metadata(video: VideoGrant) -> None:
    if not video.update_metadata_allowed:
        raise Refusal("unauthenticated", NO_PERMISSIONS)


def _with_attributes(claims: Claims, attributes: dict[str, str]) -> Claims:
    """Attributes of the request add to the token's and cannot delete them."""
    return attrs.evolve(claims, attributes={**claims.attributes, **{k: v for k, v in attributes.items() if v}})


def _complete(info: models.ClientInfo, request: HttpRequest) -> models.ClientInfo:
    """Fill in what browsers do not say themselves from their User-Agent."""
    agent = request.headers.get("user-agent", "")
    if models.ClientInfo.SDK.Name(info.sdk) in _FROM_USER_AGENT:
        if not info.browser:
            found = next((entry for entry in _BROWSERS if entry[0] in agent), None)
            if found is not None and (found[1] != "Safari" or "Safari/" in agent):
                info.browser = found[1]
                info.browser_version = _version_after(agent, found[0])
        if not info.os:
            info.os = next((name for mark, name in _SYSTEMS if mark in agent), "")
    if not info.address:
        info.address = _address(request)
    return info


def _address(request: HttpRequest) -> str:
    for header in ("cf-connecting-ip", "x-forwarded-for", "x-real-ip"):
        value = request.headers.get(header, "").split(",")[0].strip()
        if value:
            return value[:64]
    return request.remote


def _version_after(agent: str, mark: str) -> str:
    rest = agent.split(mark, 1)[1]
    return rest.split(" ", 1)[0][:32]


def _flag(query: Mapping[str, str], name: str, *, default: bool) -> bool:
    value = query.get(name)
    return default if value is None or value == "" else value.lower() in _TRUE


def _number(query: Mapping[str, str], name: str) -> int:
    text = query.get(name, "")
    return min(int(text), 0x7FFFFFFF) if text.isdecimal() and text.isascii() and len(text) < 12 else 0


def _base64(text: str) -> bytes:
    """URL-safe or plain, padded or not. Raises ValueError."""
    plain = text.replace("+", "-").replace("/", "_").replace(" ", "-").rstrip("=")
    if not plain.isascii() or not all(c.isalnum() or c in "-_" for c in plain):
        raise ValueError("not base64")
    return urlsafe_b64decode(plain + "=" * (-len(plain) % 4))
