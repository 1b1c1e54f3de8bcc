"""What a participant may do: from token grants to the `ParticipantPermission` that clients are shown, and questions to it.

The permission of the running participant is the truth after the join; a token only starts it (and an update replaces it).
"""

from __future__ import annotations

from ..auth import VideoGrant
from ..wire import models

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
