"""Whether something may be used: a model, a version, an experiment. Nothing is ever deleted (M-09)."""

import enum
from collections.abc import Mapping

from headwater.errors import FailedPrecondition


class State(enum.IntEnum):
    """Whether it may be used; the numbers are those of ``State`` in the messages of those that have one."""

    ACTIVE = 1
    DEPRECATED = 2
    """May be used, with a warning; not in default lists."""
    ARCHIVED = 3
    """May not be used for anything new; not in default lists."""


ALLOWED: Mapping[State, frozenset[State]] = {
    State.ACTIVE: frozenset({State.DEPRECATED, State.ARCHIVED}),
    State.DEPRECATED: frozenset({State.DEPRECATED, State.ACTIVE, State.ARCHIVED}),
    State.ARCHIVED: frozenset({State.ACTIVE}),
}
"""From which state something may come into which; of a deprecated one the replacement may change."""


class TransitionNotAllowed(FailedPrecondition):
    """Something in this state cannot come into the wanted one."""

    reason = "STATE_TRANSITION_NOT_ALLOWED"
    text = "It cannot come from its state into the wanted one."


def check_transition(name: object, before: State, after: State) -> None:
    """Go on if ``name`` may come from the one state into the other.

    Raises:
        TransitionNotAllowed
    """
    if after not in ALLOWED[before]:
        raise TransitionNotAllowed(name=name, state=before.name.lower(), wanted=after.name.lower())
