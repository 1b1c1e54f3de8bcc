"""The demo page, built from its source and used by visitors in Chromium: the first minute of a new user."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from .conftest import absent, version_of
from .server import ROOT, Server, new_room
from .waiting import DEADLINE

pytestmark = pytest.mark.interop
sync_api = pytest.importorskip("playwright.sync_api")

NODE_VERSION = (18,)
FAKE_DEVICES = "--use-fake-device-for-media-stream"
ASK_NOBODY = "--use-fake-ui-for-media-stream"
FLAGS = [
    "--no-sandbox",
    FAKE_DEVICES,
    "--autoplay-policy=no-user-gesture-required",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
LINK = re.compile(r"^http://\S+/demo/#\S+$", re.MULTILINE)
FRAMES = "video => video.getVideoPlaybackQuality().totalVideoFrames"
LOUDNESS = """async () => {
  const streams = [...document.querySelectorAll('audio')].map(each => each.srcObject).filter(Boolean);
  if (!streams.length) return 0;
  const context = new AudioContext(), analyser = context.createAnalyser(), samples = new Float32Array(2048);
  for (const stream of streams) context.createMediaStreamSource(stream).connect(analyser);
  let loudest = 0;
  for (let i = 0; i < 20; i++) {
    await new Promise(done => setTimeout(done, 25));
    analyser.getFloatTimeDomainData(samples);
    loudest = Math.max(loudest, ...samples);
  }
  await context.close();
  return loudest;
}"""


@pytest.fixture(scope="module")
def built() -> None:
    """Builds the page as users do."""
    version = version_of(["node", "--version"])
    if shutil.which("npm") is None or version is None or version < NODE_VERSION:
        absent(f"needs npm and Node.js {NODE_VERSION[0]} or newer (Debian: apt install nodejs npm)")
    made = subprocess.run(["make", "web"], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    if made.returncode and not (ROOT / "examples/web/node_modules/.package-lock.json").exists():
        absent(f"npm could not install what the page needs:\n{made.stderr[-2000:]}")
    assert made.returncode == 0, made.stdout + made.stderr


@pytest.fixture(scope="module")
def playwright(chromium: str) -> Iterator[Any]:
    with sync_api.sync_playwright() as running:
        yield lambda *flags: running.chromium.launch(executable_path=chromium, args=[*FLAGS, *flags])


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise as loud as talk, which the beeps of the fake microphone are not."""
    path, chance = tmp_path_factory.mktemp("speech") / "speech.wav", Random(7)
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(b"".join(struct.pack("<h", chance.randint(-20_000, 20_000)) for _ in range(32_000)))
    return path


@pytest.fixture(scope="module")
def browser(playwright: Callable[..., Any], speech: Path) -> Iterator[Any]:
    """With a fake camera and microphone, which it may use."""
    launched = playwright(ASK_NOBODY, f"--use-file-for-fake-audio-capture={speech}")
    yield launched
    launched.close()


class Visitor:
    """One opening of the page."""

    def __init__(self, page: Any) -> None:
        self.page = page
        page.set_default_timeout(DEADLINE * 1000)
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def join(self, name: str = "") -> None:
        if name:
            self.page.get_by_label("Your name").fill(name)
        self.press("Join")
        self.is_in_the_call()

    def is_in_the_call(self) -> None:
        controls = self.page.get_by_role("group", name="Call")
        self.until(controls.is_visible, "is in the call")

    def press(self, button: str) -> None:
        self.page.get_by_role("button", name=button, exact=True).click()

    def is_pressed(self, button: str) -> bool:
        state: str = self.page.get_by_role("button", name=button, exact=True).get_attribute("aria-pressed")
        return state == "true"

    def tile(self, name: str) -> Any:
        return self.page.get_by_role("article", name=name, exact=True)

    def identity(self, name: str) -> str:
        return str(self.tile(name).get_attribute("data-identity"))

    def sees(self, name: str, *, selector: str = ".tile.has-video") -> None:
        """Hold that new frames of somebody are shown."""
        video = self.page.locator(f"{selector}[aria-label='{name}'] video")
        self.until(video.is_visible, f"a picture of {name}")
        before = video.evaluate(FRAMES)
        self.until(lambda: video.evaluate(FRAMES) > before + 5, f"sees {name}")

    def hears_something(self) -> None:
        self.until(lambda: self.page.evaluate(LOUDNESS) > 0.01, "hears something")

    def until(self, read: Callable[[], object], what: str) -> None:
        for _ in range(int(DEADLINE * 10)):
            if read():
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"not within {DEADLINE:g} s: {what}\n{self.page.locator('body').aria_snapshot()}")


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Visitor]]:
    """Opens a link, each time as somebody new. At the end nothing may have been thrown in any page."""
    opened: list[tuple[Any, Visitor]] = []

    def visit(link: str, **options: Any) -> Visitor:
        context = browser.new_context(viewport={"width": 1280, "height": 800}, **options)
        visitor = Visitor(context.new_page())
        opened.append((context, visitor))
        visitor.page.goto(link)
        return visitor

    yield visit
    for context, _ in opened:
        context.close()
    assert [error for _, visitor in opened for error in visitor.errors] == []


@pytest.fixture
def link(built: None, server: Server) -> str:
    """To a room of its own."""
    return f"{server.http}/demo/#url={server.url}&token={server.token('guest', new_room())}"


@contextmanager
def two_in_a_call(visit: Callable[..., Visitor], link: str) -> Iterator[tuple[Visitor, Visitor]]:
    ada, grace = visit(link), visit(link)
    ada.join("Ada")
    grace.join("Grace")
    ada.tile("Grace").wait_for()
    grace.tile("Ada").wait_for()
    yield ada, grace


def test_the_types_of_the_page(built: None) -> None:
    """esbuild, which builds it, takes them off without a look."""
    found = subprocess.run(
        ["npm", "run", "--silent", "check"],
        cwd=ROOT / "examples/web",
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (found.returncode, found.stdout) == (0, "")


def test_the_printed_link_opened_twice_is_a_call(built: None, server: Server, visit: Callable[..., Visitor]) -> None:
    found = LINK.search(server.log)
    assert found, server.log
    with two_in_a_call(visit, found[0]) as (ada, grace):
        assert ada.identity("Ada, you") == grace.identity("Ada")
        assert grace.identity("Grace, you") == ada.identity("Grace")
        assert ada.identity("Ada, you") != ada.identity("Grace")
        ada.sees("Grace")
        grace.sees("Ada")
        ada.hears_something()
        grace.hears_something()
        ada.page.locator(".tile.speaking").first.wait_for()
        ada.tile("Grace").get_by_role("img", name=re.compile("connection (excellent|good)")).wait_for()
        assert ada.page.get_by_text("2 people").is_visible()


def test_a_layer_can_be_chosen(link: str, visit: Callable[..., Visitor]) -> None:
    with two_in_a_call(visit, link) as (ada, _):
        ada.sees("Grace")
        choice = ada.tile("Grace").get_by_label("Video quality of Grace")
        video = ada.tile("Grace").locator("video")
        choice.select_option("low")
        ada.until(lambda: 0 < video.evaluate("video => video.videoWidth") <= 320, "the low layer")
        choice.select_option("high")
        ada.until(lambda: video.evaluate("video => video.videoWidth") > 320, "a higher layer")
        width = video.evaluate("video => video.videoWidth")
        assert f"{width}×" in ada.tile("Grace").inner_text()


def test_chat(link: str, visit: Callable[..., Visitor]) -> None:
    with two_in_a_call(visit, link) as (ada, grace):
        ada.press("Chat")
        ada.page.get_by_label("Message", exact=True).fill("Good evening <b>Grace</b>")
        ada.page.keyboard.press("Enter")
        grace.page.get_by_label("1 unread").wait_for()
        grace.page.get_by_role("button", name="Chat").click()
        messages = grace.page.get_by_role("log", name="Messages")
        messages.get_by_text("Good evening <b>Grace</b>").wait_for()
        assert "Ada" in messages.inner_text()
        assert not grace.page.get_by_label("1 unread").is_visible()
        grace.page.keyboard.press("Escape")
        messages.wait_for(state="hidden")


def test_what_is_switched_off_is_seen_by_the_other(link: str, visit: Callable[..., Visitor]) -> None:
    with two_in_a_call(visit, link) as (ada, grace):
        grace.sees("Ada")
        ada.press("Microphone")
        grace.tile("Ada").get_by_label("microphone off").wait_for()
        assert not ada.is_pressed("Microphone")
        ada.press("Camera")
        grace.tile("Ada").locator("video").wait_for(state="hidden")
        ada.press("Camera")
        ada.press("Microphone")
        grace.sees("Ada")
        grace.tile("Ada").get_by_label("microphone off").wait_for(state="hidden")


def test_a_shared_screen(link: str, visit: Callable[..., Visitor]) -> None:
    with two_in_a_call(visit, link) as (ada, grace):
        ada.press("Share screen")
        grace.sees("Screen of Ada")
        ada.press("Share screen")
        grace.tile("Screen of Ada").wait_for(state="detached")


def test_leaving_rejoining_and_reloading(link: str, visit: Callable[..., Visitor]) -> None:
    with two_in_a_call(visit, link) as (ada, grace):
        identity = ada.identity("Ada, you")
        ada.press("Leave")
        ada.page.get_by_role("heading", name="You left the call").wait_for()
        grace.tile("Ada").wait_for(state="detached")
        ada.press("Rejoin")
        grace.sees("Ada")
        ada.page.reload()
        ada.is_in_the_call()
        assert ada.identity("Ada, you") == identity
        grace.sees("Ada")
        assert grace.page.get_by_role("article").count() == 2


def test_a_token_for_somebody_is_used_as_it_is(built: None, server: Server, visit: Callable[..., Visitor]) -> None:
    token = server.token("hedy", new_room())
    hedy = visit(f"{server.http}/demo/?url={server.url}&token={token}")
    assert not hedy.page.get_by_label("Your name").is_editable()
    hedy.join()
    assert hedy.identity("Hedy, you") == "hedy"


def test_without_a_link_the_development_server_asks_for_name_and_room(
    built: None, server: Server, visit: Callable[..., Visitor]
) -> None:
    ada = visit(f"{server.http}/demo")
    ada.page.get_by_label("Room").fill("attic")
    ada.page.get_by_label("Camera").uncheck()
    ada.page.get_by_label("Your name").fill("Ada")
    ada.page.keyboard.press("Enter")
    ada.page.get_by_role("heading", name="attic").wait_for()
    assert not ada.is_pressed("Camera")


PROBLEMS = [
    pytest.param("url=ws://127.0.0.1:9&token={token}", "No answer from", id="no server"),
    pytest.param("token=a.b.c", "The server refused the token", id="bad token"),
]


@pytest.mark.parametrize(("fragment", "words"), PROBLEMS)
def test_problems_are_said_where_one_can_mend_them(
    built: None, server: Server, visit: Callable[..., Visitor], fragment: str, words: str
) -> None:
    ada = visit(f"{server.http}/demo/#{fragment.format(token=server.token('ada', 'attic'))}")
    ada.press("Join")
    ada.page.get_by_role("alert").get_by_text(words).wait_for()
    assert ada.page.get_by_label("Server").is_visible()
    assert ada.page.get_by_role("button", name="Join").is_enabled()


def test_a_blocked_camera_does_not_keep_one_out(link: str, playwright: Callable[..., Any]) -> None:
    browser = playwright()
    try:
        ada = Visitor(browser.new_page())
        ada.page.goto(link)
        ada.join("Ada")
        ada.page.get_by_role("alert").get_by_text("The browser blocks the camera").wait_for()
        assert not ada.is_pressed("Camera")
        assert ada.errors == []
    finally:
        browser.close()


def test_the_end_of_the_server_is_said(built: None, tmp_path: Path, visit: Callable[..., Visitor]) -> None:
    server = Server(tmp_path / "log", "--bind", "127.0.0.1", "--node-ip", "127.0.0.1")
    ada = visit(f"{server.http}/demo/")
    ada.join("Ada")
    server.stop()
    ada.page.get_by_role("heading", name="The server is shutting down").wait_for()
    ada.press("Rejoin")
    ada.page.get_by_role("alert").get_by_text("No answer from").wait_for()
