"""The tunables of the core, each with LiveKit's default where LiveKit has one, in frozen values that a driver fills.

Names follow LiveKit's configuration file where it has the key. A limit of 0 means none.
"""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class CodecConfig:
    mime: str
    fmtp_line: str = ""


DEFAULT_CODECS = tuple(
    CodecConfig(mime=mime)
    for mime in (
        "audio/PCMU", "audio/PCMA", "audio/opus", "audio/red",
        "video/VP8", "video/H264", "video/VP9", "video/AV1", "video/H265", "video/rtx",
    )
)  # fmt: skip


@attrs.frozen(kw_only=True)
class AgentPreset:
    """An agent that a preset's rooms ask for."""

    agent_name: str = ""
    metadata: str = ""
    deployment: str = ""
    restart_policy: int = 0
    """0: a lost job is given out again; 1: never."""
    attributes: dict[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class RoomPreset:
    """A named room configuration that tokens and CreateRoom may ask for; 0 and empty leave the default."""

    empty_timeout: int = 0
    departure_timeout: int = 0
    max_participants: int = 0
    metadata: str = ""
    sync_streams: bool = False
    min_playout_delay: int = 0
    max_playout_delay: int = 0
    agents: tuple[AgentPreset, ...] = ()


@attrs.frozen(kw_only=True)
class PlayoutDelayConfig:
    """How long subscribers are asked to hold video back, so that it plays smoothly. A room may have limits of its own."""

    enabled: bool = False
    """Whether rooms that do not say anything have these limits."""
    min: int = 0
    """Least delay in milliseconds."""
    max: int = 0
    """Greatest delay in milliseconds; 0 is 10 seconds."""


@attrs.frozen(kw_only=True)
class RoomConfig:
    auto_create: bool = True
    """Whether a join makes its room; otherwise such a join needs the roomCreate grant."""
    empty_timeout: int = 300
    """Seconds until a room that nobody joined is closed."""
    departure_timeout: int = 20
    """Seconds until a room whose last user left is closed."""
    max_participants: int = 0
    enabled_codecs: tuple[CodecConfig, ...] = DEFAULT_CODECS
    enable_remote_unmute: bool = False
    sync_streams: bool = False
    playout_delay: PlayoutDelayConfig = attrs.Factory(PlayoutDelayConfig)
    room_configurations: dict[str, RoomPreset] = attrs.field(factory=dict)
    """Presets by name."""
    update_batch_target_size: int = 131_072
    """Bytes after which a participant update is split into several messages."""


@attrs.frozen(kw_only=True)
class LimitConfig:
    max_metadata_size: int = 524_288
    max_attributes_size: int = 65_536
    """Sum of the bytes of keys and values."""
    max_room_name_length: int = 256
    max_participant_identity_length: int = 256
    max_participant_name_length: int = 256
    max_data_track_custom_encoding_length: int = 32
    num_tracks: int = 0
    """Published tracks on this node beyond which joins are refused with 503."""
    bytes_per_sec: float = 0
    """Bytes in and out, averaged over ten seconds, beyond which joins are refused with 503."""
    subscription_limit_video: int = 0
    subscription_limit_audio: int = 0
    # Not LiveKit's: bounds on what one peer can make this server hold.
    max_join_request_size: int = 1 << 20
    """Bytes of an inner JoinRequest after decompression."""
    max_signal_message_size: int = 1 << 20
    max_sdp_size: int = 262_144
    max_pending_tracks: int = 64
    """add_track requests of one participant that no SDP section has matched yet."""
    max_tracks_per_participant: int = 256
    max_subscription_wishes: int = 1024
    """Subscription wishes and settings of one participant for tracks that do not exist yet."""
    max_outbox_messages: int = 1000
    """Signal messages that wait for a client's socket; LiveKit's relay buffers as many."""
    max_remote_candidates: int = 64
    max_ssrcs_per_transport: int = 64
    max_body_size: int = 4 << 20
    """Bytes of an HTTP request body."""
    max_rooms: int = 0


@attrs.frozen(kw_only=True)
class AudioConfig:
    """Who counts as speaking, and what repairs audio (LiveKit `audio.*`)."""

    active_level: int = 35
    """Levels up to this many -dBov count as active."""
    min_percentile: int = 40
    """Share of an observation window that must be active."""
    update_interval: int = 400
    """Milliseconds of a window and between updates."""
    smooth_intervals: int = 2
    active_red_encoding: bool = False
    """Whether plain Opus is made into RED for subscribers that take it."""


@attrs.frozen(kw_only=True)
class PliThrottleConfig:
    """Seconds between key frame requests for one layer."""

    low_quality: float = 0.5
    mid_quality: float = 1.0
    high_quality: float = 1.0


@attrs.frozen(kw_only=True)
class RtcConfig:
    use_ice_lite: bool = False
    packet_buffer_size_video: int = 500
    """Packets kept per layer to answer NACKs."""
    packet_buffer_size_audio: int = 200
    pli_throttle: PliThrottleConfig = attrs.Factory(PliThrottleConfig)
    ice_disconnected_timeout: float = 10.0
    """Seconds without an inbound authenticated packet until a transport counts as disconnected."""
    ice_failed_timeout: float = 5.0
    """Seconds after that until it has failed."""
    ice_connect_timeout: float = 15.0
    dtls_handshake_timeout: float = 60.0
    resume_grace: float = 5.0
    """Seconds for a client to resume after its transport failed."""
    active_timeout: float = 60.0
    """Seconds after a join for the primary transport to connect."""
    negotiation_timeout: float = 15.0
    stun_servers: tuple[str, ...] = ()
    """Handed to clients as ICE servers."""
    datachannel_slow_threshold: int = 0
    """Bits per second below which a receiver that reliable packets wait for counts as stalled, and is sent away."""
    datachannel_data_track_target_latency: float = 0.1
    """Seconds that a packet of a data track may wait for its receiver; one that would wait longer is dropped. 0 is no limit."""
    datachannel_lossy_target_latency: float = 0.1
    """The same for lossy packets (LiveKit 0: they wait until they are sent)."""
    datachannel_max_buffered: int = 4 << 20
    """Bytes queued towards one receiver beyond which it is disconnected."""


@attrs.frozen(kw_only=True)
class VideoConfig:
    dynacast_pause_delay: float = 5.0
    """Seconds before a publisher is told that a layer is no longer watched."""
    codec_regression_threshold: int = 5


@attrs.frozen(kw_only=True)
class AgentsConfig:
    """Dispatch of agents. The first three are LiveKit's (`agents.*`); times are in seconds."""

    target_load: float = 0.7
    """Workers at this load or above get jobs only if none below it takes them."""
    enable_user_data_recording: bool = False
    """Told to workers with each job."""
    enable_user_data_redaction: bool = False
    """Told to workers with each job."""
    # Not LiveKit's.
    offer_timeout: float = 10.0
    """For a worker to answer an offer."""
    pending_timeout: float = 60.0
    """For a job to find a worker."""
    join_timeout: float = 15.0
    """For an agent to come into the room, at first or after it lost its connection."""
    reattach_grace: float = 10.0
    """For a worker that lost its socket to come back and name its jobs."""
    report_timeout: float = 10.0
    """For a worker to say how a job ended whose agent has left."""
    dismissal_grace: float = 3.0
    """For an agent to leave after its job has ended."""
    max_restarts: int = 5
    """How often a lost job is given out again."""
    restart_delay: float = 0.25
    """Before the first restart; doubled for each further one."""
    max_offers: int = 100
    """Offers that one worker may have unanswered."""


@attrs.frozen(kw_only=True)
class Config:
    """Everything that `Node` needs to know beyond its sockets."""

    keys: dict[str, str] = attrs.field(factory=dict, repr=False)
    """API key to secret."""
    region: str = ""
    version: str = "1.13.5"
    """What clients are told; they gate features on it (semver, at least 1.8.0), so it names the protocol's level."""
    room: RoomConfig = attrs.Factory(RoomConfig)
    limit: LimitConfig = attrs.Factory(LimitConfig)
    audio: AudioConfig = attrs.Factory(AudioConfig)
    video: VideoConfig = attrs.Factory(VideoConfig)
    agents: AgentsConfig = attrs.Factory(AgentsConfig)
    rtc: RtcConfig = attrs.Factory(RtcConfig)
    enable_data_tracks: bool = True
    ping_interval: int = 5
    """Seconds between a client's signal pings; told in the join."""
    ping_timeout: int = 15
