"""What forwarding costs the whole server, driver and system calls included.

    python bench/server.py [--subscribers 1,10,50] [--seconds 10] [--packets 4] [--fps 50]

One publisher sends video of one layer in packets of 1200 bytes, a frame of `--packets` at a time, through a real server to real
transports: WebSocket, ICE, DTLS, SRTP over loopback. Publisher and subscribers are those of `atrium load-test`, in this process.
The subscribers count packets and do not decrypt them, so that this machine has time left for the server; they report nothing and
ask for nothing again. With `--feedback` they are whole receivers: they decrypt, report, and acknowledge what they get, and what
that costs the server is part of the figure; keep their number small then.

Printed is the CPU time of the server's process by packets that arrived, user and system together, and how many of them arrived.
"""

from __future__ import annotations

import argparse
import warnings

import trio
from process import KEY, SECRET, ServerProcess

from sansio.load import LoadOptions
from trio_server.load.runner import Plan, Report, run_plan
from trio_server.load.target import Target

WARM_UP_S = 3.0
PACKET_BYTES = 1135
"""Of stamped payload, which makes datagrams of 1200 bytes."""


def plan(server: ServerProcess, subscribers: int, arguments: argparse.Namespace) -> Plan:
    options = LoadOptions(
        audio=False,
        simulcast=False,
        fps=arguments.fps,
        bitrate_bps=arguments.packets * PACKET_BYTES * 8 * arguments.fps,
        warm_up=WARM_UP_S,
        duration=arguments.seconds,
    )
    return Plan(
        target=Target.parse(server.url),
        api_key=KEY,
        api_secret=SECRET,
        room="bench",
        publishers=1,
        subscribers=subscribers,
        listeners=subscribers if arguments.feedback else 0,
        hidden=False,
        signalling="v1",
        pid=server.pid,
        options=options,
    )


def measure(subscribers: int, arguments: argparse.Namespace) -> Report:
    with ServerProcess("--bind", "127.0.0.1") as server:
        report, interrupted = trio.run(run_plan, plan(server, subscribers, arguments), lambda _: None)
    if interrupted:
        raise SystemExit(130)
    return report


def row(subscribers: int, report: Report) -> str:
    """One line of the table."""
    assert report.server is not None
    flow = report.figures.received.get("video")
    if flow is None or not flow.packets:
        return f"{subscribers:11}  no media arrived: {report.figures.refused or report.figures.dropped}"
    return (
        f"{subscribers:11}{flow.packets / report.figures.seconds:14.0f}{report.server.cpu_seconds / flow.packets * 1e6:20.1f}"
        f"{report.server.cores * 100:14.0f} %{(1 - flow.loss) * 100:12.1f} %"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--subscribers", default="1,10,50")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--packets", type=int, default=4, help="packets of a frame")
    parser.add_argument("--fps", type=float, default=50.0)
    parser.add_argument("--feedback", action="store_true", help="subscribers that decrypt and report")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*key is .* bytes long")
    print(f"{'subscribers':>11}{'forwarded/s':>14}{'us of CPU each':>20}{'of a core':>16}{'arrived':>14}")
    for count in arguments.subscribers.split(","):
        print(row(int(count), measure(int(count), arguments)), flush=True)


if __name__ == "__main__":
    main()
