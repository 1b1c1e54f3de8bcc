"""Agent workers. So far: their sockets and registration, and the records of dispatches."""

from .dispatches import Dispatches as Dispatches
from .worker import WorkerSessions as WorkerSessions
