"""Rows as files that other tools read."""

import contextlib
import dataclasses
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from headwater.errors import FailedPrecondition
from headwater.files.errors import SourceUnsupported
from headwater.files.writers import EXTENSIONS, FOOTER_BYTES, VALUE_BYTES, writer
from headwater.names import check_segment

_SLICES = 32
"""A shard is looked at so often while it grows; even in text its last slice is then small."""


class TargetNotEmpty(FailedPrecondition):
    """Rows are only written to a folder that is new: files that were there would be taken for rows."""

    reason = "TARGET_NOT_EMPTY"
    text = "The folder exists and is not empty."


@dataclasses.dataclass(frozen=True, slots=True)
class Exported:
    """What was written of a split."""

    split: str
    row_count: int
    files: tuple[Path, ...]
    size_bytes: int
    """Of all files."""


def export(batches: Iterable[pa.RecordBatch], schema: pa.Schema, path: Path) -> int:
    """Write rows to a ``.parquet``, ``.arrow``, ``.csv``, ``.jsonl`` or ``.tar`` file; returns how many there were.

    The file appears, or is replaced, when it is complete; after an error it is as it was before. Read again, its rows
    have the same digests, where the format can hold them (docs/reference/formats.md).

    Raises:
        SourceUnsupported: another extension, or rows that the format cannot hold.
    """
    extension = _known(path.suffix.lower(), path)
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    rows = 0
    try:
        with unfinished.open("wb") as sink, _told(path), writer(extension, sink, schema) as file:
            for batch in batches:
                file.write_batch(batch)
                rows += batch.num_rows
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return rows


def export_folder(
    splits: Iterable[tuple[str, pa.RecordBatchReader]],
    folder: Path,
    extension: str,
    *,
    max_bytes: int = 0,
    beside: Callable[[Sequence[Exported]], Mapping[str, str]] | None = None,
) -> list[Exported]:
    """Write each split to a file of its own, ``train.parquet``, or to shards, ``train-00000-of-00003.parquet``.

    The folder appears when all is complete, or not at all. Read again with ``split_by("directory")``, it gives the same
    splits.

    Args:
        splits: names and rows.
        extension: as of ``export``.
        max_bytes: no file is larger, unless it has only one row; 0: one file for each split.
        beside: makes of what was written the texts that stand beside it, by their names.

    Raises:
        TargetNotEmpty
        SourceUnsupported: another extension, or rows that the format cannot hold.
    """
    _known(extension, folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise TargetNotEmpty(f"{folder} exists and is not an empty folder.", path=folder)
    unfinished = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    unfinished.mkdir(parents=True)
    try:
        exported = []
        for name, rows in splits:
            with _told(folder / f"{name}{extension}"):
                exported.append(_split(name, rows, unfinished, extension, max_bytes))
        for name, text in (beside(exported) if beside else {}).items():
            (unfinished / name).write_text(text, encoding="utf-8")
        unfinished.replace(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return [dataclasses.replace(split, files=tuple(folder / file.name for file in split.files)) for split in exported]


def _split(name: str, rows: pa.RecordBatchReader, folder: Path, extension: str, max_bytes: int) -> Exported:
    check_segment(name, "split")
    slices = _sliced(rows, max_bytes // _SLICES, VALUE_BYTES.get(extension, 0) * len(rows.schema))
    pending = next(slices, None)
    files: list[Path] = []
    row_count = 0
    while pending is not None or not files:
        files.append(folder / f"{name}.{len(files)}")
        with files[-1].open("wb") as sink, writer(extension, sink, rows.schema, row_count) as file:
            footer = FOOTER_BYTES.get(extension, 0) * len(rows.schema)
            largest = end = 0
            while pending is not None and (not end or not max_bytes or end + 2 * largest < max_bytes):
                before = sink.tell()
                file.write_batch(pending)
                row_count += pending.num_rows
                largest = max(largest, sink.tell() - before, max_bytes // _SLICES)
                end = max(end, before) + sink.tell() - before + footer
                pending = next(slices, None)
    size_bytes = sum(file.stat().st_size for file in files)
    return Exported(name, row_count, tuple(_numbered(files, name, extension)), size_bytes)


def _sliced(rows: pa.RecordBatchReader, size_bytes: int, more_per_row: int) -> Iterator[pa.RecordBatch]:
    """The batches, or parts of them that take about this size when they are written."""
    for batch in rows:
        step = max(1, batch.num_rows)
        if size_bytes:
            step = max(1, batch.num_rows * size_bytes // max(1, batch.nbytes + batch.num_rows * more_per_row))
        yield from (batch.slice(start, step) for start in range(0, batch.num_rows, step))


def _numbered(files: list[Path], name: str, extension: str) -> Iterator[Path]:
    """Give files the names that say how many there are."""
    for index, file in enumerate(files):
        shard = f"-{index:05}-of-{len(files):05}" if len(files) > 1 else ""
        yield file.rename(file.with_name(f"{name}{shard}{extension}"))


def _known(extension: str, path: Path) -> str:
    if extension not in EXTENSIONS:
        raise SourceUnsupported(f"{path} must end in one of {', '.join(EXTENSIONS)}, not {extension!r}.", path=path)
    return extension


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Name the file in what Arrow says against the rows."""
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SourceUnsupported(f"These rows cannot be written to {path}: {error}", path=path) from error
