"""Runs of the simulation of agents that a test gives to other processes."""

from __future__ import annotations

from sansio.sim import AgentsOutcome, AgentsWorld


def run(seed: int) -> AgentsOutcome:
    return AgentsWorld(seed).run()


def complaint(seed: int) -> str:
    """What is wrong with the run of a seed; empty if nothing is."""
    try:
        outcome = run(seed)
    except Exception as error:
        return f"seed {seed}: {type(error).__name__}: {error}"
    return "" if outcome.assigned else f"seed {seed}: no job was assigned"


if __name__ == "__main__":
    print(run(1).digest)
