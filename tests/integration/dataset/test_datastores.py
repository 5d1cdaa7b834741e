"""Datastores from outside: kept, renamed, archived, reached; and their credentials, which nobody ever sees."""

import asyncio
import logging
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy

from chassis.auth import Role
from chassis.db.engine import Database
from chassis.service import Service
from chassis.testing import StartService, TokenFor
from chassis.testing.bad_inputs import BAD_NAMES, BAD_PAGE_TOKENS
from headwater.client import Connection
from headwater.dataset.v1 import datastores_pb2
from headwater.datasets import datastores
from headwater.errors import HeadwaterError, NotFound, PermissionDenied
from services.dataset.__main__ import build
from services.dataset.settings import Settings
from tests.integration.dataset.conftest import ConnectTo
from tests.integration.dataset.places import SECRET, Bucket, parquet, postgresql, s3_bucket, sqlite


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with s3_bucket() as made:
        yield made


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    folder = tmp_path / "lake"
    folder.mkdir()
    return folder


@pytest.fixture
async def service(start_service: StartService, bucket: Bucket, lake: Path, empty_postgres_url: str) -> Service:
    database = urllib.parse.urlsplit(empty_postgres_url).netloc.rpartition("@")[2]
    return await start_service(
        build,
        Settings,
        flight_port=0,
        datastore_folders=str(lake),
        datastore_hosts=f"{bucket.host},{database}",
    )


@pytest.fixture
def admin(service: Service, connection_to: ConnectTo) -> Connection:
    return connection_to(service, Role.ADMIN)


def reason(error: pytest.ExceptionInfo[HeadwaterError]) -> str:
    return error.value.reason


async def test_every_kind_of_place_is_kept_and_reached(
    admin: Connection, bucket: Bucket, lake: Path, empty_postgres_url: str
) -> None:
    """M-10."""
    database, credentials = postgresql(empty_postgres_url)
    places: dict[str, tuple[datastores.Place, dict[str, str]]] = {
        "folder": (datastores_pb2.LocalFolder(path=str(lake)), {}),
        "bucket": (bucket.place, bucket.credentials),
        "database": (database, credentials),
        "file": (sqlite(lake / "rows.sqlite", 3), {}),
    }

    def story() -> None:
        for name, (place, given) in places.items():
            made = datastores.create(admin, name, place, credentials=given, display_name=f"The {name}")
            assert (made.name, made.display_name) == (f"projects/default/datastores/{name}", f"The {name}")
            assert list(made.credential_names) == sorted(given)
            assert getattr(made, made.WhichOneof("place") or "") == place
            assert datastores.get(admin, name) == made == datastores.get(admin, made.uid)
            assert datastores.check(admin, name) >= 0
        assert [each.name.rpartition("/")[2] for each in datastores.list_datastores(admin)] == sorted(places)

    await asyncio.to_thread(story)


async def test_a_name_has_one_holder_and_an_archived_datastore_frees_it(admin: Connection, lake: Path) -> None:
    """M-11."""
    place = datastores_pb2.LocalFolder(path=str(lake))

    def story() -> None:
        first = datastores.create(admin, "lake", place)
        with pytest.raises(HeadwaterError) as refusal:
            datastores.create(admin, "Lake", place)
        assert reason(refusal) == "DATASTORE_ALREADY_EXISTS"
        renamed = datastores.rename(admin, "lake", "pond")
        assert (renamed.uid, renamed.name) == (first.uid, "projects/default/datastores/pond")
        with pytest.raises(NotFound):
            datastores.get(admin, "lake")
        gone = datastores.archive(admin, "pond")
        assert gone.state == datastores_pb2.Datastore.STATE_ARCHIVED
        assert (gone.name, gone.display_name) == (f"projects/default/datastores/{first.uid}", "pond")
        assert datastores.archive(admin, first.uid) == gone
        second = datastores.create(admin, "pond", place)
        assert second.uid != first.uid
        assert list(datastores.list_datastores(admin)) == [second]
        assert {each.uid for each in datastores.list_datastores(admin, show_archived=True)} == {first.uid, second.uid}
        for refused in (
            lambda: datastores.check(admin, first.uid),
            lambda: datastores.rename(admin, first.uid, "x"),
            lambda: datastores.set_credentials(admin, first.uid, {}),
        ):
            with pytest.raises(HeadwaterError) as refusal:
                refused()
            assert reason(refusal) == "DATASTORE_ARCHIVED"

    await asyncio.to_thread(story)


async def test_only_administrators_make_and_change_datastores(
    service: Service, admin: Connection, connection_to: ConnectTo, lake: Path
) -> None:
    writer = connection_to(service, Role.WRITER)

    def story() -> None:
        place = datastores_pb2.LocalFolder(path=str(lake))
        datastores.create(admin, "lake", place)
        denied: Callable[[], object]
        for denied in (
            lambda: datastores.create(writer, "other", place),
            lambda: datastores.rename(writer, "lake", "other"),
            lambda: datastores.set_credentials(writer, "lake", {}),
            lambda: datastores.archive(writer, "lake"),
        ):
            with pytest.raises(PermissionDenied):
                denied()
        assert datastores.check(writer, "lake") >= 0
        assert datastores.get(connection_to(service, Role.READER), "lake").uid

    await asyncio.to_thread(story)


async def test_a_retry_gets_the_first_answer_and_other_credentials_are_another_request(
    admin: Connection, bucket: Bucket
) -> None:
    """Promise 4."""
    request = datastores_pb2.CreateDatastoreRequest(
        parent="projects/default",
        datastore_id="lake",
        datastore=datastores_pb2.Datastore(s3=bucket.place),
        credentials=bucket.credentials,
        request_id="once",
    )
    create = datastores._stub(admin).CreateDatastore

    def story() -> None:
        first = create(request)
        assert create(request) == first
        request.credentials["secret_access_key"] = "another"
        with pytest.raises(HeadwaterError) as refusal:
            create(request)
        assert reason(refusal) == "REQUEST_ID_REUSED"

    await asyncio.to_thread(story)


async def test_places_that_the_settings_do_not_list_are_refused(admin: Connection, tmp_path: Path, lake: Path) -> None:
    """Promises 13 and 15, and M-12."""
    (lake / "rows.csv").write_text("a\n1\n")
    (lake / "link").symlink_to(tmp_path)
    sql = datastores_pb2.SqlDatabase
    places: dict[str, tuple[datastores.Place, str]] = {
        "another folder": (datastores_pb2.LocalFolder(path=str(tmp_path)), "PLACE_NOT_ALLOWED"),
        "a link that leads out": (datastores_pb2.LocalFolder(path=str(lake / "link")), "PLACE_NOT_ALLOWED"),
        "a climbing path": (datastores_pb2.LocalFolder(path=f"{lake}/../x"), "INVALID_PLACE"),
        "a file": (datastores_pb2.LocalFolder(path=str(lake / "rows.csv")), "PLACE_IS_FILE"),
        "amazon": (datastores_pb2.S3Bucket(bucket="bucket"), "PLACE_NOT_ALLOWED"),
        "metadata server": (
            datastores_pb2.S3Bucket(bucket="bucket", endpoint="http://169.254.169.254"),
            "PLACE_NOT_ALLOWED",
        ),
        "another port": (datastores_pb2.S3Bucket(bucket="bucket", endpoint="http://127.0.0.1:1"), "PLACE_NOT_ALLOWED"),
        "another name of loopback": (
            datastores_pb2.S3Bucket(bucket="bucket", endpoint="http://localhost:1"),
            "PLACE_NOT_ALLOWED",
        ),
        "a file as endpoint": (datastores_pb2.S3Bucket(bucket="bucket", endpoint="file:///etc"), "INVALID_PLACE"),
        "google": (datastores_pb2.GcsBucket(bucket="bucket"), "PLACE_NOT_ALLOWED"),
        "azure": (datastores_pb2.AzureContainer(account="account", container="container"), "PLACE_NOT_ALLOWED"),
        "a database elsewhere": (
            sql(dialect=sql.DIALECT_POSTGRESQL, host="db.example.com", database="d"),
            "PLACE_NOT_ALLOWED",
        ),
        "a sqlite file elsewhere": (sql(dialect=sql.DIALECT_SQLITE, database="/etc/passwd"), "PLACE_NOT_ALLOWED"),
    }

    def story() -> None:
        for number, (what, (place, wanted)) in enumerate(places.items()):
            with pytest.raises(HeadwaterError) as refusal:
                datastores.create(admin, f"d{number}", place)
            assert (what, reason(refusal)) == (what, wanted)
        assert list(datastores.list_datastores(admin)) == []

    await asyncio.to_thread(story)


async def test_a_name_that_is_none_is_refused(admin: Connection, lake: Path) -> None:
    """Promise 13."""

    def story() -> None:
        for what, name in BAD_NAMES.items():
            with pytest.raises(HeadwaterError) as refusal:
                datastores.create(admin, name, datastores_pb2.LocalFolder(path=str(lake)))
            assert (what, reason(refusal)) in ((what, "INVALID_NAME"), (what, "INVALID_FIELDS"))

    await asyncio.to_thread(story)


async def test_a_name_that_looks_like_a_uid_and_a_forged_page_token_are_refused(admin: Connection, lake: Path) -> None:
    def story() -> None:
        uid = datastores.create(admin, "lake", datastores_pb2.LocalFolder(path=str(lake))).uid
        with pytest.raises(HeadwaterError) as refusal:
            datastores.rename(admin, "lake", uid)
        assert reason(refusal) == "NAME_LOOKS_LIKE_UID"
        for token in BAD_PAGE_TOKENS.values():
            with pytest.raises(HeadwaterError):
                datastores._stub(admin).ListDatastores(
                    datastores_pb2.ListDatastoresRequest(parent="projects/default", page_token=token)
                )

    await asyncio.to_thread(story)


async def test_the_credentials_appear_nowhere(
    service: Service,
    admin: Connection,
    bucket: Bucket,
    token_for: TokenFor,
    postgres_url: str,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """In no answer, error, log or page, and in no column of the database, neither in clear nor as a digest."""
    caplog.set_level(logging.DEBUG)
    answers: list[object] = []

    def story() -> None:
        answers.append(datastores.create(admin, "lake", bucket.place, credentials=bucket.credentials))
        answers.append(datastores.set_credentials(admin, "lake", {**bucket.credentials, "session_token": SECRET}))
        answers.extend([datastores.get(admin, "lake"), *datastores.list_datastores(admin)])
        answers.append(datastores.check(admin, "lake"))
        bucket.put("rows.parquet", parquet({"a": [1]}))
        answers.append(datastores.link(admin, "d", "lake", path="rows.parquet"))
        for wrong in ({"password": SECRET}, {SECRET: "x"}, {"access_key_id": SECRET}, {"access_key_id": SECRET * 9999}):
            with pytest.raises(HeadwaterError) as refusal:
                datastores.set_credentials(admin, "lake", wrong)
            if SECRET not in wrong:  # a name is no secret
                answers.append((refusal.value, refusal.value.metadata, refusal.value.violations))
        for page in ("varz", "metrics", "ok"):
            request = urllib.request.Request(
                f"http://127.0.0.1:{service.admin_port}/{page}",
                headers={"authorization": f"Bearer {token_for(Role.ADMIN)}"},
            )
            with urllib.request.urlopen(request) as answer:
                answers.append(answer.read().decode())

    await asyncio.to_thread(story)
    stored = await everything_in(postgres_url)
    assert "datastore_credentials" in stored
    assert "lake-of-tests" in stored
    shown = [str(answers), stored, *capfd.readouterr(), caplog.text]
    assert [SECRET in text for text in shown] == [False] * len(shown)
    assert SECRET.encode().hex() not in stored


async def everything_in(url: str) -> str:
    """Every row of every table of the dataset service, as text."""
    database = Database(url, "dataset")
    async with database.transaction() as tx:
        tables = await tx.execute(
            sqlalchemy.text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'dataset'")
        )
        dumped = []
        for name in tables.scalars().all():
            rows = await tx.execute(sqlalchemy.text(f"SELECT CAST({name} AS text) FROM {name}"))
            dumped.append(f"{name}: {rows.scalars().all()}")
    await database.close()
    return "\n".join(dumped)


async def test_credentials_of_another_key_are_said_to_be_unreadable_and_can_be_set_again(
    admin: Connection, bucket: Bucket, postgres_url: str
) -> None:
    def create(name: str) -> str:
        return datastores.create(admin, name, bucket.place, credentials=bucket.credentials).uid

    uids = [await asyncio.to_thread(create, name) for name in ("one", "two")]
    database = Database(postgres_url, "dataset")
    async with database.transaction() as tx:
        # Somebody with the database moves the credentials of one datastore to another.
        await tx.execute(
            sqlalchemy.text(
                "UPDATE datastore_credentials SET sealed ="
                " (SELECT sealed FROM datastore_credentials WHERE datastore_uid = :one) WHERE datastore_uid = :two"
            ),
            {"one": uids[0], "two": uids[1]},
        )
    await database.close()

    def story() -> None:
        assert datastores.check(admin, "one") >= 0
        with pytest.raises(HeadwaterError) as refusal:
            datastores.check(admin, "two")
        assert reason(refusal) == "CREDENTIALS_UNREADABLE"
        datastores.set_credentials(admin, "two", bucket.credentials)
        assert datastores.check(admin, "two") >= 0

    await asyncio.to_thread(story)


async def test_without_authentication_no_credentials_are_kept(
    start_service: StartService, connection_to: ConnectTo, bucket: Bucket
) -> None:
    open_service = await start_service(build, Settings, flight_port=0, auth_key_file="", datastore_hosts=bucket.host)
    connection = connection_to(open_service)

    def story() -> None:
        with pytest.raises(HeadwaterError) as refusal:
            datastores.create(connection, "lake", bucket.place, credentials=bucket.credentials)
        assert reason(refusal) == "CREDENTIALS_NEED_AUTHENTICATION"
        datastores.create(connection, "lake", bucket.place)

    await asyncio.to_thread(story)


async def test_a_place_that_is_away_or_says_no_is_told_from_one_that_answers(
    admin: Connection, service: Service, empty_postgres_url: str
) -> None:
    database, credentials = postgresql(empty_postgres_url)

    def story() -> None:
        datastores.create(admin, "database", database, credentials={**credentials, "username": "nobody"})
        with pytest.raises(HeadwaterError) as refusal:
            datastores.check(admin, "database")
        assert reason(refusal) == "PLACE_UNREACHABLE"
        assert credentials["password"] not in str(refusal.value)
        assert "nobody" not in str(refusal.value)
        datastores.set_credentials(admin, "database", credentials)
        assert datastores.check(admin, "database") >= 0

    await asyncio.to_thread(story)
