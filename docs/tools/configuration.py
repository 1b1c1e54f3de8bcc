"""The reference of configuration keys and a sample file, written from the tables that the server reads:
`python docs/tools/configuration.py`.

What a key means stands beside its field in `sansio/config.py` and `trio_server/config.py`; what stands nowhere else stands
here. A test compares the page with the tables.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "configuration.md"
SAMPLE = ROOT / "docs" / "sample.yaml"

MEANINGS = {
    "port": "Port of HTTP and WebSocket.",
    "bind_addresses": "Addresses that HTTP and WebSocket listen on; none means all.",
    "keys": "API keys and their secrets, as a map or as `key: secret` lines.",
    "key_file": "A file of keys, which others than its owner must not be able to read.",
    "region": "Told to clients as the server's region.",
    "development": "Allows short secrets, and fills in LiveKit's development key if there are no keys.",
    "log_level": "`debug`, `info`, `warn` or `error`; the older place of `logging.level`.",
    "logging.level": "`debug`, `info`, `warn` or `error`.",
    "logging.json": "One JSON object a line instead of text for people.",
    "logging.component_levels": "Levels of single components, by name.",
    "rtc.udp_port": "Port for all media, or a range of which the first free one is taken; 0 picks any.",
    "rtc.port_range_start": "Where `rtc.udp_port` is not set: the first port of the range of which one is taken.",
    "rtc.port_range_end": "The last port of that range.",
    "rtc.node_ip": "The address that clients are told to send media to, or one of each family with a comma between.",
    "rtc.interfaces.includes": "Network interfaces whose addresses are used for media; none means all.",
    "rtc.interfaces.excludes": "Network interfaces whose addresses are not used.",
    "rtc.ips.includes": "Networks whose addresses are used for media; none means all.",
    "rtc.ips.excludes": "Networks whose addresses are not used.",
    "rtc.use_ice_lite": "Answer connectivity checks and make none. For servers with public addresses.",
    "rtc.pli_throttle.low_quality": "Least time between key frame requests for the lowest layer.",
    "rtc.pli_throttle.mid_quality": "The same for the middle layer.",
    "rtc.pli_throttle.high_quality": "The same for the highest layer.",
    "rtc.packet_buffer_size_audio": "Audio packets kept per stream to answer NACKs.",
    "room.max_participants": "Participants beyond which joins are refused.",
    "room.enabled_codecs": "The codecs that are negotiated, each with `mime` and perhaps `fmtp_line`.",
    "room.enable_remote_unmute": "Whether the server API may unmute a track.",
    "room.sync_streams": "Whether camera and microphone of a publisher share a stream, so that they are kept in step.",
    "room.max_metadata_size": "The older place of `limit.max_metadata_size`.",
    "room.max_room_name_length": "The older place of `limit.max_room_name_length`.",
    "room.max_participant_identity_length": "The older place of `limit.max_participant_identity_length`.",
    "audio.smooth_intervals": "Windows over which a speaker's level is smoothed.",
    "limit.max_metadata_size": "Bytes of a room's or participant's metadata.",
    "video.codec_regression_threshold": "Participants from which on publishers send backup codecs beside their first one, and not"
    " in its place; 0 is never.",
    "limit.max_room_name_length": "Characters of a room's name.",
    "limit.max_participant_identity_length": "Characters of an identity.",
    "limit.max_participant_name_length": "Characters of a participant's name.",
    "limit.max_data_track_custom_encoding_length": "Characters of a data track's own name for its encoding.",
    "limit.subscription_limit_video": "Video tracks that one participant may subscribe to.",
    "limit.subscription_limit_audio": "Audio tracks that one participant may subscribe to.",
    "agents.offer_timeout": "Atrium's own: how long a worker may take to answer an offer.",
    "agents.pending_timeout": "Atrium's own: how long a job waits for a worker.",
    "agents.join_timeout": "Atrium's own: how long an agent may take to come into the room, at first or after it lost its"
    " connection.",
    "agents.reattach_grace": "Atrium's own: how long a worker that lost its socket may take to come back and name its jobs.",
    "agents.report_timeout": "Atrium's own: how long a worker may take to say how a job ended whose agent has left.",
    "agents.dismissal_grace": "Atrium's own: how long an agent may take to leave after its job has ended.",
    "agents.restart_delay": "Atrium's own: the pause before a lost job is given out again; doubled for each further time.",
    "agents.max_restarts": "Atrium's own: how often a lost job is given out again.",
    "agents.max_offers": "Atrium's own: offers that one worker may have unanswered.",
    "enable_data_tracks": "Whether participants may publish data tracks.",
}
"""For keys whose field says nothing of itself, or not enough without its neighbours."""

BARE_NUMBERS = frozenset({"core.agents.target_load"})
"""Fractions that are no durations."""

UNUSED: tuple[str, ...] = ()
"""Keys that are read and checked, but that nothing acts on yet."""

TYPES = {
    "Port": "port", "Ports": "port or range", "Duration": "duration", "Level": "level", "NodeIps": "address",
    "Networks": "list of networks", "Strings": "list", "Secrets": "map", "bool": "yes or no", "int": "number",
    "Limit": "number", "Rate": "number", "float": "number", "str": "text", "CodecConfig": "list",
}  # fmt: skip

HEAD = """# Configuration

<!-- written by docs/tools/configuration.py; do not edit -->

`atrium serve --config FILE` reads the YAML file that LiveKit's server reads. Every name of that file is accepted. The first table
has those that act; the second those that have no effect here, which the server names once at its start. A name that is in
neither stops the start, with its line and the nearest name that exists.

Each scalar key can also be given in the environment: `LIVEKIT_` and the key in capitals with `_` for each dot, such as
`LIVEKIT_RTC_NODE_IP`. The environment wins over the file, flags win over both. A limit of 0 means none. Durations are written
as `500ms`, `2s` or `1m30s`. [sample.yaml](sample.yaml) has all of them in a file.

## Keys that act

| Key | Type | Default | Meaning |
|---|---|---|---|
"""

INERT_HEAD = """
## Keys without effect

A file that has them loads. What each would do:

| Key | Would |
|---|---|
"""


def page() -> str:
    from trio_server.keys import ACTING, INERT

    rows = [
        f"| `{path}` | {_type(key.type)} | {_default(key.place)} | {meaning(path)} |" for path, key in ACTING.items()
    ]
    inert = [f"| `{path}` | {words} |" for path, words in INERT.items()]
    return HEAD + "\n".join(rows) + "\n" + INERT_HEAD + "\n".join(inert) + "\n"


OLDER = ("log_level", "room.max_metadata_size", "room.max_room_name_length", "room.max_participant_identity_length")
"""Keys that LiveKit keeps for old files."""

SAMPLE_HEAD = """# Every key that acts, with its default, for `atrium serve --config FILE`. Take the # off what you change.
# Only keys are needed; `atrium generate-keys` makes a pair.

keys:
  APIexample: take-the-secret-that-generate-keys-printed

"""


def sample() -> str:
    """A configuration file in which everything but the keys is commented out."""
    from trio_server.keys import ACTING

    tree: dict[str, Any] = {}
    for path in ACTING:
        if path not in (*OLDER, *UNUSED, "keys"):
            *sections, key = path.split(".")
            section = tree
            for name in sections:
                section = section.setdefault(name, {})
            section[key] = path
    return SAMPLE_HEAD + "\n".join(_sample_lines(tree, "")) + "\n"


def _sample_lines(tree: dict[str, Any], indent: str) -> Iterator[str]:
    from trio_server.keys import ACTING

    for key, path in tree.items():
        if isinstance(path, str):
            yield f"{indent}# {meaning(path)}"
            yield f"{indent}#{key}: {_yaml_default(ACTING[path].place)}"
    for key, section in tree.items():
        if isinstance(section, dict):
            yield from (["", f"{key}:"] if not indent else [f"{indent}{key}:"])
            yield from _sample_lines(section, f"{indent}  ")


def _yaml_default(place: str) -> str:
    value = _default_of(place)
    if place == "core.room.enabled_codecs":
        return "[" + ", ".join(f"{{mime: {codec.mime}}}" for codec in value) + "]"
    if isinstance(value, tuple):
        return {"udp_ports": "7882", "node_ips": '""'}.get(place) or f"[{', '.join(map(str, value))}]"
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, str):
        return value or '""'
    return _default(place)


def meaning(path: str) -> str:
    """What an acting key means, from the field that it sets or from the table above."""
    from trio_server.keys import ACTING

    if path in UNUSED:
        return "Read and checked; nothing acts on it yet."
    return MEANINGS.get(path) or _field_docs().get(ACTING[path].place, "")


def _type(type_: Any) -> str:
    name = getattr(type_, "__name__", "")
    return TYPES.get(name) or next((words for part, words in TYPES.items() if f".{part}," in f"{type_},"), "map")


def _default_of(place: str) -> Any:
    from trio_server.config import ServerConfig

    value: Any = ServerConfig()
    for name in place.split("."):
        value = getattr(value, name)
    return value if place != "log_level" else "info"  # it is filled in last


def _default(place: str) -> str:
    """The default as one would write it in the file."""
    value = _default_of(place)
    if place == "core.room.enabled_codecs":
        return ", ".join(codec.mime for codec in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if isinstance(value, str | dict):
        return f"`{value}`" if value else ""
    if place in BARE_NUMBERS:
        return f"{value:g}"
    return (
        f"{value * 1000:g}ms" if 0 < value < 1 else f"{value:g}s" if isinstance(value, float) and value else str(value)
    )


def _field_docs() -> dict[str, str]:
    """Place of a field (as `Key.place` has it) to the text under it."""
    from sansio.config import Config
    from trio_server.config import ServerConfig

    core = _texts(ROOT / "sansio" / "config.py")
    docs = {f"core.{place}": text for place, text in _docs_of(Config, core)}
    return docs | dict(_docs_of(ServerConfig, _texts(ROOT / "trio_server" / "config.py") | core))


def _docs_of(class_: type, texts: dict[tuple[str, str], str], above: str = "") -> list[tuple[str, str]]:
    docs = []
    for field in attrs.fields(attrs.resolve_types(class_)):
        place = above + field.name
        docs.append((place, texts.get((class_.__name__, field.name), "")))
        if isinstance(field.type, type) and attrs.has(field.type):
            docs += _docs_of(field.type, texts, f"{place}.")
    return docs


def _texts(path: Path) -> dict[tuple[str, str], str]:
    """Class and field to the string under the field."""
    texts = {}
    for class_ in ast.parse(path.read_text()).body:
        if isinstance(class_, ast.ClassDef):
            for field, text in zip(class_.body, class_.body[1:], strict=False):
                match field, text:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                        texts[class_.name, name] = " ".join(words.split())
    return texts


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    for path, text in ((PAGE, page()), (SAMPLE, sample())):
        path.write_text(text)
        print(path.relative_to(ROOT))
