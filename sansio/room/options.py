"""What rooms are made with: what all of a node share, and what may be said of one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import attrs

from ..config import Config
from ..entropy import Entropy
from ..ids import RoomName
from ..kernel import Kernel
from ..sdp import Capabilities
from ..transport import Endpoint
from ..wallclock import WallClock


@attrs.frozen(kw_only=True)
class RoomContext:
    """What all rooms of a node share."""

    config: Config
    kernel: Kernel
    endpoint: Endpoint
    entropy: Entropy
    wallclock: WallClock
    capabilities: Capabilities
    delay_capabilities: Capabilities
    """Those of rooms that ask for a playout delay."""

    def capabilities_for(self, options: RoomOptions) -> Capabilities:
        return self.capabilities if options.playout_delay is None else self.delay_capabilities


class AgentWish(Protocol):
    """An agent that a room asks for: RoomAgentDispatch, or a preset's."""

    @property
    def agent_name(self) -> str: ...
    @property
    def metadata(self) -> str: ...
    @property
    def deployment(self) -> str: ...
    @property
    def restart_policy(self) -> int: ...
    @property
    def attributes(self) -> Mapping[str, str]: ...


@attrs.define(kw_only=True)
class RoomOptions:
    """What may be said of a room when it is made."""

    name: RoomName
    empty_timeout: int
    departure_timeout: int
    max_participants: int
    metadata: str = ""
    sync_streams: bool = False
    """Whether camera and microphone of a publisher share a stream towards subscribers, so that they are kept in step."""
    min_playout_delay: int = 0
    max_playout_delay: int = 0
    """Milliseconds that subscribers are asked to hold video back; both 0: they are not."""
    agents: tuple[AgentWish, ...] = ()
    """Which agents the room asks for at its start; none means the nameless one."""

    def fill(self, wanted: RoomWishes) -> None:
        """Take over what the wishes name."""
        self.empty_timeout = wanted.empty_timeout or self.empty_timeout
        self.departure_timeout = wanted.departure_timeout or self.departure_timeout
        self.max_participants = wanted.max_participants or self.max_participants
        self.metadata = wanted.metadata or self.metadata
        self.sync_streams = wanted.sync_streams or self.sync_streams
        self.min_playout_delay = wanted.min_playout_delay or self.min_playout_delay
        self.max_playout_delay = wanted.max_playout_delay or self.max_playout_delay
        self.agents = tuple(wanted.agents) or self.agents

    @property
    def playout_delay(self) -> tuple[int, int] | None:
        """Least and greatest delay in ms, 0 for no greatest; None if there is to be none."""
        limits = (self.min_playout_delay, self.max_playout_delay)
        return limits if any(limits) else None


class RoomWishes(Protocol):
    """What a preset, a token's room configuration and a CreateRoom request have in common."""

    @property
    def empty_timeout(self) -> int: ...
    @property
    def departure_timeout(self) -> int: ...
    @property
    def max_participants(self) -> int: ...
    @property
    def metadata(self) -> str: ...
    @property
    def sync_streams(self) -> bool: ...
    @property
    def min_playout_delay(self) -> int: ...
    @property
    def max_playout_delay(self) -> int: ...
    @property
    def agents(self) -> Iterable[AgentWish]: ...
