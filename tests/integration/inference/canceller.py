"""A client that changes its mind: ``python -m … ADDRESS TOKEN WAVES`` asks 500 times a wave and cancels every call.

A process of its own, so that what a client keeps is not taken for what the service keeps.
"""

import asyncio
import sys

import grpc.aio
import numpy as np
from tritonclient.grpc import service_pb2_grpc

from tests.integration.inference.messages import infer, tensor

MODEL = "loop"


async def main(address: str, token: str, waves: int) -> None:
    metadata = (("authorization", f"Bearer {token}"),)
    turns = [np.array([count], "<i8").tobytes() for count in (2**62, 1)]
    endless, short = (infer(MODEL, tensor("x", "INT64", [1, 1]), raw=[raw]) for raw in turns)
    async with grpc.aio.insecure_channel(address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        hanging = stub.ModelInfer(endless, metadata=metadata)
        for _ in range(waves):
            calls = [stub.ModelInfer(short, metadata=metadata) for _ in range(500)]
            await asyncio.sleep(0.05)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        hanging.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
