"""Peer transports behind shared sockets: ICE, DTLS, SRTP through the kernel, RTCP reports and data channels as one."""

from .channels import ChannelClosed as ChannelClosed
from .channels import ChannelMessage as ChannelMessage
from .channels import ChannelOpened as ChannelOpened
from .channels import ChannelsDown as ChannelsDown
from .channels import DataChannels as DataChannels
from .drain import Drain as Drain
from .endpoint import Endpoint as Endpoint
from .events import PeerEvent as PeerEvent
from .events import PeerState as PeerState
from .events import PeerStateChanged as PeerStateChanged
from .events import RtcpReceived as RtcpReceived
from .events import StreamBound as StreamBound
from .events import StreamNotice as StreamNotice
from .events import StreamUnbound as StreamUnbound
from .peer import PeerConfig as PeerConfig
from .peer import PeerTransport as PeerTransport
from .streams import ReceiveSection as ReceiveSection
