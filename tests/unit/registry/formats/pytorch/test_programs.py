"""TorchScript archives and exported programs tell what they take, give and are made of (R-12, R-13)."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from services.registry.formats import Format
from services.registry.formats.content import MemoryContent
from services.registry.formats.detect import read
from tests.data.models.pytorch_files import exported
from tests.data.models.zips import by_name

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.fc = nn.Linear(2, 3)

    def forward(self, image: torch.Tensor, scale: float = 2.0) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.conv(image).mean((2, 3)) * scale
        return self.fc(features), features


class _ReadsFiles(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.from_file("/etc/passwd", size=1)


class _Adds(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1


def _scripted(module: Any) -> bytes:
    content = io.BytesIO()
    torch.jit.save(module, content)
    return content.getvalue()


def test_a_scripted_model_tells_its_tensors_code_and_signature() -> None:
    net = _Net()
    content = _scripted(torch.jit.script(net))
    facts = read(MemoryContent(content))
    state = net.state_dict()
    assert facts.format is Format.TORCHSCRIPT
    assert {tensor.name: tuple(tensor.shape) for tensor in facts.tensors} == {
        k: tuple(v.shape) for k, v in state.items()
    }
    for tensor in facts.tensors:
        assert content[tensor.begin : tensor.end] == state[tensor.name].numpy().tobytes()
    assert facts.architecture == "_Net"
    assert [(layer.name, layer.kind) for layer in facts.layers] == [("conv", "Conv2d"), ("fc", "Linear")]
    assert [(each.name, each.datatype) for each in facts.inputs] == [("image", ""), ("scale", "FP64")]
    assert [each.name for each in facts.outputs] == ["output_0", "output_1"]
    assert facts.operators["conv2d"] == 1
    assert "code/__torch__/torch/nn/modules/conv.py" in facts.code
    assert facts.problems == []


def test_a_traced_model_tells_what_it_was_traced_with() -> None:
    traced = torch.jit.trace(nn.Conv2d(1, 2, 3), torch.zeros(1, 1, 8, 8))  # type: ignore[no-untyped-call]
    facts = read(MemoryContent(_scripted(traced)))
    assert [(each.datatype, tuple(each.shape)) for each in facts.inputs] == [("FP32", (1, 1, 8, 8))]
    assert len(facts.outputs) == 1
    assert facts.problems == []


def test_a_script_that_reaches_files_is_marked() -> None:
    facts = read(MemoryContent(_scripted(torch.jit.script(_ReadsFiles()))))
    assert facts.problems == ["Its code names torch.from_file, which reaches files."]


_WAYS_TO_SAVE = (
    "torch . save(x, {path})",
    "(torch.save)(x, {path})",
    "module = torch\n    module.save(x, {path})",
    "operator = torch.save\n    operator(x, {path})",
    "ops.aten.save\\\n(x, {path})",
    "(torch. # here\n  save)(x, {path})",
    'getattr(torch, "save")(x, {path})',
    'getattr(torch, "sa" "ve")(x, {path})',
    'getattr(torch, "sa\\166e")(x, {path})',
)


@pytest.mark.parametrize("spelled", [str, str.upper])
@pytest.mark.parametrize("way", _WAYS_TO_SAVE)
def test_however_a_script_says_that_it_writes_a_file_it_is_marked(
    way: str, spelled: Callable[[str], str], tmp_path: Path
) -> None:
    """R-13: PyTorch runs each of them, and finds code under a name in any case."""
    path = tmp_path / "canary"
    content = _rewritten(_scripted(torch.jit.script(_Adds())), way.format(path=json.dumps(str(path))), spelled)
    assert read(MemoryContent(content)).problems == ["Its code names torch.save, which reaches files."]
    assert not path.exists()
    torch.jit.load(io.BytesIO(content))(torch.zeros(1))  # type: ignore[no-untyped-call]
    assert path.exists()


def test_a_script_that_only_tells_people_of_files_is_not_marked() -> None:
    content = _rewritten(_scripted(torch.jit.script(_Adds())), 'print("save", "from_file", x)')
    assert read(MemoryContent(content)).problems == []


def _rewritten(content: bytes, line: str, spelled: Callable[[str], str] = str) -> bytes:
    """The archive with ``line`` before its code returns, and the name of the code's member spelled otherwise."""
    members = {}
    with zipfile.ZipFile(io.BytesIO(content)) as written:
        for name in written.namelist():
            root, _, inner = name.partition("/")
            if inner.endswith(".py"):
                code = written.read(name).decode().replace("    return", f"    {line}\n    return")
                members[f"{root}/{spelled(inner)}"] = code.encode()
            elif not inner.endswith(".debug_pkl"):
                members[name] = written.read(name)
    return by_name(members)


def test_an_exported_program_tells_its_weights_graph_and_signature() -> None:
    content = exported()
    facts = read(MemoryContent(content))
    assert facts.format is Format.TORCH_EXPORT
    assert facts.framework_version == torch.__version__
    assert [(each.name, each.datatype, tuple(each.shape)) for each in facts.inputs] == [("x", "FP32", (-1, 4))]
    assert [(each.datatype, tuple(each.shape)) for each in facts.outputs] == [("FP32", (-1, 2))]
    assert facts.operators == {"aten.linear.default": 1, "aten.relu.default": 1}
    assert facts.opsets["aten"] > 0
    assert [(layer.name, layer.kind) for layer in facts.layers] == [("fc", "Linear")]
    state = torch.export.load(io.BytesIO(content)).state_dict
    assert [tensor.name for tensor in facts.tensors] == sorted(state)
    for tensor in facts.tensors:
        assert tuple(tensor.shape) == tuple(state[tensor.name].shape)
        assert content[tensor.begin : tensor.end] == state[tensor.name].detach().numpy().tobytes()
    assert facts.problems == []


def test_an_exported_program_of_an_older_pytorch_is_read_too() -> None:
    """PyTorch 2.1 to 2.7 wrote its weights as a file of torch.save within the archive."""
    from torch._export.serde.serialize import serialize

    weights = io.BytesIO()
    net = nn.Linear(4, 2)
    artifact = serialize(torch.export.export(net, (torch.zeros(3, 4),)))
    torch.save(net.state_dict(), weights)
    content = by_name(
        {
            "serialized_exported_program.json": artifact.exported_program,
            "serialized_state_dict.pt": weights.getvalue(),
            "serialized_constants.pt": artifact.constants,
            "serialized_example_inputs.pt": artifact.example_inputs,
            "version": b"8.20",
        }
    )
    facts = read(MemoryContent(content))
    assert (facts.format, facts.problems) == (Format.TORCH_EXPORT, [])
    assert [(tensor.name, tuple(tensor.shape)) for tensor in facts.tensors] == [("bias", (2,)), ("weight", (2, 4))]
    bias = facts.tensors[0]
    assert content[bias.begin : bias.end] == net.bias.detach().numpy().tobytes()


def test_compiled_code_in_an_exported_program_is_marked() -> None:
    content = by_name(
        {"p/archive_format": b"pt2", "p/archive_version": b"0", "p/data/aotinductor/model/model.so": b"\x7fELF"}
    )
    facts = read(MemoryContent(content))
    assert facts.code == ["data/aotinductor/model/model.so"]
    assert facts.problems == ["Loading it runs compiled code, for example data/aotinductor/model/model.so."]


@pytest.mark.parametrize("said", [5, "L['x'] == 1", {"a": 1}, None])
def test_guards_that_are_no_list_are_none(said: object) -> None:
    facts = read(MemoryContent(exported(lambda root: root.update(guards_code=said))))
    assert facts.format is Format.TORCH_EXPORT
    assert facts.problems == []
