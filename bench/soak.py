"""Several browsers in one room for a while: does memory stay, does every video go on, does anything break.

    python bench/soak.py [--browsers 5] [--minutes 10] [--client tests/interop/node_modules/livekit-client]

Each participant is a headless Chromium page with livekit-client, a fake camera and a fake microphone, that watches all others.
Every 15 s the frames decoded of each video are read: a video that did not move is frozen. Memory of the server is read at the
same time; after the first minute it may not grow by more than a tenth. Prints a line a sample and a verdict; exits with 1 if
something was wrong. Meant to be run by hand: it keeps both cores of a small machine busy.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
import warnings
from datetime import timedelta
from pathlib import Path

from livekit import api
from playwright.async_api import Browser, Page, async_playwright
from process import KEY, SECRET, ServerProcess

SAMPLE_S = 15.0
WARM_UP_S = 60.0
MEMORY_GROWTH = 1.1
FLAGS = [
    "--no-sandbox",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
JOIN = """async ([url, token]) => {
  const room = window.room = new LivekitClient.Room({adaptiveStream: false, dynacast: true});
  window.errors = [];
  window.addEventListener('error', e => errors.push(String(e.message)));
  room.on('disconnected', reason => errors.push('disconnected ' + reason));
  room.on('reconnecting', () => errors.push('reconnecting'));
  room.on('trackSubscribed', track => document.body.appendChild(track.attach()));
  await room.connect(url, token);
  await room.localParticipant.setMicrophoneEnabled(true);
  await room.localParticipant.setCameraEnabled(true);
}"""
FRAMES = """async () => {
  const frames = {};
  for (const person of room.remoteParticipants.values())
    for (const publication of person.trackPublications.values())
      if (publication.kind === 'video' && publication.track)
        (await publication.track.receiver.getStats()).forEach(stat => {
          if (stat.type === 'inbound-rtp') frames[person.identity] = stat.framesDecoded || 0;
        });
  return frames;
}"""


def token(identity: str) -> str:
    made = api.AccessToken(KEY, SECRET).with_identity(identity).with_ttl(timedelta(hours=6))
    return made.with_grants(api.VideoGrants(room_join=True, room="soak")).to_jwt()


async def open_page(browser: Browser, server: ServerProcess, bundle: str, identity: str) -> Page:
    context = await browser.new_context(permissions=["camera", "microphone"])
    page = await context.new_page()
    await page.goto(f"http://127.0.0.1:{server.port}/")
    await page.add_script_tag(content=bundle)
    await page.evaluate(JOIN, [server.url, token(identity)])
    return page


def frozen(before: list[dict[str, int]], after: list[dict[str, int]], others: int) -> list[str]:
    """Who sees whom stand still or not at all."""
    found = []
    for viewer, (old, new) in enumerate(zip(before, after, strict=True)):
        found += [f"p{viewer} sees {who} stand" for who in new if new[who] <= old.get(who, -1)]
        if len(new) < others:
            found.append(f"p{viewer} sees {len(new)} of {others}")
    return found


async def soak(browsers: int, minutes: float, bundle: str) -> int:
    """The number of things that were wrong."""
    wrong, base = 0, 0.0
    with ServerProcess() as server:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
            pages = [await open_page(browser, server, bundle, f"p{number}") for number in range(browsers)]
            await asyncio.sleep(SAMPLE_S)
            begin, seen = time.monotonic(), [await page.evaluate(FRAMES) for page in pages]
            while time.monotonic() - begin < minutes * 60:
                cpu = server.cpu_seconds()
                await asyncio.sleep(SAMPLE_S)
                cpu = (server.cpu_seconds() - cpu) / SAMPLE_S * 100
                now, memory = [await page.evaluate(FRAMES) for page in pages], server.memory_bytes() / 1e6
                problems = frozen(seen, now, browsers - 1)
                problems += [error for page in pages for error in await page.evaluate("errors.splice(0)")]
                at = time.monotonic() - begin
                if at >= WARM_UP_S and not base:
                    base = memory
                if base and memory > base * MEMORY_GROWTH:
                    problems.append(f"memory grew from {base:.0f} MB")
                wrong += len(problems)
                print(
                    f"{at:5.0f} s  {memory:6.1f} MB  {cpu:5.1f} % of a core  {'; '.join(problems) or 'all well'}",
                    flush=True,
                )
                seen = now
            await browser.close()
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--browsers", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--client", type=Path, default=Path("tests/interop/node_modules/livekit-client"))
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*key is .* bytes long")
    bundle = (arguments.client / "dist/livekit-client.umd.js").read_text()
    wrong = asyncio.run(soak(arguments.browsers, arguments.minutes, bundle))
    print("all well" if not wrong else f"{wrong} things were wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
