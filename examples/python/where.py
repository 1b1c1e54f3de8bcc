"""What both examples share: where to connect, as whom, and for how long."""

import argparse
import asyncio
import os
import signal
import warnings

from livekit import api, rtc


def arguments(description: str | None, *, identity: str) -> tuple[str, str]:
    """URL and token, from the command line, else from the environment, else those of `atrium dev`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default=os.environ.get("LIVEKIT_URL", "ws://127.0.0.1:7880"))
    parser.add_argument("--token", default=os.environ.get("LIVEKIT_TOKEN"))
    parser.add_argument("--room", default="demo", help="where no token is given (default: demo)")
    parser.add_argument("--identity", default=identity, help=f"where no token is given (default: {identity})")
    given = parser.parse_args()
    return given.url, given.token or make_token(given.room, given.identity)


def make_token(room: str, identity: str) -> str:
    key = os.environ.get("LIVEKIT_API_KEY", "devkey")
    secret = os.environ.get("LIVEKIT_API_SECRET", "secret")
    grants = api.VideoGrants(room_join=True, room=room)
    with warnings.catch_warnings(action="ignore"):  # the development secret is short on purpose
        return api.AccessToken(key, secret).with_identity(identity).with_grants(grants).to_jwt()


async def connect(room: rtc.Room, url: str, token: str) -> None:
    """Joins, or ends the program with the reason."""
    try:
        await room.connect(url, token)
    except rtc.ConnectError as error:
        raise SystemExit(f"cannot join at {url}: {error}") from None


async def until_interrupted(room: rtc.Room) -> None:
    """Returns at Ctrl+C, at SIGTERM, or when the server ends the call."""
    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    room.on("disconnected", lambda _: over.set())
    await over.wait()
