"""What forwarding costs, as a ratio to the least it could: the floor of this machine, the native kernel, the pure one.

    python bench/forwarding.py [--quick] [--kernels native,pure] [--seconds 5] [--json FILE] [--svg FILE]

The floor is the program in `bench/floor`, built here if it is not. For each kernel a real server is started on free ports, with
that kernel named, and real transports join it (`seats.py`): publishers send bursts of packets, and subscribers,
once they heard something, leave it in their sockets, as those of the floor do.
Printed is the CPU time of the server's process by packets that it sent, user and system together (what its full socket lost on
the way in does not count), and its ratio to the floor with as many subscribers, packets as large and bursts as long, measured in
the same run. The program ends with an error where a kernel that was asked for is not installed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import warnings
from functools import partial
from math import log10
from pathlib import Path
from statistics import median
from typing import NamedTuple

import attrs
import trio
from process import ServerProcess
from seats import HOST, PACKET_BYTES, Seat, wait_for

from sansio import LocalProtocolError, choose_kernel
from sansio.sim import TrackOptions, VideoLayer
from sansio.sim.publishing import PublishedTrack
from sansio.wire import models

FLOOR = Path(__file__).parent / "floor"
DATAGRAM_BYTES = 1200
OVERHEAD_BYTES = DATAGRAM_BYTES - PACKET_BYTES
FORWARDED_PER_SECOND = {"native": {1: 500_000, 8: 800_000}, "pure": {1: 30_000, 8: 30_000}}
"""What is aimed at, by packets of a burst: 60 to 75 percent of what a core carries."""
MAX_SENT_PER_SECOND = 20_000
"""By all publishers together, who are Python on the other core."""
SLOW_FPS = 5.0
"""While subscribers listen, who are Python too."""
SETTLE_S = 0.5
WARM_UP_S = 3.0
COLORS = {"floor": "#888", "native": "#06c", "pure": "#c60"}


class Case(NamedTuple):
    size: int
    publishers: int
    subscribers: int
    frame: int


class Row(NamedTuple):
    """One line of the table, and one object of the JSON file."""

    kernel: str
    size: int
    publishers: int
    subscribers: int
    frame: int
    us_per_packet: float
    ratio_to_floor: float


QUICK = (Case(DATAGRAM_BYTES, 1, 100, 1),)
ALL = (
    *(
        Case(size, 1, count, frame)
        for count in (1, 10, 100, 1000)
        for size in (120, DATAGRAM_BYTES)
        for frame in (1, 8)
    ),
    Case(DATAGRAM_BYTES, 10, 50, 1),
    Case(DATAGRAM_BYTES, 10, 50, 8),
)


# The floor


def measure_floor(cases: tuple[Case, ...], seconds: float) -> dict[tuple[int, int, int], float]:
    """Microseconds by (size, subscribers, frame), of the cheaper way to send."""
    lists = [sorted({case[index] for case in cases}) for index in (0, 2, 3)]
    size, subscribers, frame = (",".join(map(str, values)) for values in lists)
    command = ["cargo", "run", "--release", "--quiet", "--", "--json", "--seconds", str(seconds)]
    command += ["--size", size, "--subscribers", subscribers, "--frame", frame]
    try:
        done = subprocess.run(command, cwd=FLOOR, stdout=subprocess.PIPE, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"the floor cannot be measured: {error}")
    floor: dict[tuple[int, int, int], float] = {}
    for row in json.loads(done.stdout):
        key = (row["size"], row["subscribers"], row["frame"])
        floor[key] = min(row["us_per_packet"], floor.get(key, row["us_per_packet"]))
    return floor


# The server


async def measure_server(cases: list[Case], seconds: float, runs: int) -> dict[Case, float]:
    """Microseconds by case; the cases have the same publishers and subscribers, who stay."""
    found: dict[Case, float] = {}
    with ServerProcess("--bind", HOST) as server:
        async with trio.open_nursery() as nursery:
            publishers = [Seat(server, f"p{n}", counts_only=False) for n in range(cases[0].publishers)]
            subscribers = [Seat(server, f"s{n}", counts_only=True) for n in range(cases[0].subscribers)]
            for seat in (*publishers, *subscribers):
                nursery.start_soon(seat.run, nursery)
                await wait_for(seat.is_connected, "a join")
            for case in cases:
                found[case] = await measure_case(server, case, publishers, subscribers, seconds, runs)
            nursery.cancel_scope.cancel()
    return found


async def measure_case(
    server: ServerProcess, case: Case, publishers: list[Seat], subscribers: list[Seat], seconds: float, runs: int
) -> float:
    receivers = case.subscribers + case.publishers - 1
    aim = FORWARDED_PER_SECOND[os.environ["ATRIUM_KERNEL"]][case.frame]
    bursts = min(aim / receivers, MAX_SENT_PER_SECOND) / case.publishers / case.frame
    layer = VideoLayer(rid="", width=1280, height=720, packets=case.frame, packet_bytes=case.size - OVERHEAD_BYTES)
    name = f"{case.size}/{case.frame}"
    slow = TrackOptions(name=name, source=models.TrackSource.CAMERA, layers=(layer,), fps=SLOW_FPS)
    fast = attrs.evolve(slow, fps=bursts)
    tracks: list[PublishedTrack] = []
    before = [seat.received for seat in subscribers]
    for seat in publishers:
        publish = partial(seat.client.publish, trio.current_time(), slow)
        seat.do(lambda publish=publish: tracks.append(publish()))
    await wait_for(lambda: all(seat.received > old for seat, old in zip(subscribers, before, strict=True)), "media")
    await trio.sleep(WARM_UP_S)
    costs = []
    for _ in range(runs):
        for seat in subscribers:
            seat.deafen()
        for track in tracks:
            track.options = fast
        await trio.sleep(SETTLE_S)
        cpu, sent, lost = (
            server.cpu_seconds(),
            sum(track.senders[0].number for track in tracks),
            server.lost_datagrams(),
        )
        await trio.sleep(seconds)
        sent = sum(track.senders[0].number for track in tracks) - sent - (server.lost_datagrams() - lost)
        costs.append((server.cpu_seconds() - cpu) / (sent * receivers) * 1e6)
        for track in tracks:
            track.options = slow
        await trio.sleep(SETTLE_S)
        for seat in subscribers:
            seat.listen()
        await trio.sleep(SETTLE_S)
    for seat, track in zip(publishers, tracks, strict=True):
        seat.do(partial(seat.client.unpublish, trio.current_time(), track))
    await trio.sleep(1.0)
    return median(costs)


# What comes out


def draw(rows: list[Row]) -> str:
    """Cost by number of subscribers, both axes logarithmic, of the largest packets sent singly by one publisher."""
    chosen = [row for row in rows if (row.size, row.publishers, row.frame) == (DATAGRAM_BYTES, 1, 1)]
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 400" font-family="sans-serif" font-size="13">']
    parts.append('<text x="60" y="20">&#181;s of CPU per forwarded packet of 1,200 bytes, by subscribers</text>')
    for power in range(-1, 3):
        y = 300 - 80 * power
        parts.append(
            f'<line x1="60" x2="520" y1="{y}" y2="{y}" stroke="#ddd"/><text x="20" y="{y + 4}">{10.0**power:g}</text>'
        )
    for power in range(4):
        parts.append(f'<text x="{80 + 140 * power}" y="395" text-anchor="middle">{10**power}</text>')
    for kernel, color in COLORS.items():
        points = sorted((row.subscribers, row.us_per_packet) for row in chosen if row.kernel == kernel)
        places = [(80 + 140 * _log10(count), 300 - 80 * _log10(cost)) for count, cost in points]
        if places:
            line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in places]
            parts.append(
                f'<text x="{places[-1][0] + 10:.1f}" y="{places[-1][1] + 4:.1f}" fill="{color}">{kernel}</text>'
            )
    return "\n".join([*parts, "</svg>", ""])


def _log10(value: float) -> float:
    return log10(max(value, 0.1))


def show(row: Row) -> None:
    ratio = "" if row.kernel == "floor" else f"{row.ratio_to_floor:12.1f}"
    print(
        f"{row.kernel:8}{row.size:6}{row.publishers:12}{row.subscribers:13}{row.frame:7}{row.us_per_packet:9.2f}{ratio}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1,200 bytes, 1 to 100, singly; once")
    parser.add_argument("--kernels", default="native,pure")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each run")
    parser.add_argument("--runs", type=int, default=5, help="whose median is taken")
    parser.add_argument("--subscribers", type=int, default=1000, help="leave out cases with more")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--svg", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*key is .* bytes long")
    kernels = [one for one in arguments.kernels.split(",") if one]
    for kernel in kernels:
        try:
            choose_kernel(kernel)
        except LocalProtocolError as error:
            sys.exit(str(error))
    cases = QUICK if arguments.quick else tuple(case for case in ALL if case.subscribers <= arguments.subscribers)
    rows = measure(kernels, cases, arguments.seconds, 1 if arguments.quick else arguments.runs)
    if arguments.json:
        arguments.json.write_text(json.dumps([row._asdict() for row in rows], indent=1) + "\n")
    if arguments.svg:
        arguments.svg.write_text(draw(rows))


def measure(kernels: list[str], cases: tuple[Case, ...], seconds: float, runs: int) -> list[Row]:
    print(f"{'kernel':8}{'bytes':>6}{'publishers':>12}{'subscribers':>13}{'frame':>7}{'us':>9}{'x floor':>12}")
    floor = measure_floor(cases, min(seconds, 2.0))
    rows = []
    for case in cases:
        rows.append(Row("floor", *case, floor[case.size, case.subscribers, case.frame], 1.0))
        show(rows[-1])
    for kernel in kernels:
        os.environ["ATRIUM_KERNEL"] = kernel
        for counts in dict.fromkeys((case.publishers, case.subscribers) for case in cases):
            same = [case for case in cases if (case.publishers, case.subscribers) == counts]
            for case, cost in trio.run(measure_server, same, seconds, runs).items():
                rows.append(Row(kernel, *case, cost, cost / floor[case.size, case.subscribers, case.frame]))
                show(rows[-1])
    return rows


if __name__ == "__main__":
    main()
