"""LiveKit's JavaScript SDK in Chromium, with one and with two peer connections."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from livekit import api
from playwright.sync_api import Browser

from .page import Page, open_browser, open_pages
from .server import Server, new_room
from .waiting import DEADLINE

pytestmark = pytest.mark.interop
Call = Callable[..., tuple[Page, Page]]


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with open_browser(chromium) as browser:
        yield browser


@pytest.fixture
def open_page(browser: Browser, npm_package: Callable[[str], Path]) -> Iterator[Callable[[], Page]]:
    with open_pages(browser, npm_package("livekit-client") / "dist/livekit-client.umd.js") as opener:
        yield opener


@pytest.fixture
def room() -> str:
    return new_room("browser")


@pytest.fixture(params=[True, False], ids=["one-connection", "two-connections"])
def pages(
    request: pytest.FixtureRequest, server: Server, open_page: Callable[[], Page], room: str
) -> tuple[Page, Page]:
    """Alice and bob in a room, who see each other."""
    alice, bob = open_page(), open_page()
    for page, identity in ((alice, "alice"), (bob, "bob")):
        page.join(server, identity, room, singlePeerConnection=request.param)
    alice.sees("bob")
    bob.sees("alice")
    return alice, bob


def admin(server: Server, room: str, method: str, **request: str) -> None:
    """Call RoomService."""
    token = api.AccessToken("devkey", "secret").with_grants(
        api.VideoGrants(room_admin=True, room_create=True, room=room)
    )
    answer = httpx.post(
        f"{server.http}/twirp/livekit.RoomService/{method}",
        json={"room": room} | request,
        headers={"Authorization": f"Bearer {token.to_jwt()}"},
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text


def publish_all(alice: Page, bob: Page) -> None:
    """Alice publishes both, and bob sees and hears them."""
    alice.run("call.microphone(true)")
    alice.run("call.camera()")
    bob.eventually("call.publication('video')?.isSubscribed && call.publication('audio')?.isSubscribed", "both tracks")
    bob.more_frames()


def test_camera_and_microphone_in_layers(pages: tuple[Page, Page]) -> None:
    alice, bob = pages
    publish_all(alice, bob)
    bob.eventually("call.received('audio').then(seen => seen.energy > 0)", "sound")
    assert bob.run("call.publication('video').simulcasted")
    bob.eventually("call.received('video').then(seen => seen.width === 960)", "the full size", within=45)
    for quality, width in (("LOW", 320), ("HIGH", 960)):
        bob.run(f"call.ask('{quality}')")
        bob.eventually(f"call.received('video').then(seen => seen.width === {width})", f"{quality} quality", within=45)
    bob.more_frames()


def test_mute_and_subscription(pages: tuple[Page, Page]) -> None:
    alice, bob = pages
    publish_all(alice, bob)
    alice.run("call.microphone(false)")
    bob.eventually("call.publication('audio').isMuted", "the microphone is muted")
    alice.run("call.microphone(true)")
    bob.eventually("!call.publication('audio').isMuted", "the microphone is on again")
    bob.run("call.publication('video').setSubscribed(false)")
    bob.eventually("!call.publication('video').track", "the video is gone")
    bob.run("call.publication('video').setSubscribed(true)")
    bob.eventually("call.publication('video').track", "the video is back")
    bob.more_frames()


def test_messages(pages: tuple[Page, Page]) -> None:
    alice, bob = pages
    alice.run("call.say('surely', {reliable: true, topic: 'greeting'})")
    alice.run("call.say('perhaps', {reliable: false, topic: 'greeting'})")
    bob.eventually("call.messages.length === 2", "both messages")
    messages = bob.run("call.messages")
    assert {message["text"] for message in messages} == {"surely", "perhaps"}
    assert {(message["sender"], message["topic"]) for message in messages} == {("alice", "greeting")}
    bob.run("call.offerShout()")
    assert alice.run("call.shout('bob', 'hello')") == "alice: HELLO"
    alice.run("call.write('äöü '.repeat(15000))")
    bob.eventually("call.texts.length", "the text")
    assert bob.run("call.texts[0]") == {"text": "äöü " * 15_000, "sender": "alice"}
    alice.run("call.room.localParticipant.setMetadata('ready')")
    alice.run("call.room.localParticipant.setAttributes({hand: 'up'})")
    who = "call.room.remoteParticipants.get('alice')"
    bob.eventually(f"{who}.metadata === 'ready' && {who}.attributes.hand === 'up'", "alice's state")


def test_reconnects(pages: tuple[Page, Page]) -> None:
    alice, bob = pages
    publish_all(alice, bob)
    bob.run("call.forget()")
    bob.run("call.room.simulateScenario('signal-reconnect')")
    bob.eventually("call.seen('reconnected') || call.seen('signalConnected')", "the resume")
    bob.eventually("call.room.state === 'connected'", "being connected")
    bob.more_frames()
    assert not alice.run("call.seen('participantDisconnected')")
    alice.run("call.forget()")
    alice.run("call.room.simulateScenario('full-reconnect')")
    alice.seen("reconnected")
    bob.eventually("call.publication('video')?.isSubscribed", "the video anew")
    bob.more_frames()
    # The SDK calls itself reconnected up to 2 s early, and what is said in that time it keeps to itself.
    deadline = time.monotonic() + DEADLINE
    while not bob.run("call.messages.length"):
        assert time.monotonic() < deadline, "data after it"
        alice.run("call.say('again', {reliable: true})")
        time.sleep(0.2)


def test_ends_by_the_server(pages: tuple[Page, Page], server: Server, room: str) -> None:
    alice, bob = pages
    admin(server, room, "RemoveParticipant", identity="alice")
    alice.seen("disconnected")
    bob.sees()
    admin(server, room, "DeleteRoom")
    bob.seen("disconnected")
    reason = "call.events.find(([name]) => name === 'disconnected')[1][0]"
    assert (alice.run(reason), bob.run(reason)) == (4, 5)  # PARTICIPANT_REMOVED, ROOM_DELETED


def test_a_reload_takes_the_place_of_the_page(server: Server, open_page: Callable[[], Page], room: str) -> None:
    first, second, bob = open_page(), open_page(), open_page()
    for page, identity in ((first, "alice"), (bob, "bob"), (second, "alice")):
        page.join(server, identity, room)
    first.seen("disconnected")
    bob.sees("alice")
    second.sees("bob")
