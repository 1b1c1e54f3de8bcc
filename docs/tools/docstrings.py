"""Sphinx extension: docstrings of this project, which are plain text with `code` in it, as reStructuredText.

They are written to be read in an editor. Here whatever would be markup by accident is made harmless: asterisks, bars and
trailing underscores are escaped, `code` becomes a literal, and a block that stands indented after an empty line (a table, a
walk through states) is kept as it is.
"""

from __future__ import annotations

import re
from typing import Any

from sphinx.util.docstrings import prepare_docstring

_CODE = re.compile(r"(`[^`]+`)")
_MARKUP = re.compile(r"([*|\\]|_\b|(?<=\w)_(?=\W|$))")
_ITEM = re.compile(r"(?:[-+]|\d+\.) ")


def to_restructured_text(lines: list[str]) -> list[str]:
    """The lines of one docstring as reStructuredText."""
    out: list[str] = []
    in_block = False
    for at, line in enumerate(lines):
        is_indented = line.startswith("    ")
        after_gap = at == 0 or not lines[at - 1].strip()
        if is_indented and after_gap and not in_block and not _in_list(lines, at):
            out += ["::", ""]
            in_block = True
        elif line.strip() and not is_indented:
            if in_block and not after_gap:
                out.append("")
            in_block = False
        out.append(line if in_block else _prose(line))
    return out


def _in_list(lines: list[str], at: int) -> bool:
    """Whether the lines before belong to a list, whose items may go on indented."""
    above = [line for line in lines[:at] if line.strip()]
    return bool(above) and bool(_ITEM.match(above[-1].lstrip()))


def _prose(line: str) -> str:
    parts = _CODE.split(line)
    return "".join(f"`{part}`" if at % 2 else _MARKUP.sub(r"\\\1", part) for at, part in enumerate(parts))


def _process(_app: Any, what: str, _name: str, described: Any, _options: Any, lines: list[str]) -> None:
    if what == "data" and lines == prepare_docstring(type(described).__doc__ or ""):
        lines[:] = []  # a value's own documentation, not that of its type
    lines[:] = to_restructured_text(lines)


def setup(app: Any) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", _process)
    return {"parallel_read_safe": True}
