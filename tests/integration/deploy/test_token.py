"""Tokens for other people."""

from pathlib import Path

import pytest

from chassis.auth import Authenticator, Role
from deploy.local import token
from deploy.local.state import State


def run(monkeypatch: pytest.MonkeyPatch, home: Path, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["token", "--home", str(home), *arguments])
    return token.main()


def test_a_token_opens_what_its_role_allows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    State(tmp_path).ensure_credentials()
    assert run(monkeypatch, tmp_path, "--role", "writer", "--subject", "ada") == 0
    principal = Authenticator.from_key_file(tmp_path / "auth.key").authenticate(capsys.readouterr().out.strip())
    assert (principal.subject, principal.roles) == ("ada", frozenset({Role.READER, Role.WRITER}))


@pytest.mark.parametrize("subject", ["", "a b", "../x"])
def test_a_subject_is_a_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], subject: str
) -> None:
    State(tmp_path).ensure_credentials()
    assert run(monkeypatch, tmp_path, "--role", "reader", "--subject", subject) == 1
    assert "subject must be" in capsys.readouterr().err


def test_an_installation_that_was_never_started_has_no_tokens(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, tmp_path, "--role", "reader", "--subject", "ada") == 1
    assert "make up" in capsys.readouterr().err
