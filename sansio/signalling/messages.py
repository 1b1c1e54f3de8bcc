"""The large first messages of a session: `join` and `reconnect`, and the refreshed token."""

from __future__ import annotations

import attrs

from ..auth import mint
from ..config import Config
from ..ids import NodeId
from ..room import Member, Participant, Room, others, source_names
from ..wire import models, rtc

SIGNAL_PROTOCOL = 17
AGENT_PROTOCOL = 1
REFRESHED_FOR_S = 600

# Video first and VP8 first: some clients take the first video codec, one breaks when audio leads.
PUBLISH_ORDER = ("VP8", "H264", "VP9", "AV1", "H265", "PCMU", "PCMA", "opus", "red")


def server_info(config: Config, node_id: NodeId) -> models.ServerInfo:
    return models.ServerInfo(
        edition=models.ServerInfo.Edition.Standard,
        version=config.version,
        protocol=SIGNAL_PROTOCOL,
        region=config.region,
        node_id=node_id,
        agent_protocol=AGENT_PROTOCOL,
    )


def ice_servers(config: Config) -> list[rtc.ICEServer]:
    """STUN servers for clients, if the operator names any; host candidates need none."""
    urls = [
        url if ":" in url.split("/")[0] and url.startswith(("stun:", "stuns:")) else f"stun:{url}"
        for url in config.rtc.stun_servers
    ]
    return [rtc.ICEServer(urls=urls)] if urls else []


def enabled_codecs(config: Config) -> list[models.Codec]:
    """What may be published, in the order that clients want."""
    known = {codec.mime.split("/", 1)[-1].lower(): codec for codec in config.room.enabled_codecs}
    ordered = [known[name.lower()] for name in PUBLISH_ORDER if name.lower() in known]
    return [models.Codec(mime=codec.mime, fmtp_line=codec.fmtp_line) for codec in ordered]


def client_configuration(participant: Participant) -> models.ClientConfiguration | None:
    """Codecs that this client should keep away from."""
    never, not_published = participant.client.disabled_codecs()
    if not never and not not_published:
        return None
    disabled = models.DisabledCodecs(
        codecs=[models.Codec(mime=mime) for mime in never], publish=[models.Codec(mime=mime) for mime in not_published]
    )
    return models.ClientConfiguration(disabled_codecs=disabled)


def join_response(config: Config, node_id: NodeId, room: Room, member: Member) -> rtc.SignalResponse:
    """All that a newcomer must know, its first message."""
    participant = member.participant
    info = server_info(config, node_id)
    join = rtc.JoinResponse(
        room=room.room_info(),
        participant=participant.info(),
        other_participants=others(room.members.values(), participant.identity),
        server_version=info.version,
        ice_servers=ice_servers(config),
        subscriber_primary=member.links.subscriber_primary,
        server_region=info.region,
        ping_timeout=config.ping_timeout,
        ping_interval=config.ping_interval,
        server_info=info,
        sif_trailer=room.sif_trailer,
        enabled_publish_codecs=enabled_codecs(config),
        fast_publish=participant.permission.can_publish,
    )
    configuration = client_configuration(participant)
    if configuration is not None:
        join.client_configuration.CopyFrom(configuration)
    return rtc.SignalResponse(join=join)


def reconnect_response(config: Config, node_id: NodeId, member: Member) -> rtc.SignalResponse:
    """The first message of a resumed session."""
    reconnect = rtc.ReconnectResponse(
        ice_servers=ice_servers(config),
        server_info=server_info(config, node_id),
        last_message_seq=member.sender.highest_sequence,
    )
    configuration = client_configuration(member.participant)
    if configuration is not None:
        reconnect.client_configuration.CopyFrom(configuration)
    return rtc.SignalResponse(reconnect=reconnect)


def freshen_token(config: Config, participant: Participant, wallclock: float) -> None:
    """Give the participant a new token if its own has become stale."""
    if participant.token_is_stale and participant.outbox.is_open:
        participant.token_is_stale = False
        if config.keys:
            participant.outbox.send(refresh_token(config, participant, wallclock))


def refresh_token(config: Config, participant: Participant, wallclock: float) -> rtc.SignalResponse:
    """A token with the participant's grants of now, good for at least ten minutes."""
    claims = participant.claims
    key, secret = next(iter(config.keys.items()))
    permission = participant.permission
    video = claims.video
    assert video is not None  # nobody joins without
    grant = attrs.evolve(
        video,
        can_publish=permission.can_publish,
        can_subscribe=permission.can_subscribe,
        can_publish_data=permission.can_publish_data,
        can_publish_sources=source_names(permission),
        can_update_own_metadata=permission.can_update_metadata,
        hidden=permission.hidden,
        recorder=permission.recorder,
        agent=permission.agent,
        can_subscribe_metrics=permission.can_subscribe_metrics,
        can_manage_agent_session=permission.can_manage_agent_session,
    )
    fresh = attrs.evolve(
        claims,
        issuer=key,
        name=participant.name,
        metadata=participant.metadata,
        attributes=dict(participant.attributes),
        video=grant,
        expires_at=max(claims.expires_at, wallclock + REFRESHED_FOR_S),
    )
    return rtc.SignalResponse(refresh_token=mint(fresh, secret, wallclock=wallclock))
