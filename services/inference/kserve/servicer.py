"""GRPCInferenceService of the Open Inference Protocol: convert, call, convert.

https://github.com/kserve/open-inference-protocol; for what Triton adds to it, tritonclient's own service definition.
"""

import importlib.metadata
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from tritonclient.grpc import service_pb2, service_pb2_grpc

from chassis.auth import Role, current_principal
from chassis.clock import Clock
from headwater.errors import HeadwaterError
from services.inference.deployments.serving import Serving
from services.inference.errors import NotSupported
from services.inference.kserve import convert, metadata
from services.inference.predictor import Prediction, Predictor
from services.inference.question import Question
from services.inference.records.recorder import Recorder

DESCRIPTOR = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
REQUEST_ID_TRAILER = "headwater-request-id"
_EMPTY_FINAL = "triton_enable_empty_final_response"
_FINAL = "triton_final_response"
_CHANGES_THE_SERVER = {"RepositoryModelLoad", "RepositoryModelUnload", "TraceSetting", "LogSettings"}

ROLES = {
    method.name: Role.ADMIN if method.name in _CHANGES_THE_SERVER or "SharedMemory" in method.name else Role.READER
    for method in DESCRIPTOR.methods
}
"""Who may call what: the protocol itself knows no roles."""


def _refuse(text: str) -> Callable[..., Awaitable[Any]]:
    async def refuse(_self: object, _request: Any, _context: Any) -> Any:
        raise NotSupported(text)

    return refuse


_LOADING = "Models are loaded by deployments: use headwater.inference.v1.DeploymentService."
_SHARED_MEMORY = "Shared memory is not supported: send tensors in the messages."
_SETTINGS = "Settings come from the environment and are shown by /varz; they are not changed over this protocol."


class InferenceServicer(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """See the protocol."""

    def __init__(self, predictor: Predictor, serving: Serving, recorder: Recorder, clock: Clock) -> None:
        self._predictor = predictor
        self._serving = serving
        self._recorder = recorder
        self._clock = clock
        self._version = importlib.metadata.version("headwater")

    async def ModelInfer(self, request: Any, context: Any) -> Any:
        """Answers; the answer's request id is in its parameters and in the trailer."""
        prediction = await self._predict(request)
        context.set_trailing_metadata(((REQUEST_ID_TRAILER, prediction.request_id),))
        return convert.response_to_proto(prediction, request.id)

    async def ModelStreamInfer(self, requests: AsyncIterator[Any], _context: Any) -> AsyncIterator[Any]:
        """Answers one request after the other. An error belongs to its request; the stream goes on."""
        async for request in requests:
            wants_final = request.parameters.pop(_EMPTY_FINAL, None) is not None
            try:
                answer = convert.response_to_proto(await self._predict(request), request.id)
            except HeadwaterError as error:
                failed = service_pb2.ModelInferResponse(model_name=request.model_name, id=request.id)
                yield service_pb2.ModelStreamInferResponse(error_message=error.message, infer_response=failed)
                continue
            if wants_final:
                answer.parameters[_FINAL].bool_param = True
            yield service_pb2.ModelStreamInferResponse(infer_response=answer)

    async def ServerLive(self, _request: Any, _context: Any) -> Any:
        """Whether the process answers."""
        return service_pb2.ServerLiveResponse(live=True)

    async def ServerReady(self, _request: Any, _context: Any) -> Any:
        """Whether predictions can be made: deployments are known and answers can be recorded. Which of the models are
        ready is for ModelReady to say."""
        try:
            self._recorder.admit()
        except HeadwaterError:
            return service_pb2.ServerReadyResponse(ready=False)
        return service_pb2.ServerReadyResponse(ready=self._serving.in_step)

    async def ModelReady(self, request: Any, _context: Any) -> Any:
        """Whether this name, and version if one is given, answers."""
        try:
            self._serving.find(request.name, request.version)
        except HeadwaterError:
            return service_pb2.ModelReadyResponse(ready=False)
        return service_pb2.ModelReadyResponse(ready=True)

    async def ServerMetadata(self, _request: Any, _context: Any) -> Any:
        """Who answers."""
        extensions = ["model_configuration", "statistics"]
        return service_pb2.ServerMetadataResponse(name="headwater", version=self._version, extensions=extensions)

    async def ModelMetadata(self, request: Any, _context: Any) -> Any:
        """What goes into a model and what comes out."""
        return metadata.model_metadata(self._serving.find(request.name, request.version))

    async def ModelConfig(self, request: Any, _context: Any) -> Any:
        """The same in Triton's notation, with the batch size."""
        return metadata.model_config(self._serving.find(request.name, request.version))

    async def ModelStatistics(self, request: Any, _context: Any) -> Any:
        """What one model, or each of them, has done since it was loaded."""
        if request.name:
            return metadata.model_statistics([self._serving.find(request.name, request.version)])
        followers = self._serving.followers()
        return metadata.model_statistics([each.loaded for each in followers if each.loaded is not None])

    async def RepositoryIndex(self, request: Any, _context: Any) -> Any:
        """Every deployment and whether it answers."""
        if request.repository_name:
            raise NotSupported("There is one repository, without a name.", repository=request.repository_name)
        return metadata.repository_index(self._serving.followers(), ready_only=request.ready)

    RepositoryModelLoad = _refuse(_LOADING)
    RepositoryModelUnload = _refuse(_LOADING)
    SystemSharedMemoryStatus = _refuse(_SHARED_MEMORY)
    SystemSharedMemoryRegister = _refuse(_SHARED_MEMORY)
    SystemSharedMemoryUnregister = _refuse(_SHARED_MEMORY)
    CudaSharedMemoryStatus = _refuse(_SHARED_MEMORY)
    CudaSharedMemoryRegister = _refuse(_SHARED_MEMORY)
    CudaSharedMemoryUnregister = _refuse(_SHARED_MEMORY)
    TraceSetting = _refuse(_SETTINGS)
    LogSettings = _refuse(_SETTINGS)

    async def _predict(self, request: Any) -> Prediction:
        arrived = self._clock.monotonic()
        timeout_s = convert.timeout_from_proto(request)
        return await self._predictor.predict(
            Question(
                request.model_name,
                request.model_version,
                convert.tensors_from_proto(request),
                convert.output_names_from_proto(request),
                current_principal().subject,
                request.id,
                arrived,
                timeout_s,
            )
        )
