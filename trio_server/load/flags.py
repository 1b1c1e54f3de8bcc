"""The flags of `atrium load-test`; apart from what runs it, which needs more of the core than the server does."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

LISTENERS = 8


def flags(command: F) -> F:
    """Flags of load-test, beside URL and keys."""
    options = [
        click.option("--publishers", type=click.IntRange(0), default=1, show_default=True, help="Who send."),
        click.option("--subscribers", type=click.IntRange(0), default=10, show_default=True, help="Who receive."),
        click.option("--audio", is_flag=True, help="Publish audio. Without --audio, --video, --data: audio and video."),
        click.option("--video", is_flag=True, help="Publish video in three layers."),
        click.option("--data", is_flag=True, help="Publish lossy data packets, ten a second."),
        click.option("--duration", type=click.FloatRange(0, min_open=True), default=30.0, show_default=True,
                     metavar="SECONDS", help="How long to measure once all are in."),
        click.option("--room", default="load-test", show_default=True, help="Room to join."),
        click.option("--rate", type=click.FloatRange(0, min_open=True), default=20.0, show_default=True, metavar="JOINS",
                     help="How many join in a second, at most."),
        click.option("--bitrate", type=click.FloatRange(0, min_open=True), default=1500.0, show_default=True,
                     metavar="KBIT/S", help="Of the top layer of video; the others have 30 and 10 percent of it."),
        click.option("--fps", type=click.FloatRange(1, 240), default=25.0, show_default=True, help="Frames of video a second."),
        click.option("--no-simulcast", is_flag=True, help="Publish one layer of video."),
        click.option("--listeners", type=click.IntRange(0), default=LISTENERS, show_default=True,
                     help="Subscribers that decrypt what they get, to measure latency; the others only count."),
        click.option("--hidden", is_flag=True, help="Hidden subscribers: nobody is told when they come and go."),
        click.option("--signalling", type=click.Choice(["auto", "v0", "v1"]), default="auto", show_default=True,
                     help="Two peer connections (v0) or one (v1)."),
        click.option("--pid", type=click.IntRange(1), help="Server process on this machine, to measure its CPU and memory."),
        click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
                     help="Write the summary there as well."),
    ]  # fmt: skip
    return reduce(lambda decorated, option: option(decorated), reversed(options), command)
