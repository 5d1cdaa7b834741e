"""What somebody says of a request that was answered (M-85, M-86)."""

import dataclasses
import datetime
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from headwater.errors import AlreadyExists, InvalidArgument

Json = Any
"""What JSON can say; None where nothing is said."""
_MAX_TRUTH_CHARACTERS = 65_536


class InvalidFeedback(InvalidArgument):
    """The feedback says nothing, or something that cannot be kept."""

    reason = "INVALID_FEEDBACK"


class FeedbackIdReused(AlreadyExists):
    """Another feedback of the same request has this id."""

    reason = "FEEDBACK_ID_REUSED"
    text = "Another feedback of this request has this id."


@dataclasses.dataclass(frozen=True, slots=True)
class Said:
    """What is said: any of these, at least one."""

    ground_truth: Json = None
    score: float | None = None
    actions: Sequence[str] = ()
    explanation: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def digest(self) -> str:
        """The same for the same words."""
        said = [self.ground_truth, self.score, list(self.actions), dict(self.explanation)]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


@dataclasses.dataclass(frozen=True, slots=True)
class Feedback:
    """What one caller said of one request at one time."""

    request_id: str
    feedback_id: str
    project: str
    said: Said
    created_by: str
    create_time: datetime.datetime | None = None
    """None until it is stored."""
    sequence: int = 0


def check(said: Said) -> Said:
    """The same.

    Raises:
        InvalidFeedback: nothing is said, or a number that JSON does not know, or too much.
    """
    if said.ground_truth is None and said.score is None and not said.actions and not said.explanation:
        raise InvalidFeedback("Say at least one of ground_truth, score, actions and explanation.")
    if said.score is not None and not 0 <= said.score <= 1:  # a NaN, too, is not between
        raise InvalidFeedback("score must be between 0 and 1.")
    if not all(map(math.isfinite, said.explanation.values())):
        raise InvalidFeedback("The numbers of an explanation must be finite.")
    try:
        text = json.dumps(said.ground_truth, allow_nan=False)
    except ValueError as error:
        raise InvalidFeedback("The numbers of a ground truth must be finite.") from error
    if len(text) > _MAX_TRUTH_CHARACTERS:
        raise InvalidFeedback(
            f"A ground truth may have {_MAX_TRUTH_CHARACTERS} characters as JSON; it has {len(text)}."
        )
    return said


def newest(feedback: Iterable[Feedback]) -> Said:
    """What is thought now, of feedback in the order in which it came: of each field what was said of it last."""
    thought = Said()
    for each in feedback:
        said = each.said
        thought = Said(
            thought.ground_truth if said.ground_truth is None else said.ground_truth,
            thought.score if said.score is None else said.score,
            said.actions or thought.actions,
            said.explanation or thought.explanation,
        )
    return thought
