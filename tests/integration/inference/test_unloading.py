"""A deployment that is unloaded stays so, wherever and however often the service starts, until somebody loads it."""

import numpy as np
import tritonclient.grpc.aio as triton

from chassis import Service
from chassis.auth import Authenticator, Role
from chassis.testing.services import StartService, TokenFor
from headwater.inference.v1 import deployments_pb2
from services.inference.__main__ import wire
from services.inference.settings import Settings
from tests.integration.inference.conftest import Running, in_memory
from tests.unit.inference import onnx_models
from tests.unit.inference.waiting import eventually

NAME = "projects/default/deployments/double"
State = deployments_pb2.Deployment.State


async def test_unloading_shows_in_the_deployment_and_outlives_the_process(
    running: Running, start_service: StartService, token_for: TokenFor
) -> None:
    await running.serve("double", onnx_models.doubling())
    admin = {"authorization": f"Bearer {token_for(Role.ADMIN)}"}
    await running.client.unload_model("double", headers=admin)

    async def told() -> deployments_pb2.Deployment:
        return await running.deployments.GetDeployment(deployments_pb2.GetDeploymentRequest(name=NAME))

    paused = await told()
    assert (paused.state, paused.unloaded, paused.model_version) == (State.STATE_UNLOADED, True, "")

    async def build(settings: Settings) -> Service:
        service = Service("inference", settings, auth=Authenticator.from_settings(settings.auth_key_file))
        wire(service, settings, in_memory(running.models, running.records, running.kept))
        return service

    second = await start_service(build, Settings, database_url="", redis_url="", resolve_interval_s=0.05)
    async with triton.InferenceServerClient(second.address) as client:

        async def unloaded() -> bool:
            index = (await client.get_model_repository_index(headers=admin)).models
            return [(each.name, each.reason) for each in index] == [("double", "unloaded")]

        await eventually(unloaded)
        await client.load_model("double", headers=admin)
        assert await client.is_model_ready("double", headers=admin)
    # The first follows: what is kept holds for every replica.
    await eventually(lambda: running.client.is_model_ready("double", headers=admin))
    assert not (await told()).unloaded


async def test_a_deployment_can_be_paused_by_who_may_change_it(running: Running) -> None:
    await running.serve("double", onnx_models.doubling())

    async def update(*, unloaded: bool) -> deployments_pb2.Deployment:
        request = deployments_pb2.UpdateDeploymentRequest(
            deployment=deployments_pb2.Deployment(name=NAME, unloaded=unloaded)
        )
        request.update_mask.paths.append("unloaded")
        return await running.deployments.UpdateDeployment(request)

    async def ready() -> bool:
        return bool(await running.client.is_model_ready("double", headers=running.headers))

    async def gone() -> bool:
        return not await ready()

    await update(unloaded=True)
    await eventually(gone)
    await update(unloaded=False)
    await eventually(ready)
    given = triton.InferInput("x", [1, 4], "FP32")
    given.set_data_from_numpy(np.ones((1, 4), np.float32))
    result = await running.client.infer("double", [given], headers=running.headers)
    assert result.as_numpy("y").tolist() == [[2] * 4]
