"""What places and paths may be said, and what is read of them."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from headwater.errors import HeadwaterError
from services.dataset.datastores.allowed import Allowed
from services.dataset.datastores.databases import quoted
from services.dataset.datastores.errors import (
    DataPathNotFound,
    DataPathUnreadable,
    InvalidDataPath,
    InvalidPlace,
    PlaceIsFile,
    PlaceNotAllowed,
)
from services.dataset.datastores.model import (
    AzureContainer,
    Dialect,
    GcsBucket,
    LocalFolder,
    Place,
    S3Bucket,
    SqlDatabase,
)
from services.dataset.datastores.paths import check_path
from services.dataset.datastores.places import PlaceLimits, Places
from services.dataset.datastores.sealing import Credentials
from services.dataset.history.definition import DataPath, PathKind

NOBODY = Credentials()
LIMITS = PlaceLimits(1 << 20, 60.0)


def path(text: str, kind: PathKind = PathKind.RELATIVE_PATH, split_by: str = "") -> DataPath:
    return DataPath("uid", kind, text, split_by)


BAD_PLACES: dict[str, Callable[[], Place]] = {
    "relative folder": lambda: LocalFolder("data"),
    "climbing folder": lambda: LocalFolder("/data/../etc"),
    "NUL": lambda: LocalFolder("/data\0"),
    "bucket with a slash": lambda: S3Bucket("a/b"),
    "bucket that climbs": lambda: S3Bucket("a..b"),
    "region that is a host": lambda: S3Bucket("a", region="x.evil.example/"),
    "prefix that climbs": lambda: S3Bucket("a", "x/../y"),
    "account that is a host": lambda: AzureContainer("evil.example", "c"),
    "container with a slash": lambda: AzureContainer("account", "a/b"),
    "gcs bucket with a query": lambda: GcsBucket("a?b"),
    "sqlite with a host": lambda: SqlDatabase(Dialect.SQLITE, "/a", "host"),
    "relative sqlite": lambda: SqlDatabase(Dialect.SQLITE, "a.sqlite"),
    "postgresql without a host": lambda: SqlDatabase(Dialect.POSTGRESQL, "a"),
}


@pytest.mark.parametrize("make", BAD_PLACES.values(), ids=BAD_PLACES)
def test_what_is_no_place_is_refused(make: Callable[[], Place]) -> None:
    with pytest.raises(InvalidPlace):
        make()


@pytest.mark.parametrize(
    "endpoint",
    [
        "ftp://127.0.0.1:1",
        "file:///etc/passwd",
        "http://user:password@127.0.0.1:1",
        "http://127.0.0.1:1/?x",
        "http://127.0.0.1:1/#x",
        "http://127.0.0.1:1/a/../b",
        "http://127.0.0.1:x",
        "http://",
        "//127.0.0.1:1",
        "http://127.1:1",
        "http://[::1",
    ],
)
def test_what_is_no_endpoint_is_refused(endpoint: str) -> None:
    places = Places(Allowed.parse("", "127.0.0.1:1"), LIMITS)
    with pytest.raises(InvalidPlace):
        places.check_place(S3Bucket("bucket", endpoint=endpoint), NOBODY)


def test_clouds_are_places_like_any_other_and_need_an_entry() -> None:
    amazon, google = S3Bucket("bucket", region="eu-central-1"), GcsBucket("bucket")
    azure = AzureContainer("account", "container")
    for place in (amazon, google, azure):
        with pytest.raises(PlaceNotAllowed):
            Places(Allowed(), LIMITS).check_place(place, NOBODY)
    listed = Allowed.parse("", "s3.*.amazonaws.com,storage.googleapis.com,*.blob.core.windows.net")
    for place in (amazon, google, azure):
        Places(listed, LIMITS).check_place(place, NOBODY)


def test_without_tls_only_hosts_are_read_that_the_operator_gives_an_address() -> None:
    place = S3Bucket("bucket", endpoint="http://minio.example:9000")
    with pytest.raises(PlaceNotAllowed, match="Without TLS"):
        Places(Allowed.parse("", "minio.example:9000"), LIMITS).check_place(place, NOBODY)
    Places(Allowed.parse("", "minio.example:9000=10.1.2.3"), LIMITS).check_place(place, NOBODY)


def test_a_folder_is_allowed_where_it_really_is(tmp_path: Path) -> None:
    """Promise 13: links that lead out of what is listed, and M-12: a file is no place."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    (inside / "lake").mkdir(parents=True)
    outside.mkdir()
    (inside / "link").symlink_to(outside)
    (inside / "file").write_text("x")
    places = Places(Allowed.parse(str(inside), ""), LIMITS)
    places.check_place(LocalFolder(str(inside / "lake")), NOBODY)
    places.check_place(LocalFolder(str(inside)), NOBODY)
    for refused in (outside, inside / "link", tmp_path, inside / "missing", Path("/etc")):
        with pytest.raises(PlaceNotAllowed) as refusal:
            places.check_place(LocalFolder(str(refused)), NOBODY)
        assert "outside" not in str(refusal.value)
    with pytest.raises(PlaceIsFile):
        places.check_place(LocalFolder(str(inside / "file")), NOBODY)
    with pytest.raises(PlaceNotAllowed):
        Places(Allowed(), LIMITS).check_place(LocalFolder(str(inside)), NOBODY)


@pytest.mark.parametrize(
    "text",
    ["..", "../x", "a/../b", "/etc/passwd", "a//b", ".", "./a", "a/./b", "a\0b", "a\\b", "//", "a\n"],
)
def test_a_path_that_leads_out_is_refused(text: str) -> None:
    """Promise 13."""
    with pytest.raises(InvalidDataPath):
        check_path(LocalFolder("/data"), path(text))


@pytest.mark.parametrize("text", ["", "a.csv", "a/b/", "a/b.parquet", "year=2026/"])
def test_a_path_that_is_plain_is_taken(text: str) -> None:
    assert check_path(LocalFolder("/data"), path(text)).path == text


def test_databases_have_tables_and_queries_and_other_places_have_files() -> None:
    database, folder = SqlDatabase(Dialect.SQLITE, "/a"), LocalFolder("/a")
    for place, kind, text in (
        (database, PathKind.RELATIVE_PATH, "a"),
        (folder, PathKind.SQL_TABLE, "a"),
        (folder, PathKind.SQL_QUERY, "SELECT 1"),
        (database, PathKind.SQL_TABLE, "a.b.c"),
        (database, PathKind.SQL_TABLE, "a."),
        (database, PathKind.SQL_TABLE, ""),
        (database, PathKind.SQL_QUERY, " "),
        (database, PathKind.SQL_QUERY, "SELECT\0"),
    ):
        with pytest.raises(InvalidDataPath):
            check_path(place, path(text, kind))
    check_path(database, path("sales.orders", PathKind.SQL_TABLE))
    with pytest.raises(HeadwaterError):
        check_path(folder, path("a/", split_by="nonsense"))


def test_a_table_is_quoted_so_that_it_is_nothing_but_a_name() -> None:
    assert quoted("sales.orders") == '"sales"."orders"'
    assert quoted('a"; DROP TABLE b; --') == '"a""; DROP TABLE b; --"'


def test_files_below_a_link_that_leads_out_are_not_read(tmp_path: Path) -> None:
    lake, outside = tmp_path / "lake", tmp_path / "outside"
    lake.mkdir()
    outside.mkdir()
    (outside / "secret.csv").write_text("a\nSECRET\n")
    (lake / "rows.csv").symlink_to(outside / "secret.csv")
    (lake / "out").symlink_to(outside)
    places = Places(Allowed.parse(str(lake), ""), LIMITS)
    for text in ("rows.csv", "out/", "out/secret.csv"):
        with pytest.raises(DataPathNotFound), places.open(LocalFolder(str(lake)), NOBODY, path(text)):
            pass
    with pytest.raises(DataPathUnreadable) as refusal, places.open(LocalFolder(str(lake)), NOBODY, path("")):
        pass
    assert str(tmp_path) not in str(refusal.value)


def test_what_cannot_be_read_is_named_by_its_place_in_the_store(tmp_path: Path) -> None:
    """Promise 16: no path of this machine."""
    lake = tmp_path / "lake"
    (lake / "day").mkdir(parents=True)
    (lake / "day" / "rows.parquet").write_bytes(b"PAR1 and no more")
    places = Places(Allowed.parse(str(lake), ""), LIMITS)
    day = places.open(LocalFolder(str(lake)), NOBODY, path("day/"))
    with pytest.raises(DataPathUnreadable, match=r"rows\.parquet") as refusal, day:
        pass
    assert str(tmp_path) not in str(refusal.value)
    assert str(tmp_path) not in str(refusal.value.metadata)


def test_the_fingerprint_of_files_changes_with_them_and_a_database_has_none(tmp_path: Path) -> None:
    """M-23."""
    pa.parquet.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    places, place = Places(Allowed.parse(str(tmp_path), ""), LIMITS), LocalFolder(str(tmp_path))
    before = places.fingerprint(place, NOBODY, path(""))
    assert before == places.fingerprint(place, NOBODY, path(""))
    with places.open(place, NOBODY, path("")) as opened:
        assert opened.fingerprint == before
    pa.parquet.write_table(pa.table({"a": [2]}), tmp_path / "b.parquet")
    assert places.fingerprint(place, NOBODY, path("")) != before
    with sqlite3.connect(tmp_path / "rows.sqlite") as connection:
        connection.execute("CREATE TABLE t (a)")
    connection.close()
    database = SqlDatabase(Dialect.SQLITE, str(tmp_path / "rows.sqlite"))
    assert places.fingerprint(database, NOBODY, path("t", PathKind.SQL_TABLE)) == ""
