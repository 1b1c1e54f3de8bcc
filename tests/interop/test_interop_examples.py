"""The Python examples, run as their users run them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from .server import ROOT, Server, new_room
from .waiting import DEADLINE

pytestmark = pytest.mark.interop
EXAMPLES = ROOT / "examples" / "python"


class Example:
    """A running example, and what it printed."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.text = ""

    def says(self, pattern: str) -> None:
        """Hold that a line like this comes, now or soon. One that hangs is ended by the deadline of the process."""
        assert self._process.stdout is not None
        while not re.search(pattern, self.text):
            line = self._process.stdout.readline().decode()
            assert line, f"it ended without {pattern!r}:\n{self.text}"
            self.text += line

    def stop(self) -> int:
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(DEADLINE)


@contextmanager
def running(name: str, *arguments: str, **env: str) -> Iterator[Example]:
    command = ["timeout", "--signal=INT", "--kill-after=5", "60", sys.executable, str(EXAMPLES / name), *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, **env}
    ) as process:
        try:
            yield Example(process)
        finally:
            process.terminate()


def test_the_listener_hears_and_sees_the_publisher(server: Server) -> None:
    room = new_room()
    at = ("--url", server.url)
    with (
        running("listener.py", *at, "--token", server.token("ear", room)) as listener,
        running("publisher.py", *at, "--token", server.token("mouth", room)) as publisher,
    ):
        publisher.says(r"publishing")
        listener.says(rf"in room {room} as ear")
        listener.says(r"mouth: hears 440 Hz, loudness \d{4}")
        listener.says(r"mouth: sees 640x360, [1-9]\d* fps")
        assert publisher.stop() == 0
        listener.says(r"mouth left")
        assert listener.stop() == 0


def test_without_a_token_they_take_key_and_room_from_the_environment(server: Server) -> None:
    with running("listener.py", "--room", "attic", "--identity", "ear", **server.environment) as listener:
        listener.says(r"in room attic as ear, with nobody yet")


def test_a_refusal_is_one_line() -> None:
    start = time.monotonic()
    ended = subprocess.run(
        [sys.executable, EXAMPLES / "listener.py", "--url", "ws://127.0.0.1:9"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert "cannot join at ws://127.0.0.1:9" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert time.monotonic() - start < DEADLINE


def test_help_says_what_they_do() -> None:
    for name in ("publisher.py", "listener.py"):
        said = subprocess.run(
            [sys.executable, EXAMPLES / name, "--help"], capture_output=True, text=True, timeout=60, check=True
        ).stdout
        assert "--token" in said
        assert f"examples/python/{name}" in said
