"""``headwater dataset log|branch|tag|version`` as a user types them."""

import asyncio
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from chassis.auth import Role
from chassis.service import Service
from chassis.testing import TokenFor
from headwater import cli


@pytest.fixture
def table_file(tmp_path: Path) -> Path:
    file = tmp_path / "rows.parquet"
    pa.parquet.write_table(pa.table({"a": [1, 2, 3]}), file)
    return file


async def test_the_history_of_a_dataset_is_worked_with_from_the_command_line(
    service: Service,
    token_for: TokenFor,
    table_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HEADWATER_DATASET_ADDRESS", service.address)
    monkeypatch.setenv("HEADWATER_DATASET_FLIGHT_ADDRESS", f"127.0.0.1:{service.flight_port}")
    monkeypatch.setenv("HEADWATER_TOKEN", token_for(Role.WRITER, subject="ann"))

    def exit_code(*arguments: str) -> int | str | None:
        with pytest.raises(SystemExit) as end:
            cli.main(["dataset", *arguments])
        return end.value.code

    def headwater(*arguments: str) -> str:
        assert exit_code(*arguments) in (0, None), capsys.readouterr().err
        return capsys.readouterr().out

    def refused(*arguments: str) -> str:
        assert exit_code(*arguments) == 1
        return capsys.readouterr().err

    def story() -> None:
        headwater("push", "d", str(table_file), "--message", "first")
        head, first = headwater("log", "d").splitlines()
        assert head.split() == ["commit", "version", "author", "when", "parents", "message"]
        commit = first.split()[0]
        assert (len(commit), first.split()[1:3], first.split()[-1]) == (12, ["v1.0.0", "ann"], "first")
        headwater("branch", "create", "d", "side", "--at", commit)
        assert [line.split()[0] for line in headwater("branch", "list", "d").splitlines()] == ["branch", "main", "side"]
        headwater("tag", "create", "d", "best", "--at", "v1.0.0", "--message", "for the paper")
        assert headwater("tag", "list", "d").splitlines()[1].split(maxsplit=2) == ["best", commit, "for the paper"]
        assert commit in headwater("log", "d@best", "--limit", "1")
        assert commit in headwater("branch", "reset", "d", "side", "--to", "best")
        headwater("branch", "delete", "d", "side")
        assert "BRANCH_NOT_FOUND" in refused("branch", "delete", "d", "side")
        assert "MAIN_IS_PERMANENT" in refused("branch", "delete", "d", "main")
        headwater("tag", "delete", "d", "best")
        assert "TAG_NOT_FOUND" in refused("log", "d@best")
        assert "COMMIT_HAS_VERSION" in refused("version", "create", "d", "v2.0.0", "--at", "main")
        described = headwater("version", "describe", "d@v1.0.0", "--license", "CC", "--num-classes", "10")
        assert ["license", "CC"] in [line.split() for line in described.splitlines()]
        described = headwater("version", "describe", "d", "--source", "NIST")
        assert {"CC", "NIST", "10"} <= set(described.split())
        assert "deprecated" in headwater("version", "deprecate", "d", "--message", "use v2")
        assert "archived" in headwater("version", "archive", "d", "--message", "wrong labels")
        listed = headwater("version", "list", "d").splitlines()[1].split()
        assert listed == ["v1.0.0", "archived", commit, "3", "wrong", "labels"]
        shown = [line.split(maxsplit=1) for line in headwater("show", "d@v1.0.0").splitlines()]
        assert ["state", "archived"] in shown
        assert ["why", "wrong labels"] in shown
        listed = headwater("list", "d").splitlines()[1].split()
        assert (listed[1], listed[4:]) == ("archived", ["wrong", "labels"])
        assert "active" in headwater("version", "reactivate", "d@v1.0.0")
        assert ["state", "active"] in [line.split() for line in headwater("show", "d").splitlines()]
        assert headwater("list", "d").splitlines()[1].split()[4:] == ["first"]

        described = headwater("describe", "d", "--key-columns", "a", "--tag", "team=vision", "--tag", "kind=numbers")
        assert described.split()[-6:] == ["key", "columns", "a", "tags", "kind=numbers,", "team=vision"]
        assert "team=vision" in headwater("describe", "d", "--hidden")
        assert "datasets/d" not in headwater("list")
        assert "datasets/d" in headwater("list", "--hidden")
        assert "INVALID_ARGUMENT" in refused("describe", "d", "--tag", "vision")
        assert "columns" not in headwater("describe", "d", "--key-columns", "", "--no-hidden")

    await asyncio.to_thread(story)
