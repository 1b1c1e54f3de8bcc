"""Who may import what: the core stays free of I/O, each foreign library has one door, and nothing points down the layers."""

from __future__ import annotations

import ast
import sys
import tomllib

import pytest
from source_tree import ROOT, Import, imports, is_inside, sources

FORBIDDEN = {
    "clock": {"time", "datetime", "calendar", "sched"},
    "chance": {"random", "secrets", "uuid"},
    "system": {"os", "io", "pathlib", "shutil", "tempfile", "subprocess", "signal", "platform", "resource", "glob"},
    "network": {"socket", "ssl", "select", "selectors", "http", "urllib", "socketserver"},
    "thread": {"threading", "multiprocessing", "concurrent", "queue", "_thread"},
    "loop": {"asyncio", "trio", "anyio"},
    "report": {"logging", "warnings", "traceback"},
    "indirection": {"importlib", "pkgutil", "runpy", "ctypes", "pickle"},
}
"""Modules that the core must not import, by what they would let in."""

EXCEPTIONS = {("sansio/dtls/certificate.py", "datetime")}
"""X.509 takes its validity as datetime values; the time itself is an argument."""

DOORS = {
    "pylibsrtp": ("sansio/kernel/srtp.py",),
    "OpenSSL": ("sansio/dtls/",),
    "cryptography": ("sansio/dtls/",),
    "jwt": ("sansio/auth/token.py",),
    "google_crc32c": ("sansio/sctp/checksum.py",),
    "livekit": ("sansio/wire/",),
    "google": ("sansio/wire/", "sansio/api/", "sansio/signalling/requests.py"),
}
"""Foreign libraries and the files or directories that may import them."""

EVERYWHERE = {"attrs"}

TYPES_ONLY = {"google.protobuf.message.Message", "google.protobuf.empty_pb2.Empty"}
"""What may be taken of protobuf outside `wire`: the base class, to name messages in signatures, and the empty answer."""

FORBIDDEN_CALLS = {"open", "input", "print", "exec", "eval", "compile", "__import__", "breakpoint"}

PUBLIC_PACKAGES = {"sansio", "sansio.auth", "sansio.events", "sansio.ids", "sansio.load"}
"""What the driver may import of the core."""

CORE = imports("sansio")


@pytest.mark.parametrize("kind", sorted(FORBIDDEN))
def test_core_lets_in_no(kind: str) -> None:
    found = [
        str(each)
        for each in CORE
        if not each.is_relative and each.top in FORBIDDEN[kind] and (each.path, each.top) not in EXCEPTIONS
    ]
    assert found == []


@pytest.mark.parametrize("library", sorted(DOORS))
def test_library_is_imported_behind_its_door_only(library: str) -> None:
    found = [str(each) for each in CORE if each.top == library and not each.path.startswith(DOORS[library])]
    assert found == []


@pytest.mark.parametrize("library", sorted(DOORS))
def test_every_door_is_used(library: str) -> None:
    assert any(each.top == library for each in CORE), f"nothing imports {library} any more: take it off the list"


def test_core_imports_nothing_else() -> None:
    known = set(sys.stdlib_module_names) | set(DOORS) | EVERYWHERE
    assert [str(each) for each in CORE if not each.is_relative and each.top not in known] == []


def test_only_types_of_protobuf_are_used_outside_its_door() -> None:
    found = [
        str(each)
        for each in CORE
        if each.top == "google" and not each.path.startswith("sansio/wire/") and each.target not in TYPES_ONLY
    ]
    assert found == []


def test_core_imports_itself_relatively() -> None:
    assert [str(each) for each in CORE if each.top == "sansio" and not each.is_relative] == []


def test_core_calls_nothing_that_reaches_outside() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.func.id}"
        for path in sources("sansio")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS
    ]
    assert found == []


def test_driver_takes_public_names_of_the_core_only() -> None:
    found = [
        str(each)
        for each in imports("trio_server")
        if each.top == "sansio" and each.target.rpartition(".")[0] not in PUBLIC_PACKAGES
    ]
    assert found == []


def test_nothing_imports_the_simulator_but_itself_and_the_load_test() -> None:
    everything = CORE + imports("trio_server")
    found = [
        str(each)
        for each in everything
        if is_inside(each.target, "sansio.sim")
        and not any(is_inside(each.importer, one) for one in ("sansio.sim", "sansio.load"))
    ]
    assert found == []


def test_nothing_imports_the_load_test_but_its_driver() -> None:
    everything = CORE + imports("trio_server")
    found = [
        str(each)
        for each in everything
        if is_inside(each.target, "sansio.load")
        and not any(is_inside(each.importer, one) for one in ("sansio.load", "trio_server.load"))
    ]
    assert found == []


# Layers


def _layers() -> list[list[str]]:
    """The layers of the core from top to bottom, as pyproject.toml has them for import-linter."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    contract = next(each for each in tool["importlinter"]["contracts"] if each["type"] == "layers")
    return [[name.strip(" ()") for name in layer.split("|")] for layer in contract["layers"]]


LAYERS = _layers()
LEVELS = {name: level for level, layer in enumerate(LAYERS) for name in layer}


def _unit(module: str) -> str | None:
    """The package or base module of the layers that a dotted name lies in."""
    unit = ".".join(module.split(".")[:2])
    return unit if unit in LEVELS else None


def _breaks_layers(each: Import) -> bool:
    importer, target = _unit(each.importer), _unit(each.target)
    if importer is None or target is None or importer == target:
        return False
    return LEVELS[target] <= LEVELS[importer]


def test_nothing_points_down_the_layers_or_to_a_stranger_beside() -> None:
    assert [f"{each} (from {each.importer})" for each in CORE if each.is_relative and _breaks_layers(each)] == []


def test_every_module_of_the_core_has_a_layer() -> None:
    units = {".".join(each.relative_to(ROOT).with_suffix("").parts[:2]) for each in sources("sansio")}
    assert units - {"sansio.__init__"} <= set(LEVELS)
