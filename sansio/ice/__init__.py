"""ICE (RFC 8445, 8838, 7675): one agent per transport, and its candidates."""

from .agent import Agent as Agent
from .candidate import Candidate as Candidate
from .candidate import CandidateType as CandidateType
from .candidate import IceError as IceError
from .candidate import candidate_priority as candidate_priority
from .interface import AgentConfig as AgentConfig
from .interface import AgentEvent as AgentEvent
from .interface import AgentState as AgentState
from .interface import PathValidated as PathValidated
from .interface import Role as Role
from .interface import RoleChanged as RoleChanged
from .interface import Selected as Selected
from .interface import StateChanged as StateChanged
