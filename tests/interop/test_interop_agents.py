"""A worker of LiveKit's agents framework registers and stays; it gets no job, since dispatch is not served yet."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .conftest import absent
from .facts import read_facts
from .server import Server

pytestmark = pytest.mark.interop
REGISTERING_SECONDS = 60.0
"""Importing the framework alone takes several on a small machine."""
STOPPING_SECONDS = 20.0


def test_a_worker_registers(server: Server, tmp_path: Path) -> None:
    if importlib.util.find_spec("livekit.agents") is None:
        absent("needs livekit-agents 1.0 or newer: pip install livekit-agents")
    output = tmp_path / "worker"
    with output.open("wb") as file:
        worker = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "agent_worker.py")],
            env={**os.environ, **server.environment},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    try:
        deadline = time.monotonic() + REGISTERING_SECONDS
        while "registered" not in (facts := read_facts(output.read_text())):
            assert worker.poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.05)
        assert facts["registered"]["id"].startswith("AW_")
        assert facts["registered"]["protocol"] == 1
        assert "worker registered" in server.log
    finally:
        worker.terminate()
        try:
            worker.wait(STOPPING_SECONDS)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
