"""Making a parity record of samples and a model."""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from headwater.parity.environment import here
from headwater.parity.errors import ParityInvalid
from headwater.parity.model import Parity, Sample, Tolerance, prepared_digest
from headwater.parity.words import RAW
from headwater.tensors import Tensor, byte_strings
from headwater.transforms.feeding import Feed, Input
from headwater.transforms.pipeline import Pipeline


class Model(Protocol):
    """What answers samples: an ONNX file (``headwater.parity.onnx``), or anything that a caller has."""

    inputs: Sequence[Input]

    def predict(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """The outputs for inputs in any order."""


@dataclasses.dataclass(frozen=True, slots=True)
class Given:
    """One sample to be recorded: image files as they are, or the model's inputs. ``outputs`` are what the model has
    answered; none, and the model is asked."""

    files: tuple[bytes, ...] = ()
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()


def record(
    given: Sequence[Given], model: Model | None, pipeline: Pipeline | None = None, tolerance: Tolerance | None = None
) -> Parity:
    """The record of what ``pipeline`` and ``model`` make of the samples here. ``model`` may be None where every sample
    is the model's inputs and brings its outputs.

    Raises:
        ParityInvalid: a sample of files without a pipeline; no sample, or too many.
        RowInvalid: a file cannot be processed.
        PipelineMisfit: the model does not take what the pipeline leaves.
    """
    samples = [_sample(index, each, model, pipeline) for index, each in enumerate(given)]
    used = pipeline is not None and any(sample.prepared for sample in samples)
    return Parity(tuple(samples), pipeline.digest if pipeline and used else "", here(), tolerance or Tolerance())


def _sample(index: int, given: Given, model: Model | None, pipeline: Pipeline | None) -> Sample:
    if not given.files:
        return Sample(given.inputs, "", given.outputs or tuple(_asked(index, model).predict(given.inputs)))
    if pipeline is None:
        raise ParityInvalid(
            f"samples[{index}] is a file, and no pipeline is recorded that would prepare it.", sample=index
        )
    asked = _asked(index, model)
    prepared = prepare(pipeline, Feed.of(pipeline, asked.inputs), given.files)
    raw = Tensor(RAW, "BYTES", byte_strings(given.files))
    return Sample((raw,), prepared_digest(prepared), given.outputs or tuple(asked.predict([prepared])))


def _asked(index: int, model: Model | None) -> Model:
    if model is None:
        raise ParityInvalid(f"samples[{index}] has no outputs, and there is no model to ask.", sample=index)
    return model


def prepare(pipeline: Pipeline, feed: Feed, files: Sequence[bytes]) -> Tensor:
    """The input of the model that files become.

    Raises:
        RowInvalid: a file cannot be processed.
    """
    return Tensor(feed.name, feed.datatype, feed.tensor(pipeline.prepare_all(files)))
