"""Configuration: LiveKit's YAML file, its environment variables and flags, made into the values that the parts take.

What is set later wins: defaults, then the file, then the environment, then flags. Each setting remembers where it came
from, so that a mistake is reported with its line. Reading is strict: a name that LiveKit does not have stops the start
with the nearest name that it has; a name that has no effect here is said once, with what it would do.
"""

from __future__ import annotations

import ipaddress
import os
import stat
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import attrs
import yaml

from sansio import Config

from .keys import ACTING, DEPRECATED_LIMITS, PATHS, inert, is_section
from .net import AddressFilter
from .values import SCALARS, parse_keys, structure, to_networks

DEV_KEYS = {"devkey": "secret"}
"""LiveKit's placeholder pair; good for development on this host only."""
MIN_SECRET_CHARS = 32
DEV_UDP_PORT = 7882


class ConfigError(Exception):
    """A configuration that cannot be used; the message is for the person who wrote it."""


@attrs.frozen(kw_only=True)
class ServerConfig:
    """What the driver needs; `core` is for the core."""

    core: Config = attrs.Factory(Config)
    port: int = 7880
    bind_addresses: tuple[str, ...] = ()
    """Of HTTP and WebSocket; none means all."""
    udp_ports: tuple[int, ...] = ()
    """The first that is free is used; 0 picks any. None set means the range."""
    port_range_start: int = 50_000
    port_range_end: int = 60_000
    node_ips: tuple[str, ...] = ()
    """What clients are told to send media to; none means the addresses of this host."""
    loopback: bool = False
    """Whether to offer loopback addresses for media."""
    allowed: AddressFilter = attrs.Factory(AddressFilter)
    keys: dict[str, str] = attrs.field(factory=dict, repr=False)
    key_file: str = ""
    log_level: str = ""
    log_json: bool = False
    component_levels: dict[str, str] = attrs.field(factory=dict)
    development: bool = False
    notes: tuple[str, ...] = ()
    """Warnings to say at the start."""


@attrs.frozen
class Setting:
    value: object
    origin: str
    """File and line, environment variable, or flag."""


Settings = dict[str, Setting]


def load(
    *,
    text: str = "",
    name: str = "configuration",
    flags: Mapping[str, Setting] | None = None,
    environment: Mapping[str, str] | None = None,
    development: bool = False,
    strict: bool = True,
) -> ServerConfig:
    """The configuration from the text of a file, the environment, and flags (by key). Raises ConfigError."""
    notes: list[str] = []
    settings = read_yaml(text, name, notes, strict=strict) if text else {}
    settings |= read_environment(environment or {})
    settings |= flags or {}
    for path, setting in settings.items():
        if path not in ACTING:
            notes.append(f"{path} has no effect here: it would {inert(path)} ({setting.origin})")
    config = _apply(settings, ServerConfig(development=development))
    config = _finish(config, is_flag=development)
    return attrs.evolve(config, notes=tuple(notes))


def read_yaml(text: str, name: str, notes: list[str], *, strict: bool = True) -> Settings:
    """Settings by dotted path, with the line of each. Raises ConfigError for an unknown name, unless not `strict`, when
    it becomes a note."""
    settings: Settings = {}
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is not None and not _is_null(node):
            for path, value, line in _walk(loader, node, "", name):
                if path in settings:
                    raise ConfigError(f"{name}, line {line}: {path} is given twice")
                if path in ACTING or inert(path):
                    settings[path] = Setting(value, f"{name}, line {line}")
                elif strict:
                    raise ConfigError(f"{name}, line {line}: LiveKit has no {path}{_suggestion(path)}")
                else:
                    notes.append(f"{path} is unknown and left aside{_suggestion(path)} ({name}, line {line})")
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{name}, line {line}: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: {error}") from error
    return settings


def read_environment(environment: Mapping[str, str]) -> Settings:
    """LiveKit's variables by dotted path, such as LIVEKIT_RTC_TCP_PORT; lists and maps have none."""
    settings: Settings = {}
    for path in PATHS:
        variable = "LIVEKIT_" + path.upper().replace(".", "_")
        is_scalar = path not in ACTING or ACTING[path].type in SCALARS
        if environment.get(variable) and is_scalar and path != "keys":
            settings[path] = Setting(yaml.safe_load(environment[variable]), variable)
    return settings


def check_secrets(keys: Mapping[str, str]) -> None:
    """Refuse secrets that can be guessed."""
    for key, secret in keys.items():
        if len(secret) < MIN_SECRET_CHARS:
            raise ConfigError(
                f"the secret of key {key} has {len(secret)} characters; it needs {MIN_SECRET_CHARS}. "
                "`atrium generate-keys` makes a good pair; `development: true` allows short ones"
            )


# Reading


def _walk(loader: yaml.SafeLoader, node: yaml.Node, above: str, name: str) -> Iterator[tuple[str, object, int]]:
    """Leaves of the tree as (path, value, line)."""
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{name}, line {node.start_mark.line + 1}: expected keys under {above or 'the file'}")
    loader.flatten_mapping(node)
    for key, value in node.value:
        path = f"{above}.{key.value}" if above else str(key.value)
        line = key.start_mark.line + 1
        if is_section(path) and not _is_leaf(path, value):
            if not _is_null(value):
                yield from _walk(loader, value, path, name)
        elif path == "keys" and isinstance(value, yaml.MappingNode):
            yield path, {pair[0].value: pair[1].value for pair in value.value}, line
        elif path not in ACTING and inert(path) and isinstance(value, yaml.MappingNode):
            yield path, None, line
        else:
            yield path, loader.construct_object(value, deep=True), line


def _is_leaf(path: str, node: yaml.Node) -> bool:
    """Whether a name that also has keys below is meant as a whole here."""
    return inert(path) is not None and isinstance(node, yaml.ScalarNode)


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _suggestion(path: str) -> str:
    """The nearest known name: the same word elsewhere, else one spelled nearly so."""
    word = path.rpartition(".")[2]
    same = [known for known in PATHS if known.rpartition(".")[2] == word]
    near = same or get_close_matches(path, PATHS, n=1, cutoff=0.6)
    if not near:
        words = {known.rpartition(".")[2]: known for known in PATHS}
        near = [words[found] for found in get_close_matches(word, words, n=1, cutoff=0.6)]
    return f"; did you mean {near[0]}?" if near else ""


# Applying


def _apply(settings: Settings, config: ServerConfig) -> ServerConfig:
    late = {f"room.{name}" for name in DEPRECATED_LIMITS}
    for path in sorted(settings, key=lambda path: path in late):
        setting = settings[path]
        if path not in ACTING:
            continue
        key = ACTING[path]
        try:
            value = structure(setting.value, key.type)
        except ValueError as error:
            raise ConfigError(f"{setting.origin}: {path}: {error}") from error
        if path in late and not value:
            continue
        config = _replace(config, key.place.split("."), value)
    return config


def _replace(owner: Any, place: list[str], value: object) -> Any:
    """A copy of a frozen tree with one leaf changed."""
    name, *rest = place
    return attrs.evolve(owner, **{name: _replace(getattr(owner, name), rest, value) if rest else value})


def _finish(config: ServerConfig, *, is_flag: bool) -> ServerConfig:
    """Fill in what depends on several settings. `is_flag`: development was asked for on the command line."""
    changes: dict[str, Any] = {}
    keys = _read_key_file(config.key_file) if config.key_file else config.keys
    if is_flag:
        keys = keys or DEV_KEYS
        changes["loopback"] = True
        changes["allowed"] = _near_binds(config)
    if not keys:
        raise ConfigError(
            "no API keys: give `keys` or `key_file` in the file, or --keys; `atrium generate-keys` makes a pair"
        )
    if not config.development:
        check_secrets(keys)
    if not config.udp_ports:
        ports = range(config.port_range_start, config.port_range_end + 1)
        changes["udp_ports"] = (DEV_UDP_PORT,) if config.development else tuple(ports)
        if not ports:
            raise ConfigError("rtc.port_range_end is below rtc.port_range_start")
    binds = config.bind_addresses or (("127.0.0.1", "::1") if is_flag else ())
    changes["bind_addresses"] = () if "" in binds else binds
    changes["log_level"] = config.log_level or ("debug" if config.development and not is_flag else "info")
    return attrs.evolve(config, keys=keys, core=attrs.evolve(config.core, keys=keys), **changes)


def _near_binds(config: ServerConfig) -> AddressFilter:
    """In development media stays on the addresses that HTTP is bound to: this host only, unless --bind says otherwise."""
    if config.allowed.include_ips or config.node_ips:
        return config.allowed
    here = ("127.0.0.1", "::1")
    names = here if config.bind_addresses in ((), ("localhost",)) else config.bind_addresses
    binds = [ipaddress.ip_address(text) for text in names if _is_ip(text)]
    if not binds or any(ip.is_unspecified for ip in binds):
        return config.allowed
    return attrs.evolve(config.allowed, include_ips=to_networks([str(ip) for ip in binds]))


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _read_key_file(name: str) -> dict[str, str]:
    path = Path(os.path.expandvars(name)).expanduser()
    try:
        if path.stat().st_mode & stat.S_IRWXO:
            raise ConfigError(f"key file {path} may be read by anybody; `chmod o-rwx {path}` mends that")
        return parse_keys(path.read_text())
    except OSError as error:
        raise ConfigError(f"key file {path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"key file {path}: {error}") from error
