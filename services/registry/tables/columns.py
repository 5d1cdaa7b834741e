"""What the tables share."""

from sqlalchemy import Column, DateTime, MetaData, Text, Uuid

metadata = MetaData()


def id_column(name: str = "id", **options: bool) -> Column[str]:
    """A UUID, as text in Python."""
    return Column(name, Uuid(as_uuid=False), **options)  # type: ignore[arg-type]


def text_column(name: str, **options: bool) -> Column[str]:
    """Text, never null; in collation C, since the order of names must not depend on where the database was made."""
    return Column(name, Text(collation="C"), nullable=False, **options)  # type: ignore[arg-type]


def time_column(name: str, nullable: bool = False) -> Column[object]:
    """An instant."""
    return Column(name, DateTime(timezone=True), nullable=nullable)
