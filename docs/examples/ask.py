"""Asks a deployment of the digits model what a scanned digit shows, as any Open Inference Protocol client would.

    python docs/examples/ask.py digits digits-tensors

The image is the first of the dataset's test split. The answer goes to standard error and the request's id to standard
output, for `headwater trace`.
"""

import sys

import numpy as np
import tritonclient.grpc as triton

from headwater import datasets
from headwater.client import Connection

deployment, dataset = sys.argv[1:]
with Connection.discover() as connection:
    version = datasets.resolve(connection, dataset)
    rows = datasets.reader(connection, version, "test", row_limit=1).read_all()
    headers = {"authorization": f"Bearer {connection.token}"}
    address = connection.endpoints.inference

image = triton.InferInput("image", [1, 1, 16, 16], "FP32")
image.set_data_from_numpy(np.array(rows["tensor"].to_pylist(), np.float32).reshape(1, 1, 16, 16))
with triton.InferenceServerClient(address) as client:
    answer = client.infer(deployment, [image], headers=headers)

model = answer.get_response()
digit = answer.as_numpy("logits").argmax()
print(f"{model.model_name} version {model.model_version}: a scanned {rows['label'][0]} is a {digit}", file=sys.stderr)
print(model.parameters["headwater_request_id"].string_param)
