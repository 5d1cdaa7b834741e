"""LitServe with its defaults, a file of a form in and bytes out: `python litserve_echo.py PORT`."""

import sys
from collections.abc import Mapping

import litserve
import numpy as np
from fastapi import Request, Response, UploadFile


class Echo(litserve.LitAPI):  # type: ignore[misc]
    def setup(self, device: str) -> None:
        pass

    def decode_request(self, request: Request) -> np.ndarray:
        form: Mapping[str, UploadFile] = request  # what LitServe makes of a form
        return np.frombuffer(form["x"].file.read(), np.float32)

    def predict(self, array: np.ndarray) -> np.ndarray:
        return array

    def encode_response(self, array: np.ndarray) -> Response:
        return Response(array.tobytes(), media_type="application/octet-stream")


if __name__ == "__main__":
    server = litserve.LitServer(Echo(), accelerator="cpu")
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
