"""Who takes part: identity, state, permission, and the `ParticipantInfo` that everybody is shown.

    JOINING --join sent--> JOINED --primary transport up--> ACTIVE
       any state --left, removed, failed--> DISCONNECTED (final)

The walk never goes backwards. `info()` is rebuilt only when something changed, and its `version` grows each time, which is
how clients tell old news from new. Tracks are kept by `Publisher` and handed in through `set_tracks`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..auth import Claims
from ..errors import LocalProtocolError
from ..ids import Identity, ParticipantSid, SessionId
from ..wire import models
from .client import ClientTraits
from .outbox import Outbox

State = models.ParticipantInfo.State
Kind = models.ParticipantInfo.Kind
DisconnectReason = models.DisconnectReason

_DISCONNECTED = State.DISCONNECTED  # a look-up in the enum costs more than all else in a getter
TRANSITIONS: dict[int, frozenset[int]] = {
    State.JOINING: frozenset({State.JOINED, State.DISCONNECTED}),
    State.JOINED: frozenset({State.ACTIVE, State.DISCONNECTED}),
    State.ACTIVE: frozenset({State.DISCONNECTED}),
    State.DISCONNECTED: frozenset(),
}


def kind_of(name: str) -> int:
    """The participant kind of a token's lower-case name; unknown ones are standard."""
    try:
        return Kind.Value(name.upper())
    except ValueError:
        return Kind.STANDARD


def kind_details_of(names: Sequence[str]) -> list[int]:
    """Token names of kind details as enum numbers; unknown ones are left out."""
    known = dict(models.ParticipantInfo.KindDetail.items())
    return [known[name.upper()] for name in names if name.upper() in known]


class Participant:
    """One participant of a room, by its own state alone; media and data are kept beside it."""

    __slots__ = (
        "_changed", "_info", "_permission", "attributes", "claims", "client", "data_tracks", "disconnect_reason", "identity",
        "is_agent", "is_dependent", "is_hidden", "is_publisher", "is_recorder", "joined_at_ms", "kind", "kind_details",
        "last_signal_at", "metadata", "name", "outbox", "region", "session", "sid", "state", "token_is_stale", "tracks",
        "version", "wants_json",
    )  # fmt: skip

    def __init__(
        self,
        *,
        claims: Claims,
        sid: ParticipantSid,
        client: ClientTraits,
        permission: models.ParticipantPermission,
        joined_at_ms: int,
        region: str = "",
    ) -> None:
        self.claims = claims
        self.identity = Identity(claims.identity)
        self.sid = sid
        self.client = client
        self.name = claims.name
        self.metadata = claims.metadata
        self.attributes = dict(claims.attributes)
        self.kind = kind_of(claims.kind)
        self.is_agent = self.kind == Kind.AGENT
        self.permission = permission
        self.kind_details = kind_details_of(claims.kind_details)
        self.region = region
        self.state: int = State.JOINING
        self.joined_at_ms = joined_at_ms
        self.version = 0
        self.is_publisher = False
        self.disconnect_reason: int = DisconnectReason.UNKNOWN_REASON
        self.tracks: Sequence[models.TrackInfo] = ()
        self.data_tracks: Sequence[models.DataTrackInfo] = ()
        self.session: SessionId | None = None
        self.outbox = Outbox()
        self.last_signal_at = 0.0
        self.wants_json = False
        """Whether the client's last frame was text, so that it is answered in text."""
        self.token_is_stale = False
        """Whether the client should be sent a refreshed token."""
        self._info: models.ParticipantInfo | None = None
        self._changed = True

    # Commands

    def move_to(self, state: int) -> None:
        if state not in TRANSITIONS[self.state]:
            raise LocalProtocolError(f"participant cannot go from {State.Name(self.state)} to {State.Name(state)}")
        self.state = state
        self.touch()

    def disconnect(self, reason: int) -> None:
        self.disconnect_reason = reason
        self.move_to(State.DISCONNECTED)

    def touch(self) -> None:
        """Something that others are shown has changed."""
        self._changed = True

    def set_tracks(self, tracks: Sequence[models.TrackInfo]) -> None:
        self.tracks = tracks
        self.is_publisher = self.is_publisher or bool(tracks)
        self.touch()

    def set_data_tracks(self, tracks: Sequence[models.DataTrackInfo]) -> None:
        self.data_tracks = tracks
        self.is_publisher = self.is_publisher or bool(tracks)
        self.touch()

    def merge_attributes(self, attributes: Mapping[str, str]) -> None:
        """Set those keys; an empty value deletes its key."""
        for key, value in attributes.items():
            if value:
                self.attributes[key] = value
            else:
                self.attributes.pop(key, None)
        self.touch()

    # Getters

    @property
    def permission(self) -> models.ParticipantPermission:
        return self._permission

    @permission.setter
    def permission(self, permission: models.ParticipantPermission) -> None:
        """Replace it; what follows from it is kept beside it, since rooms ask that of all their members."""
        self._permission = permission
        self.is_hidden = permission.hidden
        self.is_recorder = permission.recorder or self.kind == Kind.EGRESS
        self.is_dependent = self.is_agent or self.is_recorder or permission.agent
        """Does not keep a room open and is not counted: agents, egress, recorders."""

    @property
    def is_closed(self) -> bool:
        return self.state == _DISCONNECTED

    def info(self) -> models.ParticipantInfo:
        """The current `ParticipantInfo`; a new version of it after each change. Not to be written to."""
        if self._info is None or self._changed:
            self.version += 1
            self._changed = False
            self._info = self._build_info()
        return self._info

    def _build_info(self) -> models.ParticipantInfo:
        info = models.ParticipantInfo(
            sid=self.sid,
            identity=self.identity,
            state=self.state,  # type: ignore[arg-type]
            tracks=self.tracks if not self.is_closed else (),
            metadata=self.metadata,
            joined_at=self.joined_at_ms // 1000,
            joined_at_ms=self.joined_at_ms,
            name=self.name,
            version=self.version,
            permission=self.permission,
            region=self.region,
            is_publisher=self.is_publisher,
            kind=self.kind,  # type: ignore[arg-type]
            attributes=self.attributes,
            disconnect_reason=self.disconnect_reason,  # type: ignore[arg-type]
            kind_details=self.kind_details,  # type: ignore[arg-type]
            data_tracks=self.data_tracks if not self.is_closed else (),
            client_protocol=self.client.info.client_protocol,
        )
        info.capabilities.extend(self.client.info.capabilities)
        return info
