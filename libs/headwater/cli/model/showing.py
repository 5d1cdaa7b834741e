"""Showing one version: what was read from its files, where it comes from, what is missing."""

from typing import Annotated

import cyclopts
from google.protobuf import json_format, struct_pb2

from headwater import model_pointers, model_versions
from headwater.artifact.v1 import artifact_pb2
from headwater.cli import render
from headwater.cli.model import words
from headwater.cli.model.app import app
from headwater.cli.render import facts, output, table, warn
from headwater.client import Connection
from headwater.names import DEFAULT_PROJECT

AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="")]


@app.command
def show(version: str, *, as_json: AsJson = False, project: str = DEFAULT_PROJECT) -> None:
    """Show one version: what the registry read from its files, and where it comes from.

    Parameters
    ----------
    version
        digits@3, digits@v1.2.3, digits@production or digits@champion, for example.
    as_json
        Print everything as JSON, in the shape of the proto ModelMetadata.
    project
        The project of the model.
    """
    with Connection.discover() as connection:
        found = model_versions.get(connection, model_pointers.named(connection, version, project=project))
    if as_json:
        render.as_json(found)
    else:
        show_version(found)


@app.command
def document(version: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Print the metadata of a version as the JSON document that people exchange.

    Parameters
    ----------
    version
        digits@3 or digits@production, for example.
    project
        The project of the model.
    """
    with Connection.discover() as connection:
        text = model_versions.document(connection, model_pointers.named(connection, version, project=project))
    output.print(text, markup=False)


@app.command
def tensors(version: str, *, file: str = "", as_json: AsJson = False, project: str = DEFAULT_PROJECT) -> None:
    """List the tensors of a version: name, type, shape, and where their bytes are in their file.

    Parameters
    ----------
    version
        digits@3 or digits@production, for example.
    file
        Only those of this file, or of this file within an archive.
    as_json
        Print them as JSON, one object a line.
    project
        The project of the model.
    """
    with Connection.discover() as connection:
        found = model_versions.get(connection, model_pointers.named(connection, version, project=project))
    rows = [(path, tensor) for path, tensor in model_versions.tensors(found) if file in ("", path)]
    if as_json:
        for path, tensor in rows:
            said = json_format.MessageToDict(tensor, preserving_proto_field_name=True)
            output.print_json(data={"file": path, **said}, indent=None)
        return
    table(("file", "tensor", "type", "shape", "bytes"), [(path, *_tensor_row(tensor)) for path, tensor in rows])


def show_version(version: artifact_pb2.ModelMetadata) -> None:
    """Print a version."""
    facts(
        version=version.name,
        semantic=version.semantic_version,
        digest=version.digest,
        stage=words.stage(version.stage),
        state=words.state(version.state),
        aliases=", ".join(version.aliases),
        description=version.description,
        format=words.format_(version.format),
        framework=f"{version.framework.name} {version.framework.version}".strip(),
        architecture=version.kind,
        task=version.task,
        parameters=f"{version.parameter_count:,}",
        inputs=", ".join(map(words.tensor, version.inputs)),
        outputs=", ".join(map(words.tensor, version.outputs)),
        run=version.run_name,
        data=", ".join(version.dataset_versions),
        pipelines=", ".join(version.pipeline_versions),
        preprocessing=f"{version.preprocessing.pipeline_version} {version.preprocessing.digest}".strip(),
        metrics=", ".join(f"{key} {value:.4g}" for key, value in sorted(version.metrics.items())),
        tags=", ".join(version.tags),
        annotations=", ".join(f"{key}={value}" for key, value in sorted(version.annotations.items())),
        metadata=", ".join(f"{key}={_value(value)}" for key, value in sorted(version.metadata.items())),
        missing=", ".join(version.missing_metadata),
        converts_to=", ".join(map(_option, version.conversions)),
        deploys_to=", ".join(map(_option, version.deployment_targets)),
    )
    table(
        ("file", "format", "bytes", "digest", "note"),
        [_file_row(file) for file in version.files],
    )
    warn_of(version)


def warn_of(version: artifact_pb2.ModelMetadata) -> None:
    """Print what whoever registers or uses a version should know."""
    warn([version.warning] if version.warning else [])
    warn(f"not safe to load, so never served: {problem}" for problem in version.problems)
    warn(f"breaks callers of the version before: {change}" for change in version.breaking_changes)
    warn(f"nobody knows {link}" for link in version.dangling_links)


def _option(option: artifact_pb2.ModelOption) -> str:
    """``onnx by tf2onnx``, and on which condition."""
    return f"{option.target} by {option.by}" + (f" ({option.condition})" if option.condition else "")


def _tensor_row(tensor: artifact_pb2.TensorSpec) -> tuple[str, str, str, str]:
    place = f"{tensor.begin_offset:,} to {tensor.end_offset:,}" if tensor.HasField("begin_offset") else ""
    return tensor.name, tensor.datatype, words.shape(tensor), place


def _file_row(file: artifact_pb2.ModelFile) -> tuple[str, ...]:
    note = file.properties.get("note", "")
    return file.path, words.format_(file.format), f"{file.size_bytes:,}", file.digest, note


def _value(value: struct_pb2.Value) -> str:
    """A free value in one line."""
    if value.WhichOneof("kind") == "number_value" and value.number_value.is_integer():
        return f"{value.number_value:.0f}"
    return str(json_format.MessageToDict(value))
