"""Credentials of datastores: sealed, bound, shown nowhere, and only those that a place takes."""

import pytest

from chassis.hosts import Target
from services.dataset.datastores.allowed import Allowed
from services.dataset.datastores.databases import conninfo
from services.dataset.datastores.errors import (
    CredentialsNeedAuthentication,
    CredentialsUnreadable,
    InvalidCredentials,
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
from services.dataset.datastores.places import PlaceLimits, Places
from services.dataset.datastores.sealing import Credentials, Seal

NOBODY = Credentials()
LIMITS = PlaceLimits(1 << 20, 60.0)


def test_sealed_credentials_open_for_their_datastore_only() -> None:
    seal, credentials = Seal(b"k" * 32), Credentials({"password": "CANARY"})
    sealed = seal.seal("one", credentials)
    assert b"CANARY" not in sealed
    assert seal.open("one", sealed) == credentials
    assert seal.seal("one", credentials) != sealed
    damaged = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for uid, data, key in (
        ("two", sealed, b"k"),
        ("one", damaged, b"k"),
        ("one", sealed[:9], b"k"),
        ("one", sealed, b"x"),
    ):
        with pytest.raises(CredentialsUnreadable):
            Seal(key * 32).open(uid, data)


def test_without_a_key_credentials_are_refused_and_nothing_else_is() -> None:
    seal = Seal(None)
    assert seal.seal("one", NOBODY) == b""
    assert seal.open("one", b"") == NOBODY
    with pytest.raises(CredentialsNeedAuthentication):
        seal.seal("one", Credentials({"password": "x"}))
    with pytest.raises(CredentialsNeedAuthentication):
        seal.open("one", Seal(b"k" * 32).seal("one", Credentials({"password": "x"})))


def test_a_digest_of_a_request_tells_nothing_to_those_without_the_key() -> None:
    assert Seal(b"k" * 32).digest(b"request") != Seal(b"x" * 32).digest(b"request")
    assert Seal(b"k" * 32).digest(b"request") == Seal(b"k" * 32).digest(b"request")


def test_credentials_show_themselves_nowhere() -> None:
    credentials = Credentials({"password": "CANARY", "username": "CAN"})
    assert "CAN" not in f"{credentials!r} {credentials!s}"
    assert credentials.scrub("no CANARY for CAN") == "no … for …"


@pytest.mark.parametrize(
    ("place", "given"),
    [
        (LocalFolder("/data"), {"password": "x"}),
        (S3Bucket("bucket"), {"access_key_id": "x"}),
        (S3Bucket("bucket"), {"password": "x"}),
        (GcsBucket("bucket"), {"service_account_json": "{}"}),
        (GcsBucket("bucket"), {"service_account_json": "CANARY"}),
        (AzureContainer("account", "container"), {"account_key": "x", "sas_token": "y"}),
        (SqlDatabase(Dialect.SQLITE, "/a"), {"password": "x"}),
        (SqlDatabase(Dialect.POSTGRESQL, "a", "b"), {"password": "x\0"}),
    ],
)
def test_credentials_that_the_place_does_not_take_are_refused(place: Place, given: dict[str, str]) -> None:
    with pytest.raises(InvalidCredentials) as refusal:
        Places(Allowed(), LIMITS).check_place(place, Credentials(given))
    assert "CANARY" not in str(refusal.value)


def test_libpq_is_told_everything_that_it_would_look_for_elsewhere() -> None:
    place = SqlDatabase(Dialect.POSTGRESQL, "it's", "db.example.com")
    credentials = Credentials({"username": "me", "password": "a'b\\c d"})
    told = conninfo(place, credentials, Target("db.example.com", 5432, "10.0.0.1", vouched=True), 7.5)
    assert "dbname='it\\'s'" in told
    assert "password='a\\'b\\\\c d'" in told
    for setting in ("passfile='/nonexistent", "sslmode='prefer'", "statement_timeout=7500", "read_only=on"):
        assert setting in told
