"""``headwater project`` as an administrator types it."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from chassis import Service
from chassis.auth import Role
from chassis.testing import TokenFor
from headwater import cli

Command = Callable[..., Awaitable[str]]


@pytest.fixture
def headwater(
    registry: Service, token_for: TokenFor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs a command as ``role`` and returns what it prints; with ``refused`` its error."""
    monkeypatch.setenv("HEADWATER_REGISTRY_ADDRESS", registry.address)

    async def run(*arguments: str, refused: bool = False, role: Role = Role.ADMIN) -> str:
        monkeypatch.setenv("HEADWATER_TOKEN", token_for(role))
        with pytest.raises(SystemExit) as end:
            await asyncio.to_thread(cli.main, list(arguments))
        printed = capsys.readouterr()
        assert end.value.code in ((1,) if refused else (0, None)), printed.err
        return printed.err + printed.out

    return run


async def test_a_project_from_its_first_word_to_its_end_and_back(headwater: Command) -> None:
    """M-04, M-06, M-08."""
    made = await headwater("project", "create", "vision", "--display-name", "Vision", "--annotation", "team=a=b")
    assert "projects/vision" in made
    assert "team=a=b" in made
    assert "What is seen" in await headwater("project", "update", "vision", "--description", "What is seen")
    shown = json.loads(await headwater("project", "show", "vision", "--json"))
    assert (shown["display_name"], shown["description"], shown["state"]) == ("Vision", "What is seen", "STATE_ACTIVE")

    assert "archived" in await headwater("project", "archive", "vision")
    refused = await headwater("model", "create", "digits", "--project", "vision", refused=True)
    assert "PROJECT_ARCHIVED" in refused
    assert "vision" not in await headwater("project", "list")
    assert "vision" in await headwater("project", "list", "--all")
    assert "digits" not in await headwater("model", "list", "--project", "vision")  # read as before: there is none

    assert "active" in await headwater("project", "reactivate", "vision")
    await headwater("model", "create", "digits", "--project", "vision")


async def test_only_an_administrator_takes_a_project_out_of_use_and_never_the_default_one(headwater: Command) -> None:
    await headwater("project", "create", "vision")
    assert "PERMISSION_DENIED" in await headwater("project", "archive", "vision", refused=True, role=Role.WRITER)
    assert "DEFAULT_PROJECT" in await headwater("project", "archive", "default", refused=True)
    assert "active" in await headwater("project", "show", "vision", role=Role.READER)
