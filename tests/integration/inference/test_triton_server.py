"""An NVIDIA Triton server as an engine: the real one, where it is installed.

`make test` fetches it (370 MB, `make .triton`); where that cannot be, these tests say so.
"""

import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import tritonclient.grpc.aio as triton_aio

from chassis import Service
from chassis.auth import Authenticator, Role
from chassis.hosts import parse_hosts
from chassis.testing.services import Connect, StartService, TokenFor
from headwater.inference.v1 import deployments_pb2, deployments_pb2_grpc, engines_pb2
from headwater.names import ModelName
from services.inference.__main__ import wire
from services.inference.deployments.memory import MemoryDeployments
from services.inference.engines.engine import EngineFailed, EngineTimedOut
from services.inference.engines.triton.endpoint import TritonEndpoint
from services.inference.engines.triton.engine import TritonEngine
from services.inference.engines.triton.errors import RemoteNotReady, RemoteRefused
from services.inference.engines.triton.remotes import Remotes
from services.inference.models.memory import MemoryModels, NewFile
from services.inference.records.memory import MemoryRecords
from services.inference.settings import Settings
from services.inference.tensors.datatypes import NUMPY_TYPES
from services.inference.tensors.model import Array, TensorSpec
from tests.integration.inference.conftest import in_memory
from tests.integration.inference.triton_server import ECHO, INSTALLED, SUM, PythonModel, serving
from tests.unit.inference.waiting import eventually

pytestmark = pytest.mark.skipif(not INSTALLED, reason="there is no Triton server; `make .triton` installs one (370 MB)")

MODEL = ModelName("default", "sums")
TYPES = [name for name in NUMPY_TYPES if name != "BYTES"] + ["STRING"]
PAIR_IN, PAIR_OUT = ([(f"{kind}{number}", "TYPE_INT32") for number in (0, 1)] for kind in ("INPUT", "OUTPUT"))


MODELS = MemoryModels()
"""The registry: one version, of a file that only Triton could compute."""
DIGEST = MODELS.add(MODEL, {"model.plan": NewFile("", b"\0an engine plan")}).digest


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that has that version, and other models."""
    everything = [(f"IN-{name}", f"TYPE_{name}") for name in TYPES]
    returned = [(f"OUT-{name}", f"TYPE_{name}") for name in TYPES]
    served = [
        PythonModel("echo", everything, returned, 2, ECHO, DIGEST),
        PythonModel("sums", PAIR_IN, PAIR_OUT, 16, SUM, DIGEST),
        PythonModel("other", PAIR_IN, PAIR_OUT, 16, SUM, "sha256:other"),
        PythonModel("stateful", PAIR_IN, PAIR_OUT, 16, SUM, DIGEST, "sequence_batching { }"),
        PythonModel("streams", PAIR_IN, PAIR_OUT, 16, SUM, DIGEST, "model_transaction_policy { decoupled: true }"),
    ]
    with serving(served, tmp_path_factory.mktemp("triton")) as bound:
        yield bound


def connect_to(address: str, name: str, timeout_s: float = 10, version: str = "1") -> TritonEngine:
    remotes = Remotes(parse_hosts(address), timeout_s=timeout_s)
    engine = remotes.connect(TritonEndpoint(address, name, version), digest=DIGEST, signature=None)
    assert isinstance(engine, TritonEngine)
    return engine


def extremes(spec: TensorSpec) -> Array:
    dtype = NUMPY_TYPES[spec.datatype]
    if spec.datatype == "BYTES":
        return np.array([["zwölf".encode(), b"a\0b\0"]], np.object_)
    if spec.datatype == "BOOL":
        return np.array([[True, False]])
    if dtype.kind == "f":
        return np.array([[np.nan, -np.inf]], dtype)
    return np.array([[np.iinfo(dtype).min, np.iinfo(dtype).max]], dtype)


def test_every_element_type_comes_back_bit_by_bit(address: str) -> None:
    engine = connect_to(address, "echo")
    given = [extremes(spec) for spec in engine.signature.inputs]

    for rows in (1, 21):  # more than the eight that the model takes at once
        outputs = engine.predict([np.repeat(array, rows, axis=0) for array in given])
        for spec, array, output in zip(engine.signature.outputs, given, outputs, strict=True):
            expected = np.repeat(array, rows, axis=0)
            assert output.dtype == expected.dtype, spec
            assert list(output.flat) == list(expected.flat) or output.tobytes() == expected.tobytes(), spec
    engine.close()


def test_its_failures_are_ours(address: str) -> None:
    engine = connect_to(address, "sums", timeout_s=0.5)
    ones = np.ones((1, 16), np.int32)
    with pytest.raises(EngineFailed) as failed:
        engine.predict([-ones, ones])
    assert "secret" not in failed.value.message
    with pytest.raises(EngineTimedOut):
        engine.predict([ones * -2, ones])
    time.sleep(2)  # its model goes on to the end

    threading.Timer(0.2, engine.stop).start()
    with pytest.raises(EngineFailed):
        engine.predict([ones * -2, ones])
    engine.close()


@pytest.mark.parametrize(
    ("name", "version", "raised", "told"),
    [
        ("other", "1", RemoteRefused, "declares to be 'sha256:other'"),
        ("stateful", "1", RemoteRefused, "sequence_batching"),
        ("streams", "1", RemoteRefused, "decoupled"),
        ("nothing", "1", RemoteNotReady, "nothing 1 is not ready"),
        ("sums", "2", RemoteNotReady, "sums 2 is not ready"),
    ],
)
def test_what_cannot_be_served_is_refused(
    address: str, name: str, version: str, raised: type[Exception], told: str
) -> None:
    with pytest.raises(raised, match=told):
        connect_to(address, name, version=version)


@pytest_asyncio.fixture
async def service(address: str, start_service: StartService) -> AsyncIterator[Service]:
    """An inference service that may speak to the server."""

    async def build(settings: Settings) -> Service:
        service = Service("inference", settings, auth=Authenticator.from_settings(settings.auth_key_file))
        wire(service, settings, in_memory(MODELS, MemoryRecords(), MemoryDeployments()))
        return service

    yield await start_service(
        build, Settings, database_url="", redis_url="", resolve_interval_s=0.05, triton_hosts=address
    )


async def test_a_deployment_answers_through_it(
    address: str, service: Service, connect: Connect, token_for: TokenFor
) -> None:
    endpoint = engines_pb2.TritonEndpoint(address=address, model_name="sums", model_version="1")
    deployment = deployments_pb2.Deployment(model=str(MODEL), version="1", engine=engines_pb2.Engine(triton=endpoint))
    deployments: Any = deployments_pb2_grpc.DeploymentServiceStub(connect(service.address))
    await deployments.CreateDeployment(
        deployments_pb2.CreateDeploymentRequest(parent="projects/default", deployment_id="sums", deployment=deployment)
    )
    headers = {"authorization": f"Bearer {token_for(Role.READER, subject='reader')}"}
    async with triton_aio.InferenceServerClient(service.address) as client:
        await eventually(lambda: client.is_model_ready("sums", headers=headers), 20)
        inputs = [triton_aio.InferInput(name, [1, 16], "INT32") for name, _ in PAIR_IN]
        for number, each in enumerate(inputs):
            each.set_data_from_numpy(np.full((1, 16), 10 * (2 - number), np.int32))
        answer = await client.infer("sums", inputs, headers=headers)
    assert (answer.as_numpy("OUTPUT0") == 30).all()
    assert (answer.as_numpy("OUTPUT1") == 10).all()
