"""Per-packet work behind the `Kernel` interface; see `interface.py`."""

from .interface import AudioLevel as AudioLevel
from .interface import Codec as Codec
from .interface import ExtensionIds as ExtensionIds
from .interface import Kernel as Kernel
from .interface import Leg as Leg
from .interface import LegMode as LegMode
from .interface import LegStats as LegStats
from .interface import Notice as Notice
from .interface import NoticeKind as NoticeKind
from .interface import SentPacket as SentPacket
from .interface import SrtpProfile as SrtpProfile
from .interface import StreamSpec as StreamSpec
from .interface import StreamStats as StreamStats
from .pure import PureKernel as PureKernel
