"""STUN (RFC 8489): messages with short-term credentials, and the retransmission of one request."""

from .address import canonical_host as canonical_host
from .address import pack_host as pack_host
from .address import unpack_host as unpack_host
from .message import REASONS as REASONS
from .message import Attribute as Attribute
from .message import Class as Class
from .message import ErrorCode as ErrorCode
from .message import FingerprintError as FingerprintError
from .message import Message as Message
from .message import Method as Method
from .message import StunError as StunError
from .message import encode as encode
from .message import parse as parse
from .message import peek_ufrag as peek_ufrag
from .transaction import Transaction as Transaction
