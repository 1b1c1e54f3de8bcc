"""Log lines of events: messages, fields, levels, and what is never in them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from sansio import DropReason
from sansio.events import (
    Dropped,
    Event,
    JoinRefused,
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
from trio_server import logs

WHO: dict[str, Any] = {"room": "lobby", "identity": "alice", "sid": "PA_x"}
TRACK = {"room": "lobby", "identity": "alice", "track": "TR_x"}


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.reset_defaults()
    logging.root.handlers, logging.root.level = handlers, level


def said(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


EVENTS: list[tuple[Event, str, str, dict[str, object]]] = [
    (RoomStarted(room="lobby", sid="RM_x"), "atrium.room", "room started", {"room": "lobby", "roomID": "RM_x"}),
    (RoomFinished(room="lobby", sid="RM_x", reason="idle"), "atrium.room", "closing idle room", {"reason": "idle"}),
    (RoomFinished(room="lobby", sid="RM_x", reason="ROOM_DELETED"), "atrium.room", "room closed", {"room": "lobby"}),
    (ParticipantJoined(**WHO, kind="standard", client="JS 2.1"), "atrium.room", "starting RTC session",
     {"participant": "alice", "participantID": "PA_x", "client": "JS 2.1"}),
    (ParticipantActive(**WHO, after_ms=12), "atrium.room", "participant active", {"duration": 12}),
    (ParticipantResumed(**WHO), "atrium.room", "participant resumed", {"participant": "alice"}),
    (ParticipantLeft(**WHO, reason="CLIENT_INITIATED", was_active=True), "atrium.room", "participant closing",
     {"reason": "CLIENT_INITIATED", "wasActive": True}),
    (TrackPublished(**TRACK, kind="audio", mime_type="audio/opus"), "atrium.pub", "track published", {"trackID": "TR_x"}),
    (TrackUnpublished(**TRACK), "atrium.pub", "track unpublished", {"trackID": "TR_x"}),
    (TrackSubscribed(**TRACK), "atrium.sub", "track subscribed", {"participant": "alice"}),
    (PeerStateChanged(room="lobby", identity="alice", target="publisher", state="connected"), "atrium.transport",
     "connection state", {"transport": "publisher", "state": "connected"}),
    (JoinRefused(status=401, message="permissions denied"), "atrium.api", "join refused", {"status": 401}),
    (RequestServed(method="RoomService.ListRooms", status=200, code=""), "atrium.api", "API RoomService.ListRooms",
     {"status": 200}),
    (WorkerRegistered(worker="AW_x", agent_name="bot", job_type="JT_ROOM"), "atrium.agents", "worker registered",
     {"workerID": "AW_x", "agentName": "bot"}),
    (WorkerGone(worker="AW_x", reason="left"), "atrium.agents", "worker gone", {"reason": "left"}),
    (Dropped(reason=DropReason.SRTP_REPLAY, count=3), "atrium.transport", "input dropped", {"reason": "SRTP replay", "count": 3}),
]  # fmt: skip


@pytest.mark.parametrize(("event", "logger", "message", "fields"), EVENTS, ids=[case[2] for case in EVENTS])
def test_events_become_lines(
    event: Event, logger: str, message: str, fields: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    logs.set_up("debug", json=True)
    logs.report(event)
    (line,) = said(capsys)
    assert (line["logger"], line["msg"]) == (logger, message)
    assert fields.items() <= line.items()
    assert isinstance(line["ts"], float)


def test_levels_hide_lines(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("info", json=True)
    logs.report(TrackSubscribed(**TRACK))
    logs.report(TrackUnpublished(**TRACK))
    assert [line["msg"] for line in said(capsys)] == ["track unpublished"]


def test_components_have_levels_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("warning", json=True, component_levels={"sub": "debug", "room": "error"})
    logs.report(TrackSubscribed(**TRACK))
    logs.report(TrackUnpublished(**TRACK))
    structlog.get_logger("atrium.room").warning("hidden")
    structlog.get_logger("atrium.room.more").error("seen")
    assert [line["msg"] for line in said(capsys)] == ["track subscribed", "seen"]


def test_secrets_are_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("info", json=True)
    structlog.get_logger("atrium").info("careless", token="eyJ", secret="s", room="lobby")
    (line,) = said(capsys)
    assert (line["token"], line["secret"], line["room"]) == ("(hidden)", "(hidden)", "lobby")


def test_people_get_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("info")
    logs.report(RoomStarted(room="lobby", sid="RM_x"))
    line = capsys.readouterr().err
    assert "room started" in line
    assert "room=lobby" in line
    assert "\x1b" not in line


def test_lines_of_libraries_come_along(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("info", json=True)
    logging.getLogger("hypercorn.error").warning("odd %s", "thing")
    logging.getLogger("hypercorn.error").info("hidden")
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("hypercorn.error").exception("failed")
    odd, failed = said(capsys)
    assert (odd["msg"], odd["level"], odd["logger"]) == ("odd thing", "warning", "hypercorn.error")
    assert "ValueError: why" in str(failed["exception"])
