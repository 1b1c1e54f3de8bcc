"""Whether this node takes on more: `limit.num_tracks` and `limit.bytes_per_sec`. Who is inside already may always come back."""

from __future__ import annotations

from ..errors import Refusal
from ..room import Rooms


def check_node(now: float, rooms: Rooms) -> None:
    """Raises Refusal if the node carries as much as it may."""
    context = rooms.context
    limit = context.config.limit
    if (limit.num_tracks and rooms.num_tracks >= limit.num_tracks) or (
        limit.bytes_per_sec and context.endpoint.bytes_per_second(now) >= limit.bytes_per_sec
    ):
        raise Refusal("resource_exhausted", "node has exceeded its configured limit", status=503)
