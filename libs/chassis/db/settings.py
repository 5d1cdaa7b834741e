"""How a service connects to PostgreSQL: the URL as each driver wants it, and what holds on every connection."""

import re

import sqlalchemy
from sqlalchemy.engine import URL

from headwater.errors import InvalidArgument

CONNECT_TIMEOUT_S = 5.0
_SCHEMA = re.compile(r"[a-z][a-z0-9_]{0,40}", re.ASCII)


def role_of(schema: str) -> str:
    """The role that owns ``schema`` and that its service runs as.

    Raises:
        ValueError: not a name that can stand in SQL as it is.
    """
    if not _SCHEMA.fullmatch(schema):
        raise ValueError(f"{schema!r} is not a schema name")
    return f"headwater_{schema}"


def driver_url(url: str) -> URL:
    """``postgresql://…`` as SQLAlchemy and asyncpg want it.

    Raises:
        InvalidArgument: it is not such a URL. The text does not repeat it, because it may hold a password.
    """
    try:
        parsed = sqlalchemy.make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        raise InvalidArgument("The database URL must look like postgresql://user:password@host:port/name.") from error
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise InvalidArgument("The database URL must begin with postgresql://.")
    # libpq's name for it, which people have in their URLs; asyncpg takes the same values under another name.
    mode = parsed.query.get("sslmode")
    query = {key: value for key, value in parsed.query.items() if key != "sslmode"}
    return parsed.set(drivername="postgresql+asyncpg", query={**query, "ssl": mode} if mode else query)


def dsn(url: str) -> str:
    """``postgresql://…`` as asyncpg alone wants it, or raise InvalidArgument."""
    driver_url(url)
    return sqlalchemy.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def server_settings(schema: str) -> dict[str, str]:
    """What holds on every connection of the service with this schema."""
    return {
        "role": role_of(schema),
        "search_path": schema,
        "application_name": f"headwater {schema}",
        "timezone": "UTC",
        "jit": "off",  # compiling costs more than our short queries take
        # A process that was stopped in the middle of a transaction must not hold its locks for ever.
        "idle_in_transaction_session_timeout": "60s",
        "statement_timeout": "10min",  # a last resort; callers' deadlines end statements long before
    }
