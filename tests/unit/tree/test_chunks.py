"""Where chunks end, and what a change to a few rows costs."""

import functools

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.tree import Chunk, ChunkBuilder, RowHasher, chunk_root

MIB = 2**20


def chunks_of(batches: list[pa.RecordBatch]) -> list[Chunk]:
    builder = ChunkBuilder(batches[0].schema)
    return [chunk for batch in batches for chunk in builder.push(batch)] + builder.finish()


def rows_of(ids: npt.NDArray[np.int64]) -> pa.RecordBatch:
    return pa.record_batch({"id": ids, "text": pa.array([f"{i:0150}" for i in ids.tolist()])})


@functools.cache
def large_split() -> tuple[pa.RecordBatch, frozenset[bytes]]:
    batch = rows_of(np.arange(100_000))
    return batch, frozenset(chunk.digest for chunk in chunks_of([batch]))


@given(st.integers(0, 100_000), st.integers(100_000, 2**62))
@settings(max_examples=12, deadline=None)
def test_an_inserted_row_makes_at_most_three_new_chunks(at: int, new: int) -> None:
    batch, before = large_split()
    after = chunks_of([batch.slice(0, at), rows_of(np.array([new])), batch.slice(at)])
    assert len(before) > 10
    assert 1 <= len({chunk.digest for chunk in after} - before) <= 3


@given(st.integers(0, 99_999))
@settings(max_examples=12, deadline=None)
def test_a_deleted_row_makes_at_most_three_new_chunks(at: int) -> None:
    batch, before = large_split()
    after = chunks_of([batch.slice(0, at), batch.slice(at + 1)])
    assert len({chunk.digest for chunk in after} - before) <= 3


def test_chunks_hold_all_rows_in_order_and_about_a_mebibyte() -> None:
    batch, _ = large_split()
    chunks = chunks_of([batch.slice(i, 999) for i in range(0, 100_000, 999)])
    assert pa.concat_batches([chunk.to_batch() for chunk in chunks]).equals(batch)
    assert sum(chunk.row_count for chunk in chunks) == 100_000
    sizes = [chunk.size_bytes for chunk in chunks]
    assert 0.4 * MIB < sum(sizes) / len(sizes) < 2.5 * MIB
    assert max(sizes) <= 8 * MIB


def test_a_chunk_is_the_merkle_root_of_its_row_digests() -> None:
    batch = rows_of(np.arange(1000))
    (chunk,) = chunks_of([batch])
    digests = b"".join(piece.digests for piece in RowHasher(batch.schema).hash(batch))
    assert chunk.row_digests == digests
    assert chunk.digest == chunk_root(digests)
    assert len(digests) == 32 * chunk.row_count == 32_000


def test_a_chunk_never_exceeds_eight_mebibytes_even_when_no_row_ends_it() -> None:
    schema = pa.schema({"data": pa.binary()})
    rng = np.random.default_rng(7)
    kept = [data for data in (rng.bytes(20_000) for _ in range(1200)) if not ends_a_chunk(schema, data)]
    chunks = chunks_of([pa.record_batch({"data": kept[i : i + 50]}, schema=schema) for i in range(0, len(kept), 50)])
    row_bytes = 20_005
    assert [chunk.row_count for chunk in chunks[:-1]] == [8 * MIB // row_bytes] * (len(chunks) - 1)
    assert len(chunks) > 1


def ends_a_chunk(schema: pa.Schema, data: bytes) -> bool:
    (piece,) = RowHasher(schema).hash(pa.record_batch({"data": [data]}, schema=schema))
    return int.from_bytes(piece.digests[:8], "big") / 2**64 < 20_005 / MIB


def test_a_row_of_a_mebibyte_or_more_ends_its_chunk() -> None:
    batch = pa.record_batch({"data": [bytes([i]) * MIB for i in range(5)]})
    assert [chunk.row_count for chunk in chunks_of([batch])] == [1] * 5


def test_no_rows_make_no_chunks() -> None:
    schema = pa.schema({"x": pa.int64(), "y": pa.list_(pa.string())})
    builder = ChunkBuilder(schema)
    assert builder.push(pa.record_batch([[], []], schema=schema)) == []
    assert builder.finish() == []


@pytest.mark.parametrize("per_batch", [1, 3, 64])
def test_a_builder_keeps_no_rows_of_chunks_that_are_done(per_batch: int) -> None:
    schema = pa.schema({"data": pa.binary()})
    builder = ChunkBuilder(schema)
    baseline, most = pa.total_allocated_bytes(), 0
    for _ in range(512 // per_batch):
        builder.push(pa.record_batch({"data": [bytes(150_000)] * per_batch}, schema=schema))
        most = max(most, pa.total_allocated_bytes() - baseline)
    assert most < 32 * MIB
