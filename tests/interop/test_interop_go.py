"""A participant in Go, as LiveKit's Go clients are built: Pion's media stack and LiveKit's protocol package, over two peer
connections."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .conftest import HERE, absent, version_of
from .facts import read_facts
from .people import AUDIO, VIDEO, call, inbound_packets, picture, tone, viewing
from .server import Server, new_room
from .waiting import eventually, scenario

pytestmark = pytest.mark.interop
SOURCE = HERE / "go"
GO_VERSION = (1, 26)
BUILD_SECONDS = 300
"""For the first build; later ones find everything in Go's cache."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds the client of modules that are there already; nothing is downloaded here."""
    version = version_of(["go", "version"])
    if version is None or version < GO_VERSION:
        absent(f"needs Go {'.'.join(map(str, GO_VERSION))} or newer")
    binary = tmp_path_factory.mktemp("go") / "client"
    environment = {**os.environ, "GOPROXY": "off", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}
    command = ["go", "build", "-o", str(binary), "."]
    built = subprocess.run(
        command, cwd=SOURCE, env=environment, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
    )
    if "module lookup disabled" in built.stderr:
        absent("needs the Go modules of tests/interop/go: make interop-deps")
    assert built.returncode == 0, built.stderr
    return binary


@contextmanager
def running(program: Path, server: Server, room: str, output: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, **server.environment, "LIVEKIT_TOKEN": server.token("gopher", room)}
    with output.open("wb") as file, subprocess.Popen([program], env=environment, stdout=file, stderr=file) as process:
        try:
            yield process
        finally:
            process.kill()


@scenario
async def test_a_go_client_calls_a_python_one(server: Server, program: Path, tmp_path: Path) -> None:
    room, output = new_room("go"), tmp_path / "output"
    async with call(server, room, "alice") as (alice,), tone(alice), picture(alice):
        with running(program, server, room, output) as process:

            def told(step: str) -> object:
                facts = read_facts(output.read_text())
                assert "error" not in facts, output.read_text()
                return facts.get(step)

            await eventually(lambda: told("join"), "Go joins")
            assert told("join") == {"identity": "gopher", "others": ["alice"], "subscriber": True}
            assert await eventually(lambda: told("track audio"), "Go hears alice")
            assert await eventually(lambda: told("track video"), "Go sees alice")
            voice = await alice.gets_track("gopher", AUDIO)
            await eventually(lambda: told("published microphone") and told("published camera"), "Go's tracks have sids")
            async with viewing(await alice.gets_track("gopher", VIDEO)) as viewer:
                await eventually(lambda: viewer.frames >= 5, "alice sees Go's frames")
                assert viewer.size == (64, 36)
            assert await inbound_packets(voice) >= 10

            await eventually(lambda: alice.messages("go"), "alice gets Go's greeting")
            assert [packet.data for packet in alice.messages("go")] == [b"hello from go"]
            await alice.me.publish_data(b"ping", topic="to go", destination_identities=["gopher"])
            await eventually(lambda: len(alice.messages("go")) == 2, "Go answers")
            assert alice.messages("go")[1].data == b"echo ping"
            assert told("data ping") == {"sender": "alice", "topic": "to go"}

            await alice.me.publish_data(b"bye")
            await eventually(lambda: process.poll() is not None, "Go leaves")
            assert process.returncode == 0, output.read_text()
            assert told("end") == {}
            await eventually(lambda: not alice.sees("gopher"), "alice sees Go leave")
