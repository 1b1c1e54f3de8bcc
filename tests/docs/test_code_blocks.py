"""Every code block of README and docs does what it shows: Python and shell run, configuration loads, commands exist.

A page's Python blocks run in order, in one module. What must not run is marked `text`; even there, commands are looked at.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
from doc_blocks import ROOT, Block, blocks, blocks_in, name, pages, pages_with
from server_process import Server, running, working

from trio_server.cli import main
from trio_server.config import load

RUN = {"python", "sh", "yaml"}
SHOWN = {"text"}
BUILT = {"{toctree}", "{include}", "{eval-rst}", "{literalinclude}", "{image}"}
SHELL_TIMEOUT = 60.0
DEFAULT_HTTP = "127.0.0.1:7880"
"""The address that pages name; a block gets that of the test's own server in its place."""

EXAMPLE_WORKER = "examples/agent/worker.py"
"""Runs while the blocks of pages that name it do."""


@pytest.fixture(scope="session")
def dev_server() -> Iterator[Server]:
    with running(["-m", "trio_server.cli", "dev", "--port", "{port}", "--udp-port", "{udp_port}"]) as server:
        yield server


@pytest.fixture(scope="session")
def example_worker(dev_server: Server) -> Iterator[None]:
    """The worker of the examples, for every room, and another for those that ask for a greeter."""
    pytest.importorskip("livekit.agents", reason="needs LiveKit's agents framework: pip install livekit-agents")
    with ExitStack() as stack:
        for agent_name in ("", "greeter"):
            stack.enter_context(working(dev_server, EXAMPLE_WORKER, AGENT_NAME=agent_name))
        yield


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


def parameters(language: str) -> list[Any]:
    return [
        pytest.param(
            page,
            id=name(page),
            marks=[pytest.mark.net, pytest.mark.interop] if _needs_server(page, language) else [],
        )
        for page in pages_with(language)
    ]


def _needs_server(page: Path, language: str) -> bool:
    return any(DEFAULT_HTTP in block.text for block in blocks_in(page, language))


@pytest.mark.parametrize("page", pages(), ids=name)
def test_every_block_is_of_a_kind_that_is_tested(page: Path) -> None:
    assert [(block.place, block.language) for block in blocks(page) if block.language not in RUN | SHOWN | BUILT] == []


@pytest.mark.parametrize("page", parameters("python"))
def test_python_runs(
    page: Path, localised: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if EXAMPLE_WORKER in page.read_text():
        request.getfixturevalue("example_worker")
    module = ModuleType("page_under_test")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for block in blocks_in(page, "python"):
        if "livekit" in block.text:
            pytest.importorskip("livekit.rtc", reason="needs LiveKit's Python SDK: pip install livekit livekit-api")
        padding = "\n" * (block.line - 1)  # so that a traceback names the line in the page
        exec(compile(padding + localised(block.text), str(page), "exec"), module.__dict__)


@pytest.mark.parametrize("page", parameters("sh"))
def test_shell_runs(
    page: Path, localised: Callable[[str], str], shell_environment: dict[str, str], tmp_path: Path
) -> None:
    for block in blocks_in(page, "sh"):
        for command in ("curl", "openssl"):
            if command in block.text and not shutil.which(command):
                pytest.skip(f"needs {command}")
        script = "set -euo pipefail\n" + localised(block.text)
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            env=shell_environment,
            capture_output=True,
            text=True,
            timeout=SHELL_TIMEOUT,
        )
        assert done.returncode == 0, f"{block.place}: {done.stdout}{done.stderr}"


@pytest.mark.parametrize(
    "block", [b for page in pages_with("yaml") for b in blocks_in(page, "yaml")], ids=lambda b: b.place
)
def test_configuration_loads(block: Block) -> None:
    config = load(text=block.text, name=block.place)
    assert config.notes == (), "an example should have no key without effect"


# Commands


def _commands(program: str) -> list[Any]:
    """Each use of a program in a block that is shell or text."""
    found = []
    for page in pages():
        for block in blocks(page):
            if block.language in ("sh", "text"):
                for line in block.text.splitlines():
                    if match := re.match(rf"\s*(?:TOKEN=\$\()?{program} ([^#|)]*)", line):
                        found.append(pytest.param(shlex.split(match[1]), id=f"{block.place}: {line.strip()}"))
    return found


@pytest.mark.parametrize("words", _commands("make"))
def test_make_target_exists(words: list[str]) -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert words[0] in targets


@pytest.mark.parametrize("words", _commands("atrium"))
def test_flags_exist(words: list[str]) -> None:
    command = main.commands[words[0]]
    known = {flag for option in command.params if isinstance(option, click.Option) for flag in option.opts}
    used = {word.partition("=")[0] for word in words[1:] if word.startswith("-")}
    assert used <= known | {"--help"}
