"""The keys of LiveKit's configuration file: what each one is here.

An acting key has the type that its value must have and the place where it goes. An inert key has the words for what it
would do. A file with any of them loads; a name that is in neither table is a mistake.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import attrs

from sansio import CodecConfig

from .values import Duration, Level, Limit, Networks, NodeIps, Port, Ports, Presets, Rate, Secrets, Strings


@attrs.frozen
class Key:
    """An acting key: the type of its value, and where it goes in `ServerConfig` (`core.` for the core's part)."""

    type: Any
    place: str


def _same(type_: Any, section: str, *names: str) -> dict[str, Key]:
    """Keys that the core's configuration has under the same name."""
    return {f"{section}.{name}": Key(type_, f"core.{section}.{name}") for name in names}


ACTING: dict[str, Key] = {
    "port": Key(Port, "port"),
    "bind_addresses": Key(Strings, "bind_addresses"),
    "keys": Key(Secrets, "keys"),
    "key_file": Key(str, "key_file"),
    "region": Key(str, "core.region"),
    "development": Key(bool, "development"),
    "log_level": Key(Level, "log_level"),
    "logging.level": Key(Level, "log_level"),
    "logging.json": Key(bool, "log_json"),
    "logging.component_levels": Key(dict[str, Level], "component_levels"),
    "rtc.udp_port": Key(Ports, "udp_ports"),
    "rtc.port_range_start": Key(Port, "port_range_start"),
    "rtc.port_range_end": Key(Port, "port_range_end"),
    "rtc.node_ip": Key(NodeIps, "node_ips"),
    "rtc.enable_loopback_candidate": Key(bool, "loopback"),
    "rtc.interfaces.includes": Key(Strings, "allowed.include_interfaces"),
    "rtc.interfaces.excludes": Key(Strings, "allowed.exclude_interfaces"),
    "rtc.ips.includes": Key(Networks, "allowed.include_ips"),
    "rtc.ips.excludes": Key(Networks, "allowed.exclude_ips"),
    **_same(Strings, "rtc", "stun_servers"),
    **_same(bool, "rtc", "use_ice_lite"),
    **_same(int, "rtc", "packet_buffer_size_video", "packet_buffer_size_audio", "datachannel_slow_threshold"),
    **_same(Duration, "rtc", "datachannel_data_track_target_latency", "datachannel_lossy_target_latency"),
    **_same(Duration, "rtc", "pli_throttle.low_quality", "pli_throttle.mid_quality", "pli_throttle.high_quality"),
    **_same(bool, "room", "auto_create", "enable_remote_unmute", "sync_streams"),
    **_same(int, "room", "empty_timeout", "departure_timeout", "max_participants", "update_batch_target_size"),
    **_same(bool, "room", "playout_delay.enabled"),
    **_same(int, "room", "playout_delay.min", "playout_delay.max"),
    **_same(tuple[CodecConfig, ...], "room", "enabled_codecs"),
    **_same(Presets, "room", "room_configurations"),
    "room.max_metadata_size": Key(Limit, "core.limit.max_metadata_size"),
    "room.max_room_name_length": Key(Limit, "core.limit.max_room_name_length"),
    "room.max_participant_identity_length": Key(Limit, "core.limit.max_participant_identity_length"),
    **_same(int, "audio", "active_level", "min_percentile", "update_interval", "smooth_intervals"),
    **_same(bool, "audio", "active_red_encoding"),
    **_same(Duration, "video", "dynacast_pause_delay"),
    **_same(int, "video", "codec_regression_threshold"),
    **_same(
        Limit, "limit", "max_metadata_size", "max_attributes_size", "max_room_name_length",
        "max_participant_identity_length", "max_participant_name_length", "max_data_track_custom_encoding_length",
        "num_tracks", "subscription_limit_video", "subscription_limit_audio",
    ),
    "limit.bytes_per_sec": Key(Rate, "core.limit.bytes_per_sec"),
    **_same(float, "agents", "target_load"),
    **_same(bool, "agents", "enable_user_data_recording", "enable_user_data_redaction"),
    # Not LiveKit's.
    **_same(
        Duration, "agents", "offer_timeout", "pending_timeout", "join_timeout", "reattach_grace", "report_timeout",
        "dismissal_grace", "restart_delay",
    ),
    **_same(int, "agents", "max_restarts", "max_offers"),
    "enable_data_tracks": Key(bool, "core.enable_data_tracks"),
}  # fmt: skip

DEPRECATED_LIMITS = ("max_metadata_size", "max_room_name_length", "max_participant_identity_length")
"""Limits that LiveKit once had under `room`; those override `limit` unless they are 0."""


def _each(prefix: str, words: str, *names: str) -> dict[str, str]:
    return {f"{prefix}.{name}": words for name in names}


INERT: dict[str, str] = {
    "logging.pion_level": "set the log level of LiveKit's WebRTC library",
    **_each("logging", "thin out repeated log lines", "sample", "sample_initial", "sample_interval",
            "item_sample_seconds", "item_sample_initial", "item_sample_interval"),
    "rtc.tcp_port": "take media over TCP",
    "rtc.use_external_ip": "ask a STUN server for the public address; name it with rtc.node_ip instead",
    **_each("rtc", "refine the search for the public address", "external_ip_only", "advertise_internal_ip",
            "skip_external_ip_validation", "use_stun_port_as_ice", "additional_host_ips", "require_ipv4"),
    "rtc.turn_servers": "hand TURN servers to clients",
    "rtc.use_mdns": "resolve candidates with mDNS names",
    **_each("rtc", "move clients to TCP when UDP works badly", "force_tcp", "allow_tcp_fallback",
            "tcp_fallback_rtt_threshold", "allow_udp_unstable_fallback"),
    **_each("rtc", "make clients reconnect after such an error", "reconnect_on_publication_error",
            "reconnect_on_subscription_error", "reconnect_on_data_channel_error"),
    "rtc.packet_buffer_size": "set the packet buffers of audio and video; set rtc.packet_buffer_size_video and _audio",
    "rtc.congestion_control.*": "tune the adaptation of what subscribers are sent",
    "rtc.data_channel_max_buffered_amount": "bound what waits on a data channel (deprecated)",
    "rtc.strict_acks": "need an acknowledged address before nomination (deprecated)",
    **_each("rtc.batch_io", "tune batched writing", "batch_size", "max_flush_interval"),
    "rtc.sctp_*": "tune SCTP",
    "rtc.*_acceptance_min_wait": "wait for better candidates",
    "rtc.forward_stats.*": "measure forwarding latency",
    "rtc.enable_rtp_stream_restart_detection": "notice publishers that restart their numbering",
    **_each("redis", "share rooms between several servers over Redis", "address", "username", "password", "db", "use_tls",
            "tls.enabled", "tls.insecure", "tls.server_name", "tls.ca_cert_file", "tls.client_cert_file",
            "tls.client_key_file", "sentinel_master_name", "sentinel_username", "sentinel_password", "sentinel_addresses",
            "cluster_addresses", "max_redirects", "dial_timeout", "read_timeout", "write_timeout", "pool_size",
            "pool_timeout"),
    **_each("room", "bound the creation of rooms on other servers", "create_room_timeout", "create_room_attempts"),
    "room.enable_full_room_in_webhooks": "put whole rooms into webhooks",
    "audio.enable_loss_proxying": "tell publishers the loss of their subscribers",
    "video.stream_tracker_manager.*": "tune how live layers are found",
    **_each("turn", "run a TURN server", "enabled", "domain", "cert_file", "key_file", "tls_port", "udp_port",
            "external_tls", "relay_range_start", "relay_range_end", "bind_addresses", "ttl_seconds",
            "per_user_relay_allocation_limit", "allow_restricted_peer_cidrs", "deny_peer_cidrs"),
    **_each("ingress", "name the address of an ingress service", "rtmp_base_url", "whip_base_url"),
    "sip": "configure SIP",
    "sip.*": "configure SIP",
    **_each("webhook", "post events to web addresses", "api_key", "urls"),
    **_each("webhook.filter_params", "choose the events that are posted", "include_events", "exclude_events"),
    "webhook.filter_params.*": "choose the events that are posted",
    **_each("webhook.resource_url_notifier", "bound the queue of webhooks", "max_age", "max_depth"),
    **_each("webhook.url_notifier", "bound the queue of webhooks", "num_workers", "queue_size"),
    **_each("node_selector", "choose the server of a new room", "kind", "sort_by", "algorithm", "sysload_limit",
            "cpu_load_limit", "regions"),
    **_each("signal_relay", "tune the relay of signalling between servers", "retry_timeout", "min_retry_interval",
            "max_retry_interval", "stream_buffer_size", "connect_attempts"),
    **_each("psrpc", "tune calls between servers", "max_attempts", "timeout", "backoff", "buffer_size"),
    **_each("limit", "bound data blobs", "max_data_blob_key_length", "max_data_blobs_size"),
    **_each("prometheus", "serve metrics", "port", "username", "password"),
    "prometheus_port": "serve metrics",
    "debug_handler.port": "serve debug pages",
    **_each("api", "tune calls between servers", "execution_timeout", "check_interval", "max_check_interval",
            "enable_psrpc_for_get_list_participants"),
    **_each("node_stats", "tune the sampling of this server's load", "stats_update_interval",
            "stats_rate_measurement_intervals", "stats_max_delay"),
    **_each("metric.collector", "relay metrics of clients", "sampling_interval_ms", "batch_interval_ms"),
    "metric.reporter.reporting_interval_ms": "relay metrics of clients",
    "metric.timestamper_config.*": "relay metrics of clients",
    "enable_participant_data_blob": "keep data blobs of participants",
    "trace.jaeger_url": "send traces to Jaeger",
}  # fmt: skip

_PATTERNS = [path for path in INERT if "*" in path]
_SECTIONS = {
    path[:at]
    for path in [*ACTING, *INERT]
    for at, character in enumerate(path)
    if character == "." and "*" not in path[:at]
}
PATHS = [path for path in [*ACTING, *INERT] if "*" not in path]
"""All names without a pattern in them, for suggestions."""


def inert(path: str) -> str | None:
    """What an inert key would do; None for a key that is not one."""
    if path in INERT:
        return INERT[path]
    return next((INERT[pattern] for pattern in _PATTERNS if fnmatchcase(path, pattern)), None)


def is_section(path: str) -> bool:
    """Whether there are keys below this one."""
    return path in _SECTIONS
