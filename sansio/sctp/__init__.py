"""SCTP over DTLS for data channels: RFC 9260, 8261, 3758, 6525, 9653; DCEP of RFC 8832 in `dcep`."""

from .association import Association as Association
from .chunks import SctpError as SctpError
from .config import SctpConfig as SctpConfig
from .congestion import Path as Path
from .dcep import ChannelType as ChannelType
from .dcep import DcepError as DcepError
from .dcep import Ppid as Ppid
from .events import AssociationClosed as AssociationClosed
from .events import Established as Established
from .events import Message as Message
from .events import ResetDone as ResetDone
from .events import Restarted as Restarted
from .events import SctpEvent as SctpEvent
from .events import StreamsReset as StreamsReset
from .states import TRANSITIONS as TRANSITIONS
from .states import AssociationState as AssociationState
from .states import Trigger as Trigger
