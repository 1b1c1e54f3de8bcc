"""What the dispatcher and the keeper want done, for `Agents` to carry out."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from .job import Job
from .pool import Worker


@attrs.frozen
class Acceptance:
    """What a worker said of the agent that it will send."""

    identity: str = ""
    name: str = ""
    metadata: str = ""
    attributes: dict[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Offer:
    """Ask the worker whether it takes the job."""

    worker: Worker
    job: Job


@attrs.frozen
class Assign:
    """Give the job to the worker that took it."""

    worker: Worker
    job: Job
    acceptance: Acceptance


@attrs.frozen
class Terminate:
    """Tell the worker that the job is not its own any more."""

    worker: Worker
    job_id: str


@attrs.frozen
class Remove:
    """Take the agent out of the room."""

    room: str
    identity: str
    sid: str


@attrs.frozen
class Missed:
    """A worker did not take a job that it was asked about."""

    job: Job
    worker: Worker
    why: str


@attrs.frozen
class Lost:
    """The agent is gone, and it should not be: the job ended, and another may take its place."""

    job: Job


@attrs.frozen
class Ended:
    """The job has its final state."""

    job: Job


Order: TypeAlias = Offer | Assign | Terminate | Remove | Missed | Lost | Ended
