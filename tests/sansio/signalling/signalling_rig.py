"""The rig of the room's tests, for those of signalling."""

from __future__ import annotations

from node_rig import ROOM as ROOM
from node_rig import WALL as WALL
from node_rig import Action as Action
from node_rig import Client as Client
from node_rig import DisconnectReason as DisconnectReason
from node_rig import Rig as Rig
from node_rig import State as State
from node_rig import configured as configured
from node_rig import token as token
from node_rig import wrap as wrap
