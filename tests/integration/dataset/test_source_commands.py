"""What rows come from and go to, as a user types it: push, digest, split, export, describe."""

import asyncio
import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
import rich.progress

from chassis.auth import Role
from chassis.service import Service
from chassis.testing import TokenFor
from headwater import cli, datasets
from headwater.client import Connection
from headwater.names import InvalidName
from tests.unit.files.conftest import write

Run = Callable[..., str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command; returns what it prints, or, with `code=1`, what it says is wrong."""

    def command(*arguments: object, code: int = 0) -> str:
        with pytest.raises(SystemExit) as end:
            cli.main(["dataset", *map(str, arguments)])
        out, err = capsys.readouterr()
        assert (end.value.code or 0) == code, err
        return err if code else out

    return command


@pytest.fixture
def headwater(run: Run, service: Service, token_for: TokenFor, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The same, with a service."""
    monkeypatch.setenv("HEADWATER_DATASET_ADDRESS", service.address)
    monkeypatch.setenv("HEADWATER_DATASET_FLIGHT_ADDRESS", f"127.0.0.1:{service.flight_port}")
    monkeypatch.setenv("HEADWATER_TOKEN", token_for(Role.WRITER, subject="ann"))
    return run


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    table = pa.table({"n": range(100), "label": [("cat", "dog")[n % 4 == 0] for n in range(100)]})
    (tmp_path / "in").mkdir()
    pa.parquet.write_table(table, tmp_path / "in" / "rows.parquet")
    with sqlite3.connect(tmp_path / "in" / "rows.sqlite") as connection:
        connection.execute("CREATE TABLE t (n INTEGER, label TEXT)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", list(zip(*table.to_pydict().values(), strict=True)))
    connection.close()
    with (tmp_path / "in" / "rows.jsonl").open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in table.to_pylist())
    os.link(tmp_path / "in" / "rows.parquet", tmp_path / "in" / "rows.csv")  # which its name does not say
    return tmp_path / "in"


def digest(printed: str) -> str:
    return next(line for line in printed.splitlines() if line.startswith("digest")).split()[1]


def test_one_digest_whatever_the_rows_come_from_without_a_server(
    run: Run, rows: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """N-11, R-35."""
    monkeypatch.setenv("ROWS", f"sqlite://{rows}/rows.sqlite")
    by = ("--split-by", "stratum:label,train=0.8,test=0.2,seed=1")
    printed = run("digest", rows / "rows.parquet", *by)
    assert "train 80, test 20" in printed
    for source in (
        (rows / "rows.jsonl",),
        (rows / "rows.csv",),
        ("--sql", "env:ROWS", "--query", "SELECT n, label FROM t ORDER BY n"),
    ):
        assert digest(run("digest", *source, *by)) == digest(printed)
    assert digest(run("digest", rows / "rows.jsonl", "--types", "n=int64", *by)) == digest(printed)
    assert digest(run("digest", rows / "rows.jsonl", "--types", "n=int32", *by)) != digest(printed)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Say which file or folder"),
        (("rows.csv", "--sql", "env:ROWS", "--query", "SELECT 1"), "go together, without files"),
        (("--sql", "env:ROWS"), "--sql URL and --query go together"),
        (("--query", "SELECT 1"), "--sql URL and --query go together"),
        (("--sql", "env:SURELY_NOT_SET", "--query", "SELECT 1"), "SURELY_NOT_SET is not set"),
        (("rows.csv", "--types", "label"), "'label' must be COLUMN=TYPE"),
        (("rows.csv", "--types", "label=word"), "'label=word' must be COLUMN=TYPE"),
        (("rows.csv", "--as", "rows"), "'rows'; only as files"),
        (("rows.csv", "--split-by", "random"), "is not one of none; name:NAME"),
    ],
)
def test_options_that_say_nothing_together_are_refused(run: Run, arguments: tuple[str, ...], said: str) -> None:
    assert said in " ".join(run("digest", *arguments, code=1).split())


async def test_files_go_in_and_come_out(headwater: Run, rows: Path, tmp_path: Path) -> None:
    def story() -> None:
        pushed = headwater("push", "d", rows / "rows.csv", "--split-by", "stratum:label,train=0.8,test=0.2")
        assert [line.split() for line in pushed.splitlines() if line.startswith(("train", "test"))] == [
            ["test", "20", "340"],
            ["train", "80", "1,360"],
        ]
        assert "cat 60, dog 20" in pushed
        headwater("export", "d", tmp_path / "out", "--format", "webdataset", "--document", "metadata.json")
        written = json.loads((tmp_path / "out" / "metadata.json").read_text())
        assert [split["samples"] for split in written["splits"]] == [20, 80]
        assert "TARGET_NOT_EMPTY" in headwater("export", "d", tmp_path / "out", code=1)
        assert json.loads(headwater("describe", "d@v1.0.0", "--format", "metadata.json"))["dataset_id"] == "d"
        assert "versionedBy: ann" in headwater("describe", "d", "--format", "dataset.yml")
        assert "not both" in headwater("describe", "d", "--format", "dataset.yml", "--hidden", code=1)
        assert "v1.1.0" in headwater("split", "d@v1.0.0", "--split-by", "name:holdout")
        assert headwater("show", "d").count("holdout 100") == 1

    await asyncio.to_thread(story)


async def test_a_split_is_named_by_its_address(
    headwater: Run, rows: Path, tmp_path: Path, connection: Connection
) -> None:
    """R-35: wherever a version and a split are named; and never is what it says of the split passed over."""

    def story() -> None:
        headwater("push", "d", rows / "rows.csv", "--split-by", "ratio:train=0.8,test=0.2")
        uri = "s3://datasets/d/v1.0.0/test.tar"
        assert headwater("show", uri).splitlines()[-1].split()[:2] == ["test", "20"]
        assert "SPLIT_NOT_FOUND" in headwater("show", uri.replace("test", "val"), code=1)
        assert "20" in headwater("pull", uri, tmp_path / "test.parquet")
        rest = pa.parquet.read_table(tmp_path / "test.parquet")
        assert rest == datasets.reader(connection, "d@v1.0.0", "test").read_all()
        assert rest == datasets.reader(connection, uri, "").read_all() == datasets.to_arrow(connection, uri)
        for format_ in ("parquet", "csv"):
            headwater("export", uri, tmp_path / format_, "--format", format_)
            assert [file.name for file in (tmp_path / format_).iterdir()] == [f"test.{format_}"]
        assert "is the split test and not train" in headwater("export", uri, tmp_path / "x", "--split", "train", code=1)
        assert "is the split test and not train" in headwater("pull", uri, "train", tmp_path / "x.csv", code=1)
        assert "a split's address and the file" in headwater("pull", "d", "train", code=1)
        with pytest.raises(InvalidName, match="Say which split of d"):
            datasets.reader(connection, "d")

    await asyncio.to_thread(story)


@pytest.mark.parametrize("name", ["rows.parquet", "rows.jsonl", "rows.sqlite"])
async def test_the_bar_of_a_push_ends_where_the_rows_do(
    headwater: Run, rows: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much was expected: Parquet's bytes are encoded, a line's are text, and of a query nothing is known."""
    seen: list[tuple[float | None, float]] = []
    update = rich.progress.Progress.update

    def watched(bar: rich.progress.Progress, task: Any, **fields: Any) -> None:
        update(bar, task, **fields)
        seen.append((bar.tasks[0].total, bar.tasks[0].completed))

    monkeypatch.setattr(rich.progress.Progress, "update", watched)
    is_query = name == "rows.sqlite"
    source = ["--sql", f"sqlite://{rows / name}", "--query", "SELECT * FROM t"] if is_query else [rows / name]
    await asyncio.to_thread(headwater, "push", "d", *source)
    assert [total is None for total, _ in seen[:-1]] == [is_query] * (len(seen) - 1)
    assert all(total is None or done <= total for total, done in seen)
    total, done = seen[-1]
    assert total == done > 0


async def test_any_files_are_rows(headwater: Run, tmp_path: Path) -> None:
    def story() -> None:
        folder = write(tmp_path / "in", {"a/1.bin": b"1", "b": b"2"})
        assert "a new version" in headwater("push", "f", folder, "--as", "files")
        assert "nothing changed" in headwater("push", "f", folder, "--as", "files")
        headwater("export", "f", tmp_path / "out", "--shard-size", "1MiB")
        assert digest(headwater("digest", tmp_path / "out")) == digest(headwater("digest", folder, "--as", "files"))
        assert "is no size" in headwater("export", "f", tmp_path / "new", "--shard-size", "big", code=1)

    await asyncio.to_thread(story)
