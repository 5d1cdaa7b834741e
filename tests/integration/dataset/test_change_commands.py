"""``headwater dataset diff|merge|revert|edit|upsert|delete-rows`` as a user types them."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from chassis.auth import Role
from chassis.service import Service
from chassis.testing import TokenFor
from headwater import cli, datasets
from headwater.client import Connection

Command = Callable[..., str]


@pytest.fixture
def headwater(
    service: Service, token_for: TokenFor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs a command; with ``refused`` its error is returned."""
    monkeypatch.setenv("HEADWATER_DATASET_ADDRESS", service.address)
    monkeypatch.setenv("HEADWATER_DATASET_FLIGHT_ADDRESS", f"127.0.0.1:{service.flight_port}")
    monkeypatch.setenv("HEADWATER_TOKEN", token_for(Role.WRITER, subject="ann"))

    def run(*arguments: str, refused: bool = False) -> str:
        with pytest.raises(SystemExit) as end:
            cli.main(["dataset", *arguments])
        printed = capsys.readouterr()
        assert end.value.code in ((1,) if refused else (0, None)), printed.err
        return printed.err + printed.out if refused else printed.out

    return run


@pytest.fixture
def file_of(tmp_path: Path) -> Callable[..., str]:
    def write(ids: list[int], score: float = 0.0) -> str:
        file = tmp_path / f"{len(list(tmp_path.iterdir()))}.parquet"
        pa.parquet.write_table(pa.table({"id": ids, "score": [score + number for number in ids]}), file)
        return str(file)

    return write


async def test_rows_are_changed_compared_and_merged_from_the_command_line(
    headwater: Command, file_of: Callable[..., str], connection: Connection
) -> None:
    def story() -> None:
        headwater("push", "d", file_of(list(range(100))))
        datasets.update(connection, "d", key_columns=["id"])
        edited = headwater("edit", "d", "train", file_of([100], 0.5), "--first-row", "7", "--delete-count", "1")
        assert "v1.1.0" in edited
        assert "1 of 1 chunks were new" in edited
        diff = headwater("diff", "d@v1.0.0", "d@main")
        assert diff.splitlines()[1].split() == ["train", "1", "1", "0"]
        assert diff.splitlines()[2:] == [
            "- train 7 [7] {'id': 7, 'score': 7.0}",
            "+ train 7 [100] {'id': 100, 'score': 100.5}",
        ]
        headwater("branch", "create", "d", "side")
        headwater("upsert", "d", "train", file_of([1, 500], 2.0), "--branch", "side", "--message", "more")
        headwater("delete-rows", "d", "train", file_of([2, 3]))
        headwater("merge", "d", "side")
        diff = headwater("diff", "d@v1.1.0", "d@main", "--columns", "score")
        assert diff.splitlines()[2:] == [
            "~ train 1 [1] {'score': 1.0} -> {'score': 3.0}",
            "- train 2 [2] {'score': 2.0}",
            "- train 3 [3] {'score': 3.0}",
            "+ train 98 [500] {'score': 502.0}",
        ]
        limited = headwater("diff", "d@v1.1.0", "d@main", "--rows", "1", "--split", "train")
        assert len(limited.splitlines()) == 3
        assert "Revert v1.1.0" in headwater("revert", "d", "v1.1.0")
        assert "Revert d@v1.2.0" in headwater("revert", "d", "d@v1.2.0")
        assert "nothing changed" in headwater("merge", "d", "d@side")
        assert "INVALID_NAME other@side is no version, branch" in headwater("merge", "d", "other@side", refused=True)
        assert "ROW_OUT_OF_RANGE" in headwater("edit", "d", "train", "--first-row", "1000", refused=True)

    await asyncio.to_thread(story)


async def test_columns_that_came_went_or_changed_are_said_once(headwater: Command, tmp_path: Path) -> None:
    def push(name: str, **columns: pa.Array) -> None:
        pa.parquet.write_table(pa.table(columns), tmp_path / "rows.parquet")
        headwater("push", name, str(tmp_path / "rows.parquet"))

    def story() -> None:
        push("d", id=pa.array([1, 2]), n=pa.array([5, 6]), x=pa.array([1, 2]))
        headwater("describe", "d", "--key-columns", "id")
        push("d", id=pa.array([1, 2]), x=pa.array([1.0, 2.5]), note=pa.array(["a", None]))
        diff = headwater("diff", "d@v1.0.0", "d@v2.0.0").splitlines()
        assert diff[1].split() == ["train", "0", "0", "2"]
        assert diff[2:] == [
            "column note came: string",
            "column n went: int64",
            "column x changed: int64 -> double",
            "~ train 0 [1] {'n': 5} -> {'note': 'a'}",
            "~ train 1 [2] {'n': 6, 'x': 2} -> {'x': 2.5, 'note': None}",
        ]
        some = headwater("diff", "d@v1.0.0", "d@v2.0.0", "--columns", "note").splitlines()[5:]
        assert some == ["~ train 0 [1] {} -> {'note': 'a'}", "~ train 1 [2] {} -> {'note': None}"]
        assert "COLUMN" in headwater("diff", "d@v1.0.0", "d@v2.0.0", "--columns", "note,nope", refused=True)
        push("d", note=pa.array(["a", None]), id=pa.array([1, 2]), x=pa.array([1.0, 2.5]))
        assert headwater("diff", "d@v2.0.0", "d").splitlines()[2:] == [
            "columns are in another order: note, id, x",
            "~ train 0 [1]",
            "~ train 1 [2]",
        ]

    await asyncio.to_thread(story)


@pytest.mark.filterwarnings("default::headwater.datasets.states.VersionDeprecated")
async def test_versions_out_of_use_are_compared_without_their_values_and_deprecated_ones_with_a_warning(
    headwater: Command, file_of: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    """M-19, M-20."""

    def story() -> None:
        headwater("push", "d", file_of([1]))
        headwater("push", "d", file_of([2]))
        headwater("version", "archive", "d@v1.0.0", "--message", "wrong")
        arguments = ["dataset", "diff", "d@v1.0.0", "d@v1.1.0"]
        with pytest.raises(SystemExit) as end:
            cli.main(arguments)
        printed = capsys.readouterr()
        assert (end.value.code in (0, None), printed.out.splitlines()[1].split()) == (True, ["train", "1", "1", "0"])
        assert "warning: The values of rows are not shown." in printed.err
        headwater("version", "reactivate", "d@v1.0.0")
        headwater("version", "deprecate", "d@v1.0.0", "--message", "old")
        with pytest.raises(SystemExit):
            cli.main(arguments)
        err = capsys.readouterr().err
        assert "is deprecated: old" in err
        assert ".py" not in err

    await asyncio.to_thread(story)


async def test_conflicts_are_shown_by_row_and_key(
    headwater: Command, file_of: Callable[..., str], connection: Connection
) -> None:
    def story() -> None:
        headwater("push", "d", file_of(list(range(100))))
        datasets.update(connection, "d", key_columns=["id"])
        headwater("branch", "create", "d", "side")
        headwater("upsert", "d", "train", file_of([40, 41], 1.0), "--branch", "side")
        headwater("upsert", "d", "train", file_of([41], 2.0))
        told = headwater("merge", "d", "side", refused=True)
        assert "MERGE_CONFLICT" in told
        assert ["train", "41", "[41]"] in [line.split()[:3] for line in told.splitlines()]
        assert "has no column score" in headwater("upsert", "d", "train", _only_ids(file_of([1])), refused=True)

    await asyncio.to_thread(story)


def _only_ids(file: str) -> str:
    pa.parquet.write_table(pa.parquet.read_table(file, columns=["id"]), file)
    return file
