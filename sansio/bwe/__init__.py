"""Bandwidth estimation towards a peer: history of what was sent, and the interface of estimators."""

from .estimator import BandwidthEstimator as BandwidthEstimator
from .estimator import PassiveEstimator as PassiveEstimator
from .history import AckedPacket as AckedPacket
from .history import SentHistory as SentHistory
