"""An outcome becomes a settlement: the one place that decides whether an event is over.

Enters: an invocation, the attempt and its outcome. Leaves: a `Settlement` for the journal, idempotent by (id, function).
"""

from __future__ import annotations

from random import Random

from edge_agent.domain.function import RetrySpec
from edge_agent.domain.invocation import Attempt, Failed, Invocation, Outcome, Settlement
from edge_agent.engine.functions.retry import again

LONGEST_REASON = 1000
"""Characters of a reason that are kept."""


def settle(
    invocation: Invocation,
    attempt: Attempt,
    outcome: Outcome,
    retry: RetrySpec,
    *,
    now: int,
    left: float,
    chance: Random,
) -> Settlement:
    """`answered`; or, after a failure, `waiting` until `due` when another attempt may help and is allowed; else `dead`.

    `now` is epoch milliseconds, `left` the seconds until the event is too old.
    """
    state, due = "answered", 0
    if isinstance(outcome, Failed):
        wait = again(attempt.number, left, retry, chance) if outcome.temporary else None
        state, due = ("dead", 0) if wait is None else ("waiting", now + round(wait * 1000))
        outcome = _told(outcome, attempt.number, retry, dead=wait is None)
    return Settlement(invocation.id, invocation.function, state, now, attempt, outcome, due)


def lease(invocation: Invocation, attempt: Attempt, now: int) -> Settlement:
    """Attempt `attempt.number` is about to be handed over: on disk first, so that a crash cannot repeat it for ever."""
    return Settlement(invocation.id, invocation.function, "leased", now, attempt)


def _told(failed: Failed, number: int, retry: RetrySpec, *, dead: bool) -> Failed:
    """The same failure with a reason that says how often it was tried, cut to what is worth keeping."""
    reason = failed.reason[:LONGEST_REASON]
    if dead and failed.temporary and number < retry.attempts:
        reason += f"; another attempt would come after its longest age of {retry.max_age:g} s"
    elif dead and failed.temporary and number > 1:
        reason += f" (attempt {number} of {retry.attempts})"
    return Failed(failed.kind, reason, failed.temporary, failed.log[-4096:], failed.error)
