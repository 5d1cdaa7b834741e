"""SQL databases as datastores, by ADBC: in one transaction that only reads, at an address that was checked."""

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

from chassis.hosts import Target
from headwater.files import SqlSource
from headwater.files.sql import DriverMissing
from services.dataset.datastores.allowed import Allowed, host_name
from services.dataset.datastores.errors import InvalidCredentials, PlaceUnreachable
from services.dataset.datastores.model import Dialect, SqlDatabase
from services.dataset.datastores.sealing import Credentials

_POSTGRES_PORT = 5432
_CONNECT_TIMEOUT_S = 10
_NO_FILE = "/nonexistent/headwater"
_LOOK = "SELECT 1 AS one"


def check_database(place: SqlDatabase, allowed: Allowed) -> None:
    """Go on if the database is one that may be read, as far as its name says; or PlaceNotAllowed, InvalidPlace."""
    if place.dialect is Dialect.SQLITE:
        allowed.file(place.database)
    else:
        allowed.rule(host_name(place.host, "sql.host"), place.port or _POSTGRES_PORT)


def check_credentials(place: SqlDatabase, credentials: Credentials) -> None:
    """Go on if the database takes these credentials, or InvalidCredentials."""
    if place.dialect is Dialect.SQLITE and credentials.values:
        raise InvalidCredentials("A SQLite database takes no credentials.")
    if any("\0" in value for value in credentials.values.values()):
        raise InvalidCredentials("Credentials of a database hold no NUL.")


@contextlib.contextmanager
def connected(place: SqlDatabase, credentials: Credentials, allowed: Allowed, timeout_s: float) -> Iterator[Any]:
    """A connection in a transaction that only reads; blocks. ``timeout_s`` is how long a statement may take.

    Raises:
        PlaceNotAllowed, PlaceUnreachable, DriverMissing
    """
    if place.dialect is Dialect.SQLITE:
        connection = _connect("adbc_driver_sqlite.dbapi", _sqlite_uri(str(allowed.file(place.database))))
    else:
        target = allowed.resolve(host_name(place.host, "sql.host"), place.port or _POSTGRES_PORT)
        connection = _connect("adbc_driver_postgresql.dbapi", conninfo(place, credentials, target, timeout_s))
    with contextlib.closing(connection):
        try:
            with connection.cursor() as cursor:
                if place.dialect is Dialect.POSTGRESQL:
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                cursor.execute(_LOOK)
                cursor.fetchall()
        except Exception as error:
            raise _unreachable(error) from None
        yield connection


def source_of(connection: Any, query: str, rule: Any) -> SqlSource:
    """The query's rows. Raises what SqlSource does."""
    return SqlSource(connection, query, rule)


def quoted(table: str) -> str:
    """``sales.orders`` as it stands in a query, each part quoted."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in table.split("."))


def conninfo(place: SqlDatabase, credentials: Credentials, target: Target, timeout_s: float) -> str:
    """What libpq is told (PostgreSQL manual, 34.1.2): all that it would else take from the environment of this process,
    its home directory or a name server.

    TLS is demanded of hosts at public addresses, and used where it is offered by those that the operator vouches for.
    """
    settings = {
        "default_transaction_read_only": "on",
        "statement_timeout": f"{int(timeout_s * 1000)}",
        "idle_in_transaction_session_timeout": f"{int(timeout_s * 1000)}",
        "lock_timeout": "30000",
    }
    values = {
        "host": target.host,
        "hostaddr": target.address,
        "port": str(target.port),
        "dbname": place.database,
        "user": credentials.get("username") or "postgres",
        "password": credentials.get("password"),
        "passfile": _NO_FILE,
        "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
        "sslmode": "prefer" if target.vouched else "require",
        "sslcert": _NO_FILE,
        "sslkey": _NO_FILE,
        "gssencmode": "disable",
        "channel_binding": "prefer",
        "target_session_attrs": "any",
        "application_name": "headwater datastore",
        "client_encoding": "UTF8",
        "connect_timeout": str(_CONNECT_TIMEOUT_S),
        "keepalives": "1",
        "keepalives_idle": "30",
        "tcp_user_timeout": "60000",
    }
    return " ".join(f"{name}={_literal(value)}" for name, value in values.items())


def _literal(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _sqlite_uri(path: str) -> str:
    # As a URI, so that nothing is created and nothing can be written.
    escaped = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return f"file:{escaped}?mode=ro"


def _connect(module: str, target: str) -> Any:
    try:
        driver = importlib.import_module(module)
    except ImportError:
        raise DriverMissing("Reading SQL needs a driver: install headwater[sql].", module=module) from None
    try:
        return driver.connect(target)
    except Exception as error:
        raise _unreachable(error) from None


def _unreachable(error: Exception) -> Exception:
    """Without the driver's own words, which repeat what it was given."""
    if type(error).__module__.split(".")[0] == "adbc_driver_manager" or isinstance(error, OSError):
        return PlaceUnreachable(
            "The database cannot be reached, or does not accept the credentials.", retry_after_ms=1000
        )
    return error
