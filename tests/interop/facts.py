"""What programs in other languages tell a test: JSON objects, one a line, each with its `step`."""

from __future__ import annotations

import json
from typing import Any


def read_facts(text: str) -> dict[str, dict[str, Any]]:
    """The facts by step. Lines that are no JSON object are a library's log."""
    facts: dict[str, dict[str, Any]] = {}
    for line in text.splitlines():
        if line.startswith("{"):
            fact = json.loads(line)
            facts[str(fact.pop("step", "error"))] = fact
    return facts
