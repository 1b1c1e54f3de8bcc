"""What a call's token must grant."""

from __future__ import annotations

from ..auth import VideoGrant
from ..errors import Refusal
from .twirp import Call


def grant_of(call: Call) -> VideoGrant:
    """The video grant of the caller. Raises Refusal without one."""
    if call.claims is None or call.claims.video is None:
        raise Refusal("unauthenticated", "permissions denied")
    return call.claims.video


def require(allowed: bool) -> None:
    """Raises Refusal unless allowed."""
    if not allowed:
        raise Refusal("unauthenticated", "permissions denied")


def require_admin(call: Call, room: str) -> None:
    """Admin of exactly that room."""
    grant = grant_of(call)
    require(grant.room_admin and grant.room == room)
