"""RPC calls that the server API makes to a participant, over the room's data (`PerformRpc`).

    sent --ack within 2 s--> acknowledged --response within its timeout--> answered
      either --too late, participant gone--> failed

A call is delivered exactly once. The callee sees the request's id as the caller's identity. Its ack and response come back as
data packets addressed to that identity, which nobody in the room has.
"""

from __future__ import annotations

from typing import NamedTuple

from ..entropy import Entropy
from ..wire import models
from .data import Routed, from_server
from .member import Member

ACK_TIMEOUT_S = 2.0
DEFAULT_RESPONSE_TIMEOUT_MS = 10_000
MAX_PAYLOAD_BYTES = 15_360

CONNECTION_TIMEOUT = 1501
RESPONSE_TIMEOUT = 1502
RECIPIENT_DISCONNECTED = 1503
RESPONSE_TOO_LARGE = 1504
REQUEST_TOO_LARGE = 1402

_TEXTS = {
    CONNECTION_TIMEOUT: "Connection timeout",
    RESPONSE_TIMEOUT: "Response timeout",
    RECIPIENT_DISCONNECTED: "Recipient disconnected",
    RESPONSE_TOO_LARGE: "Response payload too large",
    REQUEST_TOO_LARGE: "Request payload too large",
}


class RpcResult(NamedTuple):
    """The end of a call: a payload, or an error with its code."""

    ref: int
    payload: str = ""
    error_code: int = 0
    error_message: str = ""


class _Call:
    __slots__ = ("ack_by", "identity", "is_acknowledged", "ref", "respond_by")

    def __init__(self, ref: int, identity: str, ack_by: float, respond_by: float) -> None:
        self.ref = ref
        self.identity = identity
        self.ack_by = ack_by
        self.respond_by = respond_by
        self.is_acknowledged = False

    @property
    def due(self) -> float:
        return self.respond_by if self.is_acknowledged else min(self.ack_by, self.respond_by)


class RpcCalls:
    """The open calls of one room."""

    __slots__ = ("_calls", "_entropy", "_results")

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._calls: dict[str, _Call] = {}
        self._results: list[RpcResult] = []

    def start(self, now: float, ref: int, identity: str, method: str, payload: str, timeout_ms: int) -> Routed:
        """A new call; returns the packet to send reliably."""
        timeout_ms = timeout_ms or DEFAULT_RESPONSE_TIMEOUT_MS
        word = self._entropy(16).hex()
        call_id = f"{word[:8]}-{word[8:12]}-4{word[13:16]}-a{word[17:20]}-{word[20:]}"
        self._calls[call_id] = _Call(ref, identity, now + ACK_TIMEOUT_S, now + timeout_ms / 1000)
        request = models.RpcRequest(
            id=call_id, method=method, payload=payload, response_timeout_ms=timeout_ms, version=1
        )
        packet = models.DataPacket(
            kind=models.DataPacket.Kind.RELIABLE,
            participant_identity=call_id,
            destination_identities=[identity],
            rpc_request=request,
        )
        return from_server(packet)

    def handle_packet(self, now: float, sender: Member, packet: models.DataPacket) -> None:
        """A data packet of a member: perhaps the ack or response to a call."""
        if not self._calls:
            return
        match packet.WhichOneof("value"):
            case "rpc_ack":
                call = self._calls.get(packet.rpc_ack.request_id)
                if call is not None and call.identity == sender.participant.identity:
                    call.is_acknowledged = True
            case "rpc_response":
                self._respond(sender, packet.rpc_response)
            case _:
                pass

    def _respond(self, sender: Member, response: models.RpcResponse) -> None:
        call = self._calls.get(response.request_id)
        if call is None or call.identity != sender.participant.identity:
            return
        del self._calls[response.request_id]
        if response.WhichOneof("value") == "error":
            self._results.append(RpcResult(call.ref, "", response.error.code, response.error.message))
        elif len(response.payload.encode()) > MAX_PAYLOAD_BYTES:
            self._results.append(_failed(call.ref, RESPONSE_TOO_LARGE))
        else:
            self._results.append(RpcResult(call.ref, response.payload))

    def participant_left(self, identity: str) -> None:
        """Its open calls fail at once."""
        self._fail(
            {call_id: RECIPIENT_DISCONNECTED for call_id, call in self._calls.items() if call.identity == identity}
        )

    def handle_timeout(self, now: float) -> None:
        self._fail(
            {
                call_id: RESPONSE_TIMEOUT if call.is_acknowledged else CONNECTION_TIMEOUT
                for call_id, call in self._calls.items()
                if call.due <= now
            }
        )

    def poll_timeout(self) -> float | None:
        return min((call.due for call in self._calls.values()), default=None)

    def poll_results(self) -> list[RpcResult]:
        results, self._results = self._results, []
        return results

    def _fail(self, calls: dict[str, int]) -> None:
        for call_id, code in calls.items():
            self._results.append(_failed(self._calls.pop(call_id).ref, code))


def _failed(ref: int, code: int) -> RpcResult:
    return RpcResult(ref, "", code, _TEXTS[code])
