"""Dependency descriptors, one after another with the structure that the earlier ones left."""

from __future__ import annotations

from choices import Choices
from harness import main

from sansio.rtp import RtpError, dependency_descriptor


def check(data: bytes) -> None:
    choices = Choices(data)
    structure = None
    while choices:
        block = choices.block(255)
        try:
            described = dependency_descriptor.parse(block, structure)
        except RtpError:
            continue
        structure = described.structure or structure


if __name__ == "__main__":
    main(check)
