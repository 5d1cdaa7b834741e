"""A remote model behind the Engine interface."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from tritonclient.grpc import service_pb2

from services.inference.engines.engine import Engine, EngineFailed
from services.inference.engines.triton.connection import Connection
from services.inference.engines.triton.description import Description, check_identity, check_signature, describe
from services.inference.engines.triton.errors import RETRY_MS, RemoteAway
from services.inference.tensors.codec import from_raw, to_raw
from services.inference.tensors.errors import InvalidTensor
from services.inference.tensors.model import Array, Signature, Tensor


class TritonEngine(Engine):
    """Sends batches to a server. Made by :meth:`connect`.

    Tensors travel raw, in the protocol's own notation, so that every element type comes out as it went in. When the
    connection was lost, or given up to stop a call, the server has to declare again what it serves before it is asked.
    """

    def __init__(
        self, connection: Connection, description: Description, digest: str, registered: Signature | None
    ) -> None:
        self.signature = description.signature
        self.platform = description.platform
        self._connection = connection
        self._description = description
        self._digest = digest
        self._registered = registered
        self._outputs = {spec.name: spec for spec in self.signature.outputs}

    @classmethod
    def connect(cls, connection: Connection, *, digest: str, registered: Signature | None = None) -> "TritonEngine":
        """The engine for the remote model, which must be the version with ``digest`` and this signature. Blocks.

        Raises:
            HostNotAllowed: see the setting ``triton_hosts``.
            RemoteRefused: the server has something else.
            RemoteAway, RemoteBusy, EngineTimedOut, EngineFailed: see Connection.call.
        """
        try:
            return cls(connection, _ask(connection, digest, registered), digest, registered)
        except BaseException:
            connection.close()
            raise

    def predict(self, inputs: Sequence[Array]) -> list[Array]:
        """See Engine.

        Raises:
            RemoteRefused: since it was connected, the server has come to serve something else.
            RemoteAway, RemoteBusy, EngineTimedOut, EngineFailed: see Connection.call.
        """
        self._come_back()
        most, rows = self._description.max_rows, len(inputs[0]) if inputs and inputs[0].ndim else 0
        if not most or rows <= most:
            return self._infer(inputs)
        parts = [self._infer([array[at : at + most] for array in inputs]) for at in range(0, rows, most)]
        return [np.concatenate(each) for each in zip(*parts, strict=True)]

    def stop(self) -> None:
        """See Engine."""
        self._connection.stop()

    def close(self) -> None:
        """See Engine."""
        self._connection.close()

    def _come_back(self) -> None:
        if self._connection.open:
            return
        found = _ask(self._connection, self._digest, self._registered)
        if found != self._description:
            self._connection.close()
            raise RemoteAway("The remote model takes or gives something else than before.", retry_after_ms=RETRY_MS)

    def _infer(self, inputs: Sequence[Array]) -> list[Array]:
        endpoint = self._connection.endpoint
        request = service_pb2.ModelInferRequest(model_name=endpoint.model_name, model_version=endpoint.model_version)
        for spec, array in zip(self.signature.inputs, inputs, strict=True):
            request.inputs.add(name=spec.name, datatype=spec.datatype, shape=array.shape)
            request.raw_input_contents.append(to_raw(Tensor(spec.name, spec.datatype, array)))
        for name in self._outputs:
            request.outputs.add(name=name)
        try:
            return self._read(self._connection.call("ModelInfer", request))
        except InvalidTensor as error:  # the server's fault and not the caller's
            raise EngineFailed from error

    def _read(self, response: Any) -> list[Array]:
        if response.model_version != self._connection.endpoint.model_version:
            raise EngineFailed(f"The server answered with version {response.model_version[:32]!r} of its model.")
        if len(response.raw_output_contents) != len(response.outputs):
            raise EngineFailed("The server's answer has no raw contents.")
        arrays = {}
        for tensor, raw in zip(response.outputs, response.raw_output_contents, strict=True):
            spec = self._outputs.get(tensor.name)
            if spec is None or tensor.datatype != spec.datatype or not spec.admits(tuple(tensor.shape)):
                raise EngineFailed(f"The server's output {tensor.name[:64]!r} is not as its metadata says.")
            arrays[tensor.name] = from_raw(tensor.name, tensor.datatype, tensor.shape, raw).array
        if len(arrays) != len(self._outputs):
            raise EngineFailed("The server's answer lacks outputs.")
        return [arrays[name] for name in self._outputs]


def _ask(connection: Connection, digest: str, registered: Signature | None) -> Description:
    """What the server has under the endpoint's name and version, if that is what is wanted."""
    which = {"name": connection.endpoint.model_name, "version": connection.endpoint.model_version}
    if not connection.call("ModelReady", service_pb2.ModelReadyRequest(**which)).ready:
        connection.close()
        raise RemoteAway(f"{which['name']} {which['version']} is not ready on the server.", retry_after_ms=RETRY_MS)
    config = connection.call("ModelConfig", service_pb2.ModelConfigRequest(**which)).config
    try:
        check_identity(config, connection.endpoint, digest)
        description = describe(connection.call("ModelMetadata", service_pb2.ModelMetadataRequest(**which)), config)
        if registered is not None:
            check_signature(description.signature, registered)
    except BaseException:
        connection.close()  # so that it is asked again, not trusted, the next time
        raise
    return description
