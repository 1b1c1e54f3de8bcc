"""Agent workers. So far: their sockets and registration."""

from .worker import WorkerSessions as WorkerSessions
