"""What can be made of versions, and where they can be served, over every store (M-80)."""

import io
import pickle
from collections.abc import Mapping
from pathlib import Path

import onnx
import pytest
import torch

from chassis.testing import ManualClock
from services.inference.engines.engine import ModelRefused
from services.inference.engines.formats import LOADERS, STATE_LOADERS
from services.inference.engines.onnx_file import check_onnx
from services.registry.artifacts.artifacts import Artifacts
from services.registry.formats import Format
from services.registry.origin import Origin
from services.registry.store import Store
from services.registry.versions.changes import VersionChanges
from services.registry.versions.convert import whole_to_proto
from services.registry.versions.model import ModelVersion
from services.registry.versions.options import CONVERSIONS, DEPLOYMENTS, conversions, deployment_targets
from services.registry.versions.versions import Versions
from tests.contract.registry.builders import DIGITS, safetensors, upload, version_of
from tests.data.models.onnx_files import external_tensor, linear, linear_model


class Registrar:
    """Registers versions of ``digits``."""

    def __init__(self, versions: Versions, artifacts: Artifacts, me: Origin) -> None:
        self._versions = versions
        self._artifacts = artifacts
        self._me = me

    async def add(self, files: Mapping[str, bytes]) -> ModelVersion:
        """The next version, as it is read again."""
        names = {path: await upload(self._artifacts, content, self._me) for path, content in files.items()}
        made = await self._versions.create(DIGITS, version_of(names), self._me)
        return await self._versions.get(DIGITS, made.version)


@pytest.fixture
def registrar(versions: Versions, artifacts: Artifacts, me: Origin) -> Registrar:
    """See Registrar."""
    return Registrar(versions, artifacts, me)


@pytest.fixture
def changes(store: Store, clock: ManualClock) -> VersionChanges:
    """Takes versions out of use."""
    return VersionChanges(store, clock)


def _custom(domain: str, *, defined: bool = False) -> bytes:
    """An ONNX model with an operator of ``domain``, which it defines itself or not."""
    node = onnx.helper.make_node("Swish", ["x"], ["y"], domain=domain)
    model = linear(3, 3, nodes=[node])
    model.opset_import.append(onnx.helper.make_opsetid(domain, 1))
    if defined:
        inner = onnx.helper.make_node("Sigmoid", ["a"], ["b"])
        opset = onnx.helper.make_opsetid("", 21)
        model.functions.append(onnx.helper.make_function(domain, "Swish", ["a"], ["b"], [inner], [opset]))
    return model.SerializeToString()


def _outside() -> bytes:
    """An ONNX model that keeps a tensor in another file."""
    model = linear(4, 3)
    model.graph.initializer.append(external_tensor("weights.bin"))
    return model.SerializeToString()


ONNX: Mapping[str, tuple[Mapping[str, bytes], Mapping[str, str]]] = {
    "plain": (
        {"m.onnx": linear_model(4, 3)},
        {"headwater": "", "triton": "", "kserve": "", "seldon": ""},
    ),
    "its own operator": (
        {"m.onnx": _custom("com.example", defined=True)},
        {"headwater": "", "triton": "", "kserve": "", "seldon": ""},
    ),
    "somebody's operator": (
        {"m.onnx": _custom("com.example")},
        dict.fromkeys(("triton", "kserve", "seldon"), "with a library of its operators"),
    ),
    "tensors outside": (
        {"m.onnx": _outside(), "weights.bin": bytes(64)},
        {"headwater": "once its tensors are stored inside the file", "triton": "", "kserve": "", "seldon": ""},
    ),
}


@pytest.mark.parametrize("kind", ONNX)
async def test_headwater_serves_what_it_says_it_serves(registrar: Registrar, kind: str) -> None:
    """The registry's answer, and what the inference service does with the same file."""
    files, expected = ONNX[kind]
    targets = deployment_targets(await registrar.add(files))
    assert {option.target: option.condition for option in targets} == expected
    if expected.get("headwater") == "":
        check_onnx(files["m.onnx"])
    else:
        with pytest.raises(ModelRefused):
            check_onnx(files["m.onnx"])


@pytest.mark.filterwarnings("ignore")  # torch remarks on its own deprecated parts
async def test_what_is_served_as_it_is_need_not_be_converted_first(registrar: Registrar) -> None:
    saved = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(4, 3)), saved)
    version = await registrar.add({"model.pt": saved.getvalue()})
    assert [(option.target, option.by) for option in conversions(version)] == [("onnx", "headwater package convert")]
    assert [(option.target, option.condition) for option in deployment_targets(version)] == [
        ("headwater", "with engine.inputs"),
        *((platform, "") for platform in ("triton", "kserve", "seldon")),
    ]


def test_what_headwater_serves_as_it_is_are_the_formats_of_its_engines() -> None:
    served = {
        each.name.lower() for each, options in DEPLOYMENTS.items() if any(o.target == "headwater" for o in options)
    }
    assert served == {*LOADERS, *STATE_LOADERS}


async def test_what_is_to_be_converted_first_says_so(registrar: Registrar) -> None:
    version = await registrar.add(
        {"config.json": b'{"architectures": ["Bert"]}', "m.safetensors": safetensors(w=(2, 2))}
    )
    here = [option for option in deployment_targets(version) if option.target == "headwater"]
    assert [option.condition for option in here] == ["once it is converted to onnx"]


async def test_the_code_that_a_hugging_face_model_brings_must_be_trusted(registrar: Registrar) -> None:
    weights = safetensors(w=(2, 2))
    plain = await registrar.add(
        {"config.json": b'{"architectures": ["Bert"], "model_type": "bert"}', "m.safetensors": weights}
    )
    own = b'{"architectures": ["Own"], "model_type": "own", "auto_map": {"AutoModel": "own.Own"}}'
    bringing = await registrar.add({"config.json": own, "m.safetensors": weights})
    assert plain.format is bringing.format is Format.HUGGING_FACE
    assert not any("trusted" in option.condition for option in deployment_targets(plain))
    assert all(option.condition.endswith("if the code that it brings is trusted") for option in conversions(bringing))


async def test_nothing_is_made_of_what_is_unsafe(registrar: Registrar) -> None:
    version = await registrar.add({"model.bin": pickle.dumps(print)})
    assert version.problems
    assert (conversions(version), deployment_targets(version)) == ([], [])


async def test_nothing_new_is_made_of_what_is_archived(
    registrar: Registrar, versions: Versions, changes: VersionChanges, me: Origin
) -> None:
    version = await registrar.add({"m.onnx": linear_model(4, 3)})
    archived = await changes.archive(DIGITS, version.version, "", me)
    assert (conversions(archived), deployment_targets(archived)) == ([], [])


async def test_the_answer_is_told_with_the_whole_version(registrar: Registrar) -> None:
    told = whole_to_proto(await registrar.add({"m.onnx": linear_model(4, 3)}))
    assert [(option.target, option.by) for option in told.conversions] == [("tensorrt", "trtexec"), ("openvino", "ovc")]
    assert told.deployment_targets[0].target == "headwater"


async def test_what_nobody_recognises_leads_nowhere(registrar: Registrar) -> None:
    version = await registrar.add({"notes.txt": b"words"})
    assert (conversions(version), deployment_targets(version)) == ([], [])


def test_every_format_that_holds_a_whole_model_leads_somewhere() -> None:
    parts = {
        *(Format.UNSPECIFIED, Format.PICKLE, Format.TAR, Format.ZIP, Format.HDF5),
        *(Format.SAFETENSORS_INDEX, Format.TENSORFLOW_VARIABLES, Format.HUGGING_FACE_CONFIG),
    }
    assert set(Format) - parts == {*CONVERSIONS, *DEPLOYMENTS}


def test_the_page_lists_all_that_does_it() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "model-versions.md").read_text()
    section = page.partition("## What can be made of it")[2].partition("\n## ")[0]
    options = [option for every in CONVERSIONS.values() for option in every]
    assert [option.by for option in options if f"`{option.by}`" not in section] == []
    platforms = {option.target for every in DEPLOYMENTS.values() for option in every}
    told = section.lower().replace(" ", "-")
    assert [platform for platform in platforms if platform not in told] == []
