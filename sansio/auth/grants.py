"""What a token grants, as frozen values, and their JSON form inside the token.

Reading is strict about types (a claim of the wrong type makes the token invalid, as it does for a typed JSON reader) and
lenient about names: unknown claims and grants are skipped, null counts as absent. Writing leaves out what has its default,
and keeps the difference between a permission that is absent, false and true.

Left out on purpose: the claims `agent`, `inference` and `observability`, which no service of this server asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

import attrs

KINDS = ("standard", "ingress", "egress", "sip", "agent", "connector", "bridge")
"""Values of the claim `kind`; anything else counts as standard."""

SOURCES = ("camera", "microphone", "screen_share", "screen_share_audio")
"""Values that `canPublishSources` may list."""


@attrs.frozen(kw_only=True)
class VideoGrant:
    """The claim `video`. Permissions of type `bool | None` tell absent from false; their effective value has a getter."""

    room_create: bool = False
    room_list: bool = False
    room_record: bool = False
    room_admin: bool = False
    """Administers the room named in `room`, no other."""
    room_join: bool = False
    room: str = ""
    can_publish: bool | None = None
    can_subscribe: bool | None = None
    can_publish_data: bool | None = None
    can_publish_sources: tuple[str, ...] = ()
    """If not empty, the only sources that may be published."""
    can_update_own_metadata: bool | None = None
    ingress_admin: bool = False
    hidden: bool = False
    recorder: bool = False
    agent: bool = False
    """May register as an agent worker."""
    can_subscribe_metrics: bool | None = None
    can_manage_agent_session: bool | None = None
    destination_room: str = ""

    @property
    def publish_allowed(self) -> bool:
        return self.can_publish is not False

    @property
    def subscribe_allowed(self) -> bool:
        return self.can_subscribe is not False

    @property
    def publish_data_allowed(self) -> bool:
        """Follows `can_publish` where it is absent."""
        return self.publish_allowed if self.can_publish_data is None else self.can_publish_data

    @property
    def update_metadata_allowed(self) -> bool:
        return self.can_update_own_metadata is True

    @property
    def subscribe_metrics_allowed(self) -> bool:
        return self.can_subscribe_metrics is True

    @property
    def manage_agent_session_allowed(self) -> bool:
        return self.can_manage_agent_session is True

    def source_allowed(self, source: str) -> bool:
        """Whether a track of this source (lower case) may be published."""
        return self.publish_allowed and (not self.can_publish_sources or source in self.can_publish_sources)

    @classmethod
    def parse(cls, values: Mapping[str, object]) -> VideoGrant:
        """From the JSON object; raises ValueError for a value of the wrong type."""
        return cls(
            room_create=_flag(values, "roomCreate"),
            room_list=_flag(values, "roomList"),
            room_record=_flag(values, "roomRecord"),
            room_admin=_flag(values, "roomAdmin"),
            room_join=_flag(values, "roomJoin"),
            room=_text(values, "room"),
            can_publish=_choice(values, "canPublish"),
            can_subscribe=_choice(values, "canSubscribe"),
            can_publish_data=_choice(values, "canPublishData"),
            can_publish_sources=tuple(word.lower() for word in _texts(values, "canPublishSources")),
            can_update_own_metadata=_choice(values, "canUpdateOwnMetadata"),
            ingress_admin=_flag(values, "ingressAdmin"),
            hidden=_flag(values, "hidden"),
            recorder=_flag(values, "recorder"),
            agent=_flag(values, "agent"),
            can_subscribe_metrics=_choice(values, "canSubscribeMetrics"),
            can_manage_agent_session=_choice(values, "canManageAgentSession"),
            destination_room=_text(values, "destinationRoom"),
        )

    def encode(self) -> dict[str, object]:
        """The JSON object, without what has its default."""
        pairs = {
            "roomCreate": self.room_create,
            "roomList": self.room_list,
            "roomRecord": self.room_record,
            "roomAdmin": self.room_admin,
            "roomJoin": self.room_join,
            "room": self.room,
            "canPublishSources": list(self.can_publish_sources),
            "ingressAdmin": self.ingress_admin,
            "hidden": self.hidden,
            "recorder": self.recorder,
            "agent": self.agent,
            "destinationRoom": self.destination_room,
        }
        choices = {
            "canPublish": self.can_publish,
            "canSubscribe": self.can_subscribe,
            "canPublishData": self.can_publish_data,
            "canUpdateOwnMetadata": self.can_update_own_metadata,
            "canSubscribeMetrics": self.can_subscribe_metrics,
            "canManageAgentSession": self.can_manage_agent_session,
        }
        return {name: value for name, value in pairs.items() if value} | {
            name: value for name, value in choices.items() if value is not None
        }


@attrs.frozen(kw_only=True)
class Claims:
    """What a verified token says, or what a new one shall say."""

    issuer: str
    """API key whose secret signs the token."""
    identity: str = ""
    name: str = ""
    metadata: str = ""
    attributes: dict[str, str] = attrs.field(factory=dict)
    kind: str = "standard"
    """One of `KINDS`."""
    kind_details: tuple[str, ...] = ()
    video: VideoGrant | None = None
    sip_admin: bool = False
    sip_call: bool = False
    room_config: dict[str, object] | None = None
    """RoomConfiguration in protobuf's JSON form, unread."""
    room_preset: str = ""
    expires_at: float = 0.0
    """Wall-clock seconds."""
    sha256: str = ""
    """Base64 of the hash of a webhook's body."""

    @property
    def is_dependent(self) -> bool:
        """Whether such a participant neither triggers jobs nor keeps a room open."""
        granted = self.video is not None and (self.video.agent or self.video.recorder)
        return granted or self.kind in ("agent", "egress")

    @classmethod
    def parse(cls, values: Mapping[str, object]) -> Claims:
        """From the JSON object of a token; raises ValueError for a value of the wrong type."""
        video = _object(values, "video")
        sip = _object(values, "sip") or {}
        kind = _text(values, "kind").lower()
        return cls(
            issuer=_text(values, "iss"),
            identity=_text(values, "sub") or _text(values, "jti"),
            name=_text(values, "name"),
            metadata=_text(values, "metadata"),
            attributes=_text_map(values, "attributes"),
            kind=kind if kind in KINDS else "standard",
            kind_details=tuple(word.lower() for word in _texts(values, "kindDetails")),
            video=None if video is None else VideoGrant.parse(video),
            sip_admin=_flag(sip, "admin"),
            sip_call=_flag(sip, "call"),
            room_config=_object(values, "roomConfig"),
            room_preset=_text(values, "roomPreset"),
            expires_at=seconds(values, "exp") or 0.0,
            sha256=_text(values, "sha256"),
        )

    def encode(self) -> dict[str, object]:
        """The JSON object, without what has its default and without times."""
        sip = {name: True for name, value in (("admin", self.sip_admin), ("call", self.sip_call)) if value}
        pairs: dict[str, object] = {
            "iss": self.issuer,
            "sub": self.identity,
            "identity": self.identity,  # workers and other readers of agent tokens look here too
            "name": self.name,
            "metadata": self.metadata,
            "attributes": dict(self.attributes),
            "kind": "" if self.kind == "standard" else self.kind,
            "kindDetails": list(self.kind_details),
            "sip": sip,
            "roomPreset": self.room_preset,
            "sha256": self.sha256,
        }
        out = {name: value for name, value in pairs.items() if value}
        if self.video is not None:
            out["video"] = self.video.encode()
        if self.room_config is not None:
            out["roomConfig"] = self.room_config
        return out


def seconds(values: Mapping[str, object], name: str) -> float | None:
    """A NumericDate (RFC 7519 §2) that is present and finite, or None; raises ValueError for another type."""
    value = values.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is not a number")
    try:
        number = float(value)
    except OverflowError:
        number = float("inf")
    if not isfinite(number):
        raise ValueError(f"{name} is not a time")
    return number


def _flag(values: Mapping[str, object], name: str) -> bool:
    return _choice(values, name) or False


def _choice(values: Mapping[str, object], name: str) -> bool | None:
    value = values.get(name)
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"{name} is not a boolean")
    return value


def _text(values: Mapping[str, object], name: str) -> str:
    value = values.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{name} is not a string")
    return _sound(value, name)


def _texts(values: Mapping[str, object], name: str) -> list[str]:
    value = values.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{name} is not a list of strings")
    return [_sound(item, name) for item in value]


def _text_map(values: Mapping[str, object], name: str) -> dict[str, str]:
    value = _object(values, name) or {}
    out = {}
    for key, item in value.items():
        if not isinstance(item, str):
            raise ValueError(f"{name} holds a value that is not a string")
        out[_sound(key, name)] = _sound(item, name)
    return out


def _object(values: Mapping[str, object], name: str) -> dict[str, object] | None:
    value = values.get(name)
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"{name} is not an object")
    return value


def _sound(text: str, name: str) -> str:
    """JSON can spell half of a surrogate pair, which no protobuf string may hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name} is not Unicode text") from error
    return text
