"""A trained module becomes a registered version in one call, with what was measured and what is known of it.

version = register_model(connection, "digits", module, {"accuracy": 0.92}, {"dataset": "digits@v1.0.0"})
"""

import contextlib
import datetime
import importlib.metadata
import json
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from headwater import model_preprocessing, models, references
from headwater.artifact.v1 import artifact_pb2
from headwater.client import Connection
from headwater.names import DEFAULT_PROJECT, ProjectName
from headwater.registry.v1 import runs_pb2, runs_pb2_grpc

if TYPE_CHECKING:
    import torch

WEIGHTS: Final = "model.safetensors"
DEPENDENCIES: Final = "requirements.txt"


def register_model(
    connection: Connection,
    name: str,
    model: "torch.nn.Module | Path",
    metrics: Mapping[str, float],
    metadata: Mapping[str, Any],
    *,
    semantic_version: str = "",
    preprocessing: str | Path = "",
    samples: Sequence[Path] = (),
    project: str = DEFAULT_PROJECT,
) -> str:
    """Register the next version of the model ``name`` and return its resource name (P-17).

    Kept are the weights of a torch module as safetensors, or a file, or every file of a folder, as they are; the
    metrics, as a run's, so that objectives are judged by them; ``metadata``, typed by the registry
    (docs/reference/model-versions.md); and in ``requirements.txt`` which packages are installed here. ``preprocessing``
    is the pipeline that prepares its inputs, by reference or as a file; of ``samples`` it is kept what pipeline and
    model make of them, to be compared wherever the version is served (docs/how-to/pin-preprocessing.md).

    Raises:
        InvalidArgument: the files, or what is said of them, are wrong; the text names what.
        FailedPrecondition: of the semantic version.
    """
    with tempfile.TemporaryDirectory(prefix="headwater-") as directory, _run(connection, name, metrics, project) as run:
        files = models.files_in([model] if isinstance(model, Path) else [_weights(model, Path(directory))])
        if DEPENDENCIES not in files:
            files[DEPENDENCIES] = _dependencies(Path(directory))
        prepared = (
            model_preprocessing.preprocessing(connection, preprocessing, project=project) if preprocessing else None
        )
        version = models.register(
            connection,
            references.model(name, project),
            files,
            preprocessing=prepared,
            parity=model_preprocessing.parity_of(files, samples, prepared) if samples else None,
            semantic_version=semantic_version,
            framework="" if isinstance(model, Path) or "framework" in metadata else "pytorch",
            user_metadata={key: _text(value) for key, value in metadata.items()},
            run=run,
        )
    return version.name


def _weights(module: "torch.nn.Module", directory: Path) -> Path:
    from safetensors.torch import save_model

    path = directory / WEIGHTS
    save_model(module, str(path), metadata={"format": "pt"})
    return path


def _dependencies(directory: Path) -> Path:
    """The installed packages, as pip writes them."""
    installed = {f"{each.metadata['Name']}=={each.version}" for each in importlib.metadata.distributions()}
    path = directory / DEPENDENCIES
    path.write_text("".join(f"{line}\n" for line in sorted(installed, key=str.lower)))
    return path


@contextlib.contextmanager
def _run(connection: Connection, name: str, metrics: Mapping[str, float], project: str) -> Iterator[str]:
    """A run that has measured ``metrics``; it ends as what is done within it does."""
    stub = runs_pb2_grpc.RunServiceStub(connection.channel("registry"))
    new = artifact_pb2.Run(display_name=f"register {name}"[:255])
    run = stub.CreateRun(
        runs_pb2.CreateRunRequest(parent=str(ProjectName(project)), run=new, request_id=str(uuid.uuid4()))
    )
    end = runs_pb2.FinishRunRequest(name=run.name, state=artifact_pb2.Run.STATE_SUCCEEDED)
    try:
        if metrics:
            points = [runs_pb2.MetricPoint(key=key, value=value) for key, value in metrics.items()]
            stub.LogMetrics(runs_pb2.LogMetricsRequest(name=run.name, points=points))
        yield run.name
    except Exception as error:
        end.state, end.failure = artifact_pb2.Run.STATE_FAILED, str(error)
        raise
    finally:
        stub.FinishRun(end)


def _text(value: object) -> str:
    """A value as user metadata has it: text."""
    match value:
        case str():
            return value
        case datetime.date():
            return value.isoformat()
        case _:
            return json.dumps(value)
