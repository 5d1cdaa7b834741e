"""How a deployment is called: programs to copy, with its own inputs. Pure.

Names of tensors come from model files, whoever made them: they are quoted for the language that they stand in.
"""

import dataclasses
import json
import math
import shlex
from collections.abc import Sequence
from typing import Final

from headwater.artifact.v1 import artifact_pb2
from headwater.inference.v1 import deployments_pb2, preparing_pb2

RAW: Final = "raw"
_INLINE = 64
"""Elements that are written out; more are only made by a program."""
_NUMPY: Final = {
    "BOOL": "np.bool_", "INT8": "np.int8", "INT16": "np.int16", "INT32": "np.int32", "INT64": "np.int64",
    "UINT8": "np.uint8", "UINT16": "np.uint16", "UINT32": "np.uint32", "UINT64": "np.uint64",
    "FP16": "np.float16", "FP32": "np.float32", "FP64": "np.float64",
    "BF16": "np.float32",  # tritonclient takes these for it
    "BYTES": "np.object_",
}  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class Addresses:
    """Where clients reach the inference service, as ``host:port``."""

    grpc: str
    http: str


@dataclasses.dataclass(frozen=True, slots=True)
class Calls:
    """Programs; one that cannot be given is empty, and ``missing`` says why."""

    python: str = ""
    curl: str = ""
    about: str = ""
    """Asks the service itself what goes in and comes out."""
    missing: str = ""


def inputs_of(
    deployment: deployments_pb2.Deployment, version: artifact_pb2.ModelMetadata
) -> Sequence[artifact_pb2.TensorSpec]:
    """What requests bring: image files as ``raw`` where the version has a pipeline for them, or the model's inputs."""
    inputs = list(deployment.engine.inputs) or list(version.inputs)
    taken = deployment.preparing.input
    possible = version.preprocessing.digest and all(spec.name != RAW for spec in inputs)
    if taken == preparing_pb2.Preparing.INPUT_RAW or (taken != preparing_pb2.Preparing.INPUT_TENSORS and possible):
        return [artifact_pb2.TensorSpec(name=RAW, datatype="BYTES", shape=[-1])]
    return inputs


def calls(served: str, addresses: Addresses, inputs: Sequence[artifact_pb2.TensorSpec]) -> Calls:
    """How ``served`` is asked for one row, or for one of everything else that varies."""
    about = f"curl http://{addresses.http}/v2/models/{served} \\\n  {_AUTHORIZED}"
    if not inputs:
        return Calls(about=about, missing="Nothing says what goes in. The service knows once the model is loaded:")
    if unknown := next((spec.datatype for spec in inputs if spec.datatype not in _NUMPY), ""):
        return Calls(about=about, missing=f"One of its inputs is {unknown}, which no client can send.")
    missing = _not_in_json(inputs)
    curl = "" if missing else _curl(served, addresses, inputs)
    return Calls(_python(served, addresses, inputs), curl, about, missing)


_AUTHORIZED: Final = '--header "authorization: Bearer $HEADWATER_TOKEN"'


def _not_in_json(inputs: Sequence[artifact_pb2.TensorSpec]) -> str:
    if _is_raw(inputs):
        return "Bytes of images do not go into JSON: use a client that sends binary data, as the program above does."
    if any(spec.datatype == "BF16" for spec in inputs):
        return "BF16 does not go into JSON: use a client that sends binary data, as the program above does."
    if sum(math.prod(_one(spec)) for spec in inputs) > _INLINE:
        return "Its inputs are too large to be written on a command line: use the program above."
    return ""


def _is_raw(inputs: Sequence[artifact_pb2.TensorSpec]) -> bool:
    return [(spec.name, spec.datatype) for spec in inputs] == [(RAW, "BYTES")]


def _one(spec: artifact_pb2.TensorSpec) -> list[int]:
    """The shape with one of everything that varies."""
    return [1 if size < 0 else size for size in spec.shape]


def _python(served: str, addresses: Addresses, inputs: Sequence[artifact_pb2.TensorSpec]) -> str:
    lines = [
        "# pip install 'tritonclient[grpc]'",
        "import os",
        "",
        "import numpy as np",
        "import tritonclient.grpc as triton",
        "",
        f"client = triton.InferenceServerClient({_quoted(addresses.grpc)})",
        "inputs = []",
    ]
    for spec in inputs:
        shape = _one(spec)
        lines += [
            f"tensor = triton.InferInput({_quoted(spec.name)}, {shape}, {_quoted(spec.datatype)})",
            f"tensor.set_data_from_numpy({_values(spec, shape, raw=_is_raw(inputs))})",
            "inputs.append(tensor)",
        ]
    return "\n".join(
        [
            *lines,
            'headers = {"authorization": "Bearer " + os.environ["HEADWATER_TOKEN"]}',
            f"answer = client.infer({_quoted(served)}, inputs, headers=headers)",
            "for output in answer.get_response().outputs:",
            "    print(output.name, answer.as_numpy(output.name))",
        ]
    )


def _quoted(text: str) -> str:
    """A literal of Python: of JSON's escapes it knows all, and the characters themselves stand for others."""
    return json.dumps(text, ensure_ascii=False)


def _values(spec: artifact_pb2.TensorSpec, shape: list[int], *, raw: bool) -> str:
    if raw:
        return 'np.array([open("image.png", "rb").read()], np.object_)'
    if spec.datatype == "BYTES":
        return f'np.full({shape}, b"text", np.object_)'
    return f"np.zeros({shape}, {_NUMPY[spec.datatype]})"


def _curl(served: str, addresses: Addresses, inputs: Sequence[artifact_pb2.TensorSpec]) -> str:
    asked = [
        {"name": spec.name, "shape": _one(spec), "datatype": spec.datatype, "data": _data(spec)} for spec in inputs
    ]
    body = shlex.quote(json.dumps({"inputs": asked}))
    return f"curl http://{addresses.http}/v2/models/{served}/infer \\\n  {_AUTHORIZED} \\\n  --data {body}"


def _data(spec: artifact_pb2.TensorSpec) -> list[object]:
    element: object = {"BYTES": "text", "BOOL": False}.get(spec.datatype, 0)
    return [element] * math.prod(_one(spec))
