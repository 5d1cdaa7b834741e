"""Pickles that lie in something else: compressed, behind an array's header, among the members of other archives."""

import bz2
import gzip
import io
import lzma
import os
import pickle
import tarfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import joblib  # type: ignore[import-untyped]
import numpy as np

from tests.data.models import keras_files, pytorch_files
from tests.data.models.pickles import ATTACKS as _PICKLES
from tests.data.models.pickles import touch
from tests.data.models.zips import by_name

Attack = Callable[[Path], bytes]


class Touching:
    """An object that touches the canary when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self._command = touch(canary)

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (self._command,)


def _by_joblib(compression: str) -> Attack:
    def build(canary: Path) -> bytes:
        content = io.BytesIO()
        joblib.dump({"model": Touching(canary)}, content, compress=(compression, 3))
        return content.getvalue()

    return build


def saved(array: Any) -> bytes:
    """A ``.npy`` file."""
    content = io.BytesIO()
    np.save(content, array, allow_pickle=True)
    return content.getvalue()


def _array(canary: Path) -> bytes:
    return saved(np.array([Touching(canary)], dtype=object))


def with_header(header: str, elements: bytes = b"", version: int = 1) -> bytes:
    """A ``.npy`` file whose header says anything."""
    text = header.encode() + b"\n"
    length_bytes = 2 if version == 1 else 4
    return b"\x93NUMPY" + bytes((version, 0)) + len(text).to_bytes(length_bytes, "little") + text + elements


def _in_fields(canary: Path) -> bytes:
    """NumPy pickles all elements where one field of them is an object."""
    elements = pickle.dumps(Touching(canary))
    fields = [("b" * 600, "<f4"), ("a", "|O")]
    return with_header(str({"descr": fields, "fortran_order": False, "shape": (1,)}), elements)


def _behind_a_long_header(canary: Path) -> bytes:
    said = {"descr": "|O", "fortran_order": False, "shape": (1,)}
    return with_header(str(said) + " " * 20_000, pickle.dumps(Touching(canary)))


def _torch_in_tar(canary: Path) -> bytes:
    """What torch.save wrote before 0.1.10: ``torch.load`` still reads it."""
    members = {
        "sys_info": pickle.dumps({"protocol_version": 1000, "little_endian": True}),
        "pickle": pickle.dumps(Touching(canary), 2),
        "storages": pickle.dumps(0, 2) + pickle.dumps([], 2),
        "tensors": pickle.dumps(0, 2),
    }
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, member in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(member)
            archive.addfile(entry, io.BytesIO(member))
    return content.getvalue()


def _in_keras(name: str) -> Attack:
    def build(canary: Path) -> bytes:
        members: Mapping[str, Any] = {name: _PICKLES["protocol 0"](canary)}
        return keras_files.archive(keras_files.sequential(), **members)

    return build


def _in_torch(name: str, protocol: int) -> Attack:
    return lambda canary: pytorch_files.archive(b"\x80\x02}.", {name: _PICKLES[f"protocol {protocol}"](canary)})


ATTACKS: Mapping[str, Attack] = {
    **{f"joblib with {kind}": _by_joblib(kind) for kind in ("zlib", "gzip", "bz2", "xz", "lzma")},
    "gzip, without a protocol": lambda canary: gzip.compress(_PICKLES["without a protocol"](canary)),
    "gzip in two parts": lambda canary: (
        gzip.compress(_PICKLES["protocol 4"](canary)[:7]) + gzip.compress(_PICKLES["protocol 4"](canary)[7:])
    ),
    "gzip that is cut off": lambda canary: gzip.compress(_PICKLES["protocol 4"](canary) + bytes(1000))[:-8],
    "gzip in gzip": lambda canary: gzip.compress(gzip.compress(_PICKLES["protocol 4"](canary))),
    "xz of an archive": lambda canary: lzma.compress(pytorch_files.archive(_PICKLES["protocol 4"](canary))),
    "bzip2 of a pickle behind much": lambda canary: bz2.compress(
        _PICKLES["protocol 2"](canary)[:-1] + b"0B" + (10**6).to_bytes(4, "little") + bytes(10**6) + b"."
    ),
    "without a protocol, behind more than is read": lambda canary: (
        b"N0" * 1_600_000 + _PICKLES["without a protocol"](canary)
    ),
    "gzip, without a protocol, behind more than is decompressed": lambda canary: gzip.compress(
        b"X" + (2**25).to_bytes(4, "little") + bytes(2**25) + b"0" + _PICKLES["without a protocol"](canary)
    ),
    "an array of objects": _array,
    "an array with objects in a field": _in_fields,
    "an array behind a long header": _behind_a_long_header,
    "an array with a type of several": lambda canary: with_header(
        "{'descr': 'f4,O', 'fortran_order': False, 'shape': (1,)}", _PICKLES["protocol 3"](canary)
    ),
    "an array in a zip": lambda canary: by_name({"weights.npy": _in_fields(canary)}),
    "protocol 0 in a zip": lambda canary: by_name({"weights.bin": _PICKLES["protocol 0"](canary)}),
    "protocol 0 behind much in a zip": lambda canary: by_name(
        {"weights.bin": b"S'" + b"a" * 5000 + b"'\n0" + _PICKLES["protocol 0"](canary)}
    ),
    "zlib in a zip": lambda canary: by_name({"weights.bin": zlib.compress(_PICKLES["protocol 2"](canary))}),
    "the tar of the oldest PyTorch": _torch_in_tar,
    "an asset of Keras": _in_keras("assets/vocabulary.bin"),
    "weights of Keras in NumPy's form": lambda canary: keras_files.archive(
        keras_files.sequential(), model__weights__npz=by_name({"w.npy": _array(canary)})
    ),
    "an attribute that PyTables unpickles": lambda canary: keras_files.hdf5(
        lambda file: file.attrs.create("info", np.bytes_(_PICKLES["protocol 0"](canary)))
    ),
    "a member of a PyTorch archive": _in_torch("extra", 4),
    "an old member of a PyTorch archive": _in_torch("extra/info", 0),
    "a storage that no tensor has": _in_torch("data/7", 4),
    "a compressed member of an exported program": lambda canary: by_name(
        {
            "m/archive_format": b"pt2",
            "m/archive_version": b"0",
            "m/extra/data": gzip.compress(_PICKLES["protocol 2"](canary)),
        }
    ),
    "an extra file of TorchScript": lambda canary: pytorch_files.archive(
        b"\x80\x02}.", {"constants.pkl": b"\x80\x02).", "extra/labels": _PICKLES["protocol 1"](canary)}
    ),
    "the old form, with the oldest protocol": lambda canary: (
        b"L119547037146038801333356L\n." + b"I1001\n." + b"(d." + _PICKLES["protocol 0"](canary) + b"(l."
    ),
}
"""What executes when it is loaded by what it is made for, or by ``pickle``, joblib or NumPy once it is taken out."""

MARKED: Mapping[str, Callable[[], bytes]] = {
    "LZ4": lambda: b"\x04\x22\x4d\x18" + bytes(100),
    "Zstandard": lambda: b"\x28\xb5\x2f\xfd" + bytes(100),
    "joblib's oldest form": lambda: b"ZF0x13                " + zlib.compress(b"\x80\x02N."),
    "LZMA that needs a gigabyte": lambda: (
        b"\x5d" + (2**30).to_bytes(4, "little") + lzma.compress(b"\x80\x02N.", lzma.FORMAT_ALONE)[5:]
    ),
    "more than is decompressed": lambda: gzip.compress(
        b"\x80\x02B" + (2**25).to_bytes(4, "little") + bytes(2**25) + b"0cos\nsystem\n."
    ),
    "rows of objects in HDF5": lambda: keras_files.hdf5(
        lambda file: file.create_group("table").attrs.create("PSEUDOATOM", np.bytes_(b"object"))
    ),
    "an archive in a zip": lambda: by_name({"a": lzma.compress(b"x"), "b": bz2.compress(b"x")}),
}
"""What may be a pickle and cannot be looked into."""
