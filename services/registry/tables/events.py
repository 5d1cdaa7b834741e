"""The record of every change."""

from sqlalchemy import BigInteger, Column, Identity, Table

from services.registry.tables.columns import metadata, text_column, time_column

events = Table(
    "events",
    metadata,
    Column("sequence", BigInteger, Identity(always=True), primary_key=True),
    time_column("time"),
    text_column("actor"),
    text_column("kind"),
    text_column("object"),
    text_column("before_digest"),
    text_column("after_digest"),
)
