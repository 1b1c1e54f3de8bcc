"""What a simulated client asks of its driver, what it reports, and how it opens a session."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import TypeAlias

import attrs

from ..outputs import HttpRequest
from ..wire import models, rtc
from .data import Received

PROTOCOL = 16


@attrs.frozen
class OpenSocket:
    """Ask the server for a WebSocket with this request."""

    request: HttpRequest


@attrs.frozen
class SendFrame:
    """One binary frame."""

    frame: bytes


@attrs.frozen
class CloseSocket:
    """Close the socket; nothing is heard from it any more."""


ClientCommand: TypeAlias = OpenSocket | SendFrame | CloseSocket


@attrs.frozen
class Joined:
    """The join message came."""

    sid: str


@attrs.frozen
class Resumed:
    """The server took the session up again."""


@attrs.frozen
class Connected:
    """Media and data can flow."""


@attrs.frozen(kw_only=True)
class Left:
    """The session is over for good."""

    reason: str
    """Name of a DisconnectReason, or what the server's refusal said."""
    status: int = 0
    """HTTP status of a refusal."""


ClientEvent: TypeAlias = Joined | Resumed | Connected | Left | Received


@attrs.frozen(kw_only=True)
class ClientOptions:
    """What kind of client it is."""

    single: bool = True
    """One peer connection (v1) or two (v0)."""
    auto_subscribe: bool = True
    auto_subscribe_data_track: bool = False
    adaptive_stream: bool = False
    disable_ice_lite: bool = False
    protocol: int = PROTOCOL
    sdk: str = "js"
    version: str = "2.15.0"
    resumes: bool = True
    """Whether it comes back by itself after a lost socket or transport."""
    heeds_dynacast: bool = True


def upgrade_request(
    options: ClientOptions, token: str, *, offer: rtc.SessionDescription | None = None, resumed_sid: str = ""
) -> HttpRequest:
    """The request for a WebSocket: `/rtc` with parameters for two connections, `/rtc/v1` with a message for one. With
    `resumed_sid` a session is taken up again."""
    headers = {"authorization": f"Bearer {token}"}
    if not options.single:
        query = {
            "protocol": str(options.protocol),
            "sdk": options.sdk,
            "version": options.version,
            "auto_subscribe": str(int(options.auto_subscribe)),
            "auto_subscribe_data_track": str(int(options.auto_subscribe_data_track)),
            "adaptive_stream": str(int(options.adaptive_stream)),
            "disable_ice_lite": str(int(options.disable_ice_lite)),
        }
        if resumed_sid:
            query |= {"reconnect": "1", "sid": resumed_sid, "reconnect_reason": "1"}
        return HttpRequest(method="GET", path="/rtc", query=query, headers=headers)
    join = rtc.JoinRequest(
        client_info=models.ClientInfo(sdk=options.sdk.upper(), version=options.version, protocol=options.protocol),
        connection_settings=rtc.ConnectionSettings(
            auto_subscribe=options.auto_subscribe,
            auto_subscribe_data_track=options.auto_subscribe_data_track,
            adaptive_stream=options.adaptive_stream,
            disable_ice_lite=options.disable_ice_lite,
        ),
        publisher_offer=offer,
        reconnect=bool(resumed_sid),
        participant_sid=resumed_sid,
    )
    wrapped = rtc.WrappedJoinRequest(join_request=join.SerializeToString(deterministic=True))
    query = {"join_request": urlsafe_b64encode(wrapped.SerializeToString(deterministic=True)).decode()}
    return HttpRequest(method="GET", path="/rtc/v1", query=query, headers=headers)
