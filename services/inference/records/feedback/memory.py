"""Feedback in memory; same contract as postgres.py."""

import dataclasses
import datetime
from collections.abc import Callable, Collection, Mapping, Sequence

from services.inference.records.feedback.model import Feedback, FeedbackIdReused
from services.inference.records.feedback.store import FeedbackStore


class MemoryFeedback(FeedbackStore):
    """See FeedbackStore."""

    def __init__(self, now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC)) -> None:
        self._now = now
        self._feedback: dict[tuple[str, str], Feedback] = {}
        self._last = 0

    async def add(self, feedback: Sequence[Feedback]) -> int:
        """See FeedbackStore."""
        new: dict[tuple[str, str], Feedback] = {}
        for each in feedback:
            key = each.request_id, each.feedback_id
            known = self._feedback.get(key) or new.get(key)
            if known is None:
                new[key] = each
            elif known.said.digest() != each.said.digest():
                raise FeedbackIdReused(request=each.request_id, feedback_id=each.feedback_id)
        for key, each in new.items():
            self._last += 1
            self._feedback[key] = dataclasses.replace(each, create_time=self._now(), sequence=self._last)
        return len(new)

    async def of(self, project: str, request_ids: Collection[str]) -> Mapping[str, Sequence[Feedback]]:
        """See FeedbackStore."""
        found: dict[str, list[Feedback]] = {}
        for each in self._feedback.values():
            if each.project == project and each.request_id in request_ids:
                found.setdefault(each.request_id, []).append(each)
        return found

    async def page(self, project: str, request_id: str, before: int | None, limit: int) -> Sequence[Feedback]:
        """See FeedbackStore."""
        said = (await self.of(project, [request_id])).get(request_id, ())
        return [each for each in reversed(said) if before is None or each.sequence < before][:limit]

    async def forget(self, older_than: datetime.datetime) -> int:
        """See FeedbackStore."""
        old = [key for key, each in self._feedback.items() if each.create_time and each.create_time < older_than]
        for key in old:
            del self._feedback[key]
        return len(old)
