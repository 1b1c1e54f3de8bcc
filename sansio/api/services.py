"""Services whose processes are not connected: their routes exist, check the token, and say at once what is missing.

With Redis, LiveKit's server passes these calls to egress, ingress and SIP processes; without it it answers as here.
"""

from __future__ import annotations

from ..errors import Refusal
from .twirp import Call

EGRESS = ("StartEgress", "StartRoomCompositeEgress", "StartWebEgress", "StartParticipantEgress", "StartTrackCompositeEgress",
          "StartTrackEgress", "UpdateLayout", "UpdateStream", "ListEgress", "StopEgress")  # fmt: skip
INGRESS = ("CreateIngress", "UpdateIngress", "ListIngress", "DeleteIngress")
SIP = ("ListSIPTrunk", "CreateSIPInboundTrunk", "UpdateSIPInboundTrunk", "GetSIPInboundTrunk", "ListSIPInboundTrunk",
       "CreateSIPOutboundTrunk", "UpdateSIPOutboundTrunk", "GetSIPOutboundTrunk", "ListSIPOutboundTrunk", "DeleteSIPTrunk",
       "CreateSIPDispatchRule", "UpdateSIPDispatchRule", "ListSIPDispatchRule", "DeleteSIPDispatchRule",
       "CreateSIPParticipant", "TransferSIPParticipant")  # fmt: skip
SIP_CALLS = ("CreateSIPParticipant", "TransferSIPParticipant")

ABSENT = {"Egress": EGRESS, "Ingress": INGRESS, "SIP": SIP}
"""Service to its methods."""


def refuse_absent(service: str, method: str, call: Call) -> None:
    """Raises Refusal: for want of a grant, else for want of the service."""
    claims = call.claims
    video = None if claims is None else claims.video
    allowed = {
        "Egress": video is not None and video.room_record,
        "Ingress": video is not None and video.ingress_admin,
        "SIP": claims is not None and (claims.sip_call if method in SIP_CALLS else claims.sip_admin),
    }[service]
    if not allowed:
        raise Refusal("unauthenticated", "permissions denied")
    raise Refusal("internal", f"{service.lower()} not connected (redis required)")
