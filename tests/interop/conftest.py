"""Servers and tools for real clients.

A tool that a machine lacks skips the tests that need it, with the version that would do. Under CI, which installs every
one of them, they fail instead: nothing goes untested unnoticed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from .server import Server

HERE = Path(__file__).parent
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
NODE_VERSION = (20,)


def absent(reason: str) -> NoReturn:
    """Skip for want of a tool; under CI, fail."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason} (CI is to install it)", pytrace=False)
    pytest.skip(reason)


def version_of(command: list[str]) -> tuple[int, ...] | None:
    """The first version number that a command prints, or None if there is no such command."""
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout
    except OSError:
        return None
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", said)
    return tuple(int(number or 0) for number in found.groups()) if found else None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for the tests of one module."""
    server = Server(tmp_path_factory.mktemp("server") / "log", "--bind", "127.0.0.1", "--node-ip", "127.0.0.1")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the browser."""
    if named := os.environ.get("CHROMIUM"):
        return named
    path = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    return path or absent("needs Chromium 120 or newer (Debian: apt install chromium)")


@pytest.fixture(scope="session")
def node() -> str:
    """The path of Node.js."""
    version = version_of(["node", "--version"])
    wanted = ".".join(map(str, NODE_VERSION))
    if version is None or version < NODE_VERSION:
        absent(f"needs Node.js {wanted} or newer (Debian: apt install nodejs npm)")
    return shutil.which("node") or "node"


@pytest.fixture(scope="session")
def npm_package() -> Callable[[str], Path]:
    """Finds the folder of an npm package of package.json, by name."""

    def find(name: str) -> Path:
        folder = HERE / "node_modules" / name
        return folder if folder.is_dir() else absent(f"needs npm's {name}: make interop-deps")

    return find
