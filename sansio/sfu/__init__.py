"""Selective forwarding: tracks as received and as subscribed to, and the choice between layers.

Knows the kernel and values of RTCP; nothing of rooms, SDP or transports.
"""

from .audio_level import ActiveSpeakers as ActiveSpeakers
from .audio_level import SpeakerChange as SpeakerChange
from .downtrack import DownTrack as DownTrack
from .downtrack import DownTrackEvent as DownTrackEvent
from .downtrack import LayerChanged as LayerChanged
from .downtrack import MaxLayerChanged as MaxLayerChanged
from .downtrack import Started as Started
from .dynacast import Dynacast as Dynacast
from .dynacast import QualitiesChanged as QualitiesChanged
from .layers import PublishedLayer as PublishedLayer
from .layers import Quality as Quality
from .layers import WantedLayers as WantedLayers
from .layers import choose_layer as choose_layer
from .layers import quality_for_spatial as quality_for_spatial
from .layers import spatial_for_quality as spatial_for_quality
from .layers import spatial_for_rid as spatial_for_rid
from .layers import spatial_for_size as spatial_for_size
from .layers import temporal_for_fps as temporal_for_fps
from .layers import wanted_for as wanted_for
from .munger import ClockReport as ClockReport
from .playout_delay import PlayoutDelay as PlayoutDelay
from .quality import ConnectionQuality as ConnectionQuality
from .quality import QualityScorer as QualityScorer
from .quality import Score as Score
from .quality import mos as mos
from .quality import quality_of as quality_of
from .quality import worst as worst
from .receiver import DimensionsChanged as DimensionsChanged
from .receiver import FirstMedia as FirstMedia
from .receiver import KeyFrame as KeyFrame
from .receiver import LayersChanged as LayersChanged
from .receiver import ReceiverEvent as ReceiverEvent
from .receiver import TrackReceiver as TrackReceiver
from .stats import DownTrackStats as DownTrackStats
from .stats import ReceiveWindows as ReceiveWindows
from .stats import SendWindows as SendWindows
from .stats import Window as Window
