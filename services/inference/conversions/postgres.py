"""Conversion jobs in PostgreSQL."""

import dataclasses
import datetime
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy
from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.db.engine import Database
from chassis.db.requests import PostgresRequests
from headwater.names import ConversionJobName
from services.inference.conversions.errors import ConversionNotFound, ConversionOver
from services.inference.conversions.model import MAX_ATTEMPTS, Job, Made, Plan, State
from services.inference.conversions.store import Claimed, ConversionStore, End
from services.inference.conversions.tables import conversions
from services.inference.conversions.words import LOST, LOST_WORDS, over

_ADAPTER = TypeAdapter(Job)
_METHOD = "CreateConversionJob"
_COLUMNS = conversions.c
_OPEN = _COLUMNS.state.in_([State.PENDING.value, State.RUNNING.value])


class PostgresConversions(ConversionStore):
    """See ConversionStore."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._requests = PostgresRequests()

    async def insert(self, uid: str, plan: Plan, actor: str, request_id: str, body_digest: str) -> Job:
        """See ConversionStore."""
        async with self._database.transaction() as tx:
            first = await self._requests.first_result(tx, _METHOD, request_id, body_digest)
            if first is not None:
                found = await _find(tx, first)
                assert found is not None
                return found
            job = Job(uid, plan, State.PENDING, await _now(tx), actor)
            await tx.execute(conversions.insert().values(uid=uid, project=job.name.project, **_to_row(job)))
            await self._requests.remember(tx, _METHOD, request_id, body_digest, uid)
            return job

    async def get(self, name: ConversionJobName) -> Job:
        """See ConversionStore."""
        async with self._database.transaction() as tx:
            return await _get(tx, name)

    async def page(self, project: str, before: str, limit: int) -> Sequence[Job]:
        """See ConversionStore."""
        query = conversions.select().where(_COLUMNS.project == project)
        if before:
            query = query.where(_COLUMNS.uid < before)
        async with self._database.transaction() as tx:
            rows = await tx.execute(query.order_by(_COLUMNS.uid.desc()).limit(limit))
            return [_from_row(row.job) for row in rows]

    async def claim(self, lease_s: float) -> Claimed | None:
        """See ConversionStore."""
        free = sqlalchemy.or_(_COLUMNS.state == State.PENDING.value, _COLUMNS.lease_end_time <= sqlalchemy.func.now())
        oldest = conversions.select().where(_OPEN, free).order_by(_COLUMNS.uid).limit(1)
        while True:
            async with self._database.transaction() as tx:
                row = (await tx.execute(oldest.with_for_update(skip_locked=True))).first()
                if row is None:
                    return None
                job, now = _from_row(row.job), await _now(tx)
                if job.attempts >= MAX_ATTEMPTS:
                    await _end(tx, job, End(State.FAILED, failure_reason=LOST, failure=LOST_WORDS))
                    continue
                claimed = Claimed(
                    job.moved(State.RUNNING, attempts=job.attempts + 1, start_time=now), str(uuid.uuid4())
                )
                lease = {"lease_token": claimed.token, "lease_end_time": now + datetime.timedelta(seconds=lease_s)}
                await _put(tx, claimed.job, lease)
                return claimed

    async def renew(self, uid: str, token: str, lease_s: float) -> bool:
        """See ConversionStore."""
        until = sqlalchemy.func.now() + datetime.timedelta(seconds=lease_s)
        async with self._database.transaction() as tx:
            renewed = conversions.update().where(_owned(uid, token)).values(lease_end_time=until)
            return (await tx.execute(renewed)).rowcount == 1

    async def keep(self, uid: str, token: str, made: Made) -> bool:
        """See ConversionStore."""
        async with self._database.transaction() as tx:
            job = await _own(tx, uid, token)
            if job is not None:
                await _put(tx, dataclasses.replace(job, made=made), {})
            return job is not None

    async def release(self, uid: str, token: str) -> None:
        """See ConversionStore."""
        async with self._database.transaction() as tx:
            if (job := await _own(tx, uid, token)) is not None:
                # Not a step forward: as if it had never been claimed.
                freed = dataclasses.replace(job, state=State.PENDING, attempts=job.attempts - 1, start_time=None)
                await _put(tx, freed, _NO_LEASE)

    async def finish(self, uid: str, token: str, end: End) -> bool:
        """See ConversionStore."""
        async with self._database.transaction() as tx:
            job = await _own(tx, uid, token)
            if job is None:
                return False
            await _end(tx, job, end)
            return True

    async def cancel(self, name: ConversionJobName) -> Job:
        """See ConversionStore."""
        async with self._database.transaction() as tx:
            job = await _get(tx, name, for_update=True)
            if job.state.over:
                raise ConversionOver(over(job), job=name)
            return await _end(tx, job, End(State.CANCELLED))


_NO_LEASE: Mapping[str, Any] = {"lease_token": None, "lease_end_time": None}


def _owned(uid: str, token: str) -> sqlalchemy.ColumnElement[bool]:
    return sqlalchemy.and_(_COLUMNS.uid == uid, _COLUMNS.lease_token == token, _COLUMNS.state == State.RUNNING.value)


async def _own(tx: AsyncConnection, uid: str, token: str) -> Job | None:
    row = (await tx.execute(conversions.select().where(_owned(uid, token)).with_for_update())).first()
    return None if row is None else _from_row(row.job)


async def _get(tx: AsyncConnection, name: ConversionJobName, *, for_update: bool = False) -> Job:
    found = await _find(tx, name.job, for_update=for_update) if _is_uid(name.job) else None
    if found is None or found.name != name:
        raise ConversionNotFound(job=name)
    return found


async def _find(tx: AsyncConnection, uid: str, *, for_update: bool = False) -> Job | None:
    query = conversions.select().where(_COLUMNS.uid == uid)
    row = (await tx.execute(query.with_for_update() if for_update else query)).first()
    return None if row is None else _from_row(row.job)


async def _end(tx: AsyncConnection, job: Job, end: End) -> Job:
    ended = job.moved(
        end.state,
        end_time=await _now(tx),
        evidence=end.evidence,
        result=end.result,
        failure_reason=end.failure_reason,
        failure=end.failure,
    )
    await _put(tx, ended, _NO_LEASE)
    return ended


async def _put(tx: AsyncConnection, job: Job, lease: Mapping[str, Any]) -> None:
    await tx.execute(conversions.update().where(_COLUMNS.uid == job.uid).values(**_to_row(job), **lease))


async def _now(tx: AsyncConnection) -> datetime.datetime:
    now: datetime.datetime = (await tx.execute(sqlalchemy.select(sqlalchemy.func.now()))).scalar_one()
    return now


def _to_row(job: Job) -> Mapping[str, Any]:
    return {"state": job.state.value, "job": _ADAPTER.dump_python(job, mode="json")}


def _from_row(document: Any) -> Job:
    return _ADAPTER.validate_python(document)


def _is_uid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
