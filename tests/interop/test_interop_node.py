"""LiveKit's Node SDK and Node server SDK, in a program of Node.js."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .facts import read_facts
from .server import Server, new_room

pytestmark = pytest.mark.interop
PROGRAM_SECONDS = 120


def test_node_sdks(server: Server, node: str, npm_package: Callable[[str], Path]) -> None:
    for package in ("@livekit/rtc-node", "livekit-server-sdk"):
        npm_package(package)
    ran = subprocess.run(
        [node, "node_client.mjs", new_room("node")],
        cwd=Path(__file__).parent,
        env={**os.environ, **server.environment, "NODE_ENV": "production"},  # which quietens the SDK's log
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        check=False,
    )
    facts = read_facts(ran.stdout)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert facts["join"] == {"seen": ["alice"], "met": "BOB"}
    assert facts["media"]["same"]
    assert abs(facts["media"]["hertz"] - 440) < 10
    assert facts["data"] == {"text": "hello", "sender": "alice"}
    assert facts["stream"] == {"length": 40_000}
    assert facts["rpc"] == {"answer": "HELLO"}
    assert facts["service"] == {"people": ["alice", "bob"], "metadata": "changed", "reason": 4}  # PARTICIPANT_REMOVED
    assert "end" in facts
