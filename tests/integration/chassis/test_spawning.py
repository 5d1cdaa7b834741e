"""A service that is busy answering gRPC starts other processes (workers of a gang, say)."""

import subprocess
import sys

SCRIPT = """
import chassis  # first, as in every service's __main__
import asyncio, os, grpc.aio, uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

async def main():
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    stub = health_pb2_grpc.HealthStub(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))

    async def call():
        while True:
            await stub.Check(health_pb2.HealthCheckRequest())

    calls = [asyncio.create_task(call()) for _ in range(4)]
    codes = []
    for _ in range(200):
        process = await asyncio.create_subprocess_exec("true", start_new_session=True)
        codes.append(await process.wait())
    print(sorted(set(codes)), flush=True)
    os._exit(0)

uvloop.run(main())
"""


def test_a_process_that_answers_grpc_starts_others_that_live() -> None:
    result = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert result.stdout == "[0]\n", result.stderr
