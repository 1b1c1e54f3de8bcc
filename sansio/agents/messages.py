"""Jobs, dispatches and the agents' tokens, as LiveKit's messages say them."""

from __future__ import annotations

from typing import Protocol, cast

from ..auth import Claims, VideoGrant, mint
from ..config import AgentsConfig
from ..wallclock import WallClock
from ..wire import agent, agent_dispatch, models
from .job import Job, Phase
from .orders import Acceptance
from .pool import Worker

NANOSECONDS = 1_000_000_000
TOKEN_LIFE_S = 3600.0

SOURCE_CLAIMS = {
    models.TrackSource.CAMERA: "camera",
    models.TrackSource.MICROPHONE: "microphone",
    models.TrackSource.SCREEN_SHARE: "screen_share",
    models.TrackSource.SCREEN_SHARE_AUDIO: "screen_share_audio",
}
ALL_ALLOWED = models.ParticipantPermission(
    can_subscribe=True, can_publish=True, can_publish_data=True, can_update_metadata=True
)
"""What the agents of a worker may do that does not say."""


class Lookup(Protocol):
    """What jobs tell about the room and the participant that they are for."""

    def room_info(self, room: str) -> models.Room | None:
        """None if there is no such room."""

    def participant_info(self, room: str, identity: str) -> models.ParticipantInfo | None:
        """None if nobody there has the identity."""


class Messages:
    """Makes the messages."""

    __slots__ = ("_config", "_lookup", "_wallclock")

    def __init__(self, config: AgentsConfig, lookup: Lookup, wallclock: WallClock) -> None:
        self._config = config
        self._lookup = lookup
        self._wallclock = wallclock

    def availability(self, now: float, job: Job) -> agent.ServerMessage:
        """The offer; it shows the job as it will be once taken."""
        state = self.state(job)
        state.status = agent.JobStatus.JS_RUNNING
        state.reason = agent.JobStateReason.JSR_UNSPECIFIED
        state.error = ""
        state.started_at = state.updated_at = self.nanoseconds(now)
        return agent.ServerMessage(availability=agent.AvailabilityRequest(job=self.job(job, state)))

    def assignment(
        self, now: float, job: Job, worker: Worker, acceptance: Acceptance, secret: str
    ) -> agent.ServerMessage:
        """The job with the token of its agent, signed with the secret of the worker's own key."""
        token = self.token(now, job, worker, acceptance, secret)
        return agent.ServerMessage(assignment=agent.JobAssignment(job=self.job(job, self.state(job)), token=token))

    def job(self, job: Job, state: agent.JobState) -> agent.Job:
        """All of a job, with the room and the participant as they are now."""
        message = self.summary(job, state)
        wanted = job.wanted
        room = self._lookup.room_info(wanted.room)
        message.room.CopyFrom(room or models.Room(name=wanted.room, sid=wanted.room_sid))
        if wanted.participant:
            participant = self._lookup.participant_info(wanted.room, wanted.participant)
            message.participant.CopyFrom(participant or models.ParticipantInfo(identity=wanted.participant))
        return message

    def summary(self, job: Job, state: agent.JobState) -> agent.Job:
        """A job without what else is known of its room."""
        wanted = job.wanted
        return agent.Job(
            id=job.id,
            dispatch_id=wanted.dispatch_id,
            type=cast(agent.JobType, wanted.key.job_type),
            namespace=wanted.key.namespace,
            metadata=wanted.metadata,
            agent_name=wanted.key.agent_name,
            state=state,
            enable_recording=self._config.enable_user_data_recording,
            enable_redaction=self._config.enable_user_data_redaction,
            deployment=wanted.key.deployment,
            attributes=wanted.attributes,
        )

    def listed(self, job: Job) -> agent.Job:
        """A job as lists of dispatches show it."""
        message = self.summary(job, self.state(job))
        message.room.name = job.wanted.room
        message.room.sid = job.wanted.room_sid
        message.participant.identity = job.wanted.participant
        if not job.wanted.participant:
            message.ClearField("participant")
        return message

    def state(self, job: Job) -> agent.JobState:
        state = agent.JobState(
            status=cast(agent.JobStatus, job.status),
            error=job.error if job.phase is Phase.ENDED else "",
            updated_at=self.nanoseconds(job.updated_at),
            participant_identity=job.agent_identity,
            worker_id=job.worker_id,
            reason=cast(agent.JobStateReason, job.reason),
        )
        if job.started_at is not None:
            state.started_at = self.nanoseconds(job.started_at)
        if job.ended_at is not None:
            state.ended_at = self.nanoseconds(job.ended_at)
        if job.phase is Phase.WAITING and job.restart:
            state.error = f"restart {job.restart}, in place of {job.replaces}"
        return state

    def token(self, now: float, job: Job, worker: Worker, acceptance: Acceptance, secret: str) -> str:
        """What the agent joins with."""
        allowed = worker.permissions or ALL_ALLOWED
        unix = self._wallclock.seconds(now)
        claims = Claims(
            issuer=worker.issuer,
            identity=job.agent_identity,
            name=acceptance.name,
            metadata=acceptance.metadata,
            attributes=acceptance.attributes | {"lk.agent_name": worker.key.agent_name},
            kind="agent",
            video=VideoGrant(
                room_join=True,
                room=job.wanted.room,
                agent=True,
                can_publish=allowed.can_publish,
                can_subscribe=allowed.can_subscribe,
                can_publish_data=allowed.can_publish_data,
                can_publish_sources=tuple(
                    SOURCE_CLAIMS[source] for source in allowed.can_publish_sources if source in SOURCE_CLAIMS
                ),
                can_update_own_metadata=allowed.can_update_metadata,
                can_subscribe_metrics=allowed.can_subscribe_metrics,
                hidden=allowed.hidden,
            ),
            expires_at=unix + TOKEN_LIFE_S,
        )
        return mint(claims, secret, wallclock=unix, not_before=unix)

    def dispatch_state(self, created_at: float, jobs: list[Job]) -> agent_dispatch.AgentDispatchState:
        return agent_dispatch.AgentDispatchState(
            jobs=[self.listed(job) for job in jobs], created_at=self.nanoseconds(created_at)
        )

    def nanoseconds(self, now: float) -> int:
        """Unix time."""
        return int(self._wallclock.seconds(now) * NANOSECONDS)
