"""Which row is in which split."""

import collections
import tracemalloc
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import InvalidArgument
from headwater.files import (
    FORMS,
    ByColumn,
    ByDirectory,
    ByGroup,
    ByHash,
    ByRatio,
    ByStratum,
    Source,
    SplitBy,
    Whole,
    export,
    split_by,
)
from headwater.files.errors import InvalidSplitBy
from headwater.files.splits.keys import shuffled
from tests.unit.files import split_reference as reference
from tests.unit.files.conftest import write

ROWS = pa.record_batch({"user": [f"user-{i % 5000}" for i in range(20_000)], "n": range(20_000)})
SHARES = {"train": Fraction("0.8"), "validation": Fraction("0.1"), "test": Fraction("0.1")}
HALVES = {"a": Fraction(1, 2), "b": Fraction(1, 2)}
shares = st.lists(st.integers(1, 9), min_size=1, max_size=4).map(
    lambda parts: {f"s{index}": Fraction(part, sum(parts)) for index, part in enumerate(parts)}
)
seeds = st.integers(0, 2**64 - 1)


class Batches:
    """Rows that come in batches of a size."""

    def __init__(self, rows: pa.RecordBatch, size: int = 1000) -> None:
        self.rows, self.size, self.schema = rows, size, rows.schema

    def look(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for start in range(0, self.rows.num_rows, self.size):
            yield self.rows.slice(start, self.size)


def assigned(by: SplitBy, rows: pa.RecordBatch, size: int = 1000) -> list[str]:
    """The split of each row, told by asking for the splits one after the other."""
    batches = Batches(rows, size)
    division = by.divide(batches)
    named = [""] * rows.num_rows
    for split in division.splits:
        choice = division.choice(split)
        masks = [np.ones(part.num_rows, bool) if choice is None else choice.mask(part) for part in batches.look([])]
        for row in np.flatnonzero(np.concatenate([*masks, np.empty(0, bool)])).tolist():
            assert not named[row], "in two splits"
            named[row] = split
    assert all(named), "in no split"
    return named


@pytest.mark.parametrize(
    "by", [ByHash("user"), ByRatio(), ByStratum("user"), ByGroup("user"), ByColumn("of"), Whole("holdout")]
)
def test_every_row_is_in_one_split_whatever_the_batches(by: SplitBy) -> None:
    """R-35, M-99."""
    of = pa.array([("train", "debug", "val")[i % 3] for i in range(20_000)])
    rows = ROWS.append_column("of", of)
    assert assigned(by, rows, 1000) == assigned(by, rows, 7777)


def test_shares_by_hash_are_met_about() -> None:
    counts = collections.Counter(assigned(ByHash("user"), ROWS))
    assert [round(counts[split] / 20_000, 1) for split in SHARES] == [0.8, 0.1, 0.1]


def test_rows_of_one_key_are_in_one_split() -> None:
    for by in (ByHash("user"), ByGroup("user")):
        pairs = set(zip(ROWS.column("user").to_pylist(), assigned(by, ROWS), strict=True))
        assert len(pairs) == 5000


def test_a_split_by_hash_depends_on_the_key_and_the_seed_alone() -> None:
    by = ByHash("user", SHARES, seed=7)
    dressed = ROWS.slice(100, 50).set_column(0, "user", ROWS.column("user").slice(100, 50).dictionary_encode())
    assert assigned(by, dressed) == assigned(by, ROWS)[100:150]
    assert assigned(by, ROWS) != assigned(ByHash("user", SHARES, seed=8), ROWS)


@given(st.lists(st.text(), max_size=20), seeds)
def test_a_hash_is_what_the_reference_says(keys: list[str], seed: int) -> None:
    by = ByHash("k", {"a": Fraction(1, 3), "b": Fraction(2, 3)}, seed)
    wanted = ["ab"[key * 3 >= 2**64] for key in reference.value_key("k", pa.array(keys, pa.string()), seed)]
    assert assigned(by, pa.record_batch({"k": pa.array(keys, pa.string())})) == wanted


@given(st.integers(0, 60), shares, seeds, st.integers(1, 60))
def test_a_ratio_is_exact_and_what_the_reference_says(
    count: int, parts: dict[str, Fraction], seed: int, size: int
) -> None:
    rows = pa.record_batch({"n": pa.array(range(count), pa.int64())})
    wanted = reference.by_stratum([None] * count, list(parts.values()), seed)
    assert assigned(ByRatio(parts, seed), rows, size) == [list(parts)[index] for index in wanted]


def test_a_ratio_is_exact_for_many_rows() -> None:
    counts = collections.Counter(assigned(ByRatio({"a": Fraction(1, 3), "b": Fraction(2, 3)}, 5), ROWS))
    assert counts == {"a": 6667, "b": 13333}


@given(st.lists(st.sampled_from([1.5, -0.0, 3.0, None]), max_size=60), shares, seeds)
def test_each_stratum_is_split_as_the_reference_says(
    values: list[float | None], parts: dict[str, Fraction], seed: int
) -> None:
    rows = pa.record_batch({"x": pa.array(values, pa.float64())})
    wanted = reference.by_stratum(values, list(parts.values()), seed)
    assert assigned(ByStratum("x", parts, seed), rows, 7) == [list(parts)[index] for index in wanted]


def test_strata_are_counted_by_split() -> None:
    labels = pa.array(["cat"] * 90 + ["dog"] * 10 + [None] * 5)
    division = ByStratum("label", SHARES).divide(Batches(pa.record_batch({"label": labels}), 8))
    assert division.classes == {
        "train": {"cat": 72, "dog": 8, "null": 4},
        "validation": {"cat": 9, "dog": 1, "null": 1},
        "test": {"cat": 9, "dog": 1, "null": 0},
    }


@given(st.lists(st.integers(0, 12), max_size=60), shares, seeds)
def test_groups_are_cut_where_the_reference_says(values: list[int], parts: dict[str, Fraction], seed: int) -> None:
    array = pa.array(values, pa.int32())
    wanted = reference.by_group(reference.value_key("g", array, seed), list(parts.values()))
    by = ByGroup("g", parts, seed)
    assert assigned(by, pa.record_batch({"g": array}), 7) == [list(parts)[index] for index in wanted]


def test_a_class_that_python_has_no_word_for_is_a_class() -> None:
    rows = pa.record_batch({"at": pa.array([2**62, 2**62, 0], pa.timestamp("us"))})
    (counts,) = ByStratum("at", {"a": Fraction(1)}).divide(Batches(rows)).classes.values()
    assert sorted(counts.values()) == [1, 2]


def test_groups_come_near_to_their_shares() -> None:
    counts = collections.Counter(assigned(ByGroup("user", HALVES, 1), ROWS))
    assert abs(counts["a"] - 10_000) <= 4  # a group has four rows


def test_row_keys_are_a_permutation_as_the_reference_says() -> None:
    keys = shuffled(10, 100_000, 3).tolist()
    assert len(set(keys)) == 100_000
    assert keys[:50] == [reference.row_key(row, 3) for row in range(10, 60)]
    assert abs(np.mean(keys) / 2**40 - 0.5) < 0.01


def test_a_column_names_the_splits_and_other_words_mean_the_usual_ones() -> None:
    rows = pa.record_batch({"of": ["val", "train", "mine", "hold-back"]})
    assert ByColumn("of").divide(Batches(rows)).splits == ("train", "validation", "holdout", "mine")
    assert assigned(ByColumn("of"), rows, 2) == ["validation", "train", "mine", "holdout"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["train", None], "names no split in row 1"),
        (["train", "../x"], "must be 1 to 255 letters"),
        (["val", "validation"], "val and validation both mean the split validation"),
        ([1, 2], "is int64; the name of a split is a text"),
        ([f"s{i}" for i in range(101)], "more than 100 values"),
    ],
    ids=["null", "illegal", "twins", "numbers", "too many"],
)
def test_a_column_that_cannot_name_splits_is_refused(values: list[object], said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        ByColumn("of").divide(Batches(pa.record_batch({"of": values})))


@pytest.mark.parametrize("by", [ByColumn("x"), ByHash("x"), ByStratum("x"), ByGroup("x")])
def test_a_column_that_is_not_there_is_named(by: SplitBy) -> None:
    with pytest.raises(InvalidSplitBy, match="no column x to split by; there are user, n"):
        by.divide(Batches(ROWS))


def test_rows_without_files_have_no_folders_to_be_split_by() -> None:
    with pytest.raises(InvalidSplitBy, match="no folders"):
        ByDirectory().divide(Batches(ROWS))


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv", "rows.arrow"])
@pytest.mark.parametrize("text", ["ratio:a=1/3,b=2/3", "stratum:user", "group:user,seed=4", "hash:user"])
def test_the_format_of_the_files_does_not_matter(tmp_path: Path, name: str, text: str) -> None:
    export([ROWS], ROWS.schema, tmp_path / name)
    source = Source(tmp_path / name, split_by(text))
    wanted = assigned(split_by(text), ROWS)
    for split in source.splits:
        rows = [row for batch in source.batches(split) for row in batch.column("n").to_pylist()]
        assert rows == [row for row, of in enumerate(wanted) if of == split]


def test_images_of_other_splits_are_not_even_opened(images: Path) -> None:
    source = Source(images, ByHash("label", HALVES, seed=1))
    (split,) = (split for split in source.splits if _labels(source, split) == {"dog"})
    (images / "cat" / "1.png").unlink()
    assert _labels(Source(images, ByHash("label", HALVES, seed=1)), split) == {"dog"}


def test_images_are_split_by_class_without_being_opened(tmp_path: Path) -> None:
    folder = write(tmp_path / "f", {f"{label}/{i}.png": b"x" for label in ("cat", "dog") for i in range(10)})
    source = Source(folder, split_by("stratum:label,train=0.8,test=0.2"))
    assert source.classes == {"train": {"cat": 8, "dog": 8}, "test": {"cat": 2, "dog": 2}}


def _labels(source: Source, split: str) -> set[str]:
    return {label for batch in source.batches(split) for label in batch.column("label").to_pylist()}


def test_folders_and_files_name_their_splits(tmp_path: Path) -> None:
    table = pa.table({"n": [1]})
    for name in ("train-00000-of-00002.parquet", "train-00001-of-00002.parquet", "val.parquet", "mine/x.parquet"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        export(table.to_batches(), table.schema, tmp_path / name)
    source = Source(tmp_path, ByDirectory())
    assert source.splits == ("train", "validation", "mine")
    assert [sum(batch.num_rows for batch in source.batches(split)) for split in source.splits] == [2, 1, 1]


def test_two_folders_of_one_split_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "f", {"val/cat/1.png": b"x", "validation/cat/1.png": b"x"})
    with pytest.raises(InvalidSplitBy, match="val and validation both mean"):
        Source(folder, ByDirectory())


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("none", Whole("train")),
        ("name:debug", Whole("debug")),
        ("directory", ByDirectory()),
        ("column:part", ByColumn("part")),
        ("hash:path", ByHash("path", SHARES)),
        ("hash:id,a=1/3,b=2/3,seed=9", ByHash("id", {"a": Fraction(1, 3), "b": Fraction(2, 3)}, 9)),
        ("ratio", ByRatio(SHARES)),
        ("ratio:a=0.5,b=1/2", ByRatio(HALVES)),
        ("ratio:seed=3", ByRatio(SHARES, 3)),
        ("stratum:label,a=0.5,b=0.5", ByStratum("label", HALVES)),
        ("group:user,seed=2", ByGroup("user", SHARES, 2)),
    ],
)
def test_what_people_type_is_understood(text: str, meant: object) -> None:
    assert split_by(text) == meant


def test_every_form_that_is_listed_is_understood() -> None:
    for form in FORMS:
        typed = form.replace("NAME=SHARE,…,seed=N", "a=1/2,b=1/2,seed=7").replace("COLUMN", "c").replace("NAME", "n")
        split_by(typed)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not one of none; name:NAME; directory"),
        ("random", "is not one of"),
        ("column", "is not one of"),
        ("name", "is not one of"),
        ("directory:x", "is not one of"),
        ("column:", "needs the column's name"),
        ("name:", "split must be"),
        ("name:../x", "split must be"),
        ("hash:", "needs the name of a column"),
        ("hash", "needs the name of a column"),
        ("stratum", "needs the name of a column"),
        ("group:,a=1", "needs the name of a column"),
        ("hash:id,train=0.8,test=0.1", "must add up to 1, not 9/10"),
        ("hash:id,train=2,test=-1", "must be above 0, not -1"),
        ("hash:id,train=x", "'train=x' must be NAME=SHARE"),
        ("hash:id,train=1/0", "'train=1/0'"),
        ("hash:id,train=nan", "'train=nan'"),
        ("hash:id,train=1e999999999", "'train=1e999999999'"),
        ("hash:id,train=0.5,train=0.5", "train is given twice"),
        ("ratio:a=1,seed=1,seed=2", "The seed is given twice"),
        ("hash:id,../x=1", "split must be"),
        ("hash:id,train=1,seed=-1", "from 0 to"),
        ("hash:id,train=1,seed=18446744073709551616", "from 0 to"),
        ("hash:id,train=1,seed=x", "'seed=x'"),
        ("hash:id,train", "'train' must be"),
        ("ratio:", "'' must be"),
        ("hash:" + "x" * 5000, "too many"),
    ],
)
def test_what_is_not_meant_to_be_is_refused_and_named(text: str, said: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        split_by(text)
    assert said in str(caught.value)


class Many:
    """A million rows that are made as they are asked for."""

    schema = pa.schema({"k": pa.string()})

    def look(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for start in range(0, 1_000_000, 10_000):
            yield pa.record_batch({"k": pa.array([f"{row % 1000}" for row in range(start, start + 10_000)])})


@pytest.mark.parametrize("by", [ByRatio(), ByStratum("k"), ByGroup("k")])
def test_a_rule_takes_sixteen_bytes_for_each_row_and_gives_them_back(by: SplitBy) -> None:
    tracemalloc.start()
    try:
        division = by.divide(Many())
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert division.choice(division.splits[0]) is not None
    assert most < 16_000_000 + (4 << 20)
    assert kept < 1 << 20


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["train.csv", "val.csv", "test.csv"], {"train": 1, "validation": 1, "test": 1}),
        (["train-00000-of-00002.csv", "train-00001-of-00002.csv", "holdout.csv"], {"train": 2, "holdout": 1}),
        (["train-00000-of-00002.csv", "train-00001-of-00002.csv"], {"train": 2}),
        (["train-000.csv", "train-001.csv", "valid.csv"], {"train": 2, "validation": 1}),
        (["train.csv", "others.csv"], {"train": 2}),
        (["train/a.csv", "test/a.csv"], {"train": 2}),
    ],
)
def test_files_that_are_all_called_as_splits_are_those_splits(
    tmp_path: Path, names: list[str], splits: dict[str, int]
) -> None:
    """R-31: and a test set never ends up among the rows that are trained on."""
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("a\n1\n")
    source = Source(tmp_path)
    found = {split: sum(batch.num_rows for batch in source.batches(split)) for split in source.splits}
    assert found == splits
    assert bool(source.notes) == ("train/a.csv" in names)
