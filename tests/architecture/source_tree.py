"""What the sources of the project import, read from their text."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[2]


@attrs.frozen(kw_only=True)
class Import:
    path: str
    """Of the file, from the project's root."""
    importer: str
    """Dotted name of the module."""
    target: str
    """Dotted name of what is imported: the module, or the name in it."""
    line: int
    is_relative: bool

    @property
    def top(self) -> str:
        return self.target.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.target}"


def sources(package: str) -> Iterator[Path]:
    """The Python files of a package."""
    return iter(sorted((ROOT / package).rglob("*.py")))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> Iterator[Import]:
    """Every import of a file, also those inside functions and for type checking only."""
    importer = module_name(path)
    package = importer.split(".") if path.name == "__init__.py" else importer.split(".")[:-1]
    relative_path = str(path.relative_to(ROOT))
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                targets, is_relative = [alias.name for alias in names], False
            case ast.ImportFrom(module=module, names=names, level=level):
                above = package[: len(package) - level + 1] if level else []
                base = ".".join([*above, *([module] if module else [])])
                targets, is_relative = [f"{base}.{alias.name}" for alias in names], level > 0
            case _:
                continue
        for target in targets:
            yield Import(
                path=relative_path, importer=importer, target=target, line=node.lineno, is_relative=is_relative
            )


def imports(package: str) -> list[Import]:
    return [each for path in sources(package) for each in imports_of(path)]


def is_inside(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")
