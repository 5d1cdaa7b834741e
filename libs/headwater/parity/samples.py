"""Samples as people have them: image files, folders of them, and numpy's archives of arrays."""

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from headwater.parity.arrays import named_arrays
from headwater.parity.errors import ParityInvalid
from headwater.parity.recording import Given
from headwater.parity.words import MAX_BYTES, MAX_SAMPLES

OUTPUT: Final = "output:"
"""Before the name of an array in an ``.npz``: what the model answered, instead of asking it."""


def read_samples(paths: Sequence[Path]) -> list[Given]:
    """A sample of each file: of an ``.npz``, its arrays by the names of the model's inputs, and ``output:`` before the
    names of its outputs; of any other, its bytes as the pipeline takes them. Of a folder, each file in it by name.

    Raises:
        ParityInvalid: there is none, there are too many, or one cannot be read.
    """
    files = [file for path in paths for file in _files(path)]
    if not 1 <= len(files) <= MAX_SAMPLES:
        raise ParityInvalid(f"Give 1 to {MAX_SAMPLES} samples; there are {len(files)}.", field="samples")
    return [_arrays(file) if file.suffix == ".npz" else Given(files=(_bytes(file),)) for file in files]


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (file for file in sorted(path.iterdir()) if file.is_file() and not file.name.startswith("."))
    elif path.is_file():
        yield path
    else:
        raise ParityInvalid(f"There is no file {path}.", path=path)


def _bytes(file: Path) -> bytes:
    if file.stat().st_size > MAX_BYTES:
        raise ParityInvalid(f"{file} has more than {MAX_BYTES:,} bytes.", path=file)
    return file.read_bytes()


def _arrays(file: Path) -> Given:
    _bytes(file)
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise ParityInvalid(f"{file} is no archive of numpy arrays without objects.", path=file) from error
    inputs = {name: array for name, array in arrays.items() if not name.startswith(OUTPUT)}
    outputs = {name.removeprefix(OUTPUT): array for name, array in arrays.items() if name.startswith(OUTPUT)}
    return Given(inputs=named_arrays(inputs), outputs=named_arrays(outputs))
