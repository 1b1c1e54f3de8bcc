"""Worker sockets: their token, registration, encodings, and breaks of the protocol (services 1.1 to 1.5, signalling A-1)."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sansio.agents import Agents
from sansio.auth import Claims, VideoGrant, mint
from sansio.config import Config, LimitConfig
from sansio.entropy import SeededEntropy
from sansio.errors import DropReason
from sansio.events import WorkerGone, WorkerRegistered
from sansio.ids import NodeId, SessionId
from sansio.outputs import Accept, Close, Command, HttpRequest, Reject, Send
from sansio.wallclock import WallClock
from sansio.wire import agent, models

KEY, SECRET, WALL = "api-key", "a secret that is long enough for HS256", 1_700_000_000.0
CONFIG = Config(keys={KEY: SECRET}, region="eu")
ONE = SessionId(1)
JobType = agent.JobType


def jwt(grant: VideoGrant | None = VideoGrant(agent=True), *, ttl: float = 600) -> str:  # noqa: B008 - frozen
    return mint(Claims(issuer=KEY, video=grant, expires_at=WALL + ttl), SECRET, wallclock=WALL)


class NoRooms:
    """Knows no room."""

    def room_info(self, room: str) -> models.Room | None:
        return None

    def participant_info(self, room: str, identity: str) -> models.ParticipantInfo | None:
        return None


def sessions(config: Config = CONFIG) -> Agents:
    return Agents(config, SeededEntropy(1), WallClock(WALL), NodeId("ND_x"), NoRooms())


def connect(workers: Agents, session: SessionId = ONE, token: str = "", **headers: str) -> list[Command]:
    query = {"access_token": token or jwt()} if not headers else {}
    query |= {"protocol": "1", "worker_token": "x"}
    workers.handle_connect(0.0, session, HttpRequest(method="GET", path="/agent", query=query, headers=headers))
    return workers.poll_commands()


def say(workers: Agents, now: float = 1.0, session: SessionId = ONE, **message: Any) -> list[Command]:
    workers.handle_message(now, session, agent.WorkerMessage(**message).SerializeToString())
    return workers.poll_commands()


def heard(workers: Agents, now: float, session: SessionId, frame: bytes | str) -> list[Command]:
    workers.handle_message(now, session, frame)
    return workers.poll_commands()


def waited(workers: Agents, now: float) -> list[Command]:
    workers.handle_timeout(now)
    return workers.poll_commands()


def registered(**request: Any) -> Agents:
    workers = sessions()
    connect(workers)
    (answer,) = say(workers, register=agent.RegisterWorkerRequest(**request))
    assert isinstance(answer, Send)
    return workers


# The socket (1.1)


@pytest.mark.parametrize(
    ("given", "status", "body"),
    [
        pytest.param(
            {"token": jwt(VideoGrant(room_join=True))}, 401, "no permissions to access the room", id="no grant"
        ),
        pytest.param({"token": jwt(None)}, 401, "no permissions to access the room", id="no video grant"),
        pytest.param({"token": "zzz"}, 401, "invalid authorization token", id="no JWT"),
        pytest.param({"token": jwt(ttl=-100)}, 401, "invalid token: expired", id="expired"),
        pytest.param(
            {"authorization": "Basic x"}, 401, "invalid authorization header. Must start with Bearer ", id="scheme"
        ),
    ],
)
def test_sockets_that_are_refused(given: dict[str, str], status: int, body: str) -> None:
    workers = sessions()
    assert connect(workers, ONE, **given) == [Reject(session=ONE, status=status, body=body)]
    assert ONE not in workers
    assert len(workers) == 0


def test_no_token_is_refused() -> None:
    workers = sessions()
    workers.handle_connect(0.0, ONE, HttpRequest(method="GET", path="/agent"))
    (answer,) = workers.poll_commands()
    assert isinstance(answer, Reject)
    assert answer.status == 401


def test_an_identity_is_not_needed_and_the_header_will_do() -> None:
    workers = sessions()
    assert connect(workers, authorization=f"Bearer {jwt()}") == [Accept(session=ONE)]
    assert ONE in workers


# Registration (1.4, A-1)


@pytest.mark.parametrize("job_type", [JobType.JT_ROOM, JobType.JT_PUBLISHER, JobType.JT_PARTICIPANT])
def test_a_worker_registers(job_type: Any) -> None:
    workers = sessions()
    connect(workers)
    request = agent.RegisterWorkerRequest(
        type=job_type,
        agent_name="helper",
        version="1.8.9",
        ping_interval=5,
        deployment="blue",
    )
    (answer,) = say(workers, register=request)
    assert isinstance(answer, Send)
    assert isinstance(answer.frame, bytes)
    response = agent.ServerMessage.FromString(answer.frame).register
    assert response.worker_id.startswith("AW_")
    info = response.server_info
    assert (info.version, info.protocol, info.agent_protocol, info.region, info.node_id) == (
        CONFIG.version, 17, 1, "eu", "ND_x",
    )  # fmt: skip
    (event,) = workers.poll_events()
    kind = {0: "room", 1: "publisher", 2: "participant"}[job_type]
    assert event == WorkerRegistered(worker=response.worker_id, agent_name="helper", job_type=kind)
    workers.handle_timeout(100.0)
    assert ONE in workers


def test_each_connection_has_an_id_of_its_own() -> None:
    workers = sessions()
    ids = set()
    for number in range(3):
        connect(workers, SessionId(number))
        (answer,) = say(workers, session=SessionId(number), register=agent.RegisterWorkerRequest())
        assert isinstance(answer, Send)
        assert isinstance(answer.frame, bytes)
        ids.add(agent.ServerMessage.FromString(answer.frame).register.worker_id)
    assert len(ids) == 3


def test_who_does_not_register_in_ten_seconds_is_closed() -> None:
    workers = sessions()
    connect(workers)
    connect(workers, SessionId(2))
    say(workers, session=SessionId(2), register=agent.RegisterWorkerRequest())
    assert workers.poll_timeout() == 10.0
    assert waited(workers, 9.9) == []
    (close,) = waited(workers, 10.0)
    assert close == Close(session=ONE, code=1008, reason="did not register in time")
    assert workers.poll_timeout() is None
    assert say(workers, ping=agent.WorkerPing()) == []


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        pytest.param([{}], "message without content", id="empty"),
        pytest.param([{"update_worker": agent.UpdateWorkerStatus()}], "update_worker before register", id="update"),
        pytest.param([{"migrate_job": agent.MigrateJobRequest()}], "migrate_job before register", id="migrate"),
        pytest.param([{"register": agent.RegisterWorkerRequest()}] * 2, "registered already", id="twice"),
        pytest.param([{"register": agent.RegisterWorkerRequest(type=9)}], "unknown job type", id="type"),  # type: ignore[arg-type]
        pytest.param(
            [{"register": agent.RegisterWorkerRequest(deployment="a_b")}],
            "deployment contains reserved character '_'", id="deployment",
        ),
        pytest.param(
            [{"register": agent.RegisterWorkerRequest(deployment="x" * 65)}], "deployment is too long", id="long deployment"
        ),
        pytest.param(
            [{"register": agent.RegisterWorkerRequest(deployment="a\tb")}],
            "deployment contains white space or control characters", id="white space",
        ),
    ],
)  # fmt: skip
def test_breaks_of_the_protocol_close_the_socket(messages: list[dict[str, Any]], reason: str) -> None:
    """1.2, 1.4: with a reason, which is friendlier than Go's silence."""
    workers = sessions()
    connect(workers)
    for message in messages:
        commands = say(workers, **message)
    assert commands == [Close(session=ONE, code=1008, reason=reason)]
    assert ONE not in workers
    assert workers.poll_drops() == {DropReason.SIGNAL_UNEXPECTED: 1}


@pytest.mark.parametrize("frame", [b"\xff" * 9, "{hello", '{"register": [1]}', '"text"'])
def test_undecodable_frames_close_the_socket(frame: bytes | str) -> None:
    workers = registered()
    workers.poll_events()
    assert heard(workers, 1.0, ONE, frame) == [Close(session=ONE, code=1002, reason="message cannot be decoded")]
    assert workers.poll_drops() == {DropReason.SIGNAL_MALFORMED: 1}
    (gone,) = workers.poll_events()
    assert isinstance(gone, WorkerGone)


def test_a_frame_that_is_too_large_closes_the_socket() -> None:
    workers = sessions(attrs.evolve(CONFIG, limit=LimitConfig(max_signal_message_size=100)))
    connect(workers)
    (close,) = heard(workers, 0.0, ONE, bytes(101))
    assert isinstance(close, Close)


# Messages (1.2, 1.5)


def test_pings_are_answered_before_and_after_registration() -> None:
    workers = sessions()
    connect(workers)
    for _ in range(2):
        (answer,) = say(workers, now=2.5, ping=agent.WorkerPing(timestamp=123))
        assert isinstance(answer, Send)
        assert isinstance(answer.frame, bytes)
        pong = agent.ServerMessage.FromString(answer.frame).pong
        assert (pong.last_timestamp, pong.timestamp) == (123, int((WALL + 2.5) * 1000))
        if not workers.poll_events():
            say(workers, register=agent.RegisterWorkerRequest())


def test_the_answer_is_in_the_encoding_of_the_last_frame() -> None:
    workers = sessions()
    connect(workers)
    (answer,) = heard(workers, 0.0, ONE, '{"register": {"type": "JT_PUBLISHER", "agentName": "x", "novel": 1}}')
    assert isinstance(answer, Send)
    assert isinstance(answer.frame, str)
    assert json.loads(answer.frame)["register"]["workerId"].startswith("AW_")
    (answer,) = say(workers, ping=agent.WorkerPing(timestamp=1))
    assert isinstance(answer, Send)
    assert isinstance(answer.frame, bytes)


@pytest.mark.parametrize(
    "message",
    [
        {"update_worker": agent.UpdateWorkerStatus(status=agent.WorkerStatus.WS_FULL, load=0.9, job_count=3)},
        {"update_worker": agent.UpdateWorkerStatus(load=0.1)},
        {"availability": agent.AvailabilityResponse(job_id="AJ_unknown", available=True)},
        {"update_job": agent.UpdateJobStatus(job_id="AJ_unknown")},
        {"migrate_job": agent.MigrateJobRequest(job_ids=["AJ_unknown"])},
    ],
)
def test_reports_are_taken_and_unknown_jobs_ignored(message: dict[str, Any]) -> None:
    """1.5, 1.8, 1.9."""
    workers = registered()
    assert say(workers, **message) == []
    assert ONE in workers


def test_a_lost_socket_is_reported_if_it_was_registered() -> None:
    workers = registered()
    (event,) = workers.poll_events()
    assert isinstance(event, WorkerRegistered)
    workers.handle_disconnect(5.0, ONE)
    assert workers.poll_events() == [WorkerGone(worker=event.worker, reason="disconnected")]
    workers = sessions()
    connect(workers)
    workers.handle_disconnect(5.0, ONE)
    workers.handle_disconnect(5.0, ONE)
    assert workers.poll_events() == []
    assert workers.poll_timeout() is None


def test_the_end_of_the_server_closes_all_sockets() -> None:
    workers = registered()
    connect(workers, SessionId(2))
    workers.close(9.0)
    closes = workers.poll_commands()
    assert [(close.session, close.code) for close in closes if isinstance(close, Close)] == [(1, 1001), (2, 1001)]
    assert len(workers) == 0


@settings(max_examples=80, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=40), st.text(max_size=40)), max_size=4), st.booleans())
def test_any_frames_are_answered_or_end_the_socket(frames: list[bytes | str], registers: bool) -> None:
    """X-3."""
    workers = registered() if registers else sessions()
    if not registers:
        connect(workers)
    for frame in frames:
        for command in heard(workers, 1.0, ONE, frame):
            assert isinstance(command, Send | Close)
