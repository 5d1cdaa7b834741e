"""Files whose names do not say what they are, or say something else."""

import io
import struct
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from PIL import Image

from headwater.files import Source
from headwater.files.errors import SourceMalformed, SourceUnsupported
from tests.unit.files.conftest import write
from tests.unit.files.test_images import rows_of

TABLE = pa.table({"n": [1, 2]})


def _npz(stream: io.BytesIO) -> None:
    np.savez(stream, n=np.array([1, 2]))


def _tar(mode: str) -> Callable[[io.BytesIO], None]:
    def make(stream: io.BytesIO) -> None:
        with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
            for key in (1, 2):
                info = tarfile.TarInfo(f"{key}.cls")
                info.size = 1
                archive.addfile(info, io.BytesIO(b"%d" % key))

    return make


def _stream(stream: io.BytesIO) -> None:
    with pa.ipc.new_stream(stream, TABLE.schema) as writer:
        writer.write_table(TABLE)


FORMATS: dict[str, Callable[[io.BytesIO], object]] = {
    "parquet": lambda stream: pa.parquet.write_table(TABLE, stream),
    "arrow": lambda stream: pa.feather.write_feather(TABLE, stream, compression="uncompressed"),
    "jsonl": lambda stream: stream.write(b'\n{"n": 1}\n{"n": 2}\n'),
    "npy": lambda stream: np.save(stream, np.array([(1,), (2,)], [("n", "i8")])),
    "npz": _npz,
    "tar": _tar("w"),
    "tar.gz": _tar("w:gz"),
}


def content(kind: str) -> bytes:
    stream = io.BytesIO()
    FORMATS[kind](stream)
    return stream.getvalue()


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", ["rows", "rows.dat", "rows.csv"])
def test_content_decides_and_the_user_is_told(tmp_path: Path, kind: str, name: str) -> None:
    source = Source(write(tmp_path, {name: content(kind)}) / name)
    assert [row.get("n", row.get("cls")) for row in rows_of(source)] == [1, 2]
    (note,) = source.notes
    assert f"{name} is read as {kind}, which its content is" in note


@pytest.mark.parametrize("kind", FORMATS)
def test_a_name_that_is_right_is_no_news(tmp_path: Path, kind: str) -> None:
    assert Source(write(tmp_path, {f"rows.{kind}": content(kind)}) / f"rows.{kind}").notes == []


def test_an_arrow_stream_is_known(tmp_path: Path) -> None:
    stream = io.BytesIO()
    _stream(stream)
    assert len(rows_of(Source(write(tmp_path, {"rows": stream.getvalue()}) / "rows"))) == 2


def test_images_without_extensions_are_images(tmp_path: Path) -> None:
    for kind in ("PNG", "JPEG", "GIF", "TIFF", "WEBP"):
        (tmp_path / "f" / kind).mkdir(parents=True)
        Image.new("RGB", (2, 2)).save(tmp_path / "f" / kind / "1", format=kind)
    source = Source(tmp_path / "f")
    assert len(rows_of(source)) == len(source.notes) == 5


@pytest.mark.parametrize("content", [b"", b"hello", b"{", b"PAR", b"\x1f\x8b\x08garbage", b"{" * 5000])
def test_what_nobody_knows_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(SourceUnsupported, match=r"none of the extensions .* no kind that is known"):
        Source(write(tmp_path, {"rows.dat": content}) / "rows.dat")


def test_text_in_a_binary_file_is_malformed(tmp_path: Path) -> None:
    with pytest.raises(SourceMalformed, match=r"rows\.parquet"):
        Source(write(tmp_path, {"rows.parquet": b"a,b\n1,2\n"}) / "rows.parquet")


def black_png(size: int) -> bytes:
    """A black square of one bit for each pixel, its rows compressed once and repeated: as valid as any, and at once."""

    def part(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    row = bytes(1 + (size + 7) // 8)
    deflate = zlib.compressobj(wbits=-15)
    block = deflate.compress(row * 1000) + deflate.flush(zlib.Z_FULL_FLUSH)
    checksum = (size * len(row) % 65521) << 16 | 1  # Adler-32 of so many zeros
    rows = b"\x78\x9c" + block * (size // 1000) + deflate.flush() + struct.pack(">I", checksum)
    header = part(b"IHDR", struct.pack(">IIBBBBB", size, size, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + part(b"IDAT", rows) + part(b"IEND", b"")


def test_a_large_or_truncated_image_is_bytes_like_any_other(tmp_path: Path) -> None:
    """promises.md: 50,000 × 50,000 PNGs, truncated JPEGs. Nothing is decoded, so neither takes memory or fails."""
    with Image.open(io.BytesIO(black_png(2000))) as small:
        assert (small.size, small.getextrema()) == ((2000, 2000), (0, 0))
    jpeg = io.BytesIO()
    Image.new("RGB", (64, 64)).save(jpeg, format="JPEG")
    files = {"a/bomb.png": black_png(50_000), "a/cut.jpg": jpeg.getvalue()[:200]}
    before = pa.total_allocated_bytes()
    rows = rows_of(Source(write(tmp_path / "f", files)))
    assert [row["image"] for row in rows] == list(files.values())
    assert pa.total_allocated_bytes() - before < 1 << 20
