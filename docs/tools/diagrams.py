"""Pictures of state machines, drawn from their tables: `python docs/tools/diagrams.py` writes docs/diagrams/*.svg.

States stand in a column, in the order of the table. A move leaves its state on the right, beside its name, and comes back into
the state where it leads; all moves to one state share a line. A test compares the pictures with the tables.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple, TypeVar

S = TypeVar("S", bound=Hashable)

ROOT = Path(__file__).parents[2]
DIAGRAMS = ROOT / "docs" / "diagrams"

ROW, GAP, MARGIN = 22, 16, 12
BOX_WIDTH, LANE_WIDTH = 150, 16
CHARACTER_WIDTH = 6.6
"""Of a label in 12 pixels, on the safe side."""
COLOURS = ("#1f5fa8", "#a33c1a", "#2a7a3f", "#7a3a94", "#8a6500", "#3d6a73", "#a02860", "#555555")


class Move(NamedTuple):
    """One move of a machine. Without a trigger it is the owner's logic that decides."""

    source: str
    target: str
    trigger: str = ""


class Machine(NamedTuple):
    title: str
    states: tuple[str, ...]
    moves: tuple[Move, ...]


def machines() -> dict[str, Machine]:
    """Name of the picture to the machine in it."""
    from sansio.agents.job import TRANSITIONS as JOB
    from sansio.dtls import TRANSITIONS as DTLS
    from sansio.ice import agent, pair
    from sansio.room.participant import TRANSITIONS as PARTICIPANT
    from sansio.room.participant import State
    from sansio.sctp import TRANSITIONS as ASSOCIATION

    return {
        "dtls": _plain("DTLS association", DTLS),
        "ice-agent": _plain("ICE agent", agent.TRANSITIONS),
        "ice-pair": _plain("Candidate pair", pair.TRANSITIONS),
        "job": _plain("Job", JOB, name=lambda phase: phase.name.lower()),
        "participant": _plain("Participant", PARTICIPANT, name=lambda state: State.Name(state).lower()),
        "sctp-association": Machine(
            "SCTP association",
            tuple(state.value for state in ASSOCIATION),
            tuple(
                Move(state.value, target.value, trigger.value)
                for state, moves in ASSOCIATION.items()
                for trigger, target in moves.items()
            ),
        ),
    }


def _value(state: object) -> str:
    return str(getattr(state, "value", state))


def _plain(title: str, table: Mapping[S, frozenset[S]], name: Callable[[S], str] = _value) -> Machine:
    """A machine whose table says only where each state may lead."""
    order = list(table)
    moves = [(state, target) for state in order for target in sorted(table[state], key=order.index)]
    return Machine(title, tuple(map(name, order)), tuple(Move(name(state), name(target)) for state, target in moves))


# Drawing


class _Place(NamedTuple):
    """Where a state stands: its box, the row that moves come in on, and the rows that they leave by."""

    top: int
    height: int
    entry: int
    exits: dict[Move, int]


def draw(machine: Machine) -> str:
    """The picture as SVG."""
    places = _places(machine)
    lanes = _lanes(machine, places)
    first_lane = MARGIN + BOX_WIDTH + 24 + int(CHARACTER_WIDTH * max(len(_label(move)) for move in machine.moves))
    width = first_lane + LANE_WIDTH * (max(lanes.values(), default=0) + 1) + MARGIN
    height = max(place.top + place.height for place in places.values()) + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12">',
        f"<title>{escape(machine.title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    colours = {state: COLOURS[at % len(COLOURS)] for at, state in enumerate(machine.states)}
    columns = {state: first_lane + LANE_WIDTH * lane for state, lane in lanes.items()}
    parts += [_draw_move(move, places, columns[move.target], colours[move.target]) for move in machine.moves]
    parts += [_draw_state(state, places[state], colours[state]) for state in machine.states]
    return "\n".join([*parts, "</svg>", ""])


def _places(machine: Machine) -> dict[str, _Place]:
    places = {}
    top = MARGIN
    for state in machine.states:
        exits = [move for move in machine.moves if move.source == state]
        height = ROW * (len(exits) + 1)
        rows = {move: top + ROW * (at + 1) + ROW // 2 for at, move in enumerate(exits)}
        places[state] = _Place(top, height, top + ROW // 2, rows)
        top += height + GAP
    return places


def _lanes(machine: Machine, places: Mapping[str, _Place]) -> dict[str, int]:
    """A vertical line for each state that moves lead to; lines that do not overlap share a column."""
    spans = {}
    for state in machine.states:
        ends = [places[move.source].exits[move] for move in machine.moves if move.target == state]
        if ends:
            ends.append(places[state].entry)
            spans[state] = (min(ends), max(ends))
    lanes: dict[str, int] = {}
    for state, (start, end) in sorted(spans.items(), key=lambda item: item[1][1] - item[1][0]):
        taken = {lanes[other] for other in lanes if spans[other][0] <= end and start <= spans[other][1]}
        lanes[state] = next(column for column in range(len(spans)) if column not in taken)
    return lanes


def _label(move: Move) -> str:
    return f"{move.trigger} → {move.target}" if move.trigger else f"→ {move.target}"


def _draw_move(move: Move, places: Mapping[str, _Place], x: int, colour: str) -> str:
    left = MARGIN + BOX_WIDTH
    leave, enter = places[move.source].exits[move], places[move.target].entry
    return (
        f'<g class="move" data-from="{escape(move.source)}" data-to="{escape(move.target)}" '
        f'data-trigger="{escape(move.trigger)}">'
        f'<path d="M{left} {leave}H{x}V{enter}H{left + 7}" fill="none" stroke="{colour}" stroke-width="1.2"/>'
        f'<path d="M{left} {enter}l8 -4v8z" fill="{colour}"/>'
        f'<text x="{left + 12}" y="{leave - 4}" fill="{colour}" stroke="#ffffff" stroke-width="3" '
        f'paint-order="stroke">{escape(_label(move))}</text></g>'
    )


def _draw_state(state: str, place: _Place, colour: str) -> str:
    return (
        f'<g class="state" data-name="{escape(state)}">'
        f'<rect x="{MARGIN}" y="{place.top}" width="{BOX_WIDTH}" height="{place.height}" rx="5" fill="#f6f6f4" '
        f'stroke="{colour}" stroke-width="1.5"/>'
        f'<text x="{MARGIN + BOX_WIDTH // 2}" y="{place.top + place.height // 2 + 4}" text-anchor="middle" '
        f'font-weight="bold">{escape(state)}</text></g>'
    )


def write(directory: Path = DIAGRAMS) -> Sequence[Path]:
    paths = []
    for name, machine in machines().items():
        path = directory / f"{name}.svg"
        path.write_text(draw(machine))
        paths.append(path)
    return paths


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    for path in write():
        print(path.relative_to(ROOT))
