"""Differences, merges, reverts, rebases and edits, as users make them."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from chassis.auth import Role
from chassis.service import Service
from headwater import datasets, tree
from headwater.client import Connection
from headwater.dataset.v1 import history_pb2
from headwater.datasets import changes, history
from headwater.errors import HeadwaterError
from tests.integration.dataset.conftest import ConnectTo

SCHEMA = pa.schema([("id", pa.int64()), ("name", pa.string()), ("score", pa.float64())])


def people(numbers: Any, score: float = 0.0) -> pa.Table:
    numbers = list(numbers)
    return pa.table(
        {"id": numbers, "name": [f"person {number}" for number in numbers], "score": [score + n for n in numbers]},
        schema=SCHEMA,
    )


def push(connection: Connection, rows: pa.Table, **splits: pa.Table) -> str:
    return datasets.push(connection, "people", datasets.Tables({"train": rows, **splits})).version.name


def rows_of(connection: Connection, reference: str = "people", split: str = "train") -> pa.Table:
    return datasets.reader(connection, datasets.resolve(connection, reference), split).read_all()


def ids(connection: Connection, reference: str = "people") -> list[int]:
    ids: list[int] = rows_of(connection, reference).column("id").to_pylist()
    return ids


def digest_of(rows: pa.Table) -> str:
    split = tree.digest_split("train", rows.schema, rows.to_batches())
    return tree.digest_text(tree.version_digest(rows.schema, [split]))


async def test_an_edit_by_place_is_what_a_push_of_all_rows_would_be(connection: Connection) -> None:
    def story() -> None:
        rows = people(range(200_000))
        push(connection, rows)
        with changes.edit(connection, "people", message="one") as edit:
            result = edit.replace("train", 100_000, 1, people([7], score=0.5))
        assert 1 <= result.new_chunk_count <= 3
        wanted = pa.concat_tables([rows[:100_000], people([7], score=0.5), rows[100_001:]])
        assert edit.commit.digest == digest_of(wanted)
        assert edit.commit.version == "v1.1.0"
        assert rows_of(connection, "people").equals(wanted)

    await asyncio.to_thread(story)


async def test_edits_of_one_upload_follow_one_another(connection: Connection) -> None:
    def story() -> None:
        rows = people(range(50_000))
        push(connection, rows)
        with changes.edit(connection, "people") as edit:
            edit.replace("train", 0, 0, people([-1]))
            edit.remove("train", 10, 5)
            edit.replace("train", 49_996, 0, people([99_999]))
        wanted = pa.concat_tables([people([-1]), rows[:9], rows[14:], people([99_999])])
        assert edit.commit.digest == digest_of(wanted)

    await asyncio.to_thread(story)


async def test_rows_are_upserted_and_deleted_by_key(connection: Connection) -> None:
    def story() -> None:
        rows = people(range(20_000))
        push(connection, rows)
        datasets.update(connection, "people", key_columns=["id"])
        with changes.edit(connection, "people") as edit:
            edit.upsert("train", people([5, 20_001, 19_000], score=100.0))
            edit.delete("train", pa.table({"id": pa.array([0, 7], pa.int64())}))
        found = rows_of(connection, "people")
        assert found.num_rows == 20_000 + 1 - 2
        by_id = dict(zip(found.column("id").to_pylist(), found.column("score").to_pylist(), strict=True))
        assert (by_id[5], by_id[19_000], by_id[20_001], by_id[6]) == (105.0, 19_100.0, 20_101.0, 6.0)
        assert 0 not in by_id
        assert 7 not in by_id
        named = changes.diff(connection, "people@v1.0.0", "people@v1.1.0", key_columns=["score", "id"])
        assert [(sums.added, sums.removed, sums.changed) for sums in named.splits] == [(3, 4, 0)]
        difference = changes.diff(connection, "people@v1.0.0", "people@v1.1.0")
        assert [(sums.added, sums.removed, sums.changed) for sums in difference.splits] == [(1, 2, 2)]
        assert {(change.kind, change.key_json) for change in difference.changes} == {
            (history_pb2.RowChange.KIND_ADDED, "[20001]"),
            (history_pb2.RowChange.KIND_REMOVED, "[0]"),
            (history_pb2.RowChange.KIND_REMOVED, "[7]"),
            (history_pb2.RowChange.KIND_CHANGED, "[5]"),
            (history_pb2.RowChange.KIND_CHANGED, "[19000]"),
        }

    await asyncio.to_thread(story)


NOBODY = people([1]).set_column(0, "id", pa.array([None], pa.int64()))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda edit: edit.replace("train", 11, 0, people([1])), "ROW_OUT_OF_RANGE"),
        (lambda edit: edit.replace("train", 9, 2, people([1])), "ROW_OUT_OF_RANGE"),
        (lambda edit: edit.replace("test", 0, 0, people([1])), "SPLIT_NOT_FOUND"),
        (lambda edit: edit.replace("train", 0, 0, pa.table({"id": [1]})), "COLUMNS_DIFFER"),
        (lambda edit: edit.upsert("train", pa.table({"id": [1]})), "COLUMNS_DIFFER"),
        (lambda edit: edit.upsert("train", people([1, 1])), "KEY_NOT_UNIQUE"),
        (
            lambda edit: edit.upsert("train", people([1]).set_column(0, "id", pa.array([None], pa.int64()))),
            "KEY_IS_NULL",
        ),
        (lambda edit: edit.delete("train", pa.table({"id": pa.array([77], pa.int64())})), "KEY_NOT_FOUND"),
        (lambda edit: edit.delete("train", people([1])), "COLUMNS_DIFFER"),
    ],
)
async def test_what_cannot_be_changed_is_refused_and_nothing_is(
    connection: Connection, make: Callable[[changes.Editing], Any], reason: str
) -> None:
    def story() -> None:
        push(connection, people(range(10)))
        datasets.update(connection, "people", key_columns=["id"])
        with pytest.raises(HeadwaterError) as refusal, changes.edit(connection, "people") as edit:
            make(edit)
        assert refusal.value.reason == reason
        assert datasets.get(connection, "people").latest_version == "v1.0.0"

    await asyncio.to_thread(story)


async def test_without_key_columns_nothing_is_changed_by_key(connection: Connection) -> None:
    def story() -> None:
        push(connection, people(range(10)))
        with pytest.raises(HeadwaterError) as refusal, changes.edit(connection, "people") as edit:
            edit.upsert("train", people([1]))
        assert refusal.value.reason == "NO_KEY_COLUMNS"

    await asyncio.to_thread(story)


async def test_a_difference_names_the_rows_that_differ(connection: Connection) -> None:
    def story() -> None:
        rows = people(range(100_000))
        push(connection, rows, test=people(range(10)))
        with changes.edit(connection, "people") as edit:
            edit.replace("train", 500, 2, people([500], score=9.0))
        difference = changes.diff(connection, "people@v1.0.0", "people@main")
        assert [(sums.split, sums.added, sums.removed) for sums in difference.splits] == [
            ("test", 0, 0),
            ("train", 1, 2),
        ]
        assert [(change.base_row, change.target_row) for change in difference.changes] == [(500, 0), (501, 0), (0, 500)]
        none = changes.diff(connection, "people@v1.1.0", "people@main")
        assert not none.changes
        limited = changes.diff(connection, "people@v1.0.0", "people@main", max_rows=1)
        assert (len(limited.changes), limited.truncated) == (1, True)

    await asyncio.to_thread(story)


async def test_changes_of_two_branches_come_together(connection: Connection) -> None:
    def story() -> None:
        rows = people(range(30_000))
        push(connection, rows)
        history.create_branch(connection, "people", "side")
        with changes.edit(connection, "people", branch="side") as edit:
            edit.replace("train", 10, 1, people([10], score=1.0))
            edit.replace("train", 20_000, 0, people([777_777]))
        with changes.edit(connection, "people") as edit:
            edit.remove("train", 5, 1)
            edit.replace("train", 29_000, 1, people([29_000], score=2.0))
        merged = changes.merge(connection, "people", "side")
        assert merged.created
        assert len(merged.commit.parents) == 2
        wanted = pa.concat_tables(
            [
                rows[:5],
                rows[6:10],
                people([10], score=1.0),
                rows[11:20_000],
                people([777_777]),
                rows[20_000:29_001],
                people([29_000], score=2.0),
                rows[29_002:],
            ]
        )
        assert rows_of(connection, "people").num_rows == wanted.num_rows
        assert changes.merge(connection, "people", "side").created is False

    await asyncio.to_thread(story)


async def test_a_branch_with_nothing_of_its_own_moves_forward(connection: Connection) -> None:
    def story() -> None:
        push(connection, people(range(10)))
        history.create_branch(connection, "people", "side")
        with changes.edit(connection, "people", branch="side") as edit:
            edit.remove("train", 0, 1)
        assert changes.merge(connection, "people", "side").commit.name == edit.commit.name
        assert datasets.get(connection, "people").latest_version == "v1.1.0"

    await asyncio.to_thread(story)


async def test_rows_that_both_changed_are_in_conflict_and_the_branch_stays(connection: Connection) -> None:
    def story() -> None:
        push(connection, people(range(1000)))
        datasets.update(connection, "people", key_columns=["id"])
        history.create_branch(connection, "people", "side")
        with changes.edit(connection, "people", branch="side") as edit:
            edit.upsert("train", people([10, 11, 5000], score=1.0))
        with changes.edit(connection, "people") as edit:
            edit.upsert("train", people([11, 12, 5000], score=2.0))
        with pytest.raises(changes.MergeConflict) as conflict:
            changes.merge(connection, "people", "side")
        assert {each.key_json for each in conflict.value.conflicts} == {"[11]", "[5000]"}
        assert datasets.get(connection, "people").latest_version == "v1.1.0"
        # The same change on both sides is none.
        with changes.edit(connection, "people", branch="side") as edit:
            edit.upsert("train", people([11, 5000], score=2.0))
        changes.merge(connection, "people", "side")
        merged = rows_of(connection)
        by_id = dict(zip(merged.column("id").to_pylist(), merged.column("score").to_pylist(), strict=True))
        assert (by_id[10], by_id[11], by_id[12], by_id[5000]) == (11.0, 13.0, 14.0, 5002.0)
        assert merged.num_rows == 1001

    await asyncio.to_thread(story)


async def test_rows_are_named_by_times_that_python_has_no_word_for(connection: Connection) -> None:
    """The year 0 and nanoseconds, which a service without pandas has none for either."""

    def timed(*values: int) -> pa.Table:
        early = pa.array([-62_167_219_200_000_000] * len(values), pa.timestamp("us"))
        return pa.table(
            {"early": early, "late": pa.array(values, pa.timestamp("ns", "UTC")), "day": early.cast("date32")}
        )

    def story() -> None:
        push(connection, timed(1, 2, 3))
        datasets.update(connection, "people", key_columns=["early", "late", "day"])
        with changes.edit(connection, "people") as edit:
            edit.remove("train", 1, 1)
        (change,) = changes.diff(connection, "people@v1.0.0", "people@main").changes
        assert json.loads(change.key_json) == [
            "0000-01-01 00:00:00.000000", "1970-01-01 00:00:00.000000002Z", "0000-01-01",
        ]  # fmt: skip

    await asyncio.to_thread(story)


async def test_a_commit_is_reverted_and_what_came_after_it_stays(connection: Connection) -> None:
    def story() -> None:
        push(connection, people(range(1000)))
        with changes.edit(connection, "people") as wrong:
            wrong.replace("train", 3, 1, people([3], score=50.0))
        with changes.edit(connection, "people") as edit:
            edit.replace("train", 900, 1, people([900], score=60.0))
        reverted = changes.revert(connection, "people", wrong.commit.name.rpartition("/")[2])
        assert reverted.commit.message.startswith("Revert ")
        scores = rows_of(connection, "people").column("score").to_pylist()
        assert (scores[3], scores[900]) == (3.0, 960.0)
        with pytest.raises(HeadwaterError) as refusal:
            changes.revert(connection, "people", "v1.0.0")
        assert refusal.value.reason == "CANNOT_REVERT"

    await asyncio.to_thread(story)


def race(connection: Connection, late_row: int, early_row: int, *, rebase: bool = False) -> None:
    """Two edits of one branch, of which the one that begins first commits last."""
    with changes.edit(connection, "people", rebase=rebase) as late:
        late.replace("train", late_row, 1, people([late_row], score=5.0))
        with changes.edit(connection, "people") as early:
            early.replace("train", early_row, 1, people([early_row], score=7.0))


async def test_who_comes_second_is_told_and_may_rebase(connection: Connection) -> None:
    """Concurrent commits to one branch: one wins, the other gets ABORTED and can rebase."""

    def story() -> None:
        push(connection, people(range(1000)))
        with pytest.raises(HeadwaterError) as moved:
            race(connection, 1, 2)
        assert moved.value.reason == "BRANCH_MOVED"
        race(connection, 1, 4, rebase=True)
        scores = rows_of(connection, "people").column("score").to_pylist()
        assert scores[:5] == [0.0, 6.0, 9.0, 3.0, 11.0]
        with pytest.raises(HeadwaterError) as conflict:
            race(connection, 7, 7, rebase=True)
        assert conflict.value.reason == "MERGE_CONFLICT"

    await asyncio.to_thread(story)


async def test_splits_and_columns_merge_where_one_side_changed_them(connection: Connection) -> None:
    def story() -> None:
        rows = people(range(100))
        push(connection, rows, test=rows[:10])
        history.create_branch(connection, "people", "side")
        with changes.edit(connection, "people", branch="side") as edit:
            edit.remove("test", 0, 5)
        with changes.edit(connection, "people") as edit:
            edit.remove("train", 0, 50)
        merged = changes.merge(connection, "people", "side").commit
        assert {split.name: split.row_count for split in merged.splits} == {"train": 50, "test": 5}

        history.create_branch(connection, "people", "columns")
        wider = rows.append_column("extra", pa.array([1] * 100))
        push(connection, wider, test=wider[:5])
        with changes.edit(connection, "people", branch="columns") as edit:
            edit.remove("train", 0, 1)
        with pytest.raises(changes.MergeConflict):
            changes.merge(connection, "people", "columns")

    await asyncio.to_thread(story)


async def test_a_reader_may_compare_and_may_not_merge(
    service: Service, connection: Connection, connection_to: ConnectTo
) -> None:
    reader = connection_to(service, Role.READER)

    def story() -> None:
        push(connection, people(range(10)))
        push(connection, people(range(11)))
        assert changes.diff(reader, "people@v1.0.0", "people@v1.1.0").splits[0].added == 1
        with pytest.raises(HeadwaterError) as refusal:
            changes.merge(reader, "people", "v1.0.0")
        assert refusal.value.reason == "PERMISSION_DENIED"

    await asyncio.to_thread(story)


async def test_random_edits_equal_a_push_of_all_rows(connection: Connection) -> None:
    """Many seeds of the property that the unit test of the splicer tries with small chunks."""

    def story() -> None:
        rng = np.random.default_rng(3)
        rows = people(range(60_000))
        push(connection, rows)
        for turn in range(8):
            first = int(rng.integers(0, rows.num_rows))
            count = int(min(rng.integers(0, 30_000 if turn % 2 else 3), rows.num_rows - first))
            new = people(rng.integers(10**6, 10**9, int(rng.integers(0, 20_000 if turn % 3 == 0 else 3))).tolist())
            with changes.edit(connection, "people") as edit:
                edit.replace("train", first, count, new)
            rows = pa.concat_tables([rows[:first], new, rows[first + count :]])
            assert edit.commit.digest == digest_of(rows)

    await asyncio.to_thread(story)
