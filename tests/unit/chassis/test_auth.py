"""Tokens and roles."""

import base64
import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.auth import ANONYMOUS, Authenticator, Principal, Role, current_principal, current_token
from chassis.errors import StartupError
from chassis.testing.bad_inputs import bad_tokens
from headwater.errors import PermissionDenied, Unauthenticated

KEY = b"a key for tests, not for anything else"


def test_a_token_says_who_holds_it_and_what_they_may_do() -> None:
    authenticator = Authenticator(KEY)
    principal = authenticator.authenticate(authenticator.mint("ada", [Role.WRITER], 60))
    assert principal == Principal("ada", frozenset({Role.READER, Role.WRITER}))


@pytest.mark.parametrize(
    ("held", "may", "may_not"),
    [
        (Role.READER, [Role.READER], [Role.WRITER, Role.APPROVER, Role.ADMIN]),
        (Role.WRITER, [Role.READER, Role.WRITER], [Role.APPROVER, Role.ADMIN]),
        (Role.APPROVER, [Role.READER, Role.APPROVER], [Role.WRITER, Role.ADMIN]),
        (Role.ADMIN, list(Role), []),
    ],
)
def test_roles_imply_each_other_as_promised(held: Role, may: list[Role], may_not: list[Role]) -> None:
    principal = Principal.of("ada", [held])
    for role in may:
        principal.require(role)
    for role in may_not:
        with pytest.raises(PermissionDenied):
            principal.require(role)


def test_the_roles_have_the_numbers_of_the_proto() -> None:
    from headwater.auth.v1 import auth_pb2

    assert {f"ROLE_{role.name}": role.value for role in Role} | {"ROLE_UNSPECIFIED": 0} == dict(auth_pb2.Role.items())


def test_no_bad_token_is_believed() -> None:
    authenticator = Authenticator(KEY)
    for kind, token in bad_tokens(authenticator).items():
        try:
            authenticator.authenticate(token)
        except Unauthenticated:
            continue
        pytest.fail(f"believed a token that is {kind}")


@given(st.text(max_size=200))
def test_any_text_is_refused_and_not_a_fault(text: str) -> None:
    with pytest.raises(Unauthenticated):
        Authenticator(KEY).authenticate(text)


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "someone else"},
        {"iss": None},
        {"exp": None},
        {"exp": "tomorrow"},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"roles": None},
        {"roles": ["king"]},
        {"roles": "admin"},
        {"roles": [["admin"]]},
    ],
)
def test_a_token_of_our_key_with_wrong_claims_is_refused(change: dict[str, object]) -> None:
    from joserfc import jwt
    from joserfc.jwk import OctKey

    claims = {"iss": "headwater", "sub": "ada", "roles": ["admin"], "exp": int(time.time()) + 60} | change
    claims = {name: value for name, value in claims.items() if value is not None}
    token = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(KEY))
    with pytest.raises(Unauthenticated):
        Authenticator(KEY).authenticate(token)


def test_a_token_that_was_seen_before_still_expires() -> None:
    authenticator = Authenticator(KEY)
    token = authenticator.mint("ada", [Role.READER], 1)
    expires_at = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["exp"]
    authenticator.authenticate(token)
    time.sleep(max(0.0, expires_at - time.time()) + 0.05)
    with pytest.raises(Unauthenticated):
        authenticator.authenticate(token)


def test_a_token_source_renews_before_the_end() -> None:
    authenticator = Authenticator(KEY)
    source = authenticator.token_source("service:x", [Role.WRITER], ttl_s=2)
    first = source()
    assert source() == first
    time.sleep(1.1)
    assert source() != first


def test_without_authentication_everybody_is_anonymous_and_no_token_is_made() -> None:
    authenticator = Authenticator.disabled()
    assert authenticator.authenticate("") is ANONYMOUS
    assert authenticator.mint("ada", [Role.READER], 60) == ""


def test_outside_of_a_call_there_is_no_caller() -> None:
    with pytest.raises(Unauthenticated):
        current_principal()
    assert current_token() == ""


def test_derived_keys_differ_by_purpose_and_agree_between_services() -> None:
    one, two = Authenticator(KEY), Authenticator(KEY)
    assert one.derive_key("tickets") == two.derive_key("tickets")
    assert one.derive_key("tickets") != one.derive_key("receipts")


def test_a_key_file_that_is_missing_short_or_open_to_all_is_told_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="chmod 600"):
        Authenticator.from_key_file(tmp_path / "none")
    file = tmp_path / "auth.key"
    file.write_bytes(b"short")
    file.chmod(0o600)
    with pytest.raises(StartupError, match="longer key"):
        Authenticator.from_key_file(file)
    file.write_bytes(KEY)
    file.chmod(0o644)
    with pytest.raises(StartupError, match="chmod 600"):
        Authenticator.from_key_file(file)
    file.chmod(0o600)
    assert Authenticator.from_key_file(file).enabled
