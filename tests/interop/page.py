"""Pages of headless Chromium with livekit-client in them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright
from playwright.sync_api import Page as BrowserPage

from .server import Server
from .waiting import DEADLINE

POLL_SECONDS = 0.05
FLAGS = (
    "--no-sandbox",
    "--headless",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream=fps=15",
    "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
"""A false camera and microphone, and nothing that leaves the machine."""


class Page:
    """A page in which somebody is in a room."""

    def __init__(self, page: BrowserPage) -> None:
        self._page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def run(self, script: str, argument: object = None) -> Any:
        """What a JavaScript expression or function gives, awaited."""
        return self._page.evaluate(script, argument)

    def eventually(self, script: str, what: str, *, within: float = DEADLINE) -> Any:
        """Poll until the expression gives something true. Raises AssertionError at the deadline."""
        deadline = time.monotonic() + within
        while not (value := self.run(script)):
            assert time.monotonic() < deadline, f"not within {within:g} s: {what} (last seen: {value!r})"
            time.sleep(POLL_SECONDS)
        return value

    def join(self, server: Server, identity: str, room: str, **options: object) -> None:
        self.run("([url, token, options]) => call.join(url, token, options)",
                 [server.url, server.token(identity, room), options])  # fmt: skip

    def sees(self, *identities: str) -> None:
        """Hold that these are the others, now or soon."""
        script = f"JSON.stringify(call.others().sort()) === JSON.stringify({sorted(identities)!r})"
        self.eventually(script, f"the others are {identities}")

    def seen(self, event: str, times: int = 1) -> None:
        """Hold that the room told of an event so often since the last `call.forget()`."""
        self.eventually(f"call.seen('{event}') >= {times}", f"{times} times {event}")

    def more_frames(self, count: int = 10) -> None:
        """Hold that video is decoded and goes on."""
        before = self.run("call.received('video').then(seen => seen.frames)")
        self.eventually(f"call.received('video').then(seen => seen.frames >= {before + count})", f"{count} frames more")


class _Blank(BaseHTTPRequestHandler):
    """An empty page at every path."""

    def do_GET(self) -> None:
        body = b"<!doctype html><title>call</title>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def _origin() -> Iterator[str]:
    """Serves pages from an origin that is not the server's, as applications do."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Blank) as web:
        thread = threading.Thread(target=web.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{web.server_port}/"
        finally:
            web.shutdown()
            thread.join()


@contextmanager
def open_browser(path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_pages(browser: Browser, library: Path) -> Iterator[Callable[[], Page]]:
    """Opens pages, each like a browser of its own; closes them at the end and fails if a script of theirs broke."""
    contexts, pages = [], []
    stack = ExitStack()
    origin = stack.enter_context(_origin())

    def open_page() -> Page:
        context = browser.new_context(permissions=["camera", "microphone"])
        contexts.append(context)
        page = context.new_page()
        pages.append(Page(page))
        page.goto(origin)
        page.add_script_tag(path=library)
        page.add_script_tag(path=Path(__file__).parent / "call.js")
        return pages[-1]

    try:
        yield open_page
    finally:
        for context in contexts:
            context.close()
        stack.close()
    assert [error for page in pages for error in page.errors] == []
