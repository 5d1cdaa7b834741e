"""Models of other libraries on their whole way: registered from Python, deployed, asked by a stock client."""

import asyncio
import dataclasses
import pickle
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
import pytest_asyncio
import tritonclient.grpc.aio as triton
import xgboost
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from chassis.auth import Role
from chassis.testing.services import Connect, StartService, TokenFor
from headwater import estimators, models
from headwater.client import Connection, Endpoints
from headwater.errors import FailedPrecondition
from headwater.inference.v1 import deployments_pb2, deployments_pb2_grpc
from headwater.names import ModelName
from services.inference.__main__ import build
from services.inference.settings import Settings
from services.registry.__main__ import build as build_registry
from services.registry.settings import Settings as RegistrySettings
from tests.data.models.tree_files import ROWS, lightgbm_model, xgboost_model
from tests.unit.inference.waiting import eventually

X, Y = load_iris(return_X_y=True)
State = deployments_pb2.Deployment.State


@dataclasses.dataclass(frozen=True, slots=True)
class World:
    """A registry and an inference service."""

    connection: Connection
    deployments: "deployments_pb2_grpc.DeploymentServiceAsyncStub"
    client: Any
    headers: dict[str, str]

    async def deploy(self, name: str) -> None:
        """Serve version 1 of the model of this name under it."""
        deployment = deployments_pb2.Deployment(model=f"projects/default/models/{name}", version="1")
        request = deployments_pb2.CreateDeploymentRequest(
            parent="projects/default", deployment_id=name, deployment=deployment
        )
        await self.deployments.CreateDeployment(request)

    async def settled(self, name: str) -> deployments_pb2.Deployment:
        """The deployment once it answers, or has failed."""
        request = deployments_pb2.GetDeploymentRequest(name=f"projects/default/deployments/{name}")

        async def there() -> bool:
            return (await self.deployments.GetDeployment(request)).state != State.STATE_WAITING

        await eventually(there, 30)
        return await self.deployments.GetDeployment(request)

    async def ask(self, name: str, given: str, rows: Any, output: str) -> Any:
        datatype = {"float32": "FP32", "float64": "FP64"}[str(rows.dtype)]
        tensor = triton.InferInput(given, list(rows.shape), datatype)
        tensor.set_data_from_numpy(rows)
        return (await self.client.infer(name, [tensor], headers=self.headers)).as_numpy(output)


@pytest_asyncio.fixture
async def world(start_service: StartService, connect: Connect, token_for: TokenFor) -> AsyncIterator[World]:
    registry = await start_service(build_registry, RegistrySettings, redis_url="", log_level="ERROR")
    inference = await start_service(
        build,
        Settings,
        redis_url="",
        log_level="ERROR",
        registry_address=registry.address,
        resolve_interval_s=0.05,
        engine_threads=1,
    )
    endpoints = Endpoints(registry=registry.address, inference=inference.address)
    client = triton.InferenceServerClient(inference.address)
    deployments = deployments_pb2_grpc.DeploymentServiceStub(connect(inference.address))
    headers = {"authorization": f"Bearer {token_for(Role.READER, subject='reader')}"}
    with Connection(endpoints, token_for(Role.WRITER)) as connection:
        yield World(connection, deployments, client, headers)
    await client.close()


def _xgboost(content: bytes) -> Callable[[Any], Any]:
    booster = xgboost.Booster(model_file=bytearray(content))
    return lambda rows: booster.predict(xgboost.DMatrix(rows), validate_features=False)


async def test_each_answers_as_the_library_that_made_it(world: World, tmp_path: Path) -> None:
    """M-109: bit by bit, in the process of a worker that may touch nothing else."""
    plain = xgboost_model(3, "json")
    several = xgboost_model(3, "ubj", classes=3, objective="multi:softprob")
    light = lightgbm_model(classes=3)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(X, Y)
    files = {"plain.json": plain, "several.ubj": several, "light.txt": light}
    for file, content in files.items():
        (tmp_path / file).write_bytes(content)

    def register() -> None:
        for file in files:
            name = ModelName("default", file.partition(".")[0])
            version = models.register(world.connection, name, {file: tmp_path / file})
            assert not version.problems
        version = estimators.register(world.connection, ModelName("default", "iris"), pipeline, X)
        assert version.framework.name == "scikit-learn"
        assert version.metadata["converted_from"].string_value == "Pipeline"
        assert version.metadata["compared_rows"].string_value == "150"

    await asyncio.to_thread(register)
    names = ["plain", "several", "light", "iris"]
    await asyncio.gather(*map(world.deploy, names))
    assert [(await world.settled(name)).failure for name in names] == [""] * 4

    rows = ROWS.copy()
    rows[3, 1] = np.nan
    answers = [await world.ask(name, "data", rows, "prediction") for name in ("plain", "several")]
    for answer, content in zip(answers, (plain, several), strict=True):
        assert np.array_equal(answer, _xgboost(content)(rows))
    expected = np.asarray(lightgbm.Booster(model_str=light.decode()).predict(rows.astype(np.float64)))
    assert np.array_equal(await world.ask("light", "data", rows.astype(np.float64), "prediction"), expected)
    probabilities = await world.ask("iris", "input", X.astype(np.float32), "probabilities")
    np.testing.assert_allclose(probabilities, pipeline.predict_proba(X), atol=1e-5)


async def test_what_would_harm_is_kept_out_and_harms_nothing(world: World, tmp_path: Path) -> None:
    """Promise 12. Of a file of trees the registry reads only the head; that it points outside is for the engine to see.
    A pickle says itself what it is."""
    good = xgboost_model(2, "json")
    files = {
        "bad.json": good.replace(b'"left_children":[1', b'"left_children":[99999999'),
        "good.json": good,
        "pickled.pkl": pickle.dumps(LogisticRegression(max_iter=500).fit(X, Y)),
    }

    def register() -> None:
        for file, content in files.items():
            (tmp_path / file).write_bytes(content)
            name = ModelName("default", file.partition(".")[0])
            models.register(world.connection, name, {file: tmp_path / file})

    await asyncio.to_thread(register)
    await asyncio.gather(world.deploy("bad"), world.deploy("good"))
    with pytest.raises(FailedPrecondition):
        await world.deploy("pickled")

    assert "A tree of the file has a child that is not there." in (await world.settled("bad")).failure
    assert (await world.settled("good")).failure == ""
    assert np.array_equal(await world.ask("good", "data", ROWS, "prediction"), _xgboost(good)(ROWS))
