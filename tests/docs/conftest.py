"""What the tests of the documentation share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from server_process import ROOT, Server, running

DEFAULT_HTTP = "127.0.0.1:7880"
"""The address that pages name; a block gets that of the test's own server in its place."""


@pytest.fixture(scope="session")
def dev_server() -> Iterator[Server]:
    with running(["-m", "trio_server.cli", "dev", "--port", "{port}", "--udp-port", "{udp_port}"]) as server:
        yield server


@pytest.fixture
def localised(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Text of a block with a running server in it, if it names one."""

    def localise(text: str) -> str:
        if DEFAULT_HTTP not in text:
            return text
        server: Server = request.getfixturevalue("dev_server")
        return text.replace(DEFAULT_HTTP, f"127.0.0.1:{server.port}")

    return localise


@pytest.fixture
def shell_environment(tmp_path: Path) -> dict[str, str]:
    """Variables for a shell in which `atrium` is this checkout's."""
    commands = tmp_path / "bin"
    commands.mkdir()
    atrium = commands / "atrium"
    atrium.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m trio_server.cli "$@"\n')
    atrium.chmod(0o755)
    kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
    return kept | {"PATH": f"{commands}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
