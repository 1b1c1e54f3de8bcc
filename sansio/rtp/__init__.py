"""RTP: packets, header extensions, and the payload formats as far as a forwarder must read them.

Payload formats are modules to be used by name, each with the same few functions: `from sansio.rtp import vp8` and
`vp8.is_key_frame(data, start, end)`.
"""

from . import av1 as av1
from . import dependency_descriptor as dependency_descriptor
from . import frame_trailer as frame_trailer
from . import h264 as h264
from . import h265 as h265
from . import opus as opus
from . import red as red
from . import vp8 as vp8
from . import vp9 as vp9
from .dependency_descriptor import DependencyDescriptor as DependencyDescriptor
from .dependency_descriptor import Structure as Structure
from .extensions import ExtensionUri as ExtensionUri
from .extensions import encode_abs_capture_time as encode_abs_capture_time
from .extensions import encode_abs_send_time as encode_abs_send_time
from .extensions import encode_audio_level as encode_audio_level
from .extensions import encode_extensions as encode_extensions
from .extensions import encode_playout_delay as encode_playout_delay
from .extensions import encode_transport_cc as encode_transport_cc
from .extensions import parse_abs_capture_time as parse_abs_capture_time
from .extensions import parse_abs_send_time as parse_abs_send_time
from .extensions import parse_audio_level as parse_audio_level
from .extensions import parse_extensions as parse_extensions
from .extensions import parse_playout_delay as parse_playout_delay
from .extensions import parse_text as parse_text
from .extensions import parse_transport_cc as parse_transport_cc
from .packet import Header as Header
from .packet import RtpError as RtpError
from .packet import encode_header as encode_header
from .packet import encode_packet as encode_packet
from .packet import encode_padding as encode_padding
from .packet import encode_rtx as encode_rtx
from .packet import is_rtcp as is_rtcp
from .packet import parse_header as parse_header
from .packet import parse_rtx as parse_rtx
from .vp8 import Vp8Descriptor as Vp8Descriptor
from .vp9 import Vp9Descriptor as Vp9Descriptor
