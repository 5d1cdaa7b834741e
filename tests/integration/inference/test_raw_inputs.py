"""N-04: a deployment takes raw bytes, and exactly the pipeline recorded with the version prepares them."""

import asyncio
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc.aio as triton
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

from headwater.errors import InvalidArgument
from headwater.inference.v1 import deployments_pb2, preparing_pb2
from headwater.names import ModelName
from headwater.tensors import Tensor, byte_strings, digest
from headwater.transforms import Pipeline
from services.inference.models.memory import NewFile
from services.inference.models.source import Preprocessing, Selector, SelectorKind
from tests.integration.inference import messages
from tests.integration.inference.conftest import Running
from tests.integration.inference.pipelines import SHAPE, document, image, recorded
from tests.unit.inference import onnx_models
from tests.unit.inference.waiting import eventually

Preparing = preparing_pb2.Preparing
NEAREST, BILINEAR = document("nearest"), document("bilinear", version="1.1.0")


async def deploy(
    running: Running,
    name: str,
    prepared: Preprocessing | None,
    *,
    content: bytes = b"",
    wait: bool = True,
    **options: Any,
) -> None:
    """Serve a version with this pipeline under ``name``; without ``content`` the model is the identity."""
    model = ModelName("default", name)
    content = content or onnx_models.identity(shape=SHAPE)
    version = running.models.add(model, {"model.onnx": NewFile("onnx", content)}, prepared)
    running.models.point(model, Selector(SelectorKind.ALIAS, "served"), version)
    deployment = deployments_pb2.Deployment(model=str(model), alias="served", **options)
    await running.deployments.CreateDeployment(
        deployments_pb2.CreateDeploymentRequest(parent="projects/default", deployment_id=name, deployment=deployment)
    )
    if wait:
        await eventually(lambda: running.client.is_model_ready(name, headers=running.headers))


def raw(files: Sequence[bytes]) -> Any:
    given = triton.InferInput("raw", [len(files)], "BYTES")
    given.set_data_from_numpy(byte_strings(files))
    return given


async def ask(running: Running, name: str, *files: bytes, version: str = "") -> Any:
    answer = await running.client.infer(name, [raw(files)], model_version=version, headers=running.headers)
    return answer.as_numpy("y")


def prepared_by(text: str, *files: bytes) -> Any:
    return Pipeline.parse(text).prepare_all(files)


async def test_raw_bytes_become_what_the_recorded_pipeline_makes_of_them(running: Running) -> None:
    await deploy(running, "digits", recorded(NEAREST))
    files = [image(seed) for seed in range(20)]
    np.testing.assert_array_equal(await ask(running, "digits", *files), prepared_by(NEAREST, *files))


async def test_raw_bytes_come_over_http_too(running: Running) -> None:
    await deploy(running, "digits", recorded(NEAREST))
    given = triton_http.InferInput("raw", [2], "BYTES")
    given.set_data_from_numpy(byte_strings([image(1), image(2)]), binary_data=True)

    def over_http() -> Any:
        with triton_http.InferenceServerClient(f"127.0.0.1:{running.service.http_port}") as client:
            return client.infer("digits", [given], headers=running.headers).as_numpy("y")

    answered = await asyncio.to_thread(over_http)
    np.testing.assert_array_equal(answered, prepared_by(NEAREST, image(1), image(2)))


async def test_a_change_of_one_filter_leaves_the_old_version_as_it_was(running: Running) -> None:
    """N-04: the new pipeline is another version's; the old version still gives the old outputs."""
    await deploy(running, "digits", recorded(NEAREST))
    await deploy(running, "digits-2", recorded(BILINEAR))
    old, new = await ask(running, "digits", image()), await ask(running, "digits-2", image())
    np.testing.assert_array_equal(old, prepared_by(NEAREST, image()))
    np.testing.assert_array_equal(new, prepared_by(BILINEAR, image()))
    assert not np.array_equal(old, new)


async def test_a_new_pipeline_over_the_same_files_is_another_version(running: Running) -> None:
    """The files of the two have one digest; that the pipelines differ is seen all the same."""
    await deploy(running, "digits", recorded(NEAREST))
    model = ModelName("default", "digits")
    second = running.models.add(
        model, {"model.onnx": NewFile("onnx", onnx_models.identity(shape=SHAPE))}, recorded(BILINEAR)
    )
    running.models.point(model, Selector(SelectorKind.ALIAS, "served"), second)

    async def follows() -> bool:
        return bool(np.array_equal(await ask(running, "digits", image()), prepared_by(BILINEAR, image())))

    await eventually(follows)


async def test_two_versions_of_one_endpoint_have_each_its_own_pipeline(running: Running) -> None:
    """A/B: half of the requests go to a version with another pipeline."""
    await deploy(running, "ab", recorded(NEAREST), wait=False)
    model = ModelName("default", "ab")
    running.models.add(model, {"model.onnx": NewFile("onnx", onnx_models.identity(shape=SHAPE))}, recorded(BILINEAR))
    name = "projects/default/deployments/ab"
    found = await running.deployments.GetDeployment(deployments_pb2.GetDeploymentRequest(name=name))
    variant = found.routing.variants.add(name="b", weight_percent=50)
    variant.version = "2"
    update = deployments_pb2.UpdateDeploymentRequest(deployment=found)
    update.update_mask.paths.append("routing")
    await running.deployments.UpdateDeployment(update)

    for version, text in (("1", NEAREST), ("2", BILINEAR)):
        ready = functools.partial(running.client.is_model_ready, "ab", version, headers=running.headers)
        await eventually(ready)
        answered = await ask(running, "ab", image(), version=version)
        np.testing.assert_array_equal(answered, prepared_by(text, image()))


async def test_clients_are_told_to_send_raw_bytes_where_nothing_else_is_taken(running: Running) -> None:
    await deploy(running, "either", recorded(NEAREST))
    told = await running.client.get_model_metadata("either", headers=running.headers, as_json=True)
    assert told["inputs"][0]["name"] == "x"  # as without a pipeline
    await deploy(running, "digits", recorded(NEAREST), preparing=Preparing(input=Preparing.INPUT_RAW))
    told = await running.client.get_model_metadata("digits", headers=running.headers, as_json=True)
    assert told["inputs"] == [{"name": "raw", "datatype": "BYTES", "shape": ["-1"]}]
    assert told["outputs"][0]["name"] == "y"


async def test_tensors_are_taken_too_unless_the_deployment_says_otherwise(running: Running) -> None:
    await deploy(running, "either", recorded(NEAREST))
    await deploy(running, "raw-only", recorded(NEAREST), preparing=Preparing(input=Preparing.INPUT_RAW))
    tensor = triton.InferInput("x", [1, 1, 4, 4], "FP32")
    tensor.set_data_from_numpy(np.zeros((1, 1, 4, 4), np.float32))
    answer = await running.client.infer("either", [tensor], headers=running.headers)
    assert not answer.as_numpy("y").any()
    with pytest.raises(InferenceServerException, match="The only input must be `raw`"):
        await running.client.infer("raw-only", [tensor], headers=running.headers)


async def test_a_deployment_of_tensors_takes_no_raw_bytes(running: Running) -> None:
    await deploy(running, "tensors", recorded(NEAREST), preparing=Preparing(input=Preparing.INPUT_TENSORS))
    with pytest.raises(InferenceServerException, match="The model takes the inputs 'x'"):
        await ask(running, "tensors", image())
    told = await running.client.get_model_metadata("tensors", headers=running.headers, as_json=True)
    assert told["inputs"][0]["name"] == "x"


async def test_what_is_taken_can_be_changed_while_it_serves(running: Running) -> None:
    await deploy(running, "digits", recorded(NEAREST))
    name = "projects/default/deployments/digits"
    change = deployments_pb2.Deployment(name=name, preparing=Preparing(input=Preparing.INPUT_TENSORS))
    request = deployments_pb2.UpdateDeploymentRequest(deployment=change)
    request.update_mask.paths.append("preparing")
    assert (await running.deployments.UpdateDeployment(request)).preparing.input == Preparing.INPUT_TENSORS

    async def refused() -> bool:
        try:
            await ask(running, "digits", image())
        except InferenceServerException:
            return True
        return False

    await eventually(refused)


@pytest.mark.parametrize("prepared", [None, "misfit"])
async def test_a_version_that_cannot_prepare_serves_no_deployment_of_raw_bytes(
    running: Running, prepared: str | None
) -> None:
    """Without a pipeline, or with one that leaves what the model does not take."""
    content = onnx_models.doubling()
    pipeline = recorded(NEAREST) if prepared else None
    await deploy(
        running, "digits", pipeline, content=content, wait=False, preparing=Preparing(input=Preparing.INPUT_RAW)
    )
    request = deployments_pb2.GetDeploymentRequest(name="projects/default/deployments/digits")

    async def failed() -> bool:
        found = await running.deployments.GetDeployment(request)
        return found.state == deployments_pb2.Deployment.STATE_FAILED and "Only raw bytes are to be" in found.failure

    await eventually(failed)


async def test_a_pipeline_that_does_not_fit_is_told_to_who_sends_raw_bytes(running: Running) -> None:
    """It may be the pipeline that made the training data: the model is served with tensors all the same."""
    await deploy(running, "digits", recorded(NEAREST), content=onnx_models.doubling())
    with pytest.raises(
        InferenceServerException, match=r"prep@1.0.0 leaves FP32 \[channels, height, width\] of each row"
    ):
        await ask(running, "digits", image())


UNUSABLE: list[tuple[list[bytes], str]] = [
    ([b"no image"], r"`raw`, step open: row 0 is not a readable"),
    ([image(), image(), b"", image()], r"`raw`, step open: row 2 is not a readable"),
    ([image()[:-60]], r"row 0 is not a readable"),
]


async def test_a_row_that_cannot_be_prepared_is_named_with_its_step(running: Running) -> None:
    await deploy(running, "digits", recorded(NEAREST))
    for files, told in UNUSABLE:
        with pytest.raises(InferenceServerException, match=told) as refused:
            await ask(running, "digits", *files)
        assert refused.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert (await ask(running, "digits", image())).shape == (1, 1, 4, 4)  # nothing of it is left behind


OTHER_FORMS: list[tuple[Any, bytes, str]] = [
    (messages.tensor("raw", "BYTES", [1, 1]), messages.texts(b"x"), r"must be BYTES of shape \[rows\]"),
    (messages.tensor("raw", "BYTES", [0]), b"", r"must be BYTES of shape \[rows\]"),
    (messages.tensor("raw", "FP32", [1]), messages.floats(1), r"must be BYTES of shape \[rows\]; it is FP32"),
    (messages.tensor("Raw", "BYTES", [1]), messages.texts(b"x"), "The model takes the inputs 'x'"),
]


async def test_raw_bytes_in_another_form_are_refused(running: Running) -> None:
    await deploy(running, "digits", recorded(NEAREST))
    for tensor, contents, told in OTHER_FORMS:
        with pytest.raises(InvalidArgument, match=told):
            await running.stub.ModelInfer(messages.infer("digits", tensor, raw=[contents]))


async def test_the_record_of_a_request_says_what_prepared_it(running: Running) -> None:
    await deploy(running, "digits", recorded(NEAREST))
    answer = await running.client.infer("digits", [raw([image()])], headers=running.headers)
    request_id = answer.get_response().parameters["headwater_request_id"].string_param
    tensor = triton.InferInput("x", [1, 1, 4, 4], "FP32")
    tensor.set_data_from_numpy(np.zeros((1, 1, 4, 4), np.float32))
    await running.client.infer("digits", [tensor], headers=running.headers)

    listing = deployments_pb2.ListInferenceRecordsRequest(parent="projects/default")

    async def written() -> bool:
        return len((await running.inference_records.ListInferenceRecords(listing)).inference_records) == 2

    await eventually(written)
    found = (await running.inference_records.ListInferenceRecords(listing)).inference_records
    prepared, sent = sorted(found, key=lambda record: not record.name.endswith(request_id))
    assert prepared.preprocessing_digest == Pipeline.parse(NEAREST).digest
    assert prepared.request_digest == digest([Tensor("raw", "BYTES", byte_strings([image()]))])
    assert sent.preprocessing_digest == ""


async def test_many_at_once_get_each_its_own_rows(running: Running) -> None:
    await deploy(running, "digits", recorded(NEAREST))
    files = [image(seed) for seed in range(40)]
    answers = await asyncio.gather(*(ask(running, "digits", file) for file in files))
    np.testing.assert_array_equal(np.concatenate(answers), prepared_by(NEAREST, *files))


async def test_a_caller_whose_time_is_over_leaves_nothing_running(running: Running) -> None:
    """The deadline holds for the preparation too, and what nobody waits for is not begun."""
    large = document().replace('"width": 4, "height": 4', '"width": 1000, "height": 1000')
    await deploy(running, "slow", recorded(large), content=onnx_models.identity(shape=("rows", 1, "h", "w")))
    with pytest.raises(InferenceServerException, match=r"(?i)deadline"):
        await running.client.infer("slow", [raw([image(size=1500)] * 8)], headers=running.headers, client_timeout=0.05)
    assert (await ask(running, "slow", image())).shape == (1, 1, 1000, 1000)
