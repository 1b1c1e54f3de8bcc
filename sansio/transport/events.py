"""What a peer transport reports to its owner."""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

import attrs

from ..kernel import Notice
from ..rtcp import Packet
from .channels import ChannelClosed, ChannelMessage, ChannelOpened, ChannelsDown


class PeerState(Enum):
    """As a browser's connectionState, taken over ICE and DTLS together (W3C WebRTC §4.3.3)."""

    NEW = "new"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    """The path fell silent; it may come back by itself or by an ICE restart."""
    FAILED = "failed"
    """Only an ICE restart helps, and only if it was ICE that failed."""
    CLOSED = "closed"


@attrs.frozen
class PeerStateChanged:
    state: PeerState
    reason: str = ""
    """Why it failed, where that is known."""


@attrs.frozen(kw_only=True)
class StreamBound:
    """A received SSRC is now known to be a layer of an m-section; `stream` is its slot in the kernel."""

    mid: str
    rid: str
    """The layer's name; of layers that were declared by SSRC group only, q, h and f from the lowest; else empty."""
    ssrc: int
    stream: int
    payload_type: int
    """Of the packet that showed the stream."""


@attrs.frozen
class StreamUnbound:
    """The slot is gone: the section went away, or the layer has come back under another SSRC."""

    stream: int


@attrs.frozen
class StreamNotice:
    """The kernel saw something in a stream of this peer, or in a leg that such a stream feeds."""

    notice: Notice


@attrs.frozen
class RtcpReceived:
    """A compound packet of the peer. Sender reports in it have been noted already."""

    packets: tuple[Packet, ...]


PeerEvent: TypeAlias = (
    PeerStateChanged
    | StreamBound
    | StreamUnbound
    | StreamNotice
    | RtcpReceived
    | ChannelOpened
    | ChannelMessage
    | ChannelClosed
    | ChannelsDown
)
