"""Keras models and HDF5 files, good and bad, made with h5py and zipfile: what Keras itself would never write."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import h5py
import numpy as np

_FLOATS = np.zeros((2, 3), np.float32)


def hdf5(fill: Callable[[h5py.File], object], **options: Any) -> bytes:
    """A file that ``fill`` puts something into."""
    content = io.BytesIO()
    with h5py.File(content, "w", **options) as file:
        fill(file)
    return content.getvalue()


def layer(kind: str, name: str = "layer", **fields: Any) -> dict[str, Any]:
    """The configuration of a layer, in a Sequential model's list; ``fields`` are beside its own configuration."""
    own = {"name": name, **fields.pop("config", {})}
    return {"module": "keras.layers", "class_name": kind, "config": own, "registered_name": None, **fields}


def sequential(*layers: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """The configuration of a Sequential model."""
    config = {"name": "model", "layers": list(layers)}
    return {"module": "keras", "class_name": "Sequential", "config": config, "registered_name": None, **fields}


def archive(config: Any, compression: int = zipfile.ZIP_STORED, **members: bytes) -> bytes:
    """A ``.keras`` archive with one weight; ``members`` replace or add, with ``__`` for dots."""
    files = {
        "metadata.json": json.dumps({"keras_version": "3.15.1"}).encode(),
        "config.json": config if isinstance(config, bytes) else json.dumps(config).encode(),
        "model.weights.h5": hdf5(lambda file: file.create_dataset("layers/dense/vars/0", data=_FLOATS)),
        **{name.replace("__", "."): content for name, content in members.items()},
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as zipped:
        for name, member in files.items():
            zipped.writestr(name, member)
    return content.getvalue()


def legacy(config: Any, **attributes: Any) -> bytes:
    """A model in HDF5."""

    def fill(file: h5py.File) -> None:
        file.attrs["model_config"] = config if isinstance(config, (str, bytes, np.ndarray)) else json.dumps(config)
        for name, value in attributes.items():
            file.attrs[name] = value
        file.create_dataset("model_weights/dense/dense/kernel:0", data=_FLOATS)

    return hdf5(fill)


_DENSE = layer("Dense", "dense")
_LAMBDA = layer("Lambda", "twice", config={"function": ["4wEAAA==", None, None]})
_BY_NAME = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
_FETCH = {"module": "keras.utils", "class_name": "function", "config": "get_file", "registered_name": "get_file"}
_BYTECODE = {"class_name": "__lambda__", "config": {"code": "4wEAAA==", "defaults": None, "closure": None}}


def _virtual() -> bytes:
    layout = h5py.VirtualLayout(shape=(2, 3), dtype=np.float32)
    layout[:] = h5py.VirtualSource("/etc/passwd.h5", "w", shape=(2, 3))
    return hdf5(lambda file: file.create_virtual_dataset("w", layout), libver="latest")


def _external(file: h5py.File) -> None:
    file.create_dataset("w", (8,), np.uint8, external=[("/etc/passwd", 0, 8)])


def _linked_out(file: h5py.File) -> None:
    file["w"] = h5py.ExternalLink("/etc/other.h5", "/w")


def _many_attributes(file: h5py.File) -> None:
    for number in range(20):
        file.attrs[f"a{number}"] = "x"
    file.attrs["model_config"] = json.dumps(sequential(_LAMBDA))


def _many_links(file: h5py.File) -> None:
    for number in range(20):
        file.create_dataset(f"w{number}", data=_FLOATS)


MARKED: Mapping[str, Callable[[], bytes]] = {
    "Lambda layer": lambda: archive(sequential(_LAMBDA)),
    "Lambda layer in HDF5": lambda: legacy(sequential(_LAMBDA)),
    "Lambda layer in a model in a model": lambda: archive(sequential(sequential(sequential(_LAMBDA)))),
    "lambda for an activation": lambda: archive(sequential(layer("Dense", config={"activation": _BYTECODE}))),
    "lambda in the training configuration": lambda: legacy(
        sequential(_DENSE), training_config=json.dumps({"loss": _BYTECODE})
    ),
    "lambda in the compile configuration": lambda: archive(sequential(_DENSE, compile_config={"metrics": [_BYTECODE]})),
    "function of another module": lambda: archive(sequential(layer("Dense", config={"activation": _BY_NAME}))),
    "class of another module": lambda: archive(sequential(layer("Popen", module="subprocess"))),
    "module that only begins like Keras": lambda: archive(sequential(layer("Dense", module="keras_evil.layers"))),
    "function of Keras that fetches files": lambda: archive(sequential(layer("Dense", config={"activation": _FETCH}))),
    "Lambda layer behind a thousand custom objects": lambda: archive(
        sequential(*(layer(f"mine>L{number}", module=None) for number in range(1100)), _LAMBDA)
    ),
    "data in another file": lambda: hdf5(_external),
    "data in other datasets": _virtual,
    "link to another file": lambda: hdf5(_linked_out),
    "weights that link to another file": lambda: archive(sequential(_DENSE), model__weights__h5=hdf5(_linked_out)),
    "attributes that are not read": lambda: hdf5(_many_attributes, libver="latest"),
    "links that are not read": lambda: hdf5(_many_links, libver="latest"),
}
"""What is kept and marked as unsafe."""

REFUSED: Mapping[str, Callable[[], bytes]] = {
    "configuration that is no JSON": lambda: archive(b"{"),
    "configuration that is a list": lambda: archive([]),
    "configuration that nests too deep": lambda: archive(b"[" * 200_000),
    "configuration of 17 MiB": lambda: archive(b" " * (17 * 2**20), zipfile.ZIP_DEFLATED),
    "models that nest too deep": lambda: archive(_nested(70)),
    "metadata that are no JSON": lambda: archive(sequential(), metadata__json=b"x"),
    "metadata that are a text": lambda: archive(sequential(), metadata__json=b'"x"'),
    "weights that are cut off": lambda: archive(sequential(), model__weights__h5=_cut(1000)),
    "weights that are no HDF5": lambda: archive(sequential(), model__weights__h5=b"x" * 100),
    "HDF5 that is cut off": lambda: _cut(700),
    "HDF5 that lacks a byte": lambda: _cut(-1),
    "HDF5 that is only a beginning": lambda: _cut(9),
    "HDF5 of an unknown version": lambda: b"\x89HDF\r\n\x1a\n\x09" + bytes(200),
    "HDF5 behind something else": lambda: hdf5(_small, userblock_size=512).replace(bytes(512), _cut(8) + bytes(504), 1),
    "HDF5 configuration that is a number": lambda: legacy(np.arange(3)),
    "HDF5 configuration of two texts": lambda: legacy(np.array([b"{}", b"{}"])),
    "HDF5 configuration with NUL": lambda: legacy(np.bytes_(b'{}\0{"class_name": "Lambda"}')),
    "HDF5 groups that nest too deep": lambda: hdf5(lambda file: file.create_group("a/" * 70 + "a")),
}
"""What is refused."""


def _nested(depth: int) -> dict[str, Any]:
    model = sequential(_DENSE)
    for _ in range(depth):
        model = sequential(model)
    return model


def _small(file: h5py.File) -> None:
    file.create_dataset("w", data=_FLOATS)


def _cut(length: int) -> bytes:
    return hdf5(_small)[:length]
