"""Rooms: who is in them, what is published, who receives what. Ties transports, SDP and forwarding together.

Published state is kept in LiveKit's own messages (`sansio.wire`): they are what every client is shown, and a second set of values
beside them would only be copied to and fro.
"""

from .client import ClientTraits as ClientTraits
from .member import Member as Member
from .member import MemberTimer as MemberTimer
from .member import Settings as Settings
from .messages import Action as Action
from .messages import leave_message as leave_message
from .messages import others as others
from .options import RoomContext as RoomContext
from .options import RoomOptions as RoomOptions
from .outbox import Frame as Frame
from .participant import DisconnectReason as DisconnectReason
from .participant import Participant as Participant
from .participant import State as State
from .permission import may_publish as may_publish
from .permission import permission_of as permission_of
from .permission import source_names as source_names
from .registry import Rooms as Rooms
from .room import Room as Room
from .rpc import RpcResult as RpcResult
