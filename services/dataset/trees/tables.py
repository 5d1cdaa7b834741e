"""The tables of trees, as migrations/ makes them. ``node_children`` is only used in statements written out."""

from sqlalchemy import BigInteger, Column, LargeBinary, MetaData, SmallInteger, Table

_metadata = MetaData()

NODES = Table(
    "nodes",
    _metadata,
    Column("id", BigInteger, primary_key=True),
    Column("digest", LargeBinary),
    Column("layout", LargeBinary),
    Column("level", SmallInteger),
    Column("row_count", BigInteger),
    Column("size_bytes", BigInteger),
    Column("chunk_count", BigInteger),
)
