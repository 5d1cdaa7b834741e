"""Pipelines, images and parity records for the tests of raw inputs."""

import io
import json
from collections.abc import Sequence

import numpy as np
from PIL import Image

from headwater import parity
from headwater.tensors import Tensor
from headwater.transforms import Pipeline
from headwater.transforms.feeding import Input
from services.inference.models.source import Preprocessing

SHAPE = ("rows", 1, 4, 4)
"""What the pipelines below leave of an image, with a dimension for rows."""


def document(filter_: str = "nearest", mean: float = 0.5, version: str = "1.0.0") -> str:
    """Gray, 4 × 4, normalised."""
    steps = [
        {"id": "open", "step_type": "image_decode", "config": {"mode": "gray"}},
        {
            "id": "shrink",
            "step_type": "image_resize",
            "config": {"width": 4, "height": 4, "mode": "exact", "filter": filter_},
        },
        {"id": "scale", "step_type": "image_normalization", "config": {"mean": [mean], "std": [0.25]}},
    ]
    return json.dumps({"id": "prep", "version": version, "steps": steps})


def recorded(text: str) -> Preprocessing:
    """As the registry tells it."""
    pipeline = Pipeline.parse(text)
    return Preprocessing("", pipeline.digest, pipeline.document)


def image(seed: int = 0, size: int = 9) -> bytes:
    """A PNG of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


class Identity:
    """A model that answers what it is asked, as tests know ``onnx_models.identity``; see parity.recording.Model."""

    inputs: Sequence[Input] = (Input("x", "FP32", (-1, 1, 4, 4)),)

    def predict(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """y = x."""
        return [Tensor("y", each.datatype, each.array) for each in inputs]


def record(text: str, *seeds: int) -> bytes:
    """The parity record of the identity behind a pipeline, over these images."""
    given = [parity.Given(files=(image(seed),)) for seed in seeds]
    return parity.write(parity.record(given, Identity(), Pipeline.parse(text)))
