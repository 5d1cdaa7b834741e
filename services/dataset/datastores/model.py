"""The values of datastores."""

import dataclasses
import datetime
import enum
import re
from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

from headwater.names import DatastoreName, ProjectName
from services.dataset.datastores.errors import InvalidPlace

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}", re.ASCII)
_CONTAINER = re.compile(r"[a-z0-9$][a-z0-9-]{1,62}", re.ASCII)
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}", re.ASCII)
_REGION = re.compile(r"[a-z0-9-]{0,64}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


class DatastoreState(enum.Enum):
    """Whether a datastore may be used. There is no way back from ARCHIVED."""

    ACTIVE = "active"
    ARCHIVED = "archived"


class Dialect(enum.Enum):
    """The kind of a SQL database."""

    POSTGRESQL = "postgresql"
    SQLITE = "sqlite"


@dataclasses.dataclass(frozen=True, slots=True)
class LocalFolder:
    """A folder of this machine."""

    kind: ClassVar[str] = "local"
    credentials: ClassVar[frozenset[str]] = frozenset()
    path: str

    def __post_init__(self) -> None:
        _check_absolute(self.path, "local.path")


@dataclasses.dataclass(frozen=True, slots=True)
class S3Bucket:
    """A bucket of S3, or of a service that speaks it."""

    kind: ClassVar[str] = "s3"
    credentials: ClassVar[frozenset[str]] = frozenset({"access_key_id", "secret_access_key", "session_token"})
    bucket: str
    prefix: str = ""
    region: str = ""
    endpoint: str = ""

    def __post_init__(self) -> None:
        # Bucket and region become parts of a host's name and of paths there.
        _check(_BUCKET, self.bucket, "s3.bucket")
        _check(_REGION, self.region, "s3.region")
        _check_prefix(self.prefix, "s3.prefix")
        if ".." in self.bucket:
            raise InvalidPlace(field="s3.bucket")


@dataclasses.dataclass(frozen=True, slots=True)
class GcsBucket:
    """A bucket of Google Cloud Storage."""

    kind: ClassVar[str] = "gcs"
    credentials: ClassVar[frozenset[str]] = frozenset({"service_account_json"})
    bucket: str
    prefix: str = ""

    def __post_init__(self) -> None:
        _check(_BUCKET, self.bucket, "gcs.bucket")
        _check_prefix(self.prefix, "gcs.prefix")
        if ".." in self.bucket:
            raise InvalidPlace(field="gcs.bucket")


@dataclasses.dataclass(frozen=True, slots=True)
class AzureContainer:
    """A container of Azure Blob Storage."""

    kind: ClassVar[str] = "azure"
    credentials: ClassVar[frozenset[str]] = frozenset({"account_key", "sas_token"})
    account: str
    container: str
    prefix: str = ""
    endpoint: str = ""

    def __post_init__(self) -> None:
        _check(_ACCOUNT, self.account, "azure.account")
        _check(_CONTAINER, self.container, "azure.container")
        _check_prefix(self.prefix, "azure.prefix")


@dataclasses.dataclass(frozen=True, slots=True)
class SqlDatabase:
    """A SQL database."""

    kind: ClassVar[str] = "sql"
    credentials: ClassVar[frozenset[str]] = frozenset({"username", "password"})
    dialect: Dialect
    database: str
    """Its name; of SQLite, the path of its file."""
    host: str = ""
    port: int = 0
    """0: the dialect's own."""

    def __post_init__(self) -> None:
        if self.dialect is Dialect.SQLITE:
            _check_absolute(self.database, "sql.database")
            if self.host or self.port:
                raise InvalidPlace("A SQLite database has neither host nor port.", field="sql.host")
        elif not self.host or not self.database or _CONTROL.search(self.host + self.database):
            raise InvalidPlace("A PostgreSQL database needs a host and a name.", field="sql.host")


Place: TypeAlias = LocalFolder | S3Bucket | GcsBucket | AzureContainer | SqlDatabase
_KINDS: Mapping[str, type[Place]] = {
    place.kind: place for place in (LocalFolder, S3Bucket, GcsBucket, AzureContainer, SqlDatabase)
}


@dataclasses.dataclass(frozen=True, slots=True)
class Datastore:
    """A place that rows can be read from."""

    uid: str
    name: DatastoreName
    """Of an archived one, the uid is its last segment."""
    display_name: str
    place: Place
    created_by: str
    create_time: datetime.datetime
    state: DatastoreState = DatastoreState.ACTIVE
    credential_names: tuple[str, ...] = ()
    """The names of the credentials that are set; their values are kept apart."""
    revision: int = 1
    """Grows with every change."""

    @property
    def project(self) -> ProjectName:
        """Whose it is."""
        return ProjectName(self.name.project)


def place_document(place: Place) -> dict[str, Any]:
    """The place as JSON, to be stored."""
    document = dataclasses.asdict(place)
    if isinstance(place, SqlDatabase):
        document["dialect"] = place.dialect.value
    return {"kind": place.kind, **document}


def place_from(document: Mapping[str, Any]) -> Place:
    """The place that ``place_document`` has written."""
    fields = {key: value for key, value in document.items() if key != "kind"}
    if "dialect" in fields:
        fields["dialect"] = Dialect(fields["dialect"])
    return _KINDS[document["kind"]](**fields)


def looks_like_uid(name: str) -> bool:
    """Whether a datastore of this name would be mistaken for an archived one."""
    return _UID.fullmatch(name.lower()) is not None


def _check(pattern: re.Pattern[str], value: str, field: str) -> None:
    if not pattern.fullmatch(value):
        raise InvalidPlace(field=field)


def _check_absolute(path: str, field: str) -> None:
    if not path.startswith("/") or _CONTROL.search(path) or ".." in path.split("/"):
        raise InvalidPlace("The path must be absolute, without '..'.", field=field)


def _check_prefix(prefix: str, field: str) -> None:
    segments = prefix.removesuffix("/").split("/") if prefix else []
    if _CONTROL.search(prefix) or "\\" in prefix or any(segment in ("", ".", "..") for segment in segments):
        raise InvalidPlace("The prefix must be segments with '/' between them.", field=field)
