"""``headwater model create|describe|rename``: models as a whole."""

from collections.abc import Sequence

from headwater import model_collections, references
from headwater.cli.model import words
from headwater.cli.model.app import app
from headwater.cli.render import facts
from headwater.client import Connection
from headwater.names import DEFAULT_PROJECT
from headwater.registry.v1 import models_pb2


@app.command
def create(
    model: str,
    *,
    display_name: str = "",
    description: str = "",
    tag: words.Several = (),
    project: str = DEFAULT_PROJECT,
) -> None:
    """Create a model that has no version yet; registering a version creates its model by itself.

    Parameters
    ----------
    model
        The name of the model to be.
    display_name
        A name for people.
    description
        What it is, at most 32,768 characters.
    tag
        team=vision, for example; may be given several times.
    project
        The project.
    """
    with Connection.discover() as connection:
        made = model_collections.create(
            connection,
            references.model(model, project),
            display_name=display_name,
            description=description,
            tags=words.pairs(tag, "tag"),
        )
    _show(made)


@app.command
def describe(
    model: str,
    *,
    display_name: str | None = None,
    description: str | None = None,
    tag: words.Several = (),
    untag: words.Several = (),
    project: str = DEFAULT_PROJECT,
) -> None:
    """Show a model, after changing what is said of it where that is given.

    Parameters
    ----------
    model
        digits, for example; or the uid of a model.
    display_name
        A name for people.
    description
        What it is.
    tag
        Set a tag: team=vision, for example; may be given several times.
    untag
        Remove the tag of this key; may be given several times.
    project
        The project of the model.
    """
    with Connection.discover() as connection:
        name = references.model(model, project)
        tags = _tags(model_collections.get(connection, name), tag, untag) if tag or untag else None
        changed = model_collections.describe(
            connection, name, display_name=display_name, description=description, tags=tags
        )
    _show(changed)


@app.command
def rename(model: str, name: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Give a model another name. Lineage and deployments follow; the old name is free again.

    Parameters
    ----------
    model
        digits, for example; or the uid of a model.
    name
        The new name.
    project
        The project of the model.
    """
    with Connection.discover() as connection:
        _show(model_collections.rename(connection, references.model(model, project), name))


def _tags(model: models_pb2.Model, tag: Sequence[str], untag: Sequence[str]) -> dict[str, str]:
    tags = dict(model.tags) | words.pairs(tag, "tag")
    return {key: value for key, value in tags.items() if key not in untag}


def _show(model: models_pb2.Model) -> None:
    facts(
        model=model.name,
        uid=model.uid,
        display_name=model.display_name,
        description=model.description,
        state=words.model_state(model),
        latest=model.latest_semantic_version or model.latest_version,
        points_to=words.points_to(model),
        tags=", ".join(f"{key}={value}" for key, value in sorted(model.tags.items())),
    )
