"""Which pair to nominate, and which nominations to follow (RFC 8445 §8.1, §7.3.1.5).

The RFC nominates once. Clients do it again: libwebrtc moves its USE-CANDIDATE to another pair when the network changes,
and older ones put it on every check and mean the best pair that works. Both are followed here.
"""

from __future__ import annotations

from .checklist import Checklist
from .interface import AgentConfig
from .pair import Pair


def should_follow(now: float, pair: Pair, selected: Pair | None, config: AgentConfig) -> bool:
    """Whether the controlling peer, whose request on `pair` carried USE-CANDIDATE, means us to leave `selected`.

    It does if the pair is no worse; and for a worse one, if that nomination is new, or the selected pair's is withdrawn,
    or the selected pair is silent. What remains is a peer that nominates everything, whose worse pairs are no news.
    """
    if selected is None or selected.checklist is not pair.checklist:
        return True
    if pair.priority >= selected.priority:
        return True
    return not pair.is_nominated or not selected.is_nominated or is_silent(now, selected, config)


def pair_to_nominate(now: float, checklist: Checklist, selected: Pair | None, config: AgentConfig) -> Pair | None:
    """The pair that a controlling agent wants, if it is not the selected one already.

    While one is selected, only pairs count that were heard of lately: old successes prove nothing.
    """
    if selected is None or selected.checklist is not checklist:
        return checklist.best_succeeded()
    best = checklist.best_succeeded(heard_since=now - config.switch_after)
    if best is None or best is selected:
        return None
    return best if best.priority > selected.priority or is_silent(now, selected, config) else None


def nominate_at(checklist: Checklist, pair: Pair, config: AgentConfig) -> float:
    """When to nominate `pair`: at once if no better one may still succeed, else when the wait is over."""
    if not checklist.has_better_unresolved(pair):
        return checklist.started_at
    return checklist.started_at + config.acceptance_wait[pair.remote.type]


def is_silent(now: float, pair: Pair, config: AgentConfig) -> bool:
    return pair.heard_at + config.switch_after <= now
