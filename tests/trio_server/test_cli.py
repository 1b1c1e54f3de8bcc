"""The command line: in process where nothing runs for long, as a process where signals matter."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO

import httpx
import pytest
from click.testing import CliRunner, Result

from sansio.auth import verify
from trio_server.cli import main, parse_grant

SECRET = "0123456789abcdef0123456789abcdef"
DEV = {"devkey": "secret"}


def run(*arguments: str, env: dict[str, str | None] | None = None) -> Result:
    clean: dict[str, str | None] = {
        name: None for name in os.environ if name.startswith(("LIVEKIT_", "NODE_IP", "UDP_PORT"))
    }
    return CliRunner().invoke(main, arguments, env=clean | (env or {}))


def test_help_names_the_commands() -> None:
    text = run("--help").output
    assert all(command in text for command in ("dev", "serve", "token", "generate-keys"))
    assert "--node-ip" in run("dev", "--help").output
    assert "--drain" in run("serve", "--help").output


def test_version() -> None:
    assert re.match(r"atrium version \S+( source)?, protocol of LiveKit \d+\.\d+\.\d+\n", run("--version").output)


# token


def test_a_token_alone_is_printed() -> None:
    text = run("token", "--room", "lobby", "--identity", "alice").stdout
    claims = verify(text.strip(), DEV, time.time())
    assert text.count("\n") == 1
    assert claims.identity == "alice"
    assert claims.video is not None
    assert (claims.video.room_join, claims.video.room) == (True, "lobby")
    assert claims.expires_at == pytest.approx(time.time() + 6 * 3600, abs=5)


def test_a_token_with_everything(tmp_path: Path) -> None:
    config = tmp_path / "livekit.yaml"
    config.write_text(f"keys: {{api: {SECRET}}}\nunknown_key: 1\n")
    result = run("token", "--room", "r", "--identity", "i", "--name", "Ida", "--metadata", "m", "--ttl", "30m",
                 "--grant", "roomAdmin", "--grant", "can-publish=false", "--config", str(config))  # fmt: skip
    claims = verify(result.stdout.strip(), {"api": SECRET}, time.time())
    assert (claims.name, claims.metadata) == ("Ida", "m")
    assert claims.expires_at == pytest.approx(time.time() + 1800, abs=5)
    assert claims.video is not None
    assert (claims.video.room_admin, claims.video.can_publish) == (True, False)


@pytest.mark.parametrize(
    ("arguments", "env", "issuer"),
    [
        pytest.param(("--keys", f"k1: {SECRET}"), {}, "k1", id="flag"),
        pytest.param((), {"LIVEKIT_KEYS": f"k2: {SECRET}"}, "k2", id="variable"),
        pytest.param((), {"LIVEKIT_API_KEY": "k3", "LIVEKIT_API_SECRET": SECRET}, "k3", id="a client's variables"),
    ],
)
def test_where_the_signing_key_comes_from(arguments: tuple[str, ...], env: dict[str, str | None], issuer: str) -> None:
    text = run("token", "--room", "r", "--identity", "i", *arguments, env=env).stdout.strip()
    assert verify(text, {issuer: SECRET}, time.time()).issuer == issuer


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(("--ttl", "soon"), "expected a duration", id="ttl"),
        pytest.param(("--grant", "fly"), "there is no grant fly", id="unknown grant"),
        pytest.param(("--grant", "hidden=perhaps"), "grant hidden is true or false", id="grant value"),
        pytest.param(("--keys", "nonsense"), 'expected "key: secret"', id="keys"),
        pytest.param(("--config", "/nonexistent.yaml"), "cannot read /nonexistent.yaml", id="no file"),
    ],
)
def test_mistakes_in_a_token(arguments: tuple[str, ...], message: str) -> None:
    result = run("token", "--room", "r", "--identity", "i", *arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("roomAdmin", ("roomAdmin", True)), ("room_admin", ("roomAdmin", True)), ("room-admin=false", ("roomAdmin", False)),
        ("canPublish=true", ("canPublish", True)), ("hidden", ("hidden", True)),
        ("canPublishSources=camera, microphone", ("canPublishSources", ["camera", "microphone"])),
        ("destinationRoom=b", ("destinationRoom", "b")),
    ],
)  # fmt: skip
def test_grants(text: str, pair: tuple[str, object]) -> None:
    assert parse_grant(text) == pair


# generate-keys


def test_keys_are_generated() -> None:
    first, second = run("generate-keys").output, run("generate-keys").output
    assert re.fullmatch(r"API Key:  API\w{12}\nAPI Secret:  [0-9A-Za-z]{43,44}\n", first)
    assert first != second


# serve


def test_serve_without_a_file_says_what_to_do() -> None:
    result = run("serve")
    assert result.exit_code == 1
    assert "--config livekit.yaml" in result.stderr
    assert "atrium dev" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "env", "message"),
    [
        pytest.param(("--keys", "a: short"), {}, "needs 32", id="short secret"),
        pytest.param((), {"LIVEKIT_CONFIG": "rtc: {udp_prt: 1}"}, "did you mean rtc.udp_port", id="unknown key"),
        pytest.param((), {"LIVEKIT_CONFIG": "port: 1"}, "no API keys", id="no keys"),
        pytest.param(("--keys", f"a: {SECRET}", "--udp-port", "x"), {}, "--udp-port: rtc.udp_port", id="flag"),
        pytest.param(("--keys", f"a: {SECRET}", "--node-ip", "[x]"), {}, "--node-ip: rtc.node_ip", id="brackets"),
        pytest.param(("--config", "/nonexistent.yaml"), {}, "cannot read", id="no file"),
    ],
)
def test_mistakes_end_the_start(arguments: tuple[str, ...], env: dict[str, str | None], message: str) -> None:
    result = run("serve", *arguments, env=env)
    assert result.exit_code == 1
    assert message in result.stderr


# As a process


@contextmanager
def process(*arguments: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, "-m", "trio_server.cli", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": root, "PYTHONUNBUFFERED": "1", **env},
    ) as running:  # fmt: skip
        try:
            yield running
        finally:
            running.kill()


def lines_until(running: subprocess.Popen[str], word: str) -> str:
    """Standard output up to the line with `word`."""
    assert running.stdout is not None
    text = ""
    for line in running.stdout:
        text += line
        if word in line:
            return text
    raise AssertionError(text + (running.stderr.read() if running.stderr else ""))


DEV_ARGUMENTS = ("dev", "--port", "0", "--udp-port", "0", "--node-ip", "127.0.0.1")


@pytest.mark.net
def test_dev_says_all_that_a_first_call_needs_and_stops_cleanly() -> None:
    with process(*DEV_ARGUMENTS) as running:
        text = lines_until(running, "Ctrl+C")
        found = re.search(r"ws://127\.0\.0\.1:(\d+)", text)
        assert found
        port = int(found[1])
        assert "devkey" in text
        assert "secret" in text
        assert f"http://127.0.0.1:{port}/demo" in text
        token = next(line for line in text.splitlines() if line.startswith("ey"))
        assert verify(token, DEV, time.time()).video is not None
        assert httpx.get(f"http://127.0.0.1:{port}/").text == "OK"
        answer = httpx.get(f"http://127.0.0.1:{port}/rtc/validate", params={"access_token": token})
        assert (answer.status_code, answer.text) == (200, "success")
        start = time.monotonic()
        running.send_signal(signal.SIGTERM)
        assert running.wait(5) == 0
        assert time.monotonic() - start < 2
        assert running.stderr is not None
        log = running.stderr.read()
        assert "server started" in log
        assert token not in log


@pytest.mark.net
def test_ctrl_c_is_a_clean_end() -> None:
    with process(*DEV_ARGUMENTS) as running:
        lines_until(running, "Ctrl+C")
        running.send_signal(signal.SIGINT)
        assert running.wait(5) == 0


def line_with(text: str, lines: IO[str]) -> str:
    """The first of the next lines that has the text."""
    for line in islice(lines, 10):
        if text in line:
            return line
    raise AssertionError(f"no line with {text}")


@pytest.mark.net
def test_serve_reads_its_file_and_logs_json(tmp_path: Path) -> None:
    config = tmp_path / "livekit.yaml"
    config.write_text(
        f"port: 0\nbind_addresses: [127.0.0.1]\nkeys: {{api: {SECRET}}}\nlogging: {{json: true}}\n"
        "rtc: {udp_port: 0, node_ip: 127.0.0.1, tcp_port: 7881}\n"
    )
    with process("serve", "--config", str(config), "--drain", "0") as running:
        assert running.stderr is not None
        note = line_with('"msg": "rtc.tcp_port has no effect here', running.stderr)
        assert '"level": "warning"' in note
        assert line_with('"msg": "server started"', running.stderr)
        running.send_signal(signal.SIGTERM)
        assert running.wait(5) == 0


@pytest.mark.net
@pytest.mark.parametrize(("kind", "flag"), [(socket.SOCK_STREAM, "--port"), (socket.SOCK_DGRAM, "--udp-port")])
def test_a_port_in_use_is_named_with_its_flag(kind: int, flag: str) -> None:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        port = str(taken.getsockname()[1])
        with process(*DEV_ARGUMENTS, flag, port) as running:
            _, errors = running.communicate(timeout=10)
            assert running.returncode == 1
            assert f"port {port} is in use" in errors
            assert flag in errors
            assert "Traceback" not in errors


def join(client: socket.socket, port: int) -> str:
    """Enter a room over a socket that reads nothing afterwards; the token that did it."""
    token = run("token", "--room", "r", "--identity", "i").stdout.strip()
    client.connect(("127.0.0.1", port))
    client.sendall(
        f"GET /rtc?access_token={token}&protocol=16 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    assert client.recv(100).startswith(b"HTTP/1.1 101 ")
    return token


def port_of(running: subprocess.Popen[str]) -> int:
    found = re.search(r"ws://127\.0\.0\.1:(\d+)", lines_until(running, "Ctrl+C"))
    assert found
    return int(found[1])


@pytest.mark.net
def test_two_servers_on_one_machine_end_in_time_with_somebody_in_the_room() -> None:
    with (
        process(*DEV_ARGUMENTS) as first,
        process(*DEV_ARGUMENTS) as second,
        socket.socket() as alice,
        socket.socket() as bob,
    ):
        for running, client in ((first, alice), (second, bob)):
            join(client, port_of(running))
        for running, number in ((first, signal.SIGTERM), (second, signal.SIGINT)):
            start = time.monotonic()
            running.send_signal(number)
            assert running.wait(5) == 0
            assert time.monotonic() - start < 2
            assert running.stderr is not None
            assert "Traceback" not in running.stderr.read()


@pytest.mark.net
def test_a_drain_waits_for_people_and_a_second_signal_does_not() -> None:
    arguments = ("serve", "--dev", "--drain", "60", *DEV_ARGUMENTS[1:])
    with process(*arguments) as running, socket.socket() as client:
        assert running.stderr is not None
        found = re.search(r"portHttp=(\d+)", line_with("server started", running.stderr))
        assert found
        token = join(client, int(found[1]))
        running.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(1)
        answer = httpx.get(f"http://127.0.0.1:{found[1]}/rtc/validate", params={"access_token": token})
        assert answer.status_code == 503
        running.send_signal(signal.SIGINT)
        assert running.wait(1) == 128 + signal.SIGINT
