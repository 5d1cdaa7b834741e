"""What prepares a version's inputs, and what it must answer (docs/how-to/pin-preprocessing.md).

prepared = preprocessing(connection, "digits-prep@1.0.0")
parity = parity_of(files, [Path("samples/")], prepared)
models.register(connection, model, files, preprocessing=prepared, parity=parity)
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from headwater import parity, pipelines, transforms
from headwater.artifact.v1 import artifact_pb2
from headwater.client import Connection
from headwater.errors import InvalidArgument
from headwater.names import DEFAULT_PROJECT

if TYPE_CHECKING:
    from headwater.parity import Parity, Tolerance
    from headwater.parity.recording import Model


def preprocessing(
    connection: Connection, pipeline: str | Path, *, project: str = DEFAULT_PROJECT
) -> artifact_pb2.Preprocessing:
    """What a version records of a pipeline: one that is stored, by its reference, or a document in a file.

    Raises:
        InvalidArgument: the file has faults, or is no text. NotFound: there is no such pipeline version.
    """
    if isinstance(pipeline, Path):
        return artifact_pb2.Preprocessing(document=transforms.Pipeline.parse(_text(pipeline)).document)
    stored = pipelines.get(connection, pipelines.resolve(connection, pipeline, project=project))
    return artifact_pb2.Preprocessing(pipeline_version=stored.name, digest=stored.digest, document=stored.document)


def parity_of(
    files: Mapping[str, Path],
    samples: Sequence[Path],
    prepared: artifact_pb2.Preprocessing | None,
    *,
    tolerance: "Tolerance | None" = None,
) -> "Parity":
    """The parity record of samples: image files, folders of them, and ``.npz`` archives of the model's inputs.

    The only ONNX file among ``files`` is asked for the outputs, unless every archive brings its own.

    Raises:
        InvalidArgument: a sample cannot be read, prepared or answered, or there is no ONNX file to ask.
        FailedPrecondition: ONNX Runtime is not installed, or the model does not take what the pipeline leaves.
    """
    given = parity.read_samples(samples)
    pipeline = transforms.Pipeline.parse(prepared.document) if prepared is not None else None
    answered = all(each.outputs and not each.files for each in given)
    return parity.record(given, None if answered else _onnx(files), pipeline, tolerance)


def checked(record: bytes, prepared: artifact_pb2.Preprocessing | None) -> bytes:
    """A parity record as it is, if it is one, and one of this pipeline.

    Raises:
        InvalidArgument
    """
    pipeline = parity.read(record).pipeline
    if prepared is not None and pipeline:
        digest = prepared.digest or transforms.Pipeline.parse(prepared.document).digest
        if pipeline != digest:
            raise InvalidArgument(
                f"The parity record was made with the pipeline {pipeline}; {digest} is to be recorded.", field="parity"
            )
    return record


def _onnx(files: Mapping[str, Path]) -> "Model":
    models = [path for path in files.values() if path.suffix == ".onnx"]
    if len(models) != 1:
        raise InvalidArgument(
            f"Samples are run through the version's .onnx file, of which there must be one; there are {len(models)}. "
            "Give an .npz with the outputs as well, or make the record with headwater.parity.record.",
            field="samples",
        )
    return parity.OnnxModel(models[0])


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InvalidArgument(f"{file} is not text in UTF-8.", field="preprocessing") from None
    except OSError as error:
        raise InvalidArgument(f"{file} cannot be read: {error.strerror}.", field="preprocessing") from error
