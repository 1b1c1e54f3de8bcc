"""Servers as processes of their own, on ports that are free."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[2]
START_TIMEOUT = 30.0
STOP_TIMEOUT = 10.0
MOST_SAID_BYTES = 1 << 20


@attrs.frozen
class Server:
    port: int
    udp_port: int

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _heed_interrupts() -> None:
    """A shell's background jobs ignore SIGINT, and hand that on."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def running(command: Sequence[str]) -> Iterator[Server]:
    """A server started by `command`, in which {port} and {udp_port} are filled in; stopped by SIGINT, which must end it
    well."""
    server = Server(free_port(socket.SOCK_STREAM), free_port(socket.SOCK_DGRAM))
    arguments = [part.format(port=server.port, udp_port=server.udp_port) for part in command]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env=environment, preexec_fn=_heed_interrupts
    ) as process:
        try:
            _wait_until_it_answers(server, process)
            yield server
        finally:
            process.send_signal(signal.SIGINT)
            try:
                status = process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert status == 0, f"{' '.join(arguments)} ended with {status}"


@contextmanager
def working(server: Server, program: str, **environment: str) -> Iterator[None]:
    """An agent worker of the server, once it has registered. It is killed: by SIGTERM it would wait for its jobs."""
    told = {"LIVEKIT_URL": server.url, "LIVEKIT_API_KEY": "devkey", "LIVEKIT_API_SECRET": "secret"}
    command = [sys.executable, program, "start"]
    with (
        tempfile.TemporaryFile() as output,
        subprocess.Popen(
            command, cwd=ROOT, env=os.environ | told | environment, stdout=output, stderr=output
        ) as process,
    ):
        try:
            deadline = time.monotonic() + START_TIMEOUT
            while b"registered worker" not in (said := os.pread(output.fileno(), MOST_SAID_BYTES, 0)):
                assert process.poll() is None, said.decode()
                assert time.monotonic() < deadline, said.decode()
                time.sleep(0.05)
            yield
        finally:
            process.kill()


def _wait_until_it_answers(server: Server, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            with urllib.request.urlopen(server.http, timeout=5):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            assert process.poll() is None, "the server ended at its start"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.05)
