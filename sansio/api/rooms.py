"""RoomService: rooms and participants as the server API sees and changes them."""

from __future__ import annotations

from google.protobuf.message import Message

from ..agents import Agents
from ..config import Config
from ..errors import Refusal
from ..ids import TrackSid
from ..room import Action, DisconnectReason, Member, Room, Rooms, RpcResult
from ..room.data import from_server
from ..room.rpc import DEFAULT_RESPONSE_TIMEOUT_MS, MAX_PAYLOAD_BYTES
from ..signalling import check_node, metadata_excess
from ..wire import models, rtc
from ..wire import room as wire
from .grants import grant_of, require, require_admin
from .twirp import Call, Method

NONCE_BYTES = 16
_RPC_CODES = {
    1400: "invalid_argument", 1401: "not_found", 1402: "invalid_argument", 1403: "unimplemented", 1404: "unimplemented",
    1501: "canceled", 1502: "canceled", 1503: "unavailable",
}  # fmt: skip


class RoomService:
    """The methods of `livekit.RoomService`; each takes a decoded call and returns its reply."""

    def __init__(self, config: Config, rooms: Rooms, agents: Agents) -> None:
        self._config = config
        self._rooms = rooms
        self._agents = agents
        self.methods: dict[str, tuple[type[Message], Method]] = {
            "CreateRoom": (wire.CreateRoomRequest, self.create_room),
            "ListRooms": (wire.ListRoomsRequest, self.list_rooms),
            "DeleteRoom": (wire.DeleteRoomRequest, self.delete_room),
            "ListParticipants": (wire.ListParticipantsRequest, self.list_participants),
            "GetParticipant": (wire.RoomParticipantIdentity, self.get_participant),
            "RemoveParticipant": (wire.RoomParticipantIdentity, self.remove_participant),
            "MutePublishedTrack": (wire.MuteRoomTrackRequest, self.mute_published_track),
            "UpdateParticipant": (wire.UpdateParticipantRequest, self.update_participant),
            "UpdateSubscriptions": (wire.UpdateSubscriptionsRequest, self.update_subscriptions),
            "SendData": (wire.SendDataRequest, self.send_data),
            "UpdateRoomMetadata": (wire.UpdateRoomMetadataRequest, self.update_room_metadata),
            "ForwardParticipant": (wire.ForwardParticipantRequest, self.forward_participant),
            "MoveParticipant": (wire.MoveParticipantRequest, self.forward_participant),
            "PerformRpc": (wire.PerformRpcRequest, self.perform_rpc),
        }

    # Rooms

    def create_room(self, now: float, call: Call) -> Message:
        request = call.message
        assert isinstance(request, wire.CreateRoomRequest)
        require(grant_of(call).room_create)
        self._check_create(request)
        known = self._rooms.get(request.name)
        if known is not None:
            return known.room_info()
        check_node(now, self._rooms)
        room = self._rooms.open(now, self._rooms.options_for(request.name, request, preset=request.room_preset))
        self._agents.room_started(now, room.sid, room.name, room.options.agents)
        return room.room_info()

    def _check_create(self, request: wire.CreateRoomRequest) -> None:
        limit = self._config.limit
        if not request.name:
            raise Refusal("invalid_argument", "room name is required", meta={"argument": "name"})
        if limit.max_room_name_length and len(request.name.encode()) > limit.max_room_name_length:
            raise Refusal(
                "invalid_argument", f"room name length exceeds limits: max length {limit.max_room_name_length}"
            )
        self._check_metadata(request.metadata)
        for agent in request.agents:
            self._agents.check_dispatch(agent)
        if request.HasField("egress"):
            raise Refusal("internal", "egress not connected (redis required)")

    def _check_metadata(self, metadata: str) -> None:
        limit = self._config.limit.max_metadata_size
        if limit and len(metadata.encode()) > limit:
            raise Refusal("invalid_argument", f"metadata size exceeds limits {limit}", meta={"argument": "metadata"})

    def list_rooms(self, now: float, call: Call) -> Message:
        request = call.message
        assert isinstance(request, wire.ListRoomsRequest)
        require(grant_of(call).room_list)
        names = set(request.names)
        return wire.ListRoomsResponse(
            rooms=[room.room_info() for room in self._rooms if not names or room.name in names]
        )

    def delete_room(self, now: float, call: Call) -> Message:
        request = call.message
        assert isinstance(request, wire.DeleteRoomRequest)
        require(grant_of(call).room_create)
        room = self._room(request.room)
        room.close(now, DisconnectReason.ROOM_DELETED)
        self._rooms.touch(room)
        return wire.DeleteRoomResponse()

    def update_room_metadata(self, now: float, call: Call) -> Message:
        request = call.message
        assert isinstance(request, wire.UpdateRoomMetadataRequest)
        require_admin(call, request.room)
        self._check_metadata(request.metadata)
        room = self._room(request.room)
        room.news.set_metadata(request.metadata)
        self._rooms.touch(room)
        return room.room_info()

    # Participants

    def list_participants(self, now: float, call: Call) -> Message:
        request = call.message
        assert isinstance(request, wire.ListParticipantsRequest)
        require_admin(call, request.room)
        room = self._rooms.get(request.room)
        members = [] if room is None else room.members.values()
        return wire.ListParticipantsResponse(participants=[member.participant.info() for member in members])

    def get_participant(self, now: float, call: Call) -> Message:
        request = call.message
        assert isinstance(request, wire.RoomParticipantIdentity)
        require_admin(call, request.room)
        return self._member(request.room, request.identity)[1].participant.info()

    def remove_participant(self, now: float, call: Call) -> Message:
        request = call.message
        assert isinstance(request, wire.RoomParticipantIdentity)
        require_admin(call, request.room)
        room, member = self._member(request.room, request.identity)
        room.leave(now, member, DisconnectReason.PARTICIPANT_REMOVED, action=Action.DISCONNECT)
        self._rooms.touch(room)
        return wire.RemoveParticipantResponse()

    def mute_published_track(self, now: float, call: Call) -> Message:
        request = call.message
        assert isinstance(request, wire.MuteRoomTrackRequest)
        require_admin(call, request.room)
        room, member = self._member(request.room, request.identity)
        if not request.muted and not self._config.room.enable_remote_unmute:
            raise Refusal("failed_precondition", "remote unmute not enabled")
        mute = rtc.MuteTrackRequest(sid=request.track_sid, muted=request.muted)
        member.participant.outbox.send(rtc.SignalResponse(mute=mute))
        member.publisher.set_muted(now, TrackSid(request.track_sid), request.muted)
        publication = member.publisher.get(request.track_sid)
        room.touch(member)
        self._rooms.touch(room)
        return wire.MuteRoomTrackResponse(track=None if publication is None else publication.info)

    def update_participant(self, now: float, call: Call) -> Message:
        request = call.message
        assert isinstance(request, wire.UpdateParticipantRequest)
        require_admin(call, request.room)
        room, member = self._member(request.room, request.identity)
        limit = self._config.limit
        excess = metadata_excess(
            limit, request.name, request.metadata, request.attributes, member.participant.attributes
        )
        if excess is not None:
            one = excess.argument.removesuffix("s")  # LiveKit's texts have "attribute size"
            text = f"{one} {excess.measure} exceeds limits {excess.most}"
            raise Refusal("invalid_argument", text, meta={"argument": excess.argument})
        room.update_participant(
            now,
            member,
            name=request.name,
            metadata=request.metadata,
            attributes=dict(request.attributes),
            permission=request.permission if request.HasField("permission") else None,
        )
        self._rooms.touch(room)
        return member.participant.info()

    def update_subscriptions(self, now: float, call: Call) -> Message:
        request = call.message
        assert isinstance(request, wire.UpdateSubscriptionsRequest)
        require_admin(call, request.room)
        room, member = self._member(request.room, request.identity)
        room.tracks.update_subscription(now, member, request.track_sids, request.participant_tracks, request.subscribe)
        self._rooms.touch(room)
        return wire.UpdateSubscriptionsResponse()

    def send_data(self, now: float, call: Call) -> Message:
        request = call.message
        assert isinstance(request, wire.SendDataRequest)
        require_admin(call, request.room)
        if len(request.nonce) not in (0, NONCE_BYTES):
            text = f"nonce should be {NONCE_BYTES}-bytes or not present, got: {len(request.nonce)} bytes"
            raise Refusal("invalid_argument", text)
        room = self._room(request.room)
        if room.data.is_new(request.nonce):
            user = models.UserPacket(
                payload=request.data,
                destination_sids=request.destination_sids,
                destination_identities=request.destination_identities,
                nonce=request.nonce,
            )
            if request.HasField("topic"):
                user.topic = request.topic
            packet = models.DataPacket(
                kind=request.kind, user=user, destination_identities=request.destination_identities
            )
            reliable = request.kind == models.DataPacket.Kind.RELIABLE
            room.data.forward(now, from_server(packet), reliable=reliable)
            self._rooms.touch(room)
        return wire.SendDataResponse()

    def forward_participant(self, now: float, call: Call) -> Message:
        request = call.message
        assert isinstance(request, wire.ForwardParticipantRequest | wire.MoveParticipantRequest)
        require_admin(call, request.room)
        require(grant_of(call).destination_room == request.destination_room)
        if request.room == request.destination_room:
            raise Refusal("invalid_argument", "destination room cannot be the same as source room")
        self._member(request.room, request.identity)
        raise Refusal("unimplemented", "not implemented")

    def perform_rpc(self, now: float, call: Call) -> None:
        request = call.message
        assert isinstance(request, wire.PerformRpcRequest)
        require_admin(call, request.room)
        if not request.destination_identity:
            raise Refusal("invalid_argument", "destination identity is required")
        room, member = self._member(request.room, request.destination_identity)
        if len(request.payload.encode()) > MAX_PAYLOAD_BYTES:
            raise Refusal("invalid_argument", "RpcError 1402: Request payload too large")
        identity = member.participant.identity
        timeout_ms = request.response_timeout_ms or DEFAULT_RESPONSE_TIMEOUT_MS
        if call.timeout_ms is not None:
            timeout_ms = min(timeout_ms, call.timeout_ms)
        room.perform_rpc(now, call.ref, identity, request.method, request.payload, timeout_ms)
        self._rooms.touch(room)

    # Finding

    def _room(self, name: str) -> Room:
        room = self._rooms.get(name)
        if room is None:
            raise Refusal("not_found", "requested room does not exist")
        return room

    def _member(self, room_name: str, identity: str) -> tuple[Room, Member]:
        room = self._rooms.get(room_name)
        member = None if room is None else room.member(identity)
        if room is None or member is None:
            raise Refusal("not_found", "participant does not exist")
        return room, member


def rpc_reply(result: RpcResult) -> Message:
    """The reply to a finished call. Raises Refusal for one that failed."""
    if result.error_code:
        code = _RPC_CODES.get(result.error_code, "internal")
        raise Refusal(code, f"RpcError {result.error_code}: {result.error_message}")
    return wire.PerformRpcResponse(payload=result.payload)
