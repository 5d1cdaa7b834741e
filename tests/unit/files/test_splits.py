"""Which row is in which split."""

import hashlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import InvalidArgument
from headwater.files import ByDirectory, ByHash, Source, Whole, split_by
from headwater.files.errors import InvalidSplitBy
from headwater.tree import RowHasher

ROWS = pa.record_batch({"user": [f"user-{i % 5000}" for i in range(20_000)], "n": range(20_000)})
SHARES = {"train": Fraction("0.8"), "validation": Fraction("0.1"), "test": Fraction("0.1")}


def test_shares_are_met_and_every_row_is_in_one_split() -> None:
    by = ByHash("user", SHARES)
    selections = [by.selection(split) for split in by.splits([])]
    masks = np.array([selection.mask(ROWS) for selection in selections if selection])
    assert (masks.sum(axis=0) == 1).all()
    assert masks.mean(axis=1).round(1).tolist() == [0.8, 0.1, 0.1]


def test_rows_of_one_key_are_in_one_split() -> None:
    assigned = ByHash("user", SHARES).assign(ROWS)
    assert len(set(zip(ROWS.column("user").to_pylist(), assigned.tolist(), strict=True))) == 5000


def test_a_split_depends_on_the_key_and_the_seed_alone() -> None:
    by = ByHash("user", SHARES, seed=7)
    dressed = ROWS.slice(100, 50).set_column(0, "user", ROWS.column("user").slice(100, 50).dictionary_encode())
    assert by.assign(dressed).tolist() == by.assign(ROWS)[100:150].tolist()
    assert by.assign(ROWS).tolist() != ByHash("user", SHARES, seed=8).assign(ROWS).tolist()


@given(st.lists(st.text(), max_size=20), st.integers(0, 2**64 - 1))
def test_an_assignment_is_what_the_docstring_says(keys: list[str], seed: int) -> None:
    by = ByHash("k", {"a": Fraction(1, 3), "b": Fraction(2, 3)}, seed)
    batch = pa.record_batch({"k": pa.array(keys, pa.string())})
    digests = b"".join(piece.digests for piece in RowHasher(batch.schema).hash(batch))
    rows = [digests[at : at + 32] for at in range(0, len(digests), 32)]
    hashes = [hashlib.sha256(seed.to_bytes(8, "little") + digest).digest() for digest in rows]
    assert by.assign(batch).tolist() == [int(int.from_bytes(h[:8], "big") * 3 >= 2**64) for h in hashes]


def test_images_of_other_splits_are_not_even_opened(images: Path) -> None:
    source = Source(images, ByHash("label", {"a": Fraction(1, 2), "b": Fraction(1, 2)}, seed=1))
    (split,) = (split for split in source.splits if _labels(source, split) == {"dog"})
    (images / "cat" / "1.png").unlink()
    assert _labels(Source(images, source._split_by), split) == {"dog"}


def _labels(source: Source, split: str) -> set[str]:
    return {label for batch in source.batches(split) for label in batch.column("label").to_pylist()}


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("none", Whole("train")),
        ("directory", ByDirectory()),
        ("hash:path", ByHash("path", SHARES)),
        ("hash:id,a=1/3,b=2/3,seed=9", ByHash("id", {"a": Fraction(1, 3), "b": Fraction(2, 3)}, 9)),
    ],
)
def test_what_people_type_is_understood(text: str, meant: object) -> None:
    assert split_by(text) == meant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "random",
        "hash:",
        "hash",
        "directory:x",
        "hash:id,train=0.8,test=0.1",
        "hash:id,train=2,test=-1",
        "hash:id,train=x",
        "hash:id,train=1/0",
        "hash:id,train=nan",
        "hash:id,train=0.5,train=0.5",
        "hash:id,../x=1",
        "hash:id,train=1,seed=-1",
        "hash:id,train=1,seed=18446744073709551616",
        "hash:id,train=1,seed=x",
        "hash:id,train",
    ],
)
def test_what_is_not_meant_to_be_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        split_by(text)


def test_a_wrong_option_is_named() -> None:
    with pytest.raises(InvalidSplitBy, match=r"'train=lots'"):
        split_by("hash:id,train=lots")
