"""A load test without I/O: simulated publishers and subscribers for any LiveKit-compatible server, and what they measure."""

from ..sim import CloseSocket as CloseSocket
from ..sim import OpenSocket as OpenSocket
from ..sim import SendFrame as SendFrame
from .figures import Figures as Figures
from .figures import Flow as Flow
from .figures import Quantiles as Quantiles
from .load_test import LoadTest as LoadTest
from .load_test import Phase as Phase
from .options import LoadOptions as LoadOptions
from .options import Role as Role
from .options import Seat as Seat
