"""What runs read and made, in PostgreSQL."""

import dataclasses
from collections.abc import Mapping, Sequence

from sqlalchemy import func, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.names import ModelName
from services.registry.run_links.model import LONG, DataInput, ModelLink, Role, RunLinks
from services.registry.run_links.store import RunLinkStore
from services.registry.tables.logged_models import run_data_inputs, run_models

_DATA = run_data_inputs.c


class PostgresRunLinks(RunLinkStore):
    """See RunLinkStore."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def of(self, run_ids: Sequence[str], *, brief: bool = False) -> Mapping[str, RunLinks]:
        """See RunLinkStore."""
        if not run_ids:
            return {}
        data: dict[str, list[DataInput]] = {}
        for row in await self._connection.execute(
            select(*(literal("").label(column.name) if brief and column.name in LONG else column for column in _DATA))
            .where(run_data_inputs.c.run_id.in_(run_ids))
            .order_by(run_data_inputs.c.run_id, run_data_inputs.c.sequence)
        ):
            described = {field.name: getattr(row, field.name) for field in dataclasses.fields(DataInput)}
            data.setdefault(row.run_id, []).append(DataInput(**described))
        models: dict[tuple[str, Role], list[ModelLink]] = {}
        for row in await self._connection.execute(
            select(run_models)
            .where(run_models.c.run_id.in_(run_ids))
            .order_by(run_models.c.run_id, run_models.c.sequence)
        ):
            models.setdefault((row.run_id, Role(row.role)), []).append(ModelLink(row.model, row.step))
        return {
            run_id: RunLinks(
                data.get(run_id, ()), models.get((run_id, Role.INPUT), ()), models.get((run_id, Role.OUTPUT), ())
            )
            for run_id in {*data, *(run_id for run_id, _ in models)}
        }

    async def put_data(self, run_id: str, data: DataInput) -> None:
        """See RunLinkStore."""
        row = {"run_id": run_id, **dataclasses.asdict(data), "tags": dict(data.tags)}
        put = insert(run_data_inputs).values(row)
        await self._connection.execute(
            put.on_conflict_do_update(index_elements=["run_id", "name", "digest"], set_={"tags": put.excluded.tags})
        )

    async def put_models(self, run_id: str, role: Role, models: Sequence[ModelLink]) -> None:
        """See RunLinkStore."""
        rows = [{"run_id": run_id, "role": role, "model": each.model, "step": each.step} for each in models]
        if rows:
            await self._connection.execute(insert(run_models).values(rows).on_conflict_do_nothing())

    async def rename_model(self, before: ModelName, after: ModelName) -> None:
        """See RunLinkStore."""
        old, end, model = f"{before}/versions/", f"{before}/versions0", run_models.c.model
        await self._connection.execute(
            run_models.update()
            .where(model >= old, model < end)  # what begins with ``old``, by the index: "0" comes after "/"
            .values(model=func.concat(f"{after}/versions/", func.substr(model, len(old) + 1)))
        )
