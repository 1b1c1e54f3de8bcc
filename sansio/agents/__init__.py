"""Agents: their workers' sockets, the dispatches of rooms, and the jobs that bring the two together."""

from .agents import Agents as Agents
from .job import TRANSITIONS as TRANSITIONS
from .job import Job as Job
from .job import Phase as Phase
from .messages import Lookup as Lookup
from .orders import Remove as Remove
from .pool import PoolKey as PoolKey
