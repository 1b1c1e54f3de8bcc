"""A browser as the judge of our descriptions: Chromium takes our answers and offers, and we take its."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sansio.sdp import (
    AUDIO_LEVEL,
    RID,
    Direction,
    Incoming,
    Negotiation,
    Outgoing,
    RemoteDescription,
    TransportParameters,
    Wish,
    server_capabilities,
)

pytestmark = pytest.mark.interop
sync_api = pytest.importorskip("playwright.sync_api")

SCRIPT = """
window.open_connection = () => {
  const pc = window.pc = new RTCPeerConnection();
  pc.tracks = [];
  pc.ontrack = e => pc.tracks.push([e.transceiver.mid, e.streams.map(s => s.id).join()]);
};
window.offer = async options => {
  await pc.setLocalDescription(await pc.createOffer(options || {}));
  return pc.localDescription.sdp;
};
window.seen = sdp => ({
  sdp,
  tracks: pc.tracks.splice(0),
  directions: Object.fromEntries(pc.getTransceivers().map(t => [t.mid, t.currentDirection])),
});
window.take_answer = async sdp => { await pc.setRemoteDescription({type: 'answer', sdp}); return seen(''); };
window.take_offer = async sdp => {
  await pc.setRemoteDescription({type: 'offer', sdp});
  await pc.setLocalDescription(await pc.createAnswer());
  return seen(pc.localDescription.sdp);
};
window.microphone = () => new AudioContext().createMediaStreamDestination().stream.getAudioTracks()[0];
window.camera = () => {
  const canvas = document.createElement('canvas');
  canvas.getContext('2d').fillRect(0, 0, 10, 10);
  return canvas.captureStream(5).getVideoTracks()[0];
};
window.publish = (track, sendEncodings) => {
  pc.addTransceiver(track, {direction: 'sendonly', streams: [new MediaStream([track])], sendEncodings});
};
window.parameters = () => pc.getSenders().map(s => s.getParameters()).map(p => ({
  codec: p.codecs.length ? p.codecs[0].mimeType : '', rids: p.encodings.map(e => e.rid || ''),
}));
null
"""
LAYERS = "[{rid: 'q', scaleResolutionDownBy: 4}, {rid: 'h', scaleResolutionDownBy: 2}, {rid: 'f'}]"


class Browser:
    """A page with one peer connection."""

    def __init__(self, page: Any) -> None:
        self._page = page
        page.goto("about:blank")
        self.run(SCRIPT)
        self.run("open_connection()")

    def run(self, script: str, argument: object = None) -> Any:
        return self._page.evaluate(script, argument)

    def offer_to(
        self, negotiation: Negotiation, wishes: dict[str, Wish], *, ufrag: str = "abcd", options: object = None
    ) -> tuple[RemoteDescription, dict[str, Any]]:
        remote = negotiation.handle_offer(self.run("offer", options))
        answer = negotiation.answer(transport("active", ufrag), wishes)
        return remote, self.run("take_answer", answer)

    def answer_to(self, negotiation: Negotiation, *, ufrag: str = "abcd") -> tuple[RemoteDescription, dict[str, Any]]:
        seen = self.run("take_offer", negotiation.offer(transport(negotiation.setup or "actpass", ufrag)))
        return negotiation.handle_answer(seen["sdp"]), seen


@pytest.fixture
def browser(chromium: str) -> Iterator[Browser]:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--headless"])
        try:
            yield Browser(started.new_page())
        finally:
            started.close()


def transport(setup: str, ufrag: str) -> TransportParameters:
    fingerprint = ("sha-256", ":".join(["AB"] * 32))
    candidate = "candidate:1 1 udp 2130706431 127.0.0.1 9 typ host"
    return TransportParameters(ufrag=ufrag, pwd="p" * 24, fingerprint=fingerprint, setup=setup, candidates=(candidate,))


def track(name: str, ssrc: int) -> Outgoing:
    stream_id, track_id = f"PA_x|TR_{name}", f"TR_{name}"
    return Outgoing(stream_id=stream_id, track_id=track_id, ssrc=ssrc, rtx_ssrc=ssrc + 1, cname="PA_x")


def server(*, is_single: bool = False) -> Negotiation:
    return Negotiation(session_id=7, capabilities=server_capabilities(), is_single=is_single)


def test_publisher_connection(browser: Browser) -> None:
    negotiation = server()
    browser.run("pc.createDataChannel('_lossy')")
    browser.offer_to(negotiation, {})
    browser.run(
        f"publish(microphone()); publish(camera(), {LAYERS}); publish(camera(), [{{scalabilityMode: 'L3T3_KEY'}}])"
    )
    wishes: dict[str, Wish] = {
        "1": Incoming(),
        "2": Incoming(preferred=("video/H264",)),
        "3": Incoming(preferred=("video/VP9",)),
    }
    remote, seen = browser.offer_to(negotiation, wishes)
    assert seen["directions"] == {"1": "sendonly", "2": "sendonly", "3": "sendonly"}
    assert remote.sections[2].rids_send == ("q", "h", "f")
    assert len(remote.sections[3].layer_ssrcs) == len(remote.sections[3].fid) == 1
    parameters = browser.run("parameters()")
    assert [one["codec"] for one in parameters] == ["audio/red", "video/H264", "video/VP9"]
    assert parameters[1]["rids"] == ["q", "h", "f"], "simulcast was not accepted"

    remote, _ = browser.offer_to(negotiation, wishes, ufrag="next", options={"iceRestart": True})
    assert remote.ice_restart
    browser.run("pc.getTransceivers()[1].direction = 'inactive'")
    remote, seen = browser.offer_to(negotiation, {})
    assert not remote.ice_restart
    assert seen["directions"]["2"] == "inactive"
    browser.run("pc.getTransceivers()[0].stop()")
    remote, _ = browser.offer_to(negotiation, {})
    assert remote.sections[1].rejected
    browser.run("publish(camera())")
    remote, seen = browser.offer_to(negotiation, {})
    assert not remote.sections[1].rejected, "the stopped section was to be used again"
    assert seen["directions"][remote.sections[1].mid] == "sendonly"


def test_single_connection(browser: Browser) -> None:
    negotiation = server(is_single=True)
    browser.run(
        """() => {
          for (const kind of ['audio', 'audio', 'video', 'video']) pc.addTransceiver(kind, {direction: 'recvonly'});
          pc.createDataChannel('_lossy');
        }"""
    )
    browser.offer_to(negotiation, {})
    wishes: dict[str, Wish] = {"0": track("a", 10), "2": track("v", 20)}
    _, seen = browser.offer_to(negotiation, wishes)
    assert sorted(seen["tracks"]) == [["0", "PA_x|TR_a"], ["2", "PA_x|TR_v"]]
    _, seen = browser.offer_to(negotiation, {**wishes, "2": None})
    assert seen["directions"]["2"] == "inactive"
    _, seen = browser.offer_to(negotiation, {**wishes, "2": track("w", 30)})
    assert seen["tracks"] == [["2", "PA_x|TR_w"]]

    browser.run(f"publish(camera(), {LAYERS}); publish(microphone())")
    remote, seen = browser.offer_to(negotiation, wishes)
    camera, microphone = remote.sections[-2:]
    assert camera.rids_send == ("q", "h", "f")
    assert RID in camera.extensions
    assert AUDIO_LEVEL in microphone.extensions
    assert seen["directions"][camera.mid] == "sendonly"


def test_subscriber_connection(browser: Browser) -> None:
    negotiation = server()
    negotiation.add_application()
    browser.answer_to(negotiation)
    audio = negotiation.add_outgoing("audio", track("a", 10), reuse=True)
    video = negotiation.add_outgoing("video", track("v", 20), reuse=True)
    remote, seen = browser.answer_to(negotiation)
    assert remote.setup == "active"
    assert sorted(seen["tracks"]) == [[audio, "PA_x|TR_a"], [video, "PA_x|TR_v"]]
    section = negotiation.section(video)
    assert section is not None
    assert section.direction == Direction.SENDONLY
    assert section.has_nack
    assert section.rtx[97] == 96
    assert len(section.extensions) == 3

    negotiation.remove_outgoing(video)
    _, seen = browser.answer_to(negotiation)
    assert seen["directions"][video] == "inactive"
    assert negotiation.add_outgoing("video", track("w", 30), reuse=True) == video
    remote, seen = browser.answer_to(negotiation, ufrag="next")
    assert seen["tracks"] == [[video, "PA_x|TR_w"]]
    assert remote.ice_restart
