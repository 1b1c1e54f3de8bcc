"""Settings of the documentation. `make docs` builds it; warnings are errors."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent), str(DOCS / "tools")]

project = "Atrium"
author = "The Atrium developers"
copyright = author  # noqa: A001 - Sphinx calls it so
try:
    release = metadata.version("atrium-sfu")
except metadata.PackageNotFoundError:
    release = ""

extensions = ["myst_parser", "sphinx.ext.autodoc", "docstrings"]
exclude_patterns = ["_build", "news", "tools"]
source_suffix = {".md": "markdown"}

myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True, "undoc-members": True}
add_module_names = False
python_maximum_signature_line_length = 90

html_theme = "alabaster"
html_title = "Atrium"
html_static_path: list[str] = []
html_theme_options = {
    "description": "A media server for LiveKit's clients",
    "fixed_sidebar": True,
    "page_width": "72rem",
    "body_max_width": "56rem",
    "font_family": "system-ui, sans-serif",
    "head_font_family": "system-ui, sans-serif",
}
