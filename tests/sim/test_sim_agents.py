"""Dispatch of agents over many seeds: 20 workers and 50 rooms for five minutes each, where every rule holds at every step.

A seed that fails is named. `python bench/agents_world.py` runs larger worlds.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from agent_seeds import complaint, run

from sansio.agents.dispatcher import Dispatcher
from sansio.agents.dispatches import Dispatches
from sansio.agents.keeper import Keeper
from sansio.agents.pool import Pool
from sansio.sim import AgentsWorld, BrokenRule

ALWAYS = 4
IN_CI = int(os.environ.get("SIM_SEEDS", 500))


@pytest.mark.parametrize("seed", range(ALWAYS))
def test_all_rules_hold(seed: int) -> None:
    assert complaint(seed) == ""


@pytest.mark.slow
def test_all_rules_hold_for_many_seeds() -> None:
    """On all cores, in processes of their own."""
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        complaints = [text for text in pool.map(complaint, range(ALWAYS, IN_CI), chunksize=4) if text]
    assert complaints == []


def test_a_run_repeats_for_its_seed() -> None:
    first, second, other = run(1), run(1), run(2)
    assert first == second
    assert first.digest != other.digest


def test_a_run_repeats_in_another_process() -> None:
    program = Path(__file__).with_name("agent_seeds.py")
    paths = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == run(1).digest


def test_all_sorts_of_things_happen() -> None:
    """The rules would hold as well if nothing did."""
    worlds = [AgentsWorld(seed) for seed in (0, 3, 9)]
    outcomes = [world.run() for world in worlds]
    ends = {end for world in worlds for end in world.ledger.ends}
    assert {
        "JS_SUCCESS ",
        "JS_SUCCESS refused for all workers",
        "JS_FAILED no worker took the job",
        "JS_FAILED no worker was there for the job",
        "JS_FAILED its agent and its worker are gone",
        "JS_FAILED it broke",
        "JS_FAILED the dispatch was deleted",
        "JS_FAILED the room ended",
        "JS_FAILED agent worker left the room",
    } <= ends
    assert min(outcome.restarts for outcome in outcomes) > 50
    assert all(outcome.offers > outcome.assigned > 100 for outcome in outcomes)


# The rules find faults


def _nothing(*_: object, **__: object) -> None:
    pass


def _no_jobs(*_: object, **__: object) -> list[Any]:
    return []


def _first_of_all(pool: Pool, *_: object) -> object:
    return next((worker for worker in pool.workers.values() if pool.can_take(worker)), None)


def _forget_everybody(keeper: Keeper, now: float, worker: Any) -> None:
    """As if the jobs of a worker went with its socket."""
    for job in list(worker.jobs.values()):
        job.may_restart = False
        keeper.dismiss(now, job)
    worker_gone(keeper, now, worker)


worker_gone = Keeper.worker_gone
FAULTS: list[tuple[type, str, Callable[..., object], str]] = [
    (Pool, "draw", _first_of_all, "offered to the same worker again"),
    (Dispatches, "successor", _nothing, "no other takes its place"),
    (Dispatcher, "update_worker", _nothing, "full, or of another kind|waits, and"),
    (Dispatcher, "cancel", _nothing, "goes on after|has vanished|waits"),
    (Keeper, "room_ended", _nothing, "goes on after its dispatch or its room"),
    (Keeper, "dismiss", _nothing, "goes on after its dispatch or its room"),
    (Keeper, "agent_left", _nothing, "of its agents are there"),
    (Keeper, "migrate", lambda *_: 0, "and should have"),
    (Keeper, "worker_gone", _nothing, "and should have|sent to a socket"),
    (Keeper, "handle_timeout", _nothing, "a deadline that has passed stays"),
    (Keeper, "worker_gone", _forget_everybody, "after the job's end|no other takes|at work"),
]


def run_some() -> None:
    for seed in range(3):
        AgentsWorld(seed).run()


@pytest.mark.parametrize(("owner", "name", "fault", "text"), FAULTS, ids=lambda value: getattr(value, "__name__", None))
def test_faults_are_found(
    monkeypatch: pytest.MonkeyPatch, owner: type, name: str, fault: Callable[..., object], text: str
) -> None:
    monkeypatch.setattr(owner, name, fault)
    with pytest.raises(BrokenRule, match=text):
        run_some()
