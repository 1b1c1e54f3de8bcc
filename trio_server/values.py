"""Values of settings: their types, and the readings of what files, variables and flags say.

Every reading raises ValueError with the form that it expected.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any, NewType

import yaml
from cattrs import Converter
from cattrs.errors import BaseValidationError, ForbiddenExtraKeysError

from sansio import AgentPreset, RoomPreset

Port = NewType("Port", int)
"""0 to 65535."""
Ports = NewType("Ports", tuple[int, ...])
"""A port or a range such as 50000-60000."""
Duration = NewType("Duration", float)
"""Seconds; written as Go does, such as 500ms or 1m30s."""
Limit = NewType("Limit", int)
"""A whole number; what is below 0 means none, as 0 does."""
Rate = NewType("Rate", float)
"""A number; what is below 0 means none."""
Level = NewType("Level", str)
"""debug, info, warn or error."""
NodeIps = NewType("NodeIps", tuple[str, ...])
"""An IP address, or one of each family with a comma between."""
Networks = NewType("Networks", tuple[str, ...])
"""Networks such as 10.0.0.0/8."""
Strings = NewType("Strings", tuple[str, ...])
Secrets = NewType("Secrets", dict[str, str])
Presets = NewType("Presets", dict[str, RoomPreset])
"""API keys to secrets."""


_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_UNIT_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_LEVELS = {"debug": "debug", "info": "info", "warn": "warning", "warning": "warning", "error": "error"}


def parse_keys(text: str) -> dict[str, str]:
    """`key: secret` pairs as YAML, one a line; a pair alone may do without the space. Raises ValueError."""
    try:
        read = yaml.load(text, Loader=yaml.BaseLoader)  # makes nothing but strings
    except yaml.YAMLError:
        read = None
    if isinstance(read, str):
        key, _, secret = read.partition(":")
        read = {key.strip(): secret.strip()}
    if not isinstance(read, dict) or not all(isinstance(item, str) and item for pair in read.items() for item in pair):
        raise ValueError('expected "key: secret" pairs, one a line')
    return read


def to_duration(value: object, _: object = None) -> float:
    """Seconds of a duration as Go writes it."""
    if value == 0 and not isinstance(value, bool):
        return 0.0
    text = str(value).strip()
    if not text or _DURATION.sub("", text):
        raise ValueError("expected a duration such as 500ms, 2s or 1m30s")
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in _DURATION.findall(text))


def _to_int(value: object, _: object = None) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d[\d_]*", value.strip()):
        return int(value)
    raise ValueError("expected a whole number")


def _to_limit(value: object, _: object = None) -> int:
    return max(0, _to_int(value))


def _to_float(value: object, _: object = None) -> float:
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)
        except ValueError:
            pass
    raise ValueError("expected a number")


def _to_rate(value: object, _: object = None) -> float:
    return max(0.0, _to_float(value))


def _to_bool(value: object, _: object = None) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise ValueError("expected true or false")


def _to_str(value: object, _: object = None) -> str:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    if value is None:
        return ""
    raise ValueError("expected a word")


def _to_strs(value: object, _: object = None) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise ValueError("expected a list")
    return tuple(_to_str(item) for item in value)


def _to_port(value: object, _: object = None) -> int:
    port = _to_int(value)
    if not 0 <= port <= 65535:
        raise ValueError("expected a port, 0 to 65535")
    return port


def _to_ports(value: object, _: object = None) -> tuple[int, ...]:
    first, dash, last = str(value).partition("-")
    try:
        start, end = _to_port(first), _to_port(last if dash else first)
    except ValueError:
        raise ValueError("expected a port or a range such as 50000-60000") from None
    if end < start:
        raise ValueError("the range ends before it starts")
    return tuple(range(start, end + 1))


def _to_level(value: object, _: object = None) -> str:
    level = _LEVELS.get(_to_str(value).lower())
    if level is None:
        raise ValueError("expected debug, info, warn or error")
    return level


def _to_node_ips(value: object, _: object = None) -> tuple[str, ...]:
    parts = [part.strip() for part in _to_str(value).split(",") if part.strip()]
    try:
        return tuple(str(ipaddress.ip_address(part)) for part in parts)
    except ValueError:
        raise ValueError("expected an IP address, or two with a comma between") from None


def to_networks(value: object, _: object = None) -> tuple[str, ...]:
    try:
        return tuple(str(ipaddress.ip_network(item, strict=False)) for item in _to_strs(value))
    except ValueError:
        raise ValueError("expected a list of networks such as 10.0.0.0/8") from None


def _to_secrets(value: object, _: object = None) -> dict[str, str]:
    if value is None:
        return {}
    if isinstance(value, str):
        return parse_keys(value)
    if not isinstance(value, dict):
        raise ValueError('expected "key: secret" pairs')
    return {_to_str(key): _to_str(secret) for key, secret in value.items()}


_INERT_IN_PRESETS = frozenset({"name", "egress", "tags"})
"""Fields of LiveKit's RoomConfiguration that a preset may have, and that have no effect here."""


_POLICIES = {"JRP_ON_FAILURE": 0, "JRP_NEVER": 1}


def _to_agent(value: object, _: object = None) -> AgentPreset:
    fields = dict(value) if isinstance(value, dict) else {}
    policy = fields.pop("restart_policy", "JRP_ON_FAILURE")
    if not isinstance(value, dict) or policy not in _POLICIES or not fields.keys() <= _AGENT_FIELDS:
        raise ValueError(f"expected agents, each with {', '.join(sorted(_AGENT_FIELDS))} or restart_policy")
    attributes = {_to_str(key): _to_str(item) for key, item in dict(fields.pop("attributes", {})).items()}
    texts = {name: _to_str(text) for name, text in fields.items()}
    return AgentPreset(**texts, attributes=attributes, restart_policy=_POLICIES[policy])


_AGENT_FIELDS = frozenset({"agent_name", "metadata", "deployment", "attributes"})


def _to_presets(value: object, _: object = None) -> dict[str, RoomPreset]:
    if not isinstance(value, dict) or not all(isinstance(fields, dict) for fields in value.values()):
        raise ValueError("expected presets by name, each with fields of a room configuration")
    acting = {
        name: {field: given for field, given in fields.items() if field not in _INERT_IN_PRESETS}
        for name, fields in value.items()
    }
    return {_to_str(name): structure(fields, RoomPreset) for name, fields in acting.items()}


SCALARS = (str, int, float, bool, Port, Ports, Duration, Limit, Rate, Level, NodeIps)


def _converter() -> Converter:
    converter = Converter(detailed_validation=False, forbid_extra_keys=True)
    hooks: dict[Any, Any] = {
        str: _to_str, int: _to_int, float: _to_float, bool: _to_bool, Strings: _to_strs, Port: _to_port, Ports: _to_ports,
        Duration: to_duration, Limit: _to_limit, Rate: _to_rate, Level: _to_level, NodeIps: _to_node_ips,
        Networks: to_networks, Secrets: _to_secrets, Presets: _to_presets, AgentPreset: _to_agent,
    }  # fmt: skip
    for type_, hook in hooks.items():
        converter.register_structure_hook(type_, hook)
    return converter


_CONVERTER = _converter()


def structure(value: object, type_: Any) -> Any:
    """`value` as what an acting key takes."""
    try:
        return _CONVERTER.structure(value, type_)
    except ForbiddenExtraKeysError as error:
        raise ValueError(f"no such names: {', '.join(sorted(error.extra_fields))}") from error
    except (BaseValidationError, TypeError, KeyError, AttributeError) as error:
        raise ValueError("not of the form that it has in LiveKit's configuration") from error
