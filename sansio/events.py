"""What happened, for observers: logs, metrics, webhooks, tests. Past tense, frozen, small.

An event never asks for anything; dropping all of them changes nothing in the core. Identities and names appear here
because webhooks need them; a log should pass them through `trace.redact` where its readers ask for that.
"""

from __future__ import annotations

from typing import TypeAlias

import attrs

from .errors import DropReason


@attrs.frozen(kw_only=True)
class RoomStarted:
    room: str
    sid: str


@attrs.frozen(kw_only=True)
class RoomFinished:
    room: str
    sid: str
    reason: str


@attrs.frozen(kw_only=True)
class ParticipantJoined:
    """The join message was sent; media is not connected yet."""

    room: str
    identity: str
    sid: str
    kind: str
    client: str
    """SDK name and version, as the client said."""
    is_dependent: bool = False
    """Agents, egress and recorders, who do not keep a room open."""


@attrs.frozen(kw_only=True)
class ParticipantActive:
    """The primary peer connection is up."""

    room: str
    identity: str
    sid: str
    after_ms: int
    """Since the join."""


@attrs.frozen(kw_only=True)
class ParticipantResumed:
    room: str
    identity: str
    sid: str


@attrs.frozen(kw_only=True)
class ParticipantLeft:
    room: str
    identity: str
    sid: str
    reason: str
    """Name of a DisconnectReason."""
    was_active: bool


@attrs.frozen(kw_only=True)
class TrackPublished:
    room: str
    identity: str
    track: str
    kind: str
    mime_type: str


@attrs.frozen(kw_only=True)
class TrackUnpublished:
    room: str
    identity: str
    track: str


@attrs.frozen(kw_only=True)
class TrackSubscribed:
    room: str
    identity: str
    """The subscriber."""
    track: str


@attrs.frozen(kw_only=True)
class JoinRefused:
    status: int
    message: str


@attrs.frozen(kw_only=True)
class RequestServed:
    """One Twirp call was answered."""

    method: str
    """Service and method."""
    status: int
    code: str


@attrs.frozen(kw_only=True)
class PeerStateChanged:
    """A transport's connection state, for debug logs."""

    room: str
    identity: str
    target: str
    """publisher or subscriber."""
    state: str


@attrs.frozen(kw_only=True)
class WorkerRegistered:
    worker: str
    agent_name: str
    job_type: str


@attrs.frozen(kw_only=True)
class WorkerGone:
    worker: str
    reason: str


@attrs.frozen(kw_only=True)
class OfferMissed:
    """A worker did not take a job that it was asked about."""

    job: str
    worker: str
    reason: str


@attrs.frozen(kw_only=True)
class AnswerRefused:
    """A worker took a job that is not offered to it, or not any more."""

    job: str
    worker: str
    reason: str


@attrs.frozen(kw_only=True)
class JobAssigned:
    job: str
    room: str
    worker: str
    agent_name: str
    after_ms: int
    """Since the job was made."""


@attrs.frozen(kw_only=True)
class JobRestarted:
    """A job was lost, and another takes its place after a pause."""

    job: str
    """The new one."""
    replaces: str
    restart: int
    """How many there were, this one included."""
    reason: str


@attrs.frozen(kw_only=True)
class JobEnded:
    """A job has its one final state."""

    job: str
    room: str
    agent_name: str
    status: str
    """JS_SUCCESS or JS_FAILED."""
    error: str
    was_offered: bool


@attrs.frozen(kw_only=True)
class Dropped:
    """Input was thrown away so many times since the last such event."""

    reason: DropReason
    count: int


Event: TypeAlias = (
    RoomStarted
    | RoomFinished
    | ParticipantJoined
    | ParticipantActive
    | ParticipantResumed
    | ParticipantLeft
    | TrackPublished
    | TrackUnpublished
    | TrackSubscribed
    | JoinRefused
    | RequestServed
    | PeerStateChanged
    | WorkerRegistered
    | WorkerGone
    | OfferMissed
    | AnswerRefused
    | JobAssigned
    | JobRestarted
    | JobEnded
    | Dropped
)
