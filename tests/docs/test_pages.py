"""What pages refer to exists: links, pictures, tests, sections; and what is written by tools is up to date."""

from __future__ import annotations

import ast
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import attrs
import pytest
from doc_blocks import ROOT, blocks, name, pages

from docs.tools import configuration, diagrams
from trio_server.config import load
from trio_server.keys import ACTING

_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
_PATH = re.compile(r"`((?:sansio|trio_server|tests|docs|examples|bench|fuzz)/[\w/.-]*)`")
_SVG = "{http://www.w3.org/2000/svg}"


def prose(page: Path) -> str:
    """The text of a page without its code blocks."""
    text = page.read_text()
    for block in blocks(page):
        text = text.replace(block.text, "\n", 1)
    return text


@pytest.mark.parametrize("page", pages(), ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = [target.partition("#")[0] for target in _LINK.findall(prose(page)) if "://" not in target]
    assert [target for target in targets if target and not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", pages(), ids=name)
def test_anchors_exist(page: Path) -> None:
    for target in _LINK.findall(prose(page)):
        file, _, anchor = target.partition("#")
        if anchor and "://" not in target:
            where = page.parent / file if file else page
            headings = re.findall(r"^#+ (.*)$", where.read_text(), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("page", pages(), ids=name)
def test_paths_that_are_named_exist(page: Path) -> None:
    assert [path for path in _PATH.findall(prose(page)) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", pages(), ids=name)
def test_tests_that_are_named_exist(page: Path) -> None:
    for path, test in _TEST.findall(prose(page)):
        tree = ast.parse((ROOT / path).read_text())
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert any(function.startswith("test_") for function in functions), f"{path} has no tests"
        assert not test or test in functions, f"{path} has no {test}"


def test_every_client_in_the_readme_is_proven_by_a_test() -> None:
    section = (ROOT / "README.md").read_text().partition("## Clients that work")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    assert rows
    assert [row for row in rows if not _TEST.search(row)] == []


DOCUMENTED = (
    "sansio",
    "sansio.agents",
    "sansio.auth",
    "sansio.ice",
    "sansio.kernel",
    "sansio.sctp",
    "sansio.sdp",
    "sansio.sim",
)
"""Packages whose public names have a page each."""


def test_every_public_name_is_on_a_page_of_the_reference() -> None:
    text = "".join(page.read_text() for page in (ROOT / "docs" / "reference").glob("*.md"))
    shown = set(re.findall(r"^\.\. auto\w+:: ([\w.]+)$", text, re.MULTILINE)) - {"sansio.events"}
    pinned = (ROOT / "tests" / "architecture" / "public_api.txt").read_text().split()
    assert shown == {full for full in pinned if full.rpartition(".")[0] in DOCUMENTED}


def test_fragments_of_news_have_names_that_are_collected() -> None:
    fragments = [path.name for path in (ROOT / "docs" / "news").iterdir() if path.name != "README.md"]
    pattern = r"(\d+|\+[a-z0-9-]+)\.(feature|bugfix|removal|misc)\.md"
    assert [fragment for fragment in fragments if not re.fullmatch(pattern, fragment)] == []


def test_changelog_says_where_releases_begin() -> None:
    assert "\n<!-- towncrier release notes start -->\n" in (ROOT / "CHANGELOG.md").read_text()


# Written by tools


def test_configuration_page_says_what_the_tables_say() -> None:
    assert configuration.PAGE.read_text() == configuration.page(), "run python docs/tools/configuration.py"


def test_sample_has_every_key_and_its_default() -> None:
    text = configuration.SAMPLE.read_text()
    assert text == configuration.sample(), "run python docs/tools/configuration.py"
    whole = load(text=re.sub(r"^( *)#(?=\w)", r"\1", text, flags=re.MULTILINE))
    as_it_is = load(text=text)
    assert as_it_is.notes == whole.notes == ()
    assert attrs.evolve(whole, udp_ports=as_it_is.udp_ports) == as_it_is  # unset, it is taken of the range


@pytest.mark.parametrize("key", sorted(ACTING))
def test_every_acting_key_has_a_meaning(key: str) -> None:
    assert configuration.meaning(key)


def test_keys_said_to_be_without_use_are_those_that_nothing_reads() -> None:
    code = "".join(
        path.read_text()
        for package in ("sansio", "trio_server")
        for path in (ROOT / package).rglob("*.py")
        if path.name not in ("keys.py",)
    )
    unread = {path for path, key in ACTING.items() if not re.search(rf"\.{key.place.rpartition('.')[2]}\b", code)}
    assert unread == set(configuration.UNUSED)


@pytest.mark.parametrize(
    ("picture", "machine"), diagrams.machines().items(), ids=lambda item: item if isinstance(item, str) else ""
)
def test_picture_shows_the_table(picture: str, machine: diagrams.Machine) -> None:
    tree = ET.parse(diagrams.DIAGRAMS / f"{picture}.svg")
    groups = [(group.get("class"), group) for group in tree.iter(f"{_SVG}g")]
    states = [group.get("data-name") for kind, group in groups if kind == "state"]
    moves = [(g.get("data-from"), g.get("data-to"), g.get("data-trigger")) for kind, g in groups if kind == "move"]
    assert states == list(machine.states), "run python docs/tools/diagrams.py"
    assert moves == [tuple(move) for move in machine.moves], "run python docs/tools/diagrams.py"


def test_every_picture_is_shown_on_a_page() -> None:
    text = "".join(page.read_text() for page in pages())
    assert [path.name for path in diagrams.DIAGRAMS.glob("*.svg") if path.name not in text] == []


# Protocol pages

STATUSES = {"yes", "partly", "no", "n/a"}


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "rfc").glob("*.md")), ids=name)
def test_tables_of_protocols_say_section_status_and_reason(page: Path) -> None:
    rows = [line for line in page.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    entries = [row for row in cells if row[0] != "Section" and set("".join(row)) - set("-: ")]
    if page.name == "index.md":
        return
    assert entries
    assert [row for row in entries if len(row) != 3 or row[1] not in STATUSES] == []
    assert [row for row in entries if row[1] != "yes" and not row[2]] == [], "what is not whole needs its reason"
