"""Workers that do the same work, and the drawing of one of them by its spare load.

A pool's workers share (agent name, namespace, job type, deployment), all of which a job must match. A worker's weight is its
spare load; a worker at or above the target load, or one that let an offer run out, keeps a thousandth of it and so is the last
resort; a full one, a draining one and one with too many offers open have none. Weights lie in a Fenwick tree (Fenwick 1994), so
drawing and changing both cost O(log n).

A worker that was full and has room again counts as a new one: it takes a new `turn`, and what it refused may be offered again.
So does one that refused while it was busy with other offers, once it tells that it got on with them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from ..entropy import Entropy
from ..wire import agent, models

if TYPE_CHECKING:
    from .job import Job

T = TypeVar("T")

FULL_WEIGHT = 1 << 20
"""Weight of an idle worker."""
LAST_RESORT_BITS = 10
DRAWS = 8
"""Draws until the workers that may be asked are counted out one by one."""
UNLIMITED = 1 << 30
MAX_PAST = 1024
"""Ids of earlier jobs remembered of a worker, to tell a late word about them from nonsense."""


class PoolKey(NamedTuple):
    """What a job and its worker must have in common."""

    agent_name: str
    namespace: str
    job_type: int
    deployment: str


class Worker:
    """A registered worker, as dispatch sees it."""

    __slots__ = (
        "allowance", "id", "is_pressed", "is_slow", "issuer", "jobs", "key", "load", "offers", "past", "permissions", "slot",
        "status", "turn",
    )  # fmt: skip

    def __init__(
        self, worker_id: str, key: PoolKey, *, issuer: str = "", permissions: models.ParticipantPermission | None = None
    ) -> None:
        self.id = worker_id
        self.key = key
        self.issuer = issuer
        """API key of its token; signs the tokens of its agents."""
        self.permissions = permissions
        self.status: int = agent.WorkerStatus.WS_AVAILABLE
        self.load = 0.0
        self.is_slow = False
        """Whether it let an offer run out and has answered none in time since."""
        self.is_pressed = False
        """Whether it refused while it was busy with other offers, and jobs still wait for somebody."""
        self.allowance = UNLIMITED
        """Of waiting jobs that it is offered before it tells of progress again."""
        self.offers: dict[str, Job] = {}
        """Jobs offered to it and not answered."""
        self.jobs: dict[str, Job] = {}
        """Jobs assigned to it that have not ended."""
        self.past: dict[str, None] = {}
        self.turn = 0
        self.slot = -1

    @property
    def is_registered(self) -> bool:
        """Whether its socket is there."""
        return self.slot >= 0

    def weight(self, target_load: float, max_offers: int) -> int:
        """How much it is wanted: 0 for not at all."""
        if self.status != agent.WorkerStatus.WS_AVAILABLE or len(self.offers) >= max_offers:
            return 0
        weight = int((1.0 - self.load) * FULL_WEIGHT)
        if self.load >= target_load or self.is_slow:
            weight >>= LAST_RESORT_BITS
        return max(1, weight)

    def remember(self, job_id: str) -> None:
        """Keep the id of a job that it has no more to do with."""
        self.past[job_id] = None
        if len(self.past) > MAX_PAST:
            del self.past[next(iter(self.past))]


class WeightedDraw(Generic[T]):
    """Items with whole-number weights; an item is drawn as often as its share of all weight."""

    __slots__ = ("_free", "_items", "_tree", "_weights", "total")

    def __init__(self) -> None:
        self._items: list[T | None] = [None]
        self._weights = [0]
        self._tree = [0, 0]
        self._free = [0]
        self.total = 0

    def add(self, item: T, weight: int) -> int:
        """Returns the slot by which the item is known from now on."""
        if not self._free:
            self._grow()
        slot = self._free.pop()
        self._items[slot] = item
        self.set(slot, weight)
        return slot

    def remove(self, slot: int) -> None:
        self.set(slot, 0)
        self._items[slot] = None
        self._free.append(slot)

    def set(self, slot: int, weight: int) -> None:
        change = weight - self._weights[slot]
        if not change:
            return
        self._weights[slot] = weight
        self.total += change
        tree, size, node = self._tree, len(self._items), slot + 1
        while node <= size:
            tree[node] += change
            node += node & -node

    def weight(self, slot: int) -> int:
        return self._weights[slot]

    def pick(self, point: int) -> T:
        """The item whose share of 0 .. total-1 holds the point."""
        tree, node, step = self._tree, 0, len(self._items) >> 1
        while step:
            below = tree[node + step]
            if below <= point:
                node += step
                point -= below
            step >>= 1
        item = self._items[node]
        assert item is not None
        return item

    def weighted(self) -> list[tuple[T, int]]:
        """All items that have weight."""
        return [
            (item, weight)
            for item, weight in zip(self._items, self._weights, strict=True)
            if weight and item is not None
        ]

    def _grow(self) -> None:
        size = len(self._items)
        self._items += [None] * size
        self._weights += [0] * size
        self._free = list(range(2 * size - 1, size - 1, -1))
        self._tree += [0] * size  # every sum that the new half's nodes hold is 0, but that of the last one
        self._tree[2 * size] = self.total


class Pool:
    """The workers with one key, and the jobs that wait for one of them."""

    __slots__ = ("_draw", "_max_offers", "_target_load", "_turns", "waiting", "workers")

    def __init__(self, target_load: float, max_offers: int) -> None:
        self._target_load = target_load
        self._max_offers = max_offers
        self._draw: WeightedDraw[Worker] = WeightedDraw()
        self._turns = 0
        self.workers: dict[str, Worker] = {}
        self.waiting: OrderedDict[str, Job] = OrderedDict()
        """Jobs in the order of their waiting; they are taken from the front, which a plain dict makes slow."""

    def add(self, worker: Worker) -> None:
        self.workers[worker.id] = worker
        self.renew(worker)
        worker.slot = self._draw.add(worker, self._weight(worker))

    def remove(self, worker: Worker) -> None:
        del self.workers[worker.id]
        self._draw.remove(worker.slot)
        worker.slot = -1

    def renew(self, worker: Worker) -> None:
        """From now on the worker may be asked about any job, whatever it refused."""
        self._turns += 1
        worker.turn = self._turns

    def reweigh(self, worker: Worker) -> bool:
        """Something about the worker changed; whether it can be asked again now and could not before."""
        weight = self._weight(worker)
        before = self._draw.weight(worker.slot)
        self._draw.set(worker.slot, weight)
        return bool(weight and not before)

    def set_status(self, worker: Worker, status: int, load: float) -> bool:
        """What the worker says of itself; whether it can be asked again now and could not before."""
        if status == agent.WorkerStatus.WS_AVAILABLE and worker.status != status:
            self.renew(worker)
        worker.status = status
        worker.load = load
        return self.reweigh(worker)

    def can_take(self, worker: Worker) -> bool:
        return self._draw.weight(worker.slot) > 0

    def draw(self, entropy: Entropy, tried: Container[int]) -> Worker | None:
        """A worker with room whose turn is not among the tried; None if there is none."""
        total = self._draw.total
        if not total:
            return None
        for _ in range(DRAWS):
            worker = self._draw.pick(int.from_bytes(entropy(8), "big") * total >> 64)
            if worker.turn not in tried:
                return worker
        return self._draw_among_few(entropy, tried)

    def _draw_among_few(self, entropy: Entropy, tried: Container[int]) -> Worker | None:
        rest = [(worker, weight) for worker, weight in self._draw.weighted() if worker.turn not in tried]
        if not rest:
            return None
        point = int.from_bytes(entropy(8), "big") * sum(weight for _, weight in rest) >> 64
        for worker, weight in rest:
            if point < weight:
                return worker
            point -= weight
        raise AssertionError("a point lies within the sum of the weights")

    def _weight(self, worker: Worker) -> int:
        return worker.weight(self._target_load, self._max_offers)
