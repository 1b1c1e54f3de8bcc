"""DTLS-SRTP: certificate, handshake and keying of one transport (RFC 6347, RFC 5764, RFC 8122, RFC 8842)."""

from .certificate import Certificate as Certificate
from .certificate import fingerprint_of as fingerprint_of
from .handshake import OpenSslHandshake as OpenSslHandshake
from .interface import Closed as Closed
from .interface import Completed as Completed
from .interface import Data as Data
from .interface import DtlsEvent as DtlsEvent
from .interface import DtlsRole as DtlsRole
from .interface import Failed as Failed
from .interface import Handshake as Handshake
from .interface import HandshakeFactory as HandshakeFactory
from .keys import PROFILES as PROFILES
from .keys import key_lengths as key_lengths
from .keys import split_keys as split_keys
from .records import DtlsError as DtlsError
from .states import TRANSITIONS as TRANSITIONS
from .states import DtlsState as DtlsState
from .states import moved as moved
