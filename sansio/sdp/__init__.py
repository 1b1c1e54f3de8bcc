"""Session descriptions: text to values and back, and offer and answer over them. Knows no transport and no room."""

from __future__ import annotations

from .answerer import Wish as Wish
from .capabilities import ABS_CAPTURE_TIME as ABS_CAPTURE_TIME
from .capabilities import ABS_SEND_TIME as ABS_SEND_TIME
from .capabilities import AUDIO_LEVEL as AUDIO_LEVEL
from .capabilities import DEFAULT_MIMES as DEFAULT_MIMES
from .capabilities import DEPENDENCY_DESCRIPTOR as DEPENDENCY_DESCRIPTOR
from .capabilities import MID as MID
from .capabilities import PLAYOUT_DELAY as PLAYOUT_DELAY
from .capabilities import REPAIRED_RID as REPAIRED_RID
from .capabilities import RID as RID
from .capabilities import TRANSPORT_CC as TRANSPORT_CC
from .capabilities import Capabilities as Capabilities
from .capabilities import KindCapabilities as KindCapabilities
from .capabilities import client_capabilities as client_capabilities
from .capabilities import server_capabilities as server_capabilities
from .codecs import mime_type as mime_type
from .codecs import rtx_payload_types as rtx_payload_types
from .grammar import SdpError as SdpError
from .offer_answer import Negotiation as Negotiation
from .parser import parse as parse
from .session import Description as Description
from .session import Direction as Direction
from .session import ExtMap as ExtMap
from .session import Format as Format
from .session import MediaSection as MediaSection
from .session import Rid as Rid
from .session import SsrcInfo as SsrcInfo
from .values import Incoming as Incoming
from .values import NegotiatedSection as NegotiatedSection
from .values import Outgoing as Outgoing
from .values import RemoteDescription as RemoteDescription
from .values import RemoteSection as RemoteSection
from .values import TransportParameters as TransportParameters
