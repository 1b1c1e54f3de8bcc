"""Upgrade requests: a join or a refusal with an HTTP status."""

from __future__ import annotations

from base64 import urlsafe_b64encode

from choices import Choices
from harness import main

from sansio import Config, HttpRequest, Refusal
from sansio.auth import Claims, VideoGrant, mint
from sansio.signalling.join import parse_join

KEY, SECRET = "key", "a secret that is long enough to be one"
CONFIG = Config(keys={KEY: SECRET})
TOKEN = mint(
    Claims(issuer=KEY, identity="fuzz", video=VideoGrant(room_join=True, room="r"), expires_at=2e9),
    SECRET,
    wallclock=1e9,
)
NAMES = ("join_request", "attributes", "protocol", "sdk", "publish", "capabilities", "reconnect", "sid", "access_token")


def check(data: bytes) -> None:
    choices = Choices(data)
    query = {"access_token": TOKEN}
    path = choices.pick(("/rtc", "/rtc/v1", "/rtc/validate", "/rtc/v1/validate"))
    while choices:
        name = choices.pick(NAMES)
        value = choices.block(2000)
        query[name] = urlsafe_b64encode(value).decode() if choices.flag() else value.decode("utf-8", "replace")
    request = HttpRequest(method="GET", path=path, query=query)
    try:
        parse_join(request, CONFIG, 1e9)
    except Refusal as caught:
        refusal = caught
    else:
        return
    assert 400 <= refusal.status < 600


if __name__ == "__main__":
    main(check)
