"""Feedback in PostgreSQL."""

import datetime
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ARRAY, Row, Uuid, any_, literal, null, select, tuple_
from sqlalchemy.dialects.postgresql import insert

from chassis.db.engine import Database
from services.inference.records.feedback.model import Feedback, FeedbackIdReused, Said
from services.inference.records.feedback.store import FeedbackStore
from services.inference.tables import inference_feedback as table


class PostgresFeedback(FeedbackStore):
    """See FeedbackStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, feedback: Sequence[Feedback]) -> int:
        """See FeedbackStore."""
        rows = {(each.request_id, each.feedback_id): _to_row(each) for each in feedback}
        for each in feedback:  # twice in one batch
            if rows[each.request_id, each.feedback_id]["content_digest"] != each.said.digest():
                raise FeedbackIdReused(request=each.request_id, feedback_id=each.feedback_id)
        adding = insert(table).on_conflict_do_nothing().returning(table.c.request_id)
        keys = table.c.request_id, table.c.feedback_id
        kept = select(*keys, table.c.content_digest).where(tuple_(*keys).in_(list(rows)))
        async with self._database.transaction() as connection:
            ordered = [rows[key] for key in sorted(rows)]  # of two batches at once, neither waits for the other's end
            new = len((await connection.execute(adding.values(ordered))).all())
            for request_id, feedback_id, content_digest in await connection.execute(kept):
                if rows[request_id, feedback_id]["content_digest"] != content_digest:
                    raise FeedbackIdReused(request=request_id, feedback_id=feedback_id)
        return new

    async def of(self, project: str, request_ids: Collection[str]) -> Mapping[str, Sequence[Feedback]]:
        """See FeedbackStore."""
        among = table.c.request_id == any_(literal(list(filter(_is_uuid, request_ids)), ARRAY(Uuid(as_uuid=False))))
        query = table.select().where(among, table.c.project == project).order_by(table.c.sequence)
        found: dict[str, list[Feedback]] = {}
        async with self._database.transaction() as connection:
            for row in await connection.execute(query):
                found.setdefault(row.request_id, []).append(_from_row(row))
        return found

    async def page(self, project: str, request_id: str, before: int | None, limit: int) -> Sequence[Feedback]:
        """See FeedbackStore."""
        if not _is_uuid(request_id):
            return []
        query = table.select().where(table.c.request_id == request_id, table.c.project == project)
        if before is not None:
            query = query.where(table.c.sequence < before)
        async with self._database.transaction() as connection:
            rows = await connection.execute(query.order_by(table.c.sequence.desc()).limit(limit))
            return [_from_row(row) for row in rows]

    async def forget(self, older_than: datetime.datetime) -> int:
        """See FeedbackStore."""
        async with self._database.transaction() as connection:
            return (await connection.execute(table.delete().where(table.c.create_time < older_than))).rowcount


def _to_row(feedback: Feedback) -> dict[str, Any]:
    said = feedback.said
    return {
        "request_id": feedback.request_id,
        "feedback_id": feedback.feedback_id,
        "project": feedback.project,
        "ground_truth": null() if said.ground_truth is None else said.ground_truth,
        "score": said.score,
        "actions": list(said.actions),
        "explanation": dict(said.explanation),
        "content_digest": said.digest(),
        "created_by": feedback.created_by,
    }


def _from_row(row: Row[Any]) -> Feedback:
    said = Said(row.ground_truth, row.score, tuple(row.actions), row.explanation)
    return Feedback(row.request_id, row.feedback_id, row.project, said, row.created_by, row.create_time, row.sequence)


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
