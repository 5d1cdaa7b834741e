"""Metadata of model files: of 10 GB against 10 MB with as many tensors, and against the libraries that load them.

The large files are sparse: no weight is read, so that it does not matter what they are.
``python -m tests.bench.model_files`` measures without the services, with ``small`` files of a hundredth of the size.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import TensorProto
from safetensors import safe_open

from services.registry.formats import inspect
from tests.bench.paired import Result, measure
from tests.bench.running import Running
from tests.data.models import gguf_files, onnx_files

MB, GB = 10**6, 10**9
TENSORS, FEW_TENSORS = 1000, 100
_REPEATS = 10

_Shapes = Sequence[tuple[Any, ...]]
"""Name and shape of each tensor, and perhaps more."""


def run(running: Running) -> Iterator[Result]:
    """Files are made where the stack keeps its own."""
    with tempfile.TemporaryDirectory(dir=running.home) as folder:
        yield from results(Path(folder))


def results(folder: Path, scale: float = 1.0) -> Iterator[Result]:
    """All ratios; files are ``scale`` times as large."""
    for name, write, size in (
        ("safetensors", write_safetensors, 10 * GB),
        ("PyTorch zip", write_torch, 10 * GB),
        ("ONNX", write_onnx, 1.9 * GB),  # what one protobuf message can hold
        ("GGUF", write_gguf, 10 * GB),
    ):
        large, small = folder / "large", folder / "small"
        write(large, TENSORS, int(size * scale))
        write(small, TENSORS, int(10 * MB * scale))
        yield _grown(f"metadata of {name} of {size / GB:g} GB, {TENSORS:,} tensors", large, small)
        large.unlink()
        small.unlink()
    path = folder / "model"
    write_torch(path, FEW_TENSORS, int(GB * scale))
    path.write_bytes(path.read_bytes())  # no longer sparse
    yield _against_library(
        f"metadata of a PyTorch zip of 1 GB, {FEW_TENSORS} tensors", path, _torch, "torch.load", "≥ 50"
    )
    write_onnx(path, FEW_TENSORS, int(500 * MB * scale))
    path.write_bytes(path.read_bytes())
    yield _against_library(f"metadata of ONNX of 500 MB, {FEW_TENSORS} tensors", path, _onnx, "onnx.load", "≥ 20")
    write_safetensors(path, TENSORS, int(GB * scale))
    peer = "safe_open, and shape and type of each"
    yield _against_library(f"metadata of safetensors of 1 GB, {TENSORS:,} tensors", path, _safetensors, peer, "≥ 1")


def write_safetensors(path: Path, tensors: int, size: int) -> None:
    """A file of about ``size`` bytes, of FP32, with the header that the reference would write."""
    length = 4 * (size // tensors // 4)
    entries = ",".join(
        f'"layers.{number}.weight":{{"dtype":"F32","shape":[{length // 4}],'
        f'"data_offsets":[{number * length},{(number + 1) * length}]}}'
        for number in range(tensors)
    )
    header = f"{{{entries}}}".encode()
    header += b" " * (-len(header) % 8)
    _write(path, [len(header).to_bytes(8, "little") + header], tensors * length)


def write_torch(path: Path, tensors: int, size: int) -> None:
    """As PyTorch writes it; the memory of the tensors is never touched."""
    state = {f"layers.{number}.weight": torch.empty(size // tensors // 4) for number in range(tensors)}
    with torch.serialization.skip_data():
        torch.save(state, path)


def write_onnx(path: Path, tensors: int, size: int) -> None:
    """A graph of initializers that are added up, one after the other."""
    length = 4 * (size // tensors // 4)
    described = [
        TensorProto(name=f"w{number}", data_type=TensorProto.FLOAT, dims=[length // 4]) for number in range(tensors)
    ]
    # raw_data, field 9, comes last in its tensor; a tensor is field 5 of its graph, and that field 7 of the model.
    heads = [each.SerializeToString() + b"\x4a" + onnx_files.varint(length) for each in described]
    heads = [b"\x2a" + onnx_files.varint(len(head) + length) + head for head in heads]
    nodes = [
        onnx.helper.make_node("Add", [f"s{number}", f"w{number}"], [f"s{number + 1}"]) for number in range(tensors)
    ]
    graph = onnx.helper.make_graph(nodes, "sum", [], []).SerializeToString()
    graph_bytes = len(graph) + sum(map(len, heads)) + tensors * length
    model = onnx.ModelProto(ir_version=10, producer_name="bench").SerializeToString()
    with path.open("wb") as file:
        file.write(model + b"\x3a" + onnx_files.varint(graph_bytes) + graph)
        for head in heads:
            file.write(head)
            file.seek(length, 1)
        file.truncate()


def write_gguf(path: Path, tensors: int, size: int) -> None:
    """A file of FP32, with a vocabulary."""
    elements = size // tensors // 32 * 8
    infos = tuple(
        gguf_files.tensor(f"blk.{number}.weight", (elements,), offset=4 * elements * number)
        for number in range(tensors)
    )
    _write(path, [gguf_files.file(tensors=infos)], 4 * elements * tensors)


def _write(path: Path, beginning: list[bytes], hole: int) -> None:
    with path.open("wb") as file:
        file.writelines(beginning)
        file.truncate(file.tell() + hole)


def _grown(name: str, large: Path, small: Path) -> Result:
    ours, theirs = inspect(large), inspect(small)
    assert [tensor.name for tensor in ours.tensors] == [tensor.name for tensor in theirs.tensors]
    assert ours.parameter_count > 100 * theirs.parameter_count > 0
    return _measured(name, _inspections(large), _inspections(small), "10 MB with as many", "≥ 0.83")


def _against_library(name: str, path: Path, load: Callable[[Path], _Shapes], peer: str, must_be: str) -> Result:
    told = {tensor.name: tuple(tensor.shape) for tensor in inspect(path).tensors}
    assert told == {name: tuple(shape) for name, shape, *_ in load(path)}

    def theirs() -> float:
        load(path)
        return 1.0

    return _measured(name, _inspections(path), theirs, peer, must_be)


def _measured(name: str, ours: Callable[[], float], theirs: Callable[[], float], peer: str, must_be: str) -> Result:
    return measure(name, ours, theirs, unit="/s", peer=peer, servers=(), must_be=must_be)


def _inspections(path: Path) -> Callable[[], float]:
    def inspections() -> float:
        for _ in range(_REPEATS):
            inspect(path)
        return float(_REPEATS)

    return inspections


def _torch(path: Path) -> _Shapes:
    return [(name, tensor.shape) for name, tensor in torch.load(path, weights_only=True).items()]


def _onnx(path: Path) -> _Shapes:
    return [(tensor.name, tensor.dims) for tensor in onnx.load(path).graph.initializer]


def _safetensors(path: Path) -> _Shapes:
    with safe_open(path, "np") as file:
        slices = [(name, file.get_slice(name)) for name in file.keys()]  # noqa: SIM118
        return [(name, each.get_shape(), each.get_dtype()) for name, each in slices]


def main(words: list[str]) -> None:
    """Print what is measured."""
    with tempfile.TemporaryDirectory() as folder:
        for result in results(Path(folder), 0.01 if "small" in words else 1.0):
            print("  ".join(result.row()), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
