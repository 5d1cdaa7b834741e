"""A bare grpc.aio servicer of the protocol that decodes the tensor and sends it back: `python aio_echo.py PORT`."""

import asyncio
import sys
from typing import Any

import grpc.aio
import numpy as np
import uvloop
from tritonclient.grpc import service_pb2, service_pb2_grpc


class Echo(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Knows one model, checks nothing and keeps nothing."""

    async def ModelInfer(self, request: Any, _context: Any) -> Any:
        """y = x."""
        tensor = request.inputs[0]
        array = np.frombuffer(request.raw_input_contents[0], np.float32).reshape(tuple(tensor.shape))
        response = service_pb2.ModelInferResponse(model_name=request.model_name, model_version="1", id=request.id)
        response.outputs.add(name="y", datatype="FP32", shape=array.shape)
        response.raw_output_contents.append(array.tobytes())
        return response


async def _serve(port: int) -> None:
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", 2**26)])
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Echo(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
