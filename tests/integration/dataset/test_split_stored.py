"""The rows of a version in other splits (R-35, M-99)."""

import asyncio
import json

import pyarrow as pa
import pytest

from headwater import datasets
from headwater.client import Connection
from headwater.datasets import history
from headwater.errors import HeadwaterError

TABLE = pa.table({
    "n": pa.array(range(2000), pa.int64()),
    "label": [("cat", "dog")[n % 2] for n in range(2000)],
    "text": ["x" * (n % 900) for n in range(2000)],
})  # fmt: skip


def numbers(connection: Connection, version: str, split: str) -> list[int]:
    values: list[int] = datasets.reader(connection, version, split).read_all().column("n").to_pylist()
    return values


async def test_rows_get_other_splits_and_the_version_says_how(connection: Connection) -> None:
    def story() -> None:
        first = datasets.push(connection, "rows", datasets.Tables({"train": TABLE})).version
        rule = "stratum:label,train=0.8,validation=0.1,test=0.1,seed=7"
        second = datasets.split(connection, "rows@v1.0.0", rule).version
        assert {split.name: split.row_count for split in second.splits} == {
            "train": 1600,
            "validation": 200,
            "test": 200,
        }
        rows = {split.name: numbers(connection, second.name, split.name) for split in second.splits}
        assert sorted(n for part in rows.values() for n in part) == list(range(2000))
        assert sum(n % 2 for n in rows["test"]) == 100
        assert all(part == sorted(part) for part in rows.values())
        commit = history.get_commit(connection, second.name)
        assert json.loads(commit.definition.dataflow.spec_json) == {"format": "headwater.split/1", "split_by": rule}
        assert list(commit.definition.dataflow.inputs) == [first.name]
        assert list(second.derived_from) == [first.name]

    await asyncio.to_thread(story)


async def test_the_same_rule_gives_the_same_splits_as_for_files(connection: Connection) -> None:
    def story() -> None:
        datasets.push(connection, "rows", datasets.Tables({"train": TABLE}))
        first = datasets.split(connection, "rows@v1.0.0", "hash:n,a=0.5,b=0.5", into="halves").version
        again = datasets.split(connection, "rows@v1.0.0", "hash:n,a=0.5,b=0.5", into="halves")
        assert (again.created, again.version.digest) == (False, first.digest)

    await asyncio.to_thread(story)


async def test_what_already_is_in_its_place_is_not_stored_again(connection: Connection) -> None:
    def story() -> None:
        datasets.push(connection, "rows", datasets.Tables({"train": TABLE}))
        named = datasets.split(connection, "rows@v1.0.0", "name:holdout")
        assert [split.name for split in named.version.splits] == ["holdout"]
        assert named.new_chunk_count == 0

    await asyncio.to_thread(story)


@pytest.mark.parametrize(
    ("rule", "said"),
    [("directory", "no folders"), ("hash:nope", "no column nope"), ("column:text", "splits|split must be|values")],
)
async def test_a_rule_that_cannot_be_followed_makes_no_version(connection: Connection, rule: str, said: str) -> None:
    def story() -> None:
        datasets.push(connection, "rows", datasets.Tables({"train": TABLE}))
        with pytest.raises(HeadwaterError, match=said):
            datasets.split(connection, "rows", rule)
        assert len(list(datasets.list_versions(connection, "rows"))) == 1

    await asyncio.to_thread(story)
