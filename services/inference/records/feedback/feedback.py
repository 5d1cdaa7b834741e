"""The use cases of feedback."""

from collections.abc import Sequence

from chassis.clock import Clock
from chassis.paging import Page, decode_token, page_of, page_size, query_digest
from headwater.names import InferenceRecordName
from services.inference.records.feedback.model import Feedback, check
from services.inference.records.feedback.store import FeedbackStore
from services.inference.records.model import RecordNotFound
from services.inference.records.recorder import Recorder

PENDING_S = 600.0
"""A record that another process has not written yet may be told of; for so long it can be that."""


class Feedbacks:
    """Takes and shows feedback."""

    def __init__(self, recorder: Recorder, store: FeedbackStore, clock: Clock) -> None:
        self._recorder = recorder
        self._store = store
        self._clock = clock

    async def say(self, project: str, feedback: Sequence[Feedback]) -> int:
        """Keep all of it or none; returns how much is new.

        Raises:
            InvalidFeedback: something says nothing, or what cannot be kept.
            RecordNotFound: a request was not recorded, and is too old to be recorded yet.
            FeedbackIdReused: an id names something else that was said of the request.
        """
        for each in feedback:
            check(each.said)
        ids = {each.request_id for each in feedback}
        for missing in sorted(ids.difference(await self._recorder.known(project, ids))):
            if not self._may_be_pending(missing):
                raise RecordNotFound(record=InferenceRecordName(project, missing))
        return await self._store.add(feedback)

    async def page(self, name: InferenceRecordName, page_size_asked: int, page_token: str) -> Page[Feedback]:
        """What was said of a request, newest first.

        Raises:
            RecordNotFound: it was not recorded.
        """
        size, query = page_size(page_size_asked), query_digest("ListFeedback", name)
        after = decode_token(page_token, query, (int,))
        said = await self._store.page(name.project, name.record, int(after[0]) if after else None, size + 1)
        if not said:
            await self._recorder.find(name)
        return page_of(said, size, key=lambda each: (each.sequence,), query=query)

    def _may_be_pending(self, request_id: str) -> bool:
        """Whether the id was made so recently (it says when, RFC 9562) that its record may not be written yet."""
        digits = request_id.replace("-", "")
        if len(digits) != 32 or digits[12] != "7" or not all(digit in "0123456789abcdef" for digit in digits):
            return False
        made_s = int(digits[:12], 16) / 1000  # which may be in a year that no datetime knows
        return abs(self._clock.now().timestamp() - made_s) < PENDING_S
