"""Listing models and their versions."""

from typing import Annotated

import cyclopts

from headwater import model_collections, model_versions, references
from headwater.cli import render
from headwater.cli.model import words
from headwater.cli.model.app import app
from headwater.cli.render import table, when
from headwater.client import Connection
from headwater.names import DEFAULT_PROJECT, ProjectName
from headwater.registry.v1 import models_pb2


@app.command(name="list")
def list_(
    *,
    where: Annotated[str, cyclopts.Parameter(name="--filter")] = "",
    order_by: str = "",
    show_inactive: Annotated[bool, cyclopts.Parameter(name="--all", negative="")] = False,
    as_json: Annotated[bool, cyclopts.Parameter(name="--json", negative="")] = False,
    project: str = DEFAULT_PROJECT,
) -> None:
    """List the models of a project.

    Parameters
    ----------
    where
        Which ones: tags.team = "vision" AND name LIKE "res%", for example (docs/reference/search.md).
    order_by
        In which order: update_time desc, for example; by name when left out.
    show_inactive
        Deprecated and archived ones too.
    as_json
        Print everything as JSON, in the shape of the proto ListModelsResponse.
    project
        The project.
    """
    with Connection.discover() as connection:
        name = references.project(project)
        models = model_collections.list_(connection, name, where=where, order_by=order_by, show_inactive=show_inactive)
        found = list(models)
    if as_json:
        render.as_json(models_pb2.ListModelsResponse(models=found))
        return
    rows = [
        (
            model.name,
            model.latest_semantic_version or model.latest_version,
            words.points_to(model),
            words.model_state(model),
        )
        for model in found
    ]
    table(("model", "latest", "points to", "state"), rows)


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
                when(version.create_ts),
                f"not safe: {version.problems[0]}" if version.problems else "",
            )
            for version in found
        ]
    table(("version", "semantic", "stage", "state", "format", "created", "problems"), rows)
