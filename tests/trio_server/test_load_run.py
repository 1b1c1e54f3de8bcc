"""Whole load tests against a real server on free ports, in process and as a process."""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio
from click.testing import CliRunner
from rich.console import Console
from server_rig import config

from sansio import LocalProtocolError, choose_kernel
from sansio.load import Figures, Role
from trio_server.app import serve
from trio_server.batch import choose
from trio_server.cli import main
from trio_server.config import DEV_KEYS
from trio_server.load.command import Flags, make_plan
from trio_server.load.process import ProcessWatch
from trio_server.load.report import as_json, render
from trio_server.load.runner import Plan, Report, run_plan, subscriber_roles
from trio_server.load.target import LoadError

pytestmark = [
    pytest.mark.net,
    # trio-websocket leaves its socket open when an upgrade is refused or a close comes from the server.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
]

DEVELOPMENT_KEY = next(iter(DEV_KEYS.items()))
FLAGS = Flags(
    publishers=1, subscribers=3, audio=False, video=False, data=False, duration=1.5, room="load", rate=50.0, bitrate=300.0,
    fps=20.0, no_simulcast=False, listeners=1, hidden=False, signalling="auto", pid=None, json_file=None,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()


@asynccontextmanager
async def running() -> AsyncIterator[str]:
    """A server with its real core; the URL."""
    stop = trio.Event()
    with structlog.testing.capture_logs():
        async with trio.open_nursery() as nursery:
            here = await nursery.start(partial(serve, config(), stop=stop))
            yield f"ws://127.0.0.1:{here.port}"
            stop.set()


def plan(url: str, key: tuple[str, str] = DEVELOPMENT_KEY, **flags: Any) -> Plan:
    import attrs

    return make_plan(url, key, DEVELOPMENT_KEY, attrs.evolve(FLAGS, **flags))


def text(plan: Plan, report: Report) -> str:
    console = Console(width=120, record=True, file=open(os.devnull, "w"))  # noqa: SIM115 - closed with the test
    with console.file:
        console.print(render(plan, report))
        return console.export_text()


@pytest.mark.parametrize("signalling", ["v0", "v1"])
async def test_audio_video_and_data_reach_everybody(signalling: str) -> None:
    shown: list[Report] = []
    async with running() as url:
        wanted = plan(url, audio=True, video=True, data=True, signalling=signalling, pid=os.getpid())
        report, interrupted = await run_plan(wanted, shown.append)
    figures = report.figures
    assert not interrupted
    assert (figures.publishers, figures.subscribers, figures.refused, figures.dropped) == (1, 3, {}, {})
    for kind in ("audio", "video", "data"):
        assert figures.received[kind].packets > 20
        assert 0 < figures.latency[kind].p50 < 1
    assert figures.connected.count == 4
    assert shown
    assert report.server is not None
    assert report.server.cpu_seconds > 0
    output = text(wanted, report)
    assert "3 of 3 subscribers" in output
    assert "µs per forwarded packet" in output
    assert "kB per subscriber" in output
    assert f"{choose_kernel().name} kernel, {choose().name} sockets" in output
    values = json.loads(json.dumps(as_json(wanted, report)))
    assert values["forwarded"] == figures.forwarded
    assert values["server"]["us_per_packet"] > 0
    assert values["server"]["bytes_per_subscriber"] * 3 == pytest.approx(values["server"]["grown_bytes"])
    assert values["load_test"]["kernel"] == choose_kernel().name


@pytest.mark.parametrize("kernel", ["pure", "native"])
@pytest.mark.parametrize("sockets", ["python", "native"])
async def test_it_runs_on_what_the_environment_names(
    kernel: str, sockets: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATRIUM_KERNEL", kernel)
    monkeypatch.setenv("ATRIUM_UDP", sockets)
    try:
        choose_kernel(kernel), choose(sockets)
    except (LocalProtocolError, OSError) as error:
        pytest.skip(str(error))
    async with running() as url:
        report, _ = await run_plan(plan(url, audio=True, data=True, signalling="v0"), None)
    assert (report.kernel, report.sockets) == (kernel, sockets)
    assert report.figures.received["audio"].packets == pytest.approx(3 * 1.5 * 50, rel=0.2)
    assert (report.figures.loss, report.overflows) == (0.0, 0)
    assert 0 < report.figures.latency["audio"].p50 < 0.1
    assert 0 < report.figures.latency["data"].p50 < 0.1


@pytest.mark.parametrize(
    ("name", "says"), [("ATRIUM_KERNEL", "no kernel named fast"), ("ATRIUM_UDP", "native sockets")]
)
async def test_what_is_not_here_is_said(name: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "fast" if name == "ATRIUM_KERNEL" else "native")
    monkeypatch.setitem(sys.modules, "trio_server._udp", None)
    with pytest.raises(LoadError, match=says):
        await run_plan(plan("ws://127.0.0.1:1"), None)


@pytest.mark.parametrize(("subscribers", "listeners"), [(0, 0), (1, 1), (10, 3), (1000, 8), (7, 7), (5, 0)])
def test_listeners_are_spread_over_all(subscribers: int, listeners: int) -> None:
    roles = subscriber_roles(subscribers, listeners)
    places = [index for index, role in enumerate(roles) if role is Role.LISTENER]
    assert (len(roles), len(places)) == (subscribers, listeners)
    assert all(0 < after - before <= subscribers // listeners + 1 for before, after in pairwise(places))


async def test_a_refused_join_says_why() -> None:
    async with running() as url:
        wanted = plan(url, ("nokey", "nosecret"))
        report, _ = await run_plan(wanted, lambda _: None)
    assert report.figures.refused == {"invalid API key: nokey (401)": 4}
    assert "4 could not join: invalid API key: nokey (401)" in text(wanted, report)


async def test_a_server_that_goes_away_drops_them() -> None:
    stop = trio.Event()
    reports: list[Report] = []

    def show(report: Report) -> None:
        if report.figures.phase == "measuring" and report.figures.forwarded > 10:
            stop.set()

    async def load(url: str) -> None:
        reports.append((await run_plan(plan(url, duration=4.0, audio=True), show))[0])

    with structlog.testing.capture_logs():
        async with trio.open_nursery() as nursery:
            here = await nursery.start(partial(serve, config(), stop=stop))
            nursery.start_soon(load, f"ws://127.0.0.1:{here.port}")
    figures: Figures = reports[0].figures
    assert sum(figures.dropped.values()) == 4
    assert figures.received["audio"].packets > 0


def test_a_process_has_grown_since_the_watch_began() -> None:
    watch = ProcessWatch(os.getpid(), 5.0)
    ballast = b"x" * (32 << 20)
    watch.restart(6.0)
    usage = watch.usage(8.0)
    assert usage.grown_bytes == pytest.approx(len(ballast), rel=0.2)
    assert usage.seconds == 2.0


def test_a_process_that_is_not_there() -> None:
    with pytest.raises(LoadError, match="no process 2147483646"):
        ProcessWatch(2**31 - 2, 0.0)


# The command


def run(*arguments: str) -> Any:
    clean: dict[str, str | None] = {name: None for name in os.environ if name.startswith("LIVEKIT_")}
    return CliRunner().invoke(main, ["load-test", *arguments], env=clean)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("localhost:7880",), "is no URL of a server"),
        (("ws://127.0.0.1:1",), "cannot reach ws://127.0.0.1:1: Connection refused"),
        (("ws://call.example.org",), "call.example.org needs a key"),
        (("ws://127.0.0.1:1", "--publishers", "0", "--subscribers", "0"), "nobody to join"),
        (("ws://127.0.0.1:1", "--keys", "nonsense"), "key"),
        (("ws://127.0.0.1:1", "--duration", "0"), "duration"),
    ],
    ids=["no URL", "nobody there", "no key", "nobody", "bad keys", "no time"],
)
def test_mistakes_are_said_plainly(arguments: tuple[str, ...], says: str) -> None:
    result = run(*arguments)
    assert result.exit_code != 0
    assert says in " ".join(result.output.split())
    assert "Traceback" not in result.output


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    log = tmp_path / "log"
    with log.open("wb") as out:
        command = [
            sys.executable,
            "-m",
            "trio_server.cli",
            "dev",
            "--port",
            "0",
            "--udp-port",
            "0",
            "--bind",
            "127.0.0.1",
        ]
        process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        for _ in range(600):
            found = re.search(rb"server started .*portHttp=(\d+)", log.read_bytes())
            if found:
                break
            time.sleep(0.05)
        assert found
        yield f"ws://127.0.0.1:{int(found[1])}"
    finally:
        process.terminate()
        process.wait(10)


def test_the_command_prints_a_summary_and_writes_json(server: str, tmp_path: Path) -> None:
    file = tmp_path / "summary.json"
    result = run(server, "--subscribers", "2", "--duration", "1", "--audio", "--json", str(file))
    assert result.exit_code == 0, result.output
    assert "1 of 1 publishers, 2 of 2 subscribers" in result.output
    assert json.loads(file.read_text())["received"]["audio"]["packets"] > 50


def test_an_interrupt_prints_what_was_measured(server: str) -> None:
    command = [sys.executable, "-m", "trio_server.cli", "load-test", server, "--subscribers", "2", "--duration", "100"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    time.sleep(6)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 130, output
    assert b"2 of 2 subscribers" in output
    assert b"Traceback" not in output
