"""Configuration: LiveKit's file, variables and flags, and what is said about mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from sansio.config import AgentPreset, CodecConfig, RoomPreset
from trio_server.config import DEV_KEYS, ConfigError, ServerConfig, Setting, load
from trio_server.keys import ACTING, INERT, PATHS
from trio_server.net import AddressFilter
from trio_server.values import Duration, parse_keys, to_duration

SECRET = "0123456789abcdef0123456789abcdef"
KEYS = f"keys: {{api: {SECRET}}}\n"


def read(text: str, **more: object) -> ServerConfig:
    return load(text=KEYS + text, name="livekit.yaml", **more)  # type: ignore[arg-type]


def mistake(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return str(caught.value)


SAMPLE = """
port: 7880
bind_addresses: [""]
region: eu
logging:
  level: warn
  json: true
  component_levels: {api: debug}
rtc:
  udp_port: 50000-50003
  node_ip: 203.0.113.5,2001:db8::5
  enable_loopback_candidate: true
  use_ice_lite: true
  interfaces: {includes: [eth0], excludes: [docker0]}
  ips: {includes: [10.0.0.0/8], excludes: [192.168.1.1]}
  stun_servers: ["stun.example:3478"]
  packet_buffer_size_video: 1_000
  pli_throttle: {low_quality: 250ms, mid_quality: 2s}
room:
  auto_create: false
  empty_timeout: 60
  departure_timeout: 5
  max_participants: 12
  enabled_codecs: [{mime: audio/opus}, {mime: video/H264, fmtp_line: profile-level-id=42e01f}]
audio: {active_level: 30, update_interval: 500}
video: {dynacast_pause_delay: 2.5s}
limit: {num_tracks: 400, bytes_per_sec: 1_000_000_000, max_metadata_size: 0}
enable_data_tracks: false
"""


def test_a_file_is_read() -> None:
    config = read(SAMPLE.replace('[""]', '["10.0.0.1"]'))
    assert (config.port, config.bind_addresses, config.udp_ports) == (7880, ("10.0.0.1",), (50000, 50001, 50002, 50003))
    assert config.node_ips == ("203.0.113.5", "2001:db8::5")
    assert config.allowed == AddressFilter(
        include_interfaces=("eth0",), exclude_interfaces=("docker0",), include_ips=("10.0.0.0/8",),
        exclude_ips=("192.168.1.1/32",),
    )  # fmt: skip
    assert (config.log_level, config.log_json, config.component_levels) == ("warning", True, {"api": "debug"})
    assert config.loopback
    core = config.core
    assert (core.region, core.keys, core.enable_data_tracks) == ("eu", {"api": SECRET}, False)
    assert (core.room.auto_create, core.room.empty_timeout, core.room.max_participants) == (False, 60, 12)
    assert core.room.enabled_codecs == (CodecConfig(mime="audio/opus"),
                                        CodecConfig(mime="video/H264", fmtp_line="profile-level-id=42e01f"))  # fmt: skip
    assert (core.rtc.use_ice_lite, core.rtc.packet_buffer_size_video) == (True, 1000)
    throttle = core.rtc.pli_throttle
    assert (throttle.low_quality, throttle.mid_quality, throttle.high_quality) == (0.25, 2.0, 1.0)
    assert (core.audio.active_level, core.audio.update_interval, core.audio.min_percentile) == (30, 500, 40)
    assert core.video.dynacast_pause_delay == 2.5
    assert (core.limit.num_tracks, core.limit.bytes_per_sec, core.limit.max_metadata_size) == (400, 1e9, 0)
    assert config.notes == ()


def test_defaults_are_livekits() -> None:
    config = read("")
    assert (config.port, config.bind_addresses, config.node_ips, config.log_level) == (7880, (), (), "info")
    assert (config.udp_ports[0], config.udp_ports[-1]) == (50000, 60000)
    assert (config.core.room.empty_timeout, config.core.room.departure_timeout) == (300, 20)
    assert not config.loopback


def test_an_empty_address_means_all() -> None:
    assert read('bind_addresses: [""]').bind_addresses == ()


NOT_FOR_EVERY_VALUE = {"keys", "key_file"}
SAMPLES: dict[str, str] = {
    "bind_addresses": "[127.0.0.1]", "logging.component_levels": "{room: debug}", "log_level": "info",
    "logging.level": "info", "rtc.node_ip": "10.0.0.1", "room.room_configurations": "{big: {}}",
    "room.enabled_codecs": "[{mime: audio/opus}]",
    "rtc.stun_servers": "[a]", "rtc.interfaces.includes": "[a]", "rtc.interfaces.excludes": "[a]",
    "rtc.ips.includes": "[10.0.0.0/8]", "rtc.ips.excludes": "[10.0.0.0/8]",
}  # fmt: skip


def nested(path: str, value: str) -> str:
    """YAML of one key by its dotted path."""
    parts = path.split(".")
    return "\n".join("  " * depth + part + ":" for depth, part in enumerate(parts)) + f" {value}\n"


@pytest.mark.parametrize("path", sorted(set(ACTING) - NOT_FOR_EVERY_VALUE))
def test_each_acting_key_loads_without_a_note(path: str) -> None:
    boolean = ACTING[path].type is bool
    value = SAMPLES.get(path, "true" if boolean else "50001" if "port" in path else "7s" if "quality" in path else "7")
    value = "7s" if ACTING[path].type is Duration else value
    assert read(nested(path, value)).notes == ()


@pytest.mark.parametrize("path", sorted(INERT))
def test_each_inert_key_loads_with_one_note(path: str) -> None:
    name = path.replace("*", "x")
    (note,) = read(nested(name, "1")).notes
    assert note.startswith(f"{name} has no effect here: it would {INERT[path]} (livekit.yaml, line ")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("webhook: {filter_params: {include_events: [a]}, urls: [b]}", id="webhooks"),
    ],
)  # fmt: skip
def test_maps_below_inert_keys_get_a_note_each(text: str) -> None:
    assert len(read(text).notes) == 2


def test_presets_of_rooms_are_read() -> None:
    config = read(
        "room: {room_configurations: {big: {max_participants: 500}, small: {empty_timeout: 5, egress: {}}, "
        "helped: {agents: [{agent_name: a, metadata: m, attributes: {x: y}, restart_policy: JRP_NEVER}, {}]}}}"
    )
    assert config.core.room.room_configurations == {
        "big": RoomPreset(max_participants=500),
        "small": RoomPreset(empty_timeout=5),
        "helped": RoomPreset(
            agents=(AgentPreset(agent_name="a", metadata="m", attributes={"x": "y"}, restart_policy=1), AgentPreset())
        ),
    }


@pytest.mark.parametrize(
    "text",
    [
        "{big: 1}",
        "{big: {max_participants: many}}",
        "{big: {colour: red}}",
        "[]",
        "{big: {agents: [{colour: red}]}}",
        "{big: {agents: [{restart_policy: MAYBE}]}}",
        "{big: {agents: [red]}}",
    ],
)
def test_presets_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"room\.room_configurations"):
        read(f"room: {{room_configurations: {text}}}")


@pytest.mark.parametrize("text", ["rtc:\n", "turn:\n", "sip: {}\n", "limit: {}\n", "# nothing\n"])
def test_empty_sections_are_fine(text: str) -> None:
    assert read(text).notes == ()


MISTAKES = [
    pytest.param("rtc:\n  udp_prt: 1", "3: LiveKit has no rtc.udp_prt; did you mean rtc.udp_port?", id="letter"),
    pytest.param("\nudp_port: 1", "3: LiveKit has no udp_port; did you mean rtc.udp_port?", id="section"),
    pytest.param("rooms: {}", "2: LiveKit has no rooms", id="word"),
    pytest.param("limit: {max_join_request_size: 5}", "2: LiveKit has no limit.max_join_request_size", id="ours"),
    pytest.param("zzzzqqqq: 1", "2: LiveKit has no zzzzqqqq", id="far from all"),
    pytest.param("rtc: 5", "2: expected keys under rtc", id="value for a section"),
    pytest.param("port: high", "2: port: expected a whole number", id="port in words"),
    pytest.param("port: 70000", "2: port: expected a port, 0 to 65535", id="port too high"),
    pytest.param("port: true", "2: port: expected a whole number", id="port is a boolean"),
    pytest.param("rtc: {udp_port: 9-7}", "2: rtc.udp_port: the range ends before it starts", id="range"),
    pytest.param("rtc: {udp_port: a-b}", "2: rtc.udp_port: expected a port or a range", id="bad range"),
    pytest.param("rtc: {node_ip: here}", "2: rtc.node_ip: expected an IP address", id="ip"),
    pytest.param("rtc: {ips: {includes: [x]}}", "2: rtc.ips.includes: expected a list of networks", id="network"),
    pytest.param("bind_addresses: 1.2.3.4", "2: bind_addresses: expected a list", id="list"),
    pytest.param("development: maybe", "2: development: expected true or false", id="boolean"),
    pytest.param("region: [a]", "2: region: expected a word", id="text"),
    pytest.param("logging: {level: loud}", "2: logging.level: expected debug, info, warn or error", id="level"),
    pytest.param("logging: {component_levels: 5}", "2: logging.component_levels: not of the form", id="map"),
    pytest.param("rtc: {pli_throttle: {low_quality: 5}}", "2: rtc.pli_throttle.low_quality: expected a duration", id="unit"),
    pytest.param("limit: {bytes_per_sec: fast}", "2: limit.bytes_per_sec: expected a number", id="float"),
    pytest.param("room: {enabled_codecs: [{mime: a, clock: 9}]}", "2: room.enabled_codecs: no such names: clock", id="codec"),
    pytest.param("room: {enabled_codecs: [5]}", "2: room.enabled_codecs: not of the form", id="codecs"),
    pytest.param("port: 1\nport: 2", "3: port is given twice", id="twice"),
    pytest.param("port: [", "2: ", id="broken YAML"),
    pytest.param("rtc: {port_range_start: 9, port_range_end: 5}", "rtc.port_range_end is below rtc.port_range_start", id="ports"),
    pytest.param("key_file: /nonexistent/keys", "key file /nonexistent/keys: No such file", id="no key file"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_mistakes_are_told_with_their_place(text: str, message: str) -> None:
    place = "livekit.yaml, line " if message[0].isdigit() else ""
    assert mistake(text).startswith(place + message)


def test_an_unknown_name_can_be_let_through() -> None:
    (note,) = read("rtc: {udp_prt: 1}", strict=False).notes
    assert note == "rtc.udp_prt is unknown and left aside; did you mean rtc.udp_port? (livekit.yaml, line 2)"


def test_what_is_not_a_map_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="line 1: expected keys"):
        load(text="just words", name="x")
    with pytest.raises(ConfigError, match="special characters"):
        load(text="a: \x01", name="x")


def test_anchors_and_merges_work() -> None:
    config = read("audio: &a {active_level: 20}\nlimit: {num_tracks: &n 9, subscription_limit_audio: *n}")
    assert (config.core.audio.active_level, config.core.limit.subscription_limit_audio) == (20, 9)


def test_deprecated_limits_win_unless_they_are_0() -> None:
    config = read(
        "room: {max_metadata_size: 10, max_room_name_length: 0}\nlimit: {max_metadata_size: 5, max_room_name_length: 7}"
    )
    assert (config.core.limit.max_metadata_size, config.core.limit.max_room_name_length) == (10, 7)


def test_limits_below_0_mean_none() -> None:
    config = read("limit: {num_tracks: -1, bytes_per_sec: -1.5}\nroom: {max_metadata_size: -1}")
    assert (config.core.limit.num_tracks, config.core.limit.bytes_per_sec) == (0, 0)
    assert config.core.limit.max_metadata_size == 524_288


def test_later_sources_win() -> None:
    flags = {"port": Setting("3", "--port")}
    environment = {"LIVEKIT_PORT": "2", "LIVEKIT_ROOM_EMPTY_TIMEOUT": "9", "LIVEKIT_RTC_UDP_PORT": "100-101"}
    config = read("port: 1\nroom: {empty_timeout: 1, departure_timeout: 4}", flags=flags, environment=environment)
    assert config.port == 3
    assert (config.core.room.empty_timeout, config.core.room.departure_timeout) == (9, 4)
    assert config.udp_ports == (100, 101)


def test_a_mistake_in_a_variable_names_it() -> None:
    with pytest.raises(ConfigError, match="LIVEKIT_PORT: port: expected a whole number"):
        read("", environment={"LIVEKIT_PORT": "x"})


def test_variables_of_others_are_left_alone() -> None:
    environment = {
        "LIVEKIT_URL": "ws://x",
        "LIVEKIT_API_KEY": "k",
        "LIVEKIT_KEYS": "a: b",
        "LIVEKIT_BIND_ADDRESSES": "x",
    }
    assert read("", environment=environment) == read("")
    (note,) = read("", environment={"LIVEKIT_RTC_TCP_PORT": "7881"}).notes
    assert note.endswith("take media over TCP (LIVEKIT_RTC_TCP_PORT)")


# Keys


def test_short_secrets_are_refused_outside_development() -> None:
    with pytest.raises(ConfigError, match="secret of key api has 5 characters; it needs 32"):
        load(text="keys: {api: short}")
    assert load(text="keys: {api: short}\ndevelopment: true").core.keys == {"api": "short"}


def test_without_keys_there_is_no_start() -> None:
    with pytest.raises(ConfigError, match=r"no API keys.*generate-keys"):
        load(text="port: 1")


def test_keys_are_text_whatever_they_look_like() -> None:
    config = load(text="keys:\n  1234: 00000000000000000000000000000001\n  yes: 0123456789_0123456789_0123456789_1")
    assert config.keys == {"1234": "0" * 31 + "1", "yes": "0123456789_0123456789_0123456789_1"}


def test_a_key_file_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(f"# mine\nfile: {SECRET}\n")
    file.chmod(0o640)
    monkeypatch.setenv("KEY_HOME", str(tmp_path))
    assert read("key_file: $KEY_HOME/keys.yaml").keys == {"file": SECRET}
    file.chmod(0o644)
    assert "may be read by anybody" in mistake(f"key_file: {file}")
    file.write_text("nonsense")
    file.chmod(0o600)
    assert "expected" in mistake(f"key_file: {file}")


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("a: b", {"a": "b"}), ("a: b\nc: d\n", {"a": "b", "c": "d"}), ("a:b", {"a": "b"}), ("{a: b}", {"a": "b"}),
        ('a: "b c"', {"a": "b c"}), ("1: 007", {"1": "007"}),
    ],
)  # fmt: skip
def test_keys_of_a_flag(text: str, keys: dict[str, str]) -> None:
    assert parse_keys(text) == keys


@pytest.mark.parametrize("text", ["", "a", "a:", ":b", "[a]", "a: [b]", "a: {b: c}", "a: b: c"])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_keys(text)


def test_the_text_of_a_config_has_no_secret() -> None:
    assert SECRET not in repr(read(""))


# Development


def test_development_needs_nothing() -> None:
    config = load(development=True)
    assert config.keys == DEV_KEYS
    assert (config.bind_addresses, config.udp_ports, config.loopback) == (("127.0.0.1", "::1"), (7882,), True)
    assert (config.log_level, config.development) == ("info", True)


def test_development_in_a_file_allows_short_secrets_and_logs_more() -> None:
    config = load(text="keys: {a: b}\ndevelopment: true")
    assert (config.udp_ports, config.log_level, config.bind_addresses) == ((7882,), "debug", ())


@pytest.mark.parametrize(
    ("binds", "networks"),
    [
        ([], ("127.0.0.1/32", "::1/128")), (["192.168.7.9"], ("192.168.7.9/32",)), (["0.0.0.0"], ()),
        (["127.0.0.1"], ("127.0.0.1/32",)), (["localhost"], ("127.0.0.1/32", "::1/128")), (["::"], ()),
        (["fd00::1"], ("fd00::1/128",)),
    ],
)  # fmt: skip
def test_in_development_media_stays_on_the_address_that_is_bound(binds: list[str], networks: tuple[str, ...]) -> None:
    config = load(flags={"bind_addresses": Setting(binds, "--bind")}, development=True)
    assert config.allowed.include_ips == networks


# Values


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("2s", 2),
        ("1m30s", 90),
        ("1h", 3600),
        ("1.5s", 1.5),
        (".5s", 0.5),
        (0, 0),
        ("0", 0),
        ("100us", 1e-4),
    ],
)
def test_durations(text: object, seconds: float) -> None:
    assert to_duration(0 if text == "0" else text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", 5, "5 parsecs", "s", "1s2", True, None])
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        to_duration(text)


def test_no_key_is_both_acting_and_inert() -> None:
    assert not set(ACTING) & set(INERT)
    assert len(PATHS) == len(set(PATHS))
