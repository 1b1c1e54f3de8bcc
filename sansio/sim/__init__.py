"""A simulator in virtual time: whole clients and nodes, and bad networks between them. For tests of this and of your code."""

from .client import Client as Client
from .client import ClientOptions as ClientOptions
from .client import CloseSocket as CloseSocket
from .client import Connected as Connected
from .client import Joined as Joined
from .client import Left as Left
from .client import OpenSocket as OpenSocket
from .client import Resumed as Resumed
from .client import SendFrame as SendFrame
from .data import Received as Received
from .guard import GuardedNode as GuardedNode
from .handshake import SeededDtls as SeededDtls
from .link import Link as Link
from .link import Pipe as Pipe
from .media import ONE_LAYER as ONE_LAYER
from .media import SIMULCAST as SIMULCAST
from .media import VideoLayer as VideoLayer
from .participant import Participant as Participant
from .publishing import PublishedTrack as PublishedTrack
from .publishing import TrackOptions as TrackOptions
from .sink import AudioSink as AudioSink
from .sink import Sink as Sink
from .sink import VideoSink as VideoSink
from .world import SimNode as SimNode
from .world import Stuck as Stuck
from .world import World as World
