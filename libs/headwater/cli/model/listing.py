"""Listing models and their versions."""

from typing import Annotated

import cyclopts

from headwater import model_versions, references
from headwater.cli.model import words
from headwater.cli.model.app import app
from headwater.cli.render import table
from headwater.client import Connection
from headwater.names import DEFAULT_PROJECT, ProjectName
from headwater.registry.v1 import models_pb2, models_pb2_grpc


@app.command(name="list")
def list_(*, project: str = DEFAULT_PROJECT) -> None:
    """List the models of a project."""
    with Connection.discover() as connection:
        stub = models_pb2_grpc.ModelServiceStub(connection.channel("registry"))
        request = models_pb2.ListModelsRequest(parent=str(ProjectName(project)), page_size=1000)
        rows = [
            (model.name, model.latest_version, ", ".join(f"{stage} → {held}" for stage, held in model.stages.items()))
            for model in stub.ListModels(request).models
        ]
    table(("model", "latest", "stages"), rows)


@app.command
def versions(
    model: str = "",
    *,
    where: Annotated[str, cyclopts.Parameter(name="--filter")] = "",
    order_by: str = "",
    show_inactive: Annotated[bool, cyclopts.Parameter(name="--all", negative="")] = False,
    project: str = DEFAULT_PROJECT,
) -> None:
    """List the versions of a model, newest first, or those of all models.

    Parameters
    ----------
    model
        digits, for example; all models when left out.
    where
        Which ones: metrics."test/accuracy" > 0.9 AND stage = "production", for example (docs/reference/search.md).
    order_by
        In which order: create_time desc, for example.
    show_inactive
        Deprecated and archived ones too.
    project
        The project of the model.
    """
    with Connection.discover() as connection:
        found = model_versions.versions(
            connection,
            references.model(model, project) if model else None,
            where=where,
            order_by=order_by,
            show_inactive=show_inactive,
            project=project,
        )
        rows = [
            (
                version.name.removeprefix(f"{ProjectName(project)}/models/").replace("/versions/", "@"),
                version.semantic_version,
                words.stage(version.stage),
                words.state(version.state),
                words.format_(version.format),
                f"{version.create_ts.ToDatetime():%Y-%m-%d %H:%M:%S}",
                f"not safe: {version.problems[0]}" if version.problems else "",
            )
            for version in found
        ]
    table(("version", "semantic", "stage", "state", "format", "created", "problems"), rows)
