"""The pages of the documentation, and the code blocks in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^(`{3,})(\{?[\w.+-]*\}?)(?: .*)?$")


class Block(NamedTuple):
    page: Path
    line: int
    """Of its first line of code."""
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """README and everything under docs that is written by hand or by a tool."""
    docs = [path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts and path.parent.name != "news"]
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "docs" / "news" / "README.md", *sorted(docs)]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> Iterator[Block]:
    """All fenced blocks of a page."""
    fence, start, language, lines = "", 0, "", list[str]()
    for number, line in enumerate(page.read_text().splitlines(), 1):
        opening = _FENCE.match(line)
        if not fence and opening:
            fence, start, language, lines = opening[1], number + 1, opening[2], []
        elif fence and line.strip() == fence:
            yield Block(page, start, language, "\n".join(lines) + "\n")
            fence = ""
        elif fence:
            lines.append(line)
    assert not fence, f"{name(page)}:{start}: the block does not end"


def blocks_in(page: Path, language: str) -> list[Block]:
    return [block for block in blocks(page) if block.language == language]


def pages_with(language: str) -> list[Path]:
    return [page for page in pages() if blocks_in(page, language)]
