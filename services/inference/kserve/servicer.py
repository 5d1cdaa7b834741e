"""GRPCInferenceService of the Open Inference Protocol: convert, call, convert.

https://github.com/kserve/open-inference-protocol; for what Triton adds to it, tritonclient's own service definition.
"""

import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from tritonclient.grpc import service_pb2, service_pb2_grpc

from chassis.auth import Role, current_principal
from chassis.clock import Clock
from headwater.errors import HeadwaterError
from services.inference.errors import NotSupported
from services.inference.kserve import convert
from services.inference.kserve.about import About, refuse_repository
from services.inference.kserve.parameters import RequestOptions
from services.inference.kserve.refusals import CUDA, SETTINGS
from services.inference.kserve.repository import Repository
from services.inference.kserve.shared_memory import Regions
from services.inference.kserve.stream import in_order
from services.inference.kserve.wire import Asked, Told
from services.inference.predictor import Predictor
from services.inference.question import Question

DESCRIPTOR = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
REQUEST_ID_TRAILER = "headwater-request-id"
_FINAL = "triton_final_response"
_ERRORS_END_IT = ("triton_grpc_error", "true")
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


class InferenceServicer(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """See the protocol."""

    def __init__(
        self, predictor: Predictor, about: About, repository: Repository, regions: Regions, clock: Clock
    ) -> None:
        self._predictor = predictor
        self._about = about
        self._repository = repository
        self._regions = regions
        self._clock = clock

    async def ModelInfer(self, request: Asked, context: Any) -> Told:
        """Answers; the answer's request id is in its parameters and in the trailer. Read and written by wire.CODEC."""
        options = convert.options_from_proto(request.message, context.invocation_metadata())
        answer = await self._answer(request, options)
        request_id = answer.message.parameters[convert.REQUEST_ID_PARAMETER].string_param
        context.set_trailing_metadata(((REQUEST_ID_TRAILER, request_id),))
        return answer

    async def ModelStreamInfer(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        """Computes requests as they come and answers them in their order. An error belongs to its request, and the
        stream goes on; unless the client says ``triton_grpc_error: true``, which makes it the status of the stream."""
        metadata = context.invocation_metadata()
        answer = self._streamed if _ERRORS_END_IT in metadata else self._streamed_or_error
        async for each in in_order(requests, lambda request: answer(request, metadata)):
            yield each

    async def ServerLive(self, _request: Any, _context: Any) -> Any:
        """Whether the process answers."""
        return service_pb2.ServerLiveResponse(live=True)

    async def ServerReady(self, _request: Any, _context: Any) -> Any:
        """See About."""
        return service_pb2.ServerReadyResponse(ready=self._about.server_ready())

    async def ModelReady(self, request: Any, _context: Any) -> Any:
        """See About."""
        return service_pb2.ModelReadyResponse(ready=self._about.model_ready(request.name, request.version))

    async def ServerMetadata(self, _request: Any, _context: Any) -> Any:
        """See About."""
        return self._about.server()

    async def ModelMetadata(self, request: Any, _context: Any) -> Any:
        """See About."""
        return self._about.model(request.name, request.version)

    async def ModelConfig(self, request: Any, _context: Any) -> Any:
        """See About."""
        return self._about.config(request.name, request.version)

    async def ModelStatistics(self, request: Any, _context: Any) -> Any:
        """See About."""
        return self._about.statistics(request.name, request.version)

    async def RepositoryIndex(self, request: Any, _context: Any) -> Any:
        """See About."""
        return self._about.index(request.repository_name, ready_only=request.ready)

    async def RepositoryModelLoad(self, request: Any, _context: Any) -> Any:
        """See Repository."""
        refuse_repository(request.repository_name)
        await self._repository.load(request.model_name, convert.repository_parameters_from_proto(request))
        return service_pb2.RepositoryModelLoadResponse()

    async def RepositoryModelUnload(self, request: Any, _context: Any) -> Any:
        """See Repository."""
        refuse_repository(request.repository_name)
        await self._repository.unload(request.model_name, convert.repository_parameters_from_proto(request))
        return service_pb2.RepositoryModelUnloadResponse()

    async def SystemSharedMemoryStatus(self, request: Any, _context: Any) -> Any:
        """The caller's regions, or the one that is named."""
        regions = self._regions.registered(current_principal().subject, request.name)
        return convert.regions_to_proto(regions)

    async def SystemSharedMemoryRegister(self, request: Any, _context: Any) -> Any:
        """Registers a region for the caller."""
        self._regions.register(
            current_principal().subject, request.name, request.key, request.offset, request.byte_size
        )
        return service_pb2.SystemSharedMemoryRegisterResponse()

    async def SystemSharedMemoryUnregister(self, request: Any, _context: Any) -> Any:
        """Forgets a region of the caller, or all of them."""
        self._regions.unregister(current_principal().subject, request.name)
        return service_pb2.SystemSharedMemoryUnregisterResponse()

    async def CudaSharedMemoryStatus(self, request: Any, _context: Any) -> Any:
        """There are none. Stock programs ask before they begin, so this fails only where shared memory is off."""
        self._no_cuda_regions(request.name)
        return service_pb2.CudaSharedMemoryStatusResponse()

    async def CudaSharedMemoryUnregister(self, request: Any, _context: Any) -> Any:
        """There are none to forget; see CudaSharedMemoryStatus."""
        self._no_cuda_regions(request.name)
        return service_pb2.CudaSharedMemoryUnregisterResponse()

    CudaSharedMemoryRegister = _refuse(CUDA)
    TraceSetting = _refuse(SETTINGS)
    LogSettings = _refuse(SETTINGS)

    def _no_cuda_regions(self, name: str) -> None:
        if name or not self._regions.enabled:
            raise NotSupported(CUDA)

    async def _streamed_or_error(self, request: Any, metadata: Any) -> Any:
        try:
            return await self._streamed(request, metadata)
        except HeadwaterError as error:
            failed = service_pb2.ModelInferResponse(model_name=request.model_name, id=request.id)
            return service_pb2.ModelStreamInferResponse(error_message=error.message, infer_response=failed)

    async def _streamed(self, request: Any, metadata: Any) -> Any:
        asked = Asked(request, request.raw_input_contents)
        answer = await self._answer(asked, convert.options_from_proto(request, metadata))
        return service_pb2.ModelStreamInferResponse(infer_response=answer.whole())

    async def _answer(self, asked: Asked, options: RequestOptions) -> Told:
        arrived, request = self._clock.monotonic(), asked.message
        caller = current_principal().subject
        names, wanted = convert.outputs_from_proto(request)
        for wish in wanted.values():
            if wish.place is not None:
                self._regions.check(caller, wish.place)
        prediction = await self._predictor.predict(
            Question(
                request.model_name,
                request.model_version,
                convert.tensors_from_proto(asked, self._regions, caller),
                names,
                caller,
                request.id,
                arrived,
                options.timeout_s,
                options.routing_key,
                options.priority,
                options.return_features,
            )
        )
        keep = functools.partial(self._regions.write, caller) if wanted else None
        answer = convert.response_to_proto(prediction, request.id, wanted, keep)
        if options.wants_final:  # there is one answer to each request
            answer.message.parameters[_FINAL].bool_param = True
        return answer
