"""WebDataset archives: ours, those of the webdataset package, and those that somebody made to do harm."""

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import webdataset  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import HeadwaterError
from headwater.files import ByDirectory, Source, split_by, tars
from headwater.files import webdataset as webdataset_files
from headwater.files.errors import SourceMalformed
from tests.unit.files.conftest import write
from tests.unit.files.test_images import digest_of, rows_of

Members = list[tuple[str, bytes]]
SAMPLES: Members = [
    ("a/001.jpg", b"\xff\xd8 one"),
    ("a/001.cls", b"7\n"),
    ("a/001.caption.txt", "schön".encode()),
    ("a/002.jpg", b"\xff\xd8 two"),
    ("a/002.caption.txt", b""),
]


def tar(members: Members, change: Callable[[tarfile.TarInfo], None] | None = None, **options: int) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", **options) as archive:  # type: ignore[call-overload]
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            if change:
                change(info)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def source(tmp_path: Path, content: bytes, types: pa.Schema | None = None, name: str = "rows.tar") -> Source:
    return Source(write(tmp_path, {name: content}) / name, types=types)


@pytest.mark.parametrize("name", ["rows.tar", "rows.tar.gz", "rows.tgz"])
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_members_of_one_key_are_a_row_with_a_column_for_each_extension(tmp_path: Path, name: str, form: int) -> None:
    content = tar(SAMPLES, format=form)
    rows = source(tmp_path, content if name == "rows.tar" else gzip.compress(content), name=name)
    assert rows.schema == pa.schema(
        {"__key__": pa.string(), "jpg": pa.binary(), "cls": pa.int64(), "caption": pa.string()}
    )
    assert rows_of(rows) == [
        {"__key__": "a/001", "jpg": b"\xff\xd8 one", "cls": 7, "caption": "schön"},
        {"__key__": "a/002", "jpg": b"\xff\xd8 two", "cls": None, "caption": ""},
    ]


def test_what_the_webdataset_package_writes_is_read(tmp_path: Path) -> None:
    with webdataset.TarWriter(str(tmp_path / "rows.tar")) as writer:
        for index in range(20):
            writer.write({"__key__": f"{index:03}", "png": bytes([index]), "cls": index, "json": {"box": [1, 2.5]}})
    rows = rows_of(Source(tmp_path / "rows.tar"))
    assert [(row["png"], row["cls"], row["json"]) for row in rows] == [
        (bytes([index]), index, {"box": [1, 2.5]}) for index in range(20)
    ]


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_are_read(tmp_path: Path, form: int) -> None:
    name = "/".join(["folder" * 10] * 20) + "/é"
    assert rows_of(source(tmp_path, tar([(f"{name}.x", b"1")], format=form)))[0]["__key__"] == name


def test_shards_are_read_in_order_and_name_their_splits(tmp_path: Path) -> None:
    """R-31."""
    for split, count in (("train", 2), ("val", 1), ("test", 1)):
        for shard in range(count):
            name = f"{split}-{shard:05}.tar" if split == "train" else f"{split}.tar"
            write(tmp_path, {name: tar([(f"{split}{shard}.cls", b"1")])})
    source = Source(tmp_path, ByDirectory())
    assert {split: [row["__key__"] for row in rows_of(source, split)] for split in source.splits} == {
        "train": ["train0", "train1"],
        "validation": ["val0"],
        "test": ["test0"],
    }


def test_json_has_the_type_of_the_first_samples_and_the_others_are_checked(tmp_path: Path) -> None:
    first: Members = [(f"{index:04}.json", b'{"a": 1.5}') for index in range(1000)]
    assert rows_of(source(tmp_path, tar([*first, ("x.json", b'{"a": 2}')])))[-1]["json"] == {"a": 2.0}
    for odd in (b'{"a": "x"}', b'{"b": 1}', b"nope", b"[" * 100_000, b'{"a": "\\ud800"}'):
        with pytest.raises(SourceMalformed, match=r"rows\.tar, sample x\.json: "):
            rows_of(source(tmp_path, tar([*first, ("x.json", odd)])))


def test_json_of_many_kinds_can_be_kept_as_text(tmp_path: Path) -> None:
    content = tar([("1.json", b'{"a": 1}'), ("2.json", b"[true]")])
    rows = source(tmp_path, content, pa.schema({"json": pa.string()}))
    assert [row["json"] for row in rows_of(rows)] == ['{"a": 1}', "[true]"]


def test_types_that_are_given_are_what_values_become(tmp_path: Path) -> None:
    types = pa.schema({"cls": pa.int8(), "json": pa.struct({"at": pa.date32()})})
    content = tar([("1.cls", b"3"), ("1.json", b'{"at": "2024-01-02"}')])
    rows = source(tmp_path, content, types)
    assert rows.schema.field("cls").type == pa.int8()
    assert str(rows_of(rows)[0]["json"]) == "{'at': datetime.date(2024, 1, 2)}"
    with pytest.raises(SourceMalformed, match="unknown field b"):
        rows_of(source(tmp_path, tar([("1.json", b'{"b": 1}'), ("1.cls", b"3")]), types))
    with pytest.raises(SourceMalformed, match="1000 not in range"):
        rows_of(source(tmp_path, tar([("1.json", b"{}"), ("1.cls", b"1000")]), types))


def test_packed_and_unpacked_archives_have_one_digest_whatever_the_shards(tmp_path: Path) -> None:
    """N-11."""
    members: Members = [(f"{index:05}.bin", bytes([index % 251]) * 3000) for index in range(2000)]
    whole = source(tmp_path / "1", tar(members))
    shards = write(tmp_path / "2", {"0.tar": tar(members[:700]), "1.tar.gz": gzip.compress(tar(members[700:]))})
    assert digest_of(whole) == digest_of(Source(shards))
    sizes = [batch.nbytes for batch in whole.batches("train")]
    assert all(2**20 <= size <= 2**22 for size in sizes[:-1])


def test_only_the_members_that_a_split_is_decided_by_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = [member for i in range(10) for member in ((f"{i}.cls", b"%d" % (i % 2)), (f"{i}.jpg", bytes(1000)))]
    rows = Source(write(tmp_path, {"rows.tar": tar(members)}) / "rows.tar", split_by("stratum:cls,a=0.4,b=0.6"))
    read: list[str] = []

    class Watched(tars.TarReader):
        def read(self, member: tars.Member) -> bytes:
            read.append(member.name)
            return super().read(member)

    monkeypatch.setattr(webdataset_files, "TarReader", Watched)
    assert rows.classes == {"a": {"0": 2, "1": 2}, "b": {"0": 3, "1": 3}}
    assert read == [f"{i}.cls" for i in range(10)]


def _kind(kind: bytes, link: str = "") -> Callable[[tarfile.TarInfo], None]:
    def change(info: tarfile.TarInfo) -> None:
        info.type, info.linkname, info.size = kind, link, 0

    return change


def _sized(size: int) -> bytes:
    """A member whose header claims a size."""
    info = tarfile.TarInfo("1.bin")
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT) + b"x" * 512 + bytes(1024)


def _pax(records: dict[str, str], kind: bytes = tarfile.XHDTYPE) -> bytes:
    info = tarfile.TarInfo("1.bin")
    body = tarfile.TarInfo._create_pax_generic_header(records, kind, "utf-8")  # type: ignore[attr-defined]
    return bytes(body + info.tobuf() + bytes(1024))


ONE: Members = [("1.bin", b"")]
ATTACKS = {
    "parent": (tar([("../1.bin", b"x")]), "leads out of the archive"),
    "parent within": (tar([("a/../../1.bin", b"x")]), "leads out of the archive"),
    "absolute": (tar([("/etc/1.bin", b"x")]), "leads out of the archive"),
    "backslash": (tar([("..\\1.bin", b"x")]), "none that a member can have"),
    "symbolic link": (tar(ONE, _kind(tarfile.SYMTYPE, "/etc/passwd")), "is a symbolic link"),
    "hard link": (tar(ONE, _kind(tarfile.LNKTYPE, "2.bin")), "is a hard link"),
    "character device": (tar(ONE, _kind(tarfile.CHRTYPE)), "is a device"),
    "block device": (tar(ONE, _kind(tarfile.BLKTYPE)), "is a device"),
    "pipe": (tar(ONE, _kind(tarfile.FIFOTYPE)), "is a pipe"),
    "unknown kind": (tar(ONE, _kind(b"Z")), "unknown kind b'Z'"),
    "sparse, 10 GB": (tar(ONE, _kind(tarfile.GNUTYPE_SPARSE)), "is a sparse file"),
    "sparse by pax": (_pax({"GNU.sparse.size": "10000000000", "GNU.sparse.map": "0,1"}), "is a sparse file"),
    "10 GB": (_sized(10 * 2**30), "10737418240 bytes; a member may have"),
    "2^88 bytes": (_sized(2**87), "a member may have"),
    "size by pax": (_pax({"size": "99999999999"}), "a member may have"),
    "negative size by pax": (_pax({"size": "-1"}), "where a number belongs"),
    "size beyond the end": (_sized(4096), "ends within"),
    "path by pax": (_pax({"path": "../../x.bin"}), "leads out of the archive"),
    "path for all": (_pax({"path": "x.bin"}, tarfile.XGLTYPE), "a global header sets path"),
    "large pax": (_pax({"comment": "x" * 100_000}), "an extended header has 1000"),
    "twice": (tar([("1.bin", b""), ("1.bin", b"")]), "is there twice"),
    "twice in another case": (tar([("1.bin", b""), ("1.BIN", b"")]), "is there twice"),
    "apart": (tar([("1.bin", b""), ("2.bin", b""), ("1.cls", b"1")]), "sample 1: its members are not together"),
    "two of one column": (tar([("1.a.txt", b""), ("1.a.cls", b"")]), "a.txt is the column a already"),
    "no extension": (tar([("README", b"")]), "has no extension"),
    "hidden": (tar([("a/.DS_Store", b"")]), "has no extension"),
    "no number": (tar([("1.cls", b"cat")]), "sample 1.cls: b'cat' is no whole number"),
    "no text": (tar([("1.txt", b"\xff")]), "sample 1.txt: .*utf-8"),
    "cut off": (tar(SAMPLES)[:1300], "it was cut off"),
    "cut within a member": (tar(SAMPLES)[:520], "it ends within"),
    "cut between members": (tar(ONE)[:512], "it was cut off"),
    "two archives": (tar(ONE) + tar(ONE), "something after its end"),
    "garbage": (b"x" * 2048, "no header of a tar member"),
    "zeros without end": (tar(ONE) + bytes(3 << 20), "goes on with zeros"),
    "bad checksum": (tar(ONE).replace(b"1.bin", b"2.bin"), "no header of a tar member"),
    "many columns": (tar([(f"1.x{i}", b"") for i in range(1001)]), "more than 1000 extensions"),
}


@pytest.mark.parametrize(("content", "said"), ATTACKS.values(), ids=ATTACKS)
def test_an_archive_that_is_odd_is_refused_and_named(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(SourceMalformed, match=said) as caught:
        rows_of(source(tmp_path, content))
    assert "rows.tar" in str(caught.value)


@pytest.mark.parametrize("content", [gzip.compress(tar(SAMPLES))[:-20], gzip.compress(tar(SAMPLES))[:60] + b"x" * 90])
def test_an_archive_that_cannot_be_unpacked_is_named(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(SourceMalformed, match=r"rows\.tar\.gz"):
        rows_of(source(tmp_path, content, name="rows.tar.gz"))


def test_a_bomb_is_not_unpacked_into_memory(tmp_path: Path) -> None:
    """A gzip of a thousandth of the size: its first member is larger than a row, and nothing more is read."""
    info = tarfile.TarInfo("1.bin")
    info.size = 200 << 20
    bomb = gzip.compress(info.tobuf() + bytes(200 << 20), 1)
    with pytest.raises(SourceMalformed, match="a member may have"):
        source(tmp_path, bomb, name="rows.tar.gz")


@given(st.data())
def test_any_bytes_are_rows_or_a_clean_error(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    members = [*SAMPLES, ("a/003.json", json.dumps({"a": [1]}).encode())]
    content = bytearray(tar(members, format=data.draw(st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, 512 * 12 - 1))
        content[at] = data.draw(st.integers(0, 255))
    packed = data.draw(st.booleans())
    try:
        rows_of(
            source(
                tmp_path_factory.mktemp("tar"),
                gzip.compress(bytes(content), 1) if packed else bytes(content),
                name="rows.tar.gz" if packed else "rows.tar",
            )
        )
    except HeadwaterError as error:
        assert error.reason in ("SOURCE_MALFORMED", "INVALID_SCHEMA")  # noqa: PT017  # most are rows
