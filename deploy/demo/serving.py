"""Asks the inference service as any Open Inference Protocol user does: with the stock tritonclient."""

import concurrent.futures
import dataclasses
import queue
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow.flight as flight
import tritonclient.grpc as triton

from headwater.client import Connection

CLIENTS: Final = 16
REQUESTS: Final = 200

Images = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True, slots=True)
class TestSet:
    """Images, shape [rows, channels, height, width], and their labels."""

    images: Images
    labels: Sequence[str]


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """One prediction, with the id to trace it by."""

    digit: str = ""
    request_id: str = ""


def read_test_set(connection: Connection, version: str) -> TestSet:
    """The test split, by plain Arrow Flight."""
    client = flight.FlightClient(f"grpc://{connection.endpoints.dataset_flight}")
    options = flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {connection.token}".encode())])
    descriptor = flight.FlightDescriptor.for_path(*version.split("/"), "test")
    info = client.get_flight_info(descriptor, options)
    table = client.do_get(info.endpoints[0].ticket, options).read_all().combine_chunks()
    tensor = table.column("tensor").combine_chunks()
    shape = [int(side) for side in table.schema.field("tensor").metadata[b"headwater.shape"].strip(b"[]").split(b",")]
    images = tensor.flatten().to_numpy(zero_copy_only=False).reshape([len(table), *shape])
    client.close()
    return TestSet(images, table.column("label").to_pylist())


class Served:
    """The served model, as a stock client sees it."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._address = connection.endpoints.inference
        self._headers = {"authorization": f"Bearer {connection.token}"}
        self._name = name

    def describe(self) -> str:
        """ServerReady, ModelReady and ModelMetadata, in one line."""
        with triton.InferenceServerClient(self._address) as client:
            assert client.is_server_ready(headers=self._headers)
            assert client.is_model_ready(self._name, headers=self._headers)
            metadata = client.get_model_metadata(self._name, headers=self._headers)
        inputs = ", ".join(f"{tensor.name} {tensor.datatype}{list(tensor.shape)}" for tensor in metadata.inputs)
        outputs = ", ".join(f"{tensor.name} {tensor.datatype}{list(tensor.shape)}" for tensor in metadata.outputs)
        return f"{metadata.name} version {', '.join(metadata.versions)}: {inputs} → {outputs}"

    def ask(self, image: Images) -> Answer:
        """Classify one image, shape [channels, height, width]."""
        with triton.InferenceServerClient(self._address) as client:
            return _answer(client.infer(self._name, _inputs(image), headers=self._headers))

    def ask_each(self, images: Images) -> list[Answer]:
        """Classify images one after another."""
        with triton.InferenceServerClient(self._address) as client:
            return [_answer(client.infer(self._name, _inputs(image), headers=self._headers)) for image in images]

    def ask_at_once(self, images: Images) -> list[Answer]:
        """Classify images with ``CLIENTS`` clients, all requests in flight together; answers in the order of images."""
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            shares = pool.map(self._ask_together, [images[client::CLIENTS] for client in range(CLIENTS)])
        answers: list[Answer] = [Answer()] * len(images)
        for client, share in enumerate(shares):
            answers[client::CLIENTS] = share
        return answers

    def _ask_together(self, images: Images) -> list[Answer]:
        done: queue.SimpleQueue[tuple[int, Any, Any]] = queue.SimpleQueue()
        with triton.InferenceServerClient(self._address) as client:
            for number, image in enumerate(images):

                def callback(result: Any, error: Any, number: int = number) -> None:
                    done.put((number, result, error))

                client.async_infer(self._name, _inputs(image), callback, headers=self._headers)
            answers: dict[int, Answer] = {}
            while len(answers) < len(images):
                number, result, error = done.get(timeout=60)
                if error is not None:
                    raise error
                answers[number] = _answer(result)
        return [answers[number] for number in range(len(images))]


def _inputs(image: Images) -> list[triton.InferInput]:
    tensor = triton.InferInput("image", [1, *image.shape], "FP32")
    tensor.set_data_from_numpy(np.ascontiguousarray(image)[None])
    return [tensor]


def _answer(result: Any) -> Answer:
    response = result.get_response()
    logits = result.as_numpy("logits")
    return Answer(str(int(logits[0].argmax())), response.parameters["headwater_request_id"].string_param)
