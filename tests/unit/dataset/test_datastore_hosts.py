"""Hosts that datastores may be on, and what their names may lead to (promise 15)."""

import pytest

from chassis.hosts import Target
from services.dataset.datastores.allowed import Allowed, host_name
from services.dataset.datastores.databases import conninfo
from services.dataset.datastores.errors import (
    InvalidPlace,
    PlaceNotAllowed,
    PlaceUnreachable,
)
from services.dataset.datastores.model import (
    Dialect,
    SqlDatabase,
)
from services.dataset.datastores.sealing import Credentials
from services.dataset.settings import Settings
from tests.unit.dataset.name_server import names

NOBODY = Credentials()


@pytest.mark.parametrize(
    ("hosts", "host", "port", "allowed"),
    [
        ("", "db.example.com", 5432, False),
        ("db.example.com", "db.example.com", 5432, True),
        ("db.example.com", "db.example.com", 443, True),
        ("db.example.com", "db.example.com", 22, False),
        ("db.example.com", "evil.db.example.com", 443, False),
        ("db.example.com", "db.example.com.evil.net", 443, False),
        ("db.example.com:6432", "db.example.com", 6432, True),
        ("db.example.com:6432", "db.example.com", 5432, False),
        ("s3.*.amazonaws.com", "s3.eu-central-1.amazonaws.com", 443, True),
        ("s3.*.amazonaws.com", "s3.a.b.amazonaws.com", 443, False),
        ("s3.*.amazonaws.com", "s3.amazonaws.com", 443, False),
        ("*.0.0.1", "127.0.0.1", 443, False),
        ("127.0.0.1:9000", "127.0.0.1", 9000, True),
        ("[::1]:9000", "::1", 9000, True),
        ("a.example, b.example:1", "b.example", 1, True),
    ],
)
def test_a_host_is_allowed_at_a_port_where_an_entry_names_it(hosts: str, host: str, port: int, allowed: bool) -> None:
    rules = Allowed.parse("", hosts)
    if allowed:
        rules.rule(host, port)
    else:
        with pytest.raises(PlaceNotAllowed):
            rules.rule(host, port)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
    ],
)
def test_a_host_that_leads_inside_is_refused_unless_it_is_listed_with_that_address(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """Promise 15: loopback, link-local, private, and what is one of these in another guise."""
    names(monkeypatch, {"db.example.com": [address]})
    with pytest.raises(PlaceNotAllowed) as refusal:
        Allowed.parse("", "db.example.com").resolve("db.example.com", 443)
    assert address not in str(refusal.value)
    listed = Allowed.parse("", f"db.example.com={address}").resolve("db.example.com", 443)
    assert (listed.address, listed.vouched) == (str(listed.address), True)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"])
def test_a_public_address_is_allowed_and_needs_tls(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    names(monkeypatch, {"db.example.com": [address]})
    found = Allowed.parse("", "db.example.com").resolve("db.example.com", 443)
    assert found == Target("db.example.com", 443, address, vouched=False)
    assert "sslmode='require'" in conninfo(SqlDatabase(Dialect.POSTGRESQL, "d", "db.example.com"), NOBODY, found, 1)


def test_a_host_with_an_address_may_lead_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, {"db.example.com": ["10.9.9.9"], "other.example.com": ["93.184.216.34"]})
    rules = Allowed.parse("", "db.example.com=10.1.0.0/16,other.example.com=10.1.2.3")
    for host in ("db.example.com", "other.example.com"):
        with pytest.raises(PlaceNotAllowed):
            rules.resolve(host, 443)


def test_a_name_without_an_address_is_unreachable() -> None:
    with pytest.raises(PlaceUnreachable):
        Allowed.parse("", "nowhere.invalid").resolve("nowhere.invalid", 443)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "a b",
        "a_b/c",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "a..b",
        "-a",
        "a\n",
        "a" * 300,
        "ex\u0430mple.com",
    ],
)
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(InvalidPlace):
        host_name(host, "host")


@pytest.mark.parametrize("hosts", ["a b", "a:99999", "a:x", "=1.2.3.4", "a=", "a=b", "a/b", "*a.example"])
def test_a_list_of_hosts_that_is_wrong_is_refused_at_the_start(hosts: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (pydantic's is one)
        Settings(datastore_hosts=hosts)


@pytest.mark.parametrize("folders", ["relative", "/", "/a:b"])
def test_a_list_of_folders_that_is_wrong_is_refused_at_the_start(folders: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        Settings(datastore_folders=folders)
