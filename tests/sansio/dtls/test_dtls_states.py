"""The table of DTLS states, and what goes by it."""

from __future__ import annotations

import pytest

from sansio.dtls import TRANSITIONS, DtlsState, moved
from sansio.errors import LocalProtocolError

S = DtlsState
MOVES = {(state, then) for state, targets in TRANSITIONS.items() for then in targets}


@pytest.mark.parametrize("state", list(S))
@pytest.mark.parametrize("then", list(S))
def test_only_moves_of_the_table_are_made(state: DtlsState, then: DtlsState) -> None:
    if (state, then) in MOVES:
        assert moved(state, then) is then
    else:
        with pytest.raises(LocalProtocolError, match=f"from {state.value} to {then.value}"):
            moved(state, then)


def test_every_state_is_reached_and_can_end() -> None:
    assert set(TRANSITIONS) == set(S)
    reached = {S.IDLE}
    for _ in S:
        reached |= {then for state, then in MOVES if state in reached}
    assert reached == set(S)
    assert all(S.OVER in targets for targets in TRANSITIONS.values())


def test_nothing_goes_back() -> None:
    """An association lives once, and gives its keys away only after it has looked at the certificate."""
    order = list(S)
    assert all(order.index(state) < order.index(then) or state is then is S.OVER for state, then in MOVES)
    assert [state for state, then in MOVES if then is S.OPEN] == [S.VERIFYING]
