"""Ray Serve with its defaults, bytes in and bytes out: `python ray_echo.py PORT`."""

import sys
import threading

import numpy as np
import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response


@serve.deployment
class Echo:
    async def __call__(self, request: Request) -> Response:
        array = np.frombuffer(await request.body(), np.float32)
        return Response(array.tobytes(), media_type="application/octet-stream")


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Echo.bind(), route_prefix="/echo")  # type: ignore[attr-defined]
    threading.Event().wait()
