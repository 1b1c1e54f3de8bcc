"""What a participant may do: from token grants to the `ParticipantPermission` that clients are shown, and questions to it.

The permission of the running participant is the truth after the join; a token only starts it (and an update replaces it).
`Audience` is the other kind: whom a publisher lets subscribe to its tracks.
"""

from __future__ import annotations

from ..auth import VideoGrant
from ..wire import models, rtc

Source = models.TrackSource

DATA_SOURCES = {
    "camera": Source.CAMERA,
    "microphone": Source.MICROPHONE,
    "screen_share": Source.SCREEN_SHARE,
    "screen_share_audio": Source.SCREEN_SHARE_AUDIO,
}
SOURCE_NAMES = {int(value): name for name, value in DATA_SOURCES.items()}


def permission_of(grant: VideoGrant) -> models.ParticipantPermission:
    """The permission that a token's video grant gives."""
    return models.ParticipantPermission(
        can_subscribe=grant.subscribe_allowed,
        can_publish=grant.publish_allowed,
        can_publish_data=grant.publish_data_allowed,
        can_publish_sources=[DATA_SOURCES[name] for name in grant.can_publish_sources if name in DATA_SOURCES],
        hidden=grant.hidden,
        recorder=grant.recorder,
        can_update_metadata=grant.update_metadata_allowed,
        agent=grant.agent,
        can_subscribe_metrics=bool(grant.can_subscribe_metrics),
        can_manage_agent_session=bool(grant.can_manage_agent_session),
    )


def may_publish(permission: models.ParticipantPermission, source: int) -> bool:
    """Whether a track of that source may be published; an empty list of sources allows all."""
    if not permission.can_publish:
        return False
    return not permission.can_publish_sources or source in permission.can_publish_sources


def source_names(permission: models.ParticipantPermission) -> tuple[str, ...]:
    """The allowed sources as token claims spell them."""
    return tuple(SOURCE_NAMES[source] for source in permission.can_publish_sources if source in SOURCE_NAMES)


class Audience:
    """Whom a publisher lets subscribe, and to which tracks. A list of any length is looked up in one step."""

    __slots__ = ("_all_tracks", "_everybody", "_tracks")

    def __init__(self, permission: rtc.SubscriptionPermission) -> None:
        self._everybody = permission.all_participants
        self._all_tracks: set[str] = set()
        """Identities and sids."""
        self._tracks: dict[str, set[str]] = {}
        for entry in permission.track_permissions:
            for name in {entry.participant_identity, entry.participant_sid} - {""}:
                if entry.all_tracks:
                    self._all_tracks.add(name)
                else:
                    self._tracks.setdefault(name, set()).update(entry.track_sids)

    def allows(self, identity: str, sid: str, track: str) -> bool:
        """Whether the participant of that identity and sid may have that track."""
        if self._everybody or identity in self._all_tracks or sid in self._all_tracks:
            return True
        return track in self._tracks.get(identity, ()) or track in self._tracks.get(sid, ())
