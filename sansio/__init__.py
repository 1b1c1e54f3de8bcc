"""Atrium: the core of a WebRTC media server that speaks LiveKit's protocol, without I/O.

`Node` is the whole server; a driver feeds it datagrams, WebSocket frames, HTTP requests and time, and carries out what it puts
out. See the documentation's page on embedding.
"""

from .config import AgentPreset as AgentPreset
from .config import AgentsConfig as AgentsConfig
from .config import AudioConfig as AudioConfig
from .config import CodecConfig as CodecConfig
from .config import Config as Config
from .config import LimitConfig as LimitConfig
from .config import PlayoutDelayConfig as PlayoutDelayConfig
from .config import PliThrottleConfig as PliThrottleConfig
from .config import RoomConfig as RoomConfig
from .config import RoomPreset as RoomPreset
from .config import RtcConfig as RtcConfig
from .config import VideoConfig as VideoConfig
from .entropy import Entropy as Entropy
from .entropy import SeededEntropy as SeededEntropy
from .errors import DropReason as DropReason
from .errors import LocalProtocolError as LocalProtocolError
from .errors import Refusal as Refusal
from .errors import RemoteProtocolError as RemoteProtocolError
from .errors import SansioError as SansioError
from .events import Event as Event
from .ids import SessionId as SessionId
from .kernel.native import KernelChoice as KernelChoice
from .kernel.native import choose_kernel as choose_kernel
from .node import Node as Node
from .outputs import Accept as Accept
from .outputs import Address as Address
from .outputs import Batch as Batch
from .outputs import Close as Close
from .outputs import Command as Command
from .outputs import HttpRequest as HttpRequest
from .outputs import Packed as Packed
from .outputs import Reject as Reject
from .outputs import Respond as Respond
from .outputs import Run as Run
from .outputs import Send as Send
from .outputs import Transmit as Transmit
