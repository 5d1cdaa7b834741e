"""Where feedback is kept, all that came. tests/contract/inference/test_feedback_store.py holds each store to it."""

import datetime
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from services.inference.records.feedback.model import Feedback


class FeedbackStore(Protocol):
    """Feedback by request, in the order in which it came."""

    async def add(self, feedback: Sequence[Feedback]) -> int:
        """Keep all of it or none; what is there already counts once. Returns how much is new.

        Raises:
            FeedbackIdReused: another feedback of the request has the same id.
            Unavailable: the store is away.
        """

    async def of(self, project: str, request_ids: Collection[str]) -> Mapping[str, Sequence[Feedback]]:
        """What was said of these requests, by request, in the order in which it came."""

    async def page(self, project: str, request_id: str, before: int | None, limit: int) -> Sequence[Feedback]:
        """What was said of a request, newest first, with a ``sequence`` below ``before``."""

    async def forget(self, older_than: datetime.datetime) -> int:
        """Remove what was said before a time; returns how much."""
