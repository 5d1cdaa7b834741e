"""``headwater model`` as a user types it, of models as a whole, their stages and aliases, over a registry."""

import asyncio
import datetime
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

from chassis import Service
from chassis.auth import Role
from chassis.testing import TokenFor
from headwater import cli, model_pointers
from headwater.client import Connection, Endpoints
from headwater.errors import InvalidArgument
from tests.data.models.onnx_files import linear_model

Command = Callable[..., Awaitable[str]]


@pytest.fixture
def headwater(
    registry: Service, token_for: TokenFor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs ``headwater model …`` and returns what it prints; with ``refused`` its error."""
    monkeypatch.setenv("HEADWATER_REGISTRY_ADDRESS", registry.address)
    monkeypatch.setenv("HEADWATER_TOKEN", token_for(Role.ADMIN, subject="ann"))

    async def run(*arguments: str | Path, refused: bool = False) -> str:
        with pytest.raises(SystemExit) as end:
            await asyncio.to_thread(cli.main, ["model", *(str(argument) for argument in arguments)])
        printed = capsys.readouterr()
        assert end.value.code in ((1,) if refused else (0, None)), printed.err
        return printed.err + printed.out

    return run


@pytest.fixture
def connection(registry: Service, token_for: TokenFor) -> Connection:
    """A connection to the registry."""
    return Connection(Endpoints(registry=registry.address), token_for(Role.READER))


async def test_a_model_from_its_first_word_to_its_end(headwater: Command) -> None:
    """M-02, M-05, M-06, M-08."""
    made = await headwater("create", "digits", "--tag", "team=vision", "--description", "Reads digits")
    assert "team=vision" in made
    assert "Reads digits" in made
    changed = await headwater("describe", "digits", "--tag", "tier=1", "--untag", "team", "--display-name", "Digits")
    assert "tier=1" in changed
    assert "team" not in changed
    assert "Reads digits" in changed
    assert "MODEL_ALREADY_EXISTS" in await headwater("create", "DIGITS", refused=True)
    assert "models/numbers" in await headwater("rename", "digits", "numbers")
    await headwater("create", "numerals")
    await headwater("deprecate", "numbers", "--replacement", "numerals")
    assert "numbers" not in await headwater("list")
    assert "deprecated: use numerals" in await headwater("list", "--all")
    uid = (await headwater("describe", "numbers")).split("uid")[1].split()[0]
    assert uid in await headwater("archive", "numbers")
    assert "archived: was numbers" in await headwater("list", "--all")
    assert "MODEL_NOT_FOUND" in await headwater("describe", "numbers", refused=True)
    listed = json.loads(await headwater("list", "--all", "--json"))["models"]
    assert {model["model_id"]: model["state"] for model in listed} == {
        "numbers": "STATE_ARCHIVED",
        "numerals": "STATE_ACTIVE",
    }
    await headwater("reactivate", uid)
    assert "models/numbers" in await headwater("describe", "numbers")


async def test_stages_and_aliases_are_moved_followed_and_traced(
    headwater: Command, connection: Connection, tmp_path: Path
) -> None:
    """R-21, R-23, K-01."""
    for inputs in (4, 5):
        (tmp_path / "model.onnx").write_bytes(linear_model(inputs, 3))
        await headwater("register", "digits", tmp_path / "model.onnx")
    evidence = ["--evidence", "report=https://example.com/report"]
    await headwater("promote", "digits@1", "--stage", "Production", "--comment", "It is better", *evidence)
    await headwater("alias", "set", "digits", "Champion", "1", *evidence)
    before = datetime.datetime.now(datetime.UTC).isoformat()
    await headwater("promote", "digits@2", "--stage", "PRODUCTION")
    await headwater("alias", "set", "digits", "champion", "2")
    for pointer in ("production", "Production", "champion"):
        assert "versions/2" in await headwater("resolve", f"digits@{pointer}")
        assert "versions/1" in await headwater("resolve", f"digits@{pointer}", "--at", before)
    assert json.loads(await headwater("resolve", "digits@champion", "--json"))["files"][0]["tensors"]
    for command in ("show", "document", "tensors"):
        assert await headwater(command, "digits@champion") == await headwater(command, "digits@2")
        assert await headwater(command, "digits@Production") == await headwater(command, "digits@2")
    assert "versions/2" in await headwater("promote", "digits@champion", "--stage", "staging")
    await headwater("promote", "digits@2", "--stage", "production")
    await headwater("alias", "remove", "digits", "champion")
    assert "ALIAS_NOT_FOUND" in await headwater("resolve", "digits@champion", refused=True)
    assert "production → 2" in await headwater("list")

    lines = (await headwater("history", "digits")).splitlines()
    assert "alias champion" in lines[1]
    assert "nothing" in lines[1]
    assert "ann" in lines[-1]
    assert "It is better; report https://example.com/report" in lines[-1]
    oldest = json.loads((await headwater("history", "digits", "--json")).splitlines()[-1])
    assert oldest["evidence"] == [{"description": "report", "uri": "https://example.com/report"}]

    for arguments in (
        ("resolve", "digits"),
        ("resolve", "digits@1", "--at", before),
        ("resolve", "digits@production", "--at", "tomorrow"),
        ("resolve", "digits@production", "--at", "2999-01-01"),
        ("alias", "set", "digits", "production", "1"),
        ("promote", "digits@1", "--stage", "live"),
    ):
        await headwater(*arguments, refused=True)
    with pytest.raises(InvalidArgument):
        await asyncio.to_thread(model_pointers.resolve, connection, "digits@a.b")


@pytest.mark.filterwarnings("always::headwater.model_pointers.ModelDeprecated")
async def test_who_uses_a_deprecated_model_is_warned(
    headwater: Command, connection: Connection, tmp_path: Path
) -> None:
    """M-05."""
    (tmp_path / "model.onnx").write_bytes(linear_model(4, 3))
    await headwater("register", "digits", tmp_path / "model.onnx")
    await headwater("promote", "digits@1", "--stage", "staging")
    await headwater("deprecate", "digits")
    assert "warning: projects/default/models/digits is deprecated." in await headwater("resolve", "digits@staging")
    with pytest.warns(model_pointers.ModelDeprecated):
        await asyncio.to_thread(model_pointers.resolve, connection, "digits@staging")


async def test_versions_are_compared_in_a_table(headwater: Command, tmp_path: Path) -> None:
    """M-80."""
    for inputs, author in ((4, "Ada"), (5, "Bob")):
        (tmp_path / "model.onnx").write_bytes(linear_model(inputs, 3))
        await headwater(
            "register",
            "digits",
            tmp_path / "model.onnx",
            "--metadata",
            f"author={author}",
            "--metadata",
            "accuracy=0.9",
        )
    await headwater("promote", "digits@1", "--stage", "production")
    printed = await headwater("compare", "digits@production", "digits@2")
    heading = next(line for line in printed.splitlines() if "digits@1" in line)
    assert "digits@2" in heading
    [author_line] = [line for line in printed.splitlines() if "metadata author" in line]
    assert author_line.split()[-2:] == ["Ada", "Bob"]
    assert "(+3)" in next(line for line in printed.splitlines() if "parameters" in line)
    assert "breaks callers" in printed
    assert "metadata accuracy" not in printed
    assert "metadata accuracy" in await headwater("compare", "digits@1", "digits@2", "--all")
    told = json.loads(await headwater("compare", "digits@1", "digits@2", "--json"))
    assert len(told["model_versions"]) == 2
    assert "do not differ" in await headwater("compare", "digits@1", "digits@1")
    await headwater("compare", "digits@1", refused=True)
    await headwater("compare", "digits@1", "digits@7", refused=True)


async def test_what_is_created_can_be_sent_again(headwater: Command, postgres_url: str) -> None:
    """Promise 4: every Create of the client says which request it is, so that it is tried again where an answer is
    lost."""
    await headwater("create", "digits")
    database = await asyncpg.connect(postgres_url, server_settings={"search_path": "registry"})
    try:
        [row] = await database.fetch("SELECT method FROM requests")
    finally:
        await database.close()
    assert row["method"].endswith(".CreateModelRequest")
