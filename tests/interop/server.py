"""The server as users start it: a process of its own, on free ports, its log kept and judged at the end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from livekit import api

ROOT = Path(__file__).parents[2]
KEY, SECRET = "devkey", "secret"
START_SECONDS = 30.0
STOP_SECONDS = 10.0
"""Both far above what is usual, for machines under load."""
STARTED = re.compile(rb"server started .*portHttp=(\d+).*portUDP=(\d+)")
BROKEN = re.compile(r"Traceback|\[(?:error|critical) *\]|Exception")


class Server:
    """A started `atrium dev`."""

    def __init__(self, log: Path, *flags: str) -> None:
        self._log = log
        command = [sys.executable, "-m", "trio_server.cli", "dev", "--port", "0", "--udp-port", "0", *flags]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=_environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        try:
            self.port, self.udp_port = self._ports()
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise

    def _ports(self) -> tuple[int, int]:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if found := STARTED.search(self._log.read_bytes()):
                return int(found[1]), int(found[2])
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError(f"the server did not start:\n{self.log}")

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def environment(self) -> dict[str, str]:
        """What LiveKit's tools read."""
        return {"LIVEKIT_URL": self.url, "LIVEKIT_API_KEY": KEY, "LIVEKIT_API_SECRET": SECRET}

    def token(
        self, identity: str, room: str, *, kind: str = "", seconds: float = 600,
        agents: Sequence[api.RoomAgentDispatch] = (), **grants: Any,
    ) -> str:  # fmt: skip
        """A join token; `agents` are for a room that it makes, `grants` are fields of the video grant."""
        grant = api.VideoGrants(**{"room_join": True, "room": room, "can_update_own_metadata": True} | grants)
        made = api.AccessToken(KEY, SECRET).with_identity(identity).with_name(identity.title()).with_grants(grant)
        made.with_ttl(timedelta(seconds=seconds)).with_attributes({"colour": "green"})
        if kind:
            made.with_kind(kind)
        if agents:
            made.with_room_config(api.RoomConfiguration(agents=agents))
        return str(made.to_jwt())

    def stop(self) -> None:
        """End the process as an operator does. Fails if it does not end well or logged that something broke."""
        self._process.terminate()
        try:
            status = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            status = -1
        assert (status, _broken(self.log)) == (0, "")


def _broken(log: str) -> str:
    """What a log tells from the first thing that broke on, as far as one wants to read."""
    found = BROKEN.search(log)
    return log[found.start() :][:5000] if found else ""


def _environment() -> dict[str, str]:
    """This process's, without what would configure the server."""
    foreign = ("LIVEKIT_", "UDP_PORT", "NODE_IP", "REDIS_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def new_room(prefix: str = "room") -> str:
    """A name that no other test uses."""
    return f"{prefix}-{uuid4().hex[:8]}"
