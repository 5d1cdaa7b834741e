"""What torch.save writes is told as torch.load reads it, without PyTorch (R-12, R-13, R-17)."""

import io
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import nn

from services.registry.formats import FileFacts, Format
from services.registry.formats.content import MemoryContent
from services.registry.formats.detect import read

_DATATYPES = {
    torch.float32: "FP32",
    torch.float64: "FP64",
    torch.float16: "FP16",
    torch.bfloat16: "BF16",
    torch.uint8: "UINT8",
    torch.int8: "INT8",
    torch.int16: "INT16",
    torch.int32: "INT32",
    torch.int64: "INT64",
    torch.uint16: "UINT16",
    torch.uint32: "UINT32",
    torch.uint64: "UINT64",
    torch.bool: "BOOL",
    torch.complex64: "COMPLEX64",
    torch.complex128: "COMPLEX128",
    torch.float8_e4m3fn: "FP8_E4M3",
    torch.float8_e5m2: "FP8_E5M2",
}
_LATER = {torch.uint16, torch.uint32, torch.uint64, torch.float8_e4m3fn, torch.float8_e5m2}


def saved(value: object, **options: Any) -> bytes:
    content = io.BytesIO()
    torch.save(value, content, **options)
    return content.getvalue()


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Linear(4, 2)
        self.register_buffer("scratch", torch.zeros(3), persistent=False)


def _raw(tensor: torch.Tensor) -> bytes:
    return bytes(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())


def _check(content: bytes, facts: FileFacts, expected: Mapping[str, torch.Tensor]) -> None:
    """Names, types and shapes are those expected, and the elements of each contiguous tensor are where it says."""
    assert [tensor.name for tensor in facts.tensors] == sorted(expected)
    for told in facts.tensors:
        tensor = expected[told.name]
        assert (told.datatype, tuple(told.shape)) == (_DATATYPES[tensor.dtype], tuple(tensor.shape))
        if tensor.is_contiguous():
            assert content[told.begin : told.end] == _raw(tensor)
        else:
            assert (told.begin, told.end) == (-1, -1)


_OPTIONS: Mapping[str, dict[str, Any]] = {
    "zip": {},
    "zip, protocol 4": {"pickle_protocol": 4},
    "zip, protocol 5": {"pickle_protocol": 5},
    "legacy": {"_use_new_zipfile_serialization": False},
    "legacy, protocol 4": {"_use_new_zipfile_serialization": False, "pickle_protocol": 4},
}


@pytest.mark.parametrize("options", _OPTIONS.values(), ids=_OPTIONS)
def test_a_state_dict_is_told_as_it_is_loaded(options: dict[str, Any]) -> None:
    content = saved(_Net().state_dict(), **options)
    facts = read(MemoryContent(content))
    # PyTorch's own safe reader knows no protocol above 3.
    loaded = torch.load(io.BytesIO(content), weights_only="pickle_protocol" not in options)
    _check(content, facts, loaded)
    assert facts.format is (Format.PYTORCH_LEGACY if "_use_new_zipfile_serialization" in options else Format.PYTORCH)
    assert facts.framework == "pytorch"
    assert facts.problems == []
    assert facts.parameter_count == sum(tensor.numel() for tensor in loaded.values() if tensor.dtype != torch.int64)
    assert [layer.name for layer in facts.layers] == ["body.0", "body.1", "head"]


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}], ids=["zip", "legacy"])
def test_every_type_and_every_way_to_lie_in_a_storage_is_told(options: dict[str, Any]) -> None:
    """Views of one storage, steps, turned and empty tensors, numbers."""
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    # PyTorch writes types that came later into its old form too, but cannot read them there.
    dtypes = [dtype for dtype in _DATATYPES if not options or dtype not in _LATER]
    tensors = {str(dtype): torch.ones(2, 3).to(dtype) for dtype in dtypes}
    tensors |= {
        "base": base,
        "row": base[1],
        "rows": base[1:3],
        "column": base[:, 1],
        "turned": base.t(),
        "every second": base[::2],
        "of one column": base[:, 1:2].reshape(4, 1),
        "repeated": torch.ones(1).expand(5),
        "channels last": torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "number": torch.tensor(3.0),
        "empty": torch.zeros(0, 3),
        "empty at the end": base[4:],
        "tied": base,
    }
    content = saved(tensors, **options)
    facts = read(MemoryContent(content))
    _check(content, facts, torch.load(io.BytesIO(content), weights_only=True))
    assert facts.problems == []


def test_a_checkpoint_is_told_by_its_model_and_not_by_its_optimizer() -> None:
    net = _Net()
    optimizer = torch.optim.Adam(net.parameters())
    sum(parameter.sum() for parameter in net.parameters()).backward()  # type: ignore[union-attr]
    optimizer.step()
    content = saved(
        {
            "epoch": 7,
            "arch": "resnet18",
            "state_dict": net.state_dict(),
            "optimizer": optimizer.state_dict(),
            "loss": 0.25,
        }
    )
    facts = read(MemoryContent(content))
    _check(content, facts, torch.load(io.BytesIO(content), weights_only=True)["state_dict"])
    assert facts.architecture == "resnet18"
    assert facts.properties["epoch"] == "7"
    assert facts.properties["loss"] == "0.25"
    assert facts.properties["checkpoint"] == "epoch, arch, state_dict, optimizer, loss"
    assert facts.problems == []


def test_nested_tensors_are_named_by_their_path() -> None:
    content = saved(
        {"a": {"b": [torch.zeros(1), torch.ones(2)]}, 3: (torch.zeros(4),), "c": nn.Parameter(torch.ones(5))}
    )
    facts = read(MemoryContent(content))
    assert [(tensor.name, tuple(tensor.shape)) for tensor in facts.tensors] == [
        ("3.0", (4,)),
        ("a.b.0", (1,)),
        ("a.b.1", (2,)),
        ("c", (5,)),
    ]


def test_two_tensors_whose_paths_read_alike_are_both_there() -> None:
    facts = read(MemoryContent(saved({"a.b": torch.zeros(1), "a": {"b": torch.zeros(2)}})))
    assert [tensor.name for tensor in facts.tensors] == ["a.b", "a.b (2)"]
    facts = read(MemoryContent(saved({1: torch.zeros(1), (1, 2): torch.zeros(2), "1": torch.zeros(3)})))
    assert [(tensor.name, tuple(tensor.shape)) for tensor in facts.tensors] == [
        ("1", (1,)),
        ("1 (2)", (2,)),
        ("1 (3)", (3,)),
    ]


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}], ids=["zip", "legacy"])
def test_a_whole_module_is_told_with_its_classes_and_is_unsafe(options: dict[str, Any]) -> None:
    """Its classes are code that is not in the file: whoever loads it runs whatever has that name there."""
    net = _Net()
    content = saved(net, **options)
    facts = read(MemoryContent(content))
    _check(content, facts, net.state_dict())
    assert facts.architecture == "_Net"
    assert [(layer.name, layer.kind) for layer in facts.layers] == [
        ("body", "Sequential"),
        ("body.0", "Conv2d"),
        ("body.1", "BatchNorm2d"),
        ("body.2", "ReLU"),
        ("head", "Linear"),
    ]
    assert f"Loading it calls {__name__}._Net." in facts.problems
    unsafe = {each.name for each in facts.globals if not each.safe}
    assert {"torch.nn.modules.conv.Conv2d", "torch.nn.modules.linear.Linear"} <= unsafe


_UNUSUAL: Mapping[str, tuple[Callable[[], torch.Tensor], str]] = {
    "sparse": (lambda: torch.eye(3).to_sparse(), "FP32"),
    "sparse by rows": (lambda: torch.eye(3).to_sparse_csr(), "FP32"),
    "quantized": (lambda: torch.quantize_per_tensor(torch.zeros(3, 3), 0.1, 0, torch.qint8), "INT8"),
    "without bytes": (lambda: torch.zeros(3, 3, device="meta"), "FP32"),
    "conjugated": (lambda: torch.zeros(3, 3, dtype=torch.complex64).conj(), "COMPLEX64"),
}


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(("make", "datatype"), _UNUSUAL.values(), ids=_UNUSUAL)
def test_unusual_tensors_are_told_by_type_and_shape(make: Callable[[], torch.Tensor], datatype: str) -> None:
    facts = read(MemoryContent(saved({"w": make()})))
    (tensor,) = facts.tensors
    assert (tensor.name, tensor.datatype, tuple(tensor.shape)) == ("w", datatype, (3, 3))
    assert facts.problems == []


def test_what_is_safe_here_is_safe_for_pytorch_too() -> None:
    """The published list of what ``weights_only`` allows is the oracle; NumPy's parts are on no such list."""
    from torch._weights_only_unpickler import _get_allowed_globals

    from services.registry.formats.pickles.allowed import SAFE

    ours = {f"{module}.{name}".replace("__builtin__.", "builtins.") for module, name in SAFE}
    beyond = {name for name in ours - _get_allowed_globals().keys() if not name.startswith("numpy.")}
    assert beyond == {"builtins.frozenset", "builtins.slice", "collections.defaultdict"}
