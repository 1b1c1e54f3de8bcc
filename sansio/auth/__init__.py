"""Access tokens: verifying, minting, and the grants inside them."""

from .grants import KINDS as KINDS
from .grants import SOURCES as SOURCES
from .grants import Claims as Claims
from .grants import VideoGrant as VideoGrant
from .token import LEEWAY as LEEWAY
from .token import TokenError as TokenError
from .token import bearer as bearer
from .token import mint as mint
from .token import verify as verify
