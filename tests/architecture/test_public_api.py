"""The public names of the core, pinned in public_api.txt, so that none comes or goes unnoticed.

A name is public where a package hands it on in its `__init__.py` (`from .agent import Agent as Agent`) or defines it there.
After a change on purpose: run this file as a program, and tell users in a fragment under docs/news.
"""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest
from source_tree import ROOT, module_name, sources

PINNED = Path(__file__).with_name("public_api.txt")
PACKAGES = [path for path in sources("sansio") if path.name == "__init__.py"]


def public_names(path: Path) -> set[str]:
    """The public names of a package, by the text of its `__init__.py`."""
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.ImportFrom(names=aliases):
                names |= {alias.name for alias in aliases if alias.asname == alias.name}
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return {name for name in names if not name.startswith("_")}


def current() -> list[str]:
    return sorted(f"{module_name(path)}.{name}" for path in PACKAGES for name in public_names(path))


def pinned() -> list[str]:
    return PINNED.read_text().splitlines()


def test_public_names_are_those_that_are_pinned() -> None:
    added, removed = sorted(set(current()) - set(pinned())), sorted(set(pinned()) - set(current()))
    advice = f"if that is meant, run `python {Path(__file__).relative_to(ROOT)}` and write a fragment in docs/news"
    assert (added, removed) == ([], []), advice


def test_pinned_names_are_in_order_and_single() -> None:
    assert pinned() == sorted(set(pinned()))


@pytest.mark.parametrize("path", PACKAGES, ids=module_name)
def test_public_names_exist(path: Path) -> None:
    package = importlib.import_module(module_name(path))
    assert [name for name in public_names(path) if not hasattr(package, name)] == []


@pytest.mark.parametrize("path", PACKAGES, ids=module_name)
def test_package_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


if __name__ == "__main__":
    PINNED.write_text("".join(f"{line}\n" for line in current()))
