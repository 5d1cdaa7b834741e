"""LitServe with its defaults, bytes in and bytes out: `python litserve_echo.py PORT`."""

import sys

import litserve
import numpy as np
from fastapi import Request, Response


class Echo(litserve.LitAPI):  # type: ignore[misc]
    def setup(self, device: str) -> None:
        pass

    async def decode_request(self, request: Request) -> np.ndarray:
        return np.frombuffer(await request.body(), np.float32)

    def predict(self, array: np.ndarray) -> np.ndarray:
        return array

    def encode_response(self, array: np.ndarray) -> Response:
        return Response(array.tobytes(), media_type="application/octet-stream")


if __name__ == "__main__":
    server = litserve.LitServer(Echo(), accelerator="cpu")
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
