"""The advisory lock between those who rely on what is stored and the collector.

Every transaction that relies on a chunk's or a node's being there holds it in shared mode, and the collector holds it
exclusively while it decides what nobody relies on. A row lock would not do: the collector would have to see pins that
are not committed yet.
"""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

# The lock belongs to the database, so its key says whose it is.
_KEY = int.from_bytes(b"dataset1", "big")


async def hold_on(connection: AsyncConnection) -> None:
    """Let nothing be collected until the transaction ends."""
    await connection.execute(sa.select(sa.func.pg_advisory_xact_lock_shared(_KEY)))


async def hold_alone(connection: AsyncConnection) -> None:
    """Let nobody rely on anything new until the transaction ends."""
    await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_KEY)))
