"""Model files and what else the tests of versions and lineage begin with."""

import json
import struct
from collections.abc import AsyncIterator, Mapping
from typing import Any

from headwater.names import ArtifactName, ModelName, ProjectName, RunName
from services.registry.artifacts.artifacts import Artifacts
from services.registry.lineage.model import Node, NodeKind
from services.registry.metrics.model import MetricBatch
from services.registry.origin import Origin
from services.registry.runs.model import NewRun
from services.registry.versions.model import NewVersion

DEFAULT = ProjectName("default")
DIGITS = ModelName("default", "digits")


def safetensors(**shapes: tuple[int, ...]) -> bytes:
    """A safetensors file of float32 zeros."""
    header, position = {}, 0
    for name, shape in shapes.items():
        size = 4
        for dim in shape:
            size *= dim
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [position, position + size]}
        position += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(position)


async def upload(artifacts: Artifacts, content: bytes, me: Origin, project: ProjectName = DEFAULT) -> ArtifactName:
    """Store ``content``; its name."""

    async def chunks() -> AsyncIterator[bytes]:
        yield content

    return (await artifacts.upload(project, "", "", chunks(), me)).name


def version_of(
    files: Mapping[str, ArtifactName],
    run: RunName | None = None,
    hyperparameters: Mapping[str, float] | None = None,
    **said: Any,
) -> NewVersion:
    """A version to be, of which this and that is said."""
    return NewVersion(
        files,
        run,
        framework_name=said.pop("framework_name", "pytorch"),
        framework_version=said.pop("framework_version", "2.13.0"),
        architecture=said.pop("architecture", "small-cnn"),
        description="",
        hyperparameters=dict(hyperparameters or {}),
        **said,
    )


def a_run() -> NewRun:
    """A run of which nothing is said."""
    return NewRun("", "", {}, {}, {}, "", "")


def metrics(**values: float) -> MetricBatch:
    """One point for each metric."""
    return MetricBatch(list(values), [1] * len(values), [0] * len(values), list(values.values()))


def dataset_node(version: str, digit: str = "a") -> Node:
    """A version of the dataset ``digits``; its digest is 64 times ``digit``."""
    name = f"projects/default/datasets/digits/versions/{version}"
    return Node(
        name, NodeKind.DATA, "01900000-0000-7000-8000-000000000001", f"sha256:{digit * 64}", {"version": version}
    )


def pipeline_node(version: str = "1") -> Node:
    """A version of the pipeline ``prep``."""
    name = f"projects/default/pipelines/prep/versions/{version}"
    return Node(name, NodeKind.EXECUTABLE, "01900000-0000-7000-8000-000000000002", f"sha256:{'b' * 64}")
