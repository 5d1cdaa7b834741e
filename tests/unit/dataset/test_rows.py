"""How rows are laid out, packed and found again, without a store."""

import dataclasses
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater import tree
from services.dataset.errors import ColumnNotFound, InvalidColumnName, PackCorrupt, SchemaTooLarge
from services.dataset.model import Chunk, Placement, RowRange
from services.dataset.rows.get import Slice, project, slices_of
from services.dataset.rows.layout import Layout, plain_type
from services.dataset.rows.mapped import MappedPack
from services.dataset.rows.packs import PackWriter, Place, describe

NAME = "blake3:" + 64 * "0"
SCHEMA = pa.schema([("x", pa.list_(pa.float32(), 16)), ("s", pa.dictionary(pa.int32(), pa.large_string()))])


def table(rows: int, seed: int = 0) -> pa.Table:
    random = np.random.default_rng(seed)
    x = pa.FixedSizeListArray.from_arrays(pa.array(random.random(rows * 16, np.float32)), 16)
    s = pa.array([f"{value % 7}" for value in range(rows)], pa.large_string()).dictionary_encode()
    return pa.table({"x": x, "s": s}, schema=SCHEMA)


def chunks_of(rows: pa.Table) -> list[tree.Chunk]:
    builder = tree.ChunkBuilder(rows.schema)
    return [chunk for batch in rows.to_batches(max_chunksize=1000) for chunk in builder.push(batch)] + builder.finish()


@dataclasses.dataclass(frozen=True)
class Pack:
    """A pack in memory."""

    data: bytes
    places: list[Place]


def packed(chunks: Iterable[tree.Chunk]) -> Pack:
    file = io.BytesIO()
    writer = PackWriter(Layout.of(SCHEMA), file)
    for chunk in chunks:
        before = writer.size_bytes
        writer.add(chunk)
        assert writer.size_bytes > before
    places = writer.finish()
    return Pack(file.getvalue(), places)


def test_chunks_lie_in_their_pack_as_the_places_say() -> None:
    rows = table(150_000)
    chunks = chunks_of(rows)
    pack = packed(chunks)
    layout, mapped = Layout.of(SCHEMA), MappedPack(NAME, pa.BufferReader(pack.data))
    parts = [mapped.rows(place.block, place.block_row, place.chunk.row_count) for place in pack.places]
    assert pa.Table.from_batches(parts, layout.stored).equals(rows.cast(layout.stored))
    assert [place.chunk.digest for place in pack.places] == [chunk.digest for chunk in chunks]


def test_a_pack_knows_the_digest_of_each_row_and_serves_it_to_nobody() -> None:
    """Also one that was written when packs had no digests in them."""
    rows = table(20_000)
    chunks = chunks_of(rows)
    pack = packed(chunks)
    older = pa.BufferOutputStream()
    reader = pa.ipc.open_file(pack.data)
    plain = Layout.of(SCHEMA).stored
    with pa.ipc.new_file(older, plain) as writer:
        for index in range(reader.num_record_batches):
            writer.write_batch(reader.get_batch(index).select(plain.names))
    for data in (pack.data, older.getvalue()):
        mapped = MappedPack(NAME, pa.BufferReader(data))
        for place, cut in zip(pack.places, chunks, strict=True):
            block, row, count = place.block, place.block_row, cut.row_count
            assert mapped.rows(block, row, count).schema.equals(plain)
            assert mapped.row_digests(block, row, count) == cut.row_digests
            assert mapped.row_digests(block, row + 1, 1) == cut.row_digests[32:64]


def test_the_catalogue_learns_how_a_chunk_ends_and_begins() -> None:
    assert {chunk.ends_naturally for chunk in chunks_of(table(150_000))[:-1]} == {True}
    # Rows of 500 KB, none of which ends a chunk: the chunks end because they are full.
    schema, row_bytes = pa.schema([("b", pa.binary())]), 500_000
    hasher, random = tree.RowHasher(schema), np.random.default_rng(0)
    rows: list[pa.RecordBatch] = []
    while len(rows) < 40:
        row = pa.record_batch([pa.array([random.bytes(row_bytes - 5)])], schema)
        (hashed,) = hasher.hash(row)
        if int.from_bytes(hashed.digests[:8], "big") >> 44 >= row_bytes:
            rows.append(row)
    builder = tree.ChunkBuilder(schema)
    chunks = [chunk for row in rows for chunk in builder.push(row)] + builder.finish()
    described = [describe(chunk, chunk.batches) for chunk in chunks]
    assert [chunk.row_count for chunk in described] == [16, 16, 8]
    assert {(chunk.ends_naturally, chunk.first_row_bytes) for chunk in described} == {(False, row_bytes)}


def test_blocks_are_what_flight_sends_fastest() -> None:
    pack = packed(chunks_of(table(150_000)))
    reader = pa.ipc.open_file(pack.data)
    sizes = [reader.get_batch(index).nbytes for index in range(reader.num_record_batches)]
    assert all(1 << 20 <= size <= 10 << 20 for size in sizes[:-1])


def test_the_same_rows_never_make_the_same_file() -> None:
    """So that collecting what one writer left behind cannot take another's pack."""
    chunks = chunks_of(table(100))
    assert packed(chunks).data != packed(chunks).data


def test_a_place_that_a_pack_does_not_have_is_corruption() -> None:
    pack = packed(chunks_of(table(100)))
    mapped = MappedPack(NAME, pa.BufferReader(pack.data))
    for block, first, count in ((1, 0, 1), (0, 99, 2), (0, 100, 1)):
        with pytest.raises(PackCorrupt):
            mapped.rows(block, first, count)


def test_what_is_no_pack_is_corruption(tmp_path: Path) -> None:
    for data in (b"", b"garbage" * 100, b"ARROW1\0\0" + b"\xff" * 64 + b"ARROW1"):
        with pytest.raises(PackCorrupt):
            MappedPack("sha256:" + "0" * 64, pa.BufferReader(data))


@given(st.data(), st.lists(st.integers(1, 9), min_size=1, max_size=12))
@settings(max_examples=200)
def test_slices_cover_exactly_the_rows_asked_for(data: st.DataObject, counts: list[int]) -> None:
    """Chunks lie wherever they were first stored: slices must name each row's (pack, block, row), in order."""
    chunks, first, expected = [], 0, []
    for count in counts:
        place = (f"p{data.draw(st.integers(0, 1))}", data.draw(st.integers(0, 1)), data.draw(st.integers(0, 20)))
        chunks.append(Chunk(b"", first, count, 0, Placement(*place)))
        expected += [(place[0], place[1], place[2] + row) for row in range(count)]
        first += count
    start = data.draw(st.integers(0, first - 1))
    wanted = RowRange(start, data.draw(st.integers(1, first - start)))
    holding = [
        chunk
        for chunk in chunks
        if chunk.first_row + chunk.row_count > wanted.first and chunk.first_row < wanted.first + wanted.count
    ]
    slices = list(slices_of(holding, wanted))
    got = [(each.pack, each.block, each.row + row) for each in slices for row in range(each.row_count)]
    assert got == expected[wanted.first : wanted.first + wanted.count]


def test_chunks_side_by_side_are_one_slice() -> None:
    chunks = [Chunk(b"", 0, 5, 0, Placement("p", 0, 10)), Chunk(b"", 5, 5, 0, Placement("p", 0, 15))]
    assert list(slices_of(chunks, RowRange(2, 7))) == [Slice("p", 0, 12, 7)]


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (pa.large_string(), pa.string()),
        (pa.string_view(), pa.string()),
        (pa.dictionary(pa.int8(), pa.large_binary()), pa.binary()),
        (pa.large_list(pa.field("element", pa.string_view(), nullable=False)), pa.list_(pa.string())),
        (pa.list_(pa.large_string(), 3), pa.list_(pa.string(), 3)),
        (pa.struct([pa.field("a", pa.large_string(), nullable=False)]), pa.struct([("a", pa.string())])),
        (pa.map_(pa.large_string(), pa.large_list(pa.int8())), pa.map_(pa.string(), pa.list_(pa.int8()))),
        (pa.timestamp("ms", "UTC"), pa.timestamp("ms", "UTC")),
        (pa.fixed_shape_tensor(pa.float32(), [2, 3]), pa.fixed_shape_tensor(pa.float32(), [2, 3])),
    ],
    ids=str,
)
def test_one_logical_type_has_one_layout(given: pa.DataType, plain: pa.DataType) -> None:
    assert plain_type(given) == plain


def test_layouts_differ_where_readers_would_see_it_and_nowhere_else() -> None:
    def digest(kind: pa.DataType, nullable: bool = True, metadata: dict[str, str] | None = None) -> bytes:
        return Layout.of(pa.schema([pa.field("a", kind, nullable)], metadata)).digest

    assert digest(pa.string()) == digest(pa.large_string(), nullable=False, metadata={"k": "v"})
    assert digest(pa.list_(pa.int32())) != digest(pa.list_(pa.int32(), 2))
    assert digest(pa.timestamp("s")) != digest(pa.timestamp("ms"))


@pytest.mark.parametrize("name", ["a\0", "\n", "tab\t", "\x7f"])
def test_control_characters_in_names_of_columns_are_refused_however_deep(name: str) -> None:
    inner = pa.struct([(name, pa.int64())])
    for kind in (inner, pa.list_(inner), pa.list_(pa.list_(inner, 2)), pa.struct([("ok", pa.large_list(inner))])):
        with pytest.raises(InvalidColumnName):
            Layout.of(pa.schema([("a", kind)]))
    with pytest.raises(InvalidColumnName):
        Layout.of(pa.schema([("m", pa.map_(pa.string(), inner))]))


def test_the_name_of_the_column_of_digests_is_ours_alone() -> None:
    with pytest.raises(InvalidColumnName):
        Layout.of(pa.schema([("headwater.row_digest", pa.binary(32)), ("a", pa.int64())]))
    Layout.of(pa.schema([("headwater", pa.struct([("row_digest", pa.binary(32))]))]))


def test_a_schema_of_more_than_a_mebibyte_is_refused() -> None:
    with pytest.raises(SchemaTooLarge):
        Layout.of(pa.schema([pa.field("a", pa.int64(), metadata={"k": "v" * (1 << 20)})]))


def test_columns_are_given_in_the_order_asked_for() -> None:
    schema = pa.schema([("a", pa.int64()), ("b", pa.int64())], {"k": "v"})
    assert project(schema, ["b", "a"]).names == ["b", "a"]
    assert project(schema, ["b"]).metadata == {b"k": b"v"}
    assert project(schema, []) is schema
    for columns in (["c"], ["a", "a"], [""]):
        with pytest.raises(ColumnNotFound):
            project(schema, columns)
