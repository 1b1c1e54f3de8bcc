"""What becomes of events: log lines through structlog, for people or as one JSON object a line.

Field names and the messages that operators search for are LiveKit's. Names, metadata and attributes of participants are
never logged, nor are tokens and secrets; requests are logged without their query, where tokens travel.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any, assert_never

import structlog
from structlog.typing import EventDict, WrappedLogger

from sansio import Event
from sansio.events import (
    AnswerRefused,
    Dropped,
    JobAssigned,
    JobEnded,
    JobRestarted,
    JoinRefused,
    OfferMissed,
    ParticipantActive,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantResumed,
    PeerStateChanged,
    RequestServed,
    RoomFinished,
    RoomStarted,
    TrackPublished,
    TrackSubscribed,
    TrackUnpublished,
    WorkerGone,
    WorkerRegistered,
)

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_SECRETS = frozenset({"token", "secret", "access_token", "authorization", "keys", "api_secret"})

_room = structlog.get_logger("atrium.room")
_publisher = structlog.get_logger("atrium.pub")
_subscriber = structlog.get_logger("atrium.sub")
_transport = structlog.get_logger("atrium.transport")
_api = structlog.get_logger("atrium.api")
_agents = structlog.get_logger("atrium.agents")


def set_up(level: str = "info", *, json: bool = False, component_levels: Mapping[str, str] | None = None) -> None:
    """Configure structlog and the loggers of libraries, once."""
    levels = {name: _LEVELS[each] for name, each in (component_levels or {}).items()}
    lowest = min([_LEVELS[level], *levels.values()])
    processors: list[Any] = [
        _Gate(_LEVELS[level], levels),
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt=None if json else "iso", utc=True, key="ts" if json else "timestamp"),
        _without_secrets,
    ]
    if json:
        processors += [structlog.processors.format_exc_info, structlog.processors.EventRenamer("msg")]
        processors.append(structlog.processors.JSONRenderer(default=str))
    else:
        processors.append(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=30))
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(lowest),
        logger_factory=_Named,
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_ToStructlog()], force=True)


def report(event: Event) -> None:
    """One log line, or none, for an event of the core."""
    match event:
        case RoomStarted():
            _room.info("room started", room=event.room, roomID=event.sid)
        case RoomFinished():
            idle = "idle" in event.reason.lower() or "empty" in event.reason.lower()
            _room.info(
                "closing idle room" if idle else "room closed", room=event.room, roomID=event.sid, reason=event.reason
            )
        case ParticipantJoined():
            _room.info("starting RTC session", **_who(event), kind=event.kind, client=event.client)
        case ParticipantActive():
            _room.info("participant active", **_who(event), duration=event.after_ms)
        case ParticipantResumed():
            _room.info("participant resumed", **_who(event))
        case ParticipantLeft():
            _room.info("participant closing", **_who(event), reason=event.reason, wasActive=event.was_active)
        case TrackPublished():
            _publisher.info("track published", **_track(event), kind=event.kind, mime=event.mime_type)
        case TrackUnpublished():
            _publisher.info("track unpublished", **_track(event))
        case TrackSubscribed():
            _subscriber.debug("track subscribed", **_track(event))
        case PeerStateChanged():
            _transport.debug("connection state", room=event.room, participant=event.identity, transport=event.target,
                             state=event.state)  # fmt: skip
        case JoinRefused() | RequestServed() | Dropped():
            _report_service(event)
        case _:
            _report_agents(event)


def _report_service(event: JoinRefused | RequestServed | Dropped) -> None:
    match event:
        case JoinRefused():
            _api.info("join refused", status=event.status, error=event.message)
        case RequestServed():
            _api.info(f"API {event.method}", status=event.status, code=event.code)
        case Dropped():
            _transport.debug("input dropped", reason=event.reason.value, count=event.count)
        case _:
            assert_never(event)


def _report_agents(
    event: WorkerRegistered | WorkerGone | OfferMissed | AnswerRefused | JobAssigned | JobRestarted | JobEnded,
) -> None:
    match event:
        case WorkerRegistered():
            _agents.info("worker registered", workerID=event.worker, agentName=event.agent_name, jobType=event.job_type)
        case WorkerGone():
            _agents.info("worker gone", workerID=event.worker, reason=event.reason)
        case OfferMissed():
            _agents.info("job not taken", jobID=event.job, workerID=event.worker, reason=event.reason)
        case AnswerRefused():
            _agents.warning("answer of a worker refused", jobID=event.job, workerID=event.worker, reason=event.reason)
        case JobAssigned():
            _agents.info("job assigned", jobID=event.job, room=event.room, workerID=event.worker,
                         agentName=event.agent_name, duration=event.after_ms)  # fmt: skip
        case JobRestarted():
            _agents.warning("job restarted", jobID=event.job, replaces=event.replaces, restart=event.restart,
                            reason=event.reason)  # fmt: skip
        case JobEnded():
            log = _agents.info if event.was_offered else _agents.debug
            log("job ended", jobID=event.job, room=event.room, agentName=event.agent_name, status=event.status,
                error=event.error)  # fmt: skip
        case _:
            assert_never(event)


def _who(event: ParticipantJoined | ParticipantActive | ParticipantResumed | ParticipantLeft) -> dict[str, str]:
    return {"room": event.room, "participant": event.identity, "participantID": event.sid}


def _track(event: TrackPublished | TrackUnpublished | TrackSubscribed) -> dict[str, str]:
    return {"room": event.room, "participant": event.identity, "trackID": event.track}


class _Named:
    """Prints to standard error; carries the name that the logger was asked for."""

    def __init__(self, name: str = "atrium", *_: object) -> None:
        self.name = name

    def msg(self, line: str) -> None:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()

    debug = info = warning = error = critical = exception = log = msg


class _Gate:
    """Drops lines below the level of their component; the longest prefix of its name decides."""

    def __init__(self, default: int, levels: Mapping[str, int]) -> None:
        self._default = default
        self._levels = sorted(levels.items(), key=lambda pair: -len(pair[0]))

    def __call__(self, logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
        name = getattr(logger, "name", "atrium")
        bare = name.partition(".")[2]
        level = next(
            (each for prefix, each in self._levels if name.startswith(prefix) or bare.startswith(prefix)), self._default
        )
        if logging.getLevelName(method.upper()) != level and _number(method) < level:
            raise structlog.DropEvent
        line["logger"] = name
        return line


def _number(method: str) -> int:
    return logging.ERROR if method in ("exception", "critical") else _LEVELS.get(method, logging.INFO)


def _without_secrets(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """A last net: fields by these names never reach the output."""
    for name in _SECRETS & line.keys():
        line[name] = "(hidden)"
    return line


class _ToStructlog(logging.Handler):
    """Lines of libraries that use the standard library's logging."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger(record.name)
        log.log(record.levelno, record.getMessage(), exc_info=record.exc_info)
