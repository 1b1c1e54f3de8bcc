"""LiveKit's signalling: joins, requests, resumes."""

from .admission import check_node as check_node
from .join import claims_of as claims_of
from .messages import AGENT_PROTOCOL as AGENT_PROTOCOL
from .messages import SIGNAL_PROTOCOL as SIGNAL_PROTOCOL
from .messages import server_info as server_info
from .requests import metadata_excess as metadata_excess
from .session import SignalSessions as SignalSessions
