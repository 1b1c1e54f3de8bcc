"""Runs `atrium load-test` for the command line, and prints what it finds."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import attrs
import trio
from rich.console import Console
from rich.live import Live

from sansio.load import LoadOptions

from .report import as_json, render
from .runner import Plan, Report, run_plan
from .target import LoadError, Target

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


@attrs.frozen(kw_only=True)
class Flags:
    """What the command line says."""

    publishers: int
    subscribers: int
    audio: bool
    video: bool
    data: bool
    duration: float
    room: str
    rate: float
    bitrate: float
    fps: float
    no_simulcast: bool
    listeners: int
    hidden: bool
    signalling: str
    pid: int | None
    json_file: Path | None


def make_plan(url: str, key: tuple[str, str] | None, development_key: tuple[str, str], flags: Flags) -> Plan:
    """The plan for these flags. The development key serves this host alone. Raises LoadError."""
    target = Target.parse(url)
    if key is None and not target.is_local:
        raise LoadError(
            f"{target.host} needs a key: --keys 'KEY: SECRET', or LIVEKIT_API_KEY and LIVEKIT_API_SECRET. "
            "Without one, the development key is tried, on this host only."
        )
    if not flags.publishers + flags.subscribers:
        raise LoadError("there is nobody to join: see --publishers and --subscribers")
    api_key, api_secret = key or development_key
    named = flags.audio or flags.video or flags.data
    return Plan(
        target=target,
        api_key=api_key,
        api_secret=api_secret,
        room=flags.room,
        publishers=flags.publishers,
        subscribers=flags.subscribers,
        listeners=min(flags.listeners, flags.subscribers),
        hidden=flags.hidden,
        signalling=flags.signalling,
        pid=flags.pid,
        options=LoadOptions(
            audio=flags.audio or not named,
            video=flags.video or not named,
            data=flags.data,
            simulcast=not flags.no_simulcast,
            fps=flags.fps,
            bitrate_bps=flags.bitrate * 1000,
            duration=flags.duration,
            joins_per_second=flags.rate,
        ),
    )


def run(plan: Plan, json_file: Path | None) -> int:
    """Run a load test; the exit code. Raises LoadError."""
    console = Console(highlight=False)
    gc.set_threshold(50_000, 20, 20)  # a thousand clients make much that lasts and little that is cyclic
    report, interrupted = None, True
    try:
        report, interrupted = _watch(plan, console)
    except* KeyboardInterrupt:
        pass  # before there was anything to measure
    if report is None:
        return INTERRUPTED
    console.print(render(plan, report))
    if json_file is not None:
        try:
            json_file.write_text(json.dumps(as_json(plan, report), indent=2) + "\n")
        except OSError as error:
            raise LoadError(f"cannot write {json_file}: {error.strerror}") from error
    if interrupted:
        return INTERRUPTED
    return 0 if report.figures.connected.count else 1


def _watch(plan: Plan, console: Console) -> tuple[Report, bool]:
    """With a table that follows, where there is a terminal."""
    if not console.is_terminal:
        return trio.run(run_plan, plan, None)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        return trio.run(run_plan, plan, lambda report: live.update(render(plan, report), refresh=True))
