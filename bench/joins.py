"""What a join costs the server, in CPU and memory.

    python bench/joins.py [--signalling 200] [--full 40]

Signalling joins open a WebSocket, read the join message and leave, by a raw client. Full joins are those of LiveKit's Python
SDK: signalling, ICE, DTLS, data channels. The server runs in a process of its own, whose whole CPU time is divided by the
joins. Memory is the growth of its resident size over participants that stay and do nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import warnings
from contextlib import suppress
from datetime import timedelta

import trio
from livekit import api, rtc
from livekit.protocol import rtc as signal
from process import KEY, SECRET, ServerProcess
from trio_websocket import ConnectionClosed, connect_websocket_url

WARM_UP = 5
SETTLE_S = 3.0
LEAVE = signal.SignalRequest(leave=signal.LeaveRequest()).SerializeToString()


def token(identity: str, room: str) -> str:
    made = api.AccessToken(KEY, SECRET).with_identity(identity).with_ttl(timedelta(minutes=30))
    return made.with_grants(api.VideoGrants(room_join=True, room=room)).to_jwt()


async def signalling_joins(server: ServerProcess, count: int, start: int) -> None:
    """Join and leave so many times, one after the other, each in a room of its own."""
    async with trio.open_nursery() as nursery:
        for number in range(start, start + count):
            query = f"protocol=17&auto_subscribe=1&sdk=go&access_token={token(f'p{number}', f'room{number}')}"
            socket = await connect_websocket_url(nursery, f"{server.url}/rtc?{query}")
            await socket.get_message()
            await socket.send_message(LEAVE)
            with suppress(ConnectionClosed):
                while True:
                    await socket.get_message()


async def full_joins(server: ServerProcess, count: int, prefix: str) -> list[rtc.Room]:
    """So many participants of one room, who stay."""
    rooms = []
    for number in range(count):
        room = rtc.Room()
        await room.connect(server.url, token(f"{prefix}{number}", "bench"))
        rooms.append(room)
    return rooms


def measure_signalling(count: int) -> float:
    """Milliseconds of CPU for each."""
    with ServerProcess() as server:
        trio.run(signalling_joins, server, WARM_UP, 0)
        before = server.cpu_seconds()
        trio.run(signalling_joins, server, count, WARM_UP)
        return (server.cpu_seconds() - before) / count * 1e3


async def measure_full(count: int) -> tuple[float, float]:
    """Milliseconds of CPU for each, and bytes of memory."""
    with ServerProcess() as server:
        rooms = await full_joins(server, WARM_UP, "warm")
        await asyncio.sleep(SETTLE_S)
        cpu, memory = server.cpu_seconds(), server.memory_bytes()
        rooms += await full_joins(server, count, "p")
        cpu = server.cpu_seconds() - cpu
        await asyncio.sleep(SETTLE_S)
        memory = server.memory_bytes() - memory
        for room in rooms:
            await room.disconnect()
        return cpu / count * 1e3, memory / count


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--signalling", type=int, default=200, help="signalling joins to make")
    parser.add_argument("--full", type=int, default=40, help="full joins to make")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*key is .* bytes long")
    print(f"{'what':<34}{'measured':>12}  target")
    print(f"{'signalling join, ms of CPU':<34}{measure_signalling(arguments.signalling):>12.2f}  at most 4")
    cpu_ms, memory_bytes = asyncio.run(measure_full(arguments.full))
    print(f"{'full join, ms of CPU':<34}{cpu_ms:>12.2f}  at most 25")
    print(f"{'idle participant, kB of memory':<34}{memory_bytes / 1024:>12.0f}  at most 600")


if __name__ == "__main__":
    main()
