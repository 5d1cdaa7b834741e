"""Taking models and versions out of use, and back."""

from typing import Annotated

import cyclopts

from headwater import models, references
from headwater.artifact.v1 import artifact_pb2
from headwater.cli.model import words
from headwater.cli.model.app import app
from headwater.cli.render import facts
from headwater.client import Connection
from headwater.names import DEFAULT_PROJECT
from headwater.registry.v1 import models_pb2


@app.command
def deprecate(name: str, *, replacement: str = "", project: str = DEFAULT_PROJECT) -> None:
    """Say that a version, or a whole model, should not be used any more: who uses it is warned.

    Parameters
    ----------
    name
        digits@3, or digits for the model.
    replacement
        What to use instead: digits@4, or another model.
    project
        The project of the model.
    """
    with Connection.discover() as connection:
        instead = references.model_or_version(replacement, project) if replacement else None
        _show(models.deprecate(connection, references.model_or_version(name, project), instead))


@app.command
def archive(
    name: str,
    *,
    force: Annotated[bool, cyclopts.Parameter(negative="")] = False,
    project: str = DEFAULT_PROJECT,
) -> None:
    """Take a version, or a whole model, out of use: nothing new begins with it. It stays readable.

    Parameters
    ----------
    name
        digits@3, or digits for the model.
    force
        Even where something depends on it.
    project
        The project of the model.
    """
    with Connection.discover() as connection:
        _show(models.archive(connection, references.model_or_version(name, project), force=force))


@app.command
def reactivate(name: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Put a deprecated or archived version or model back into use.

    Parameters
    ----------
    name
        digits@3, or digits for the model; an archived model by its uid.
    project
        The project of the model.
    """
    with Connection.discover() as connection:
        _show(models.reactivate(connection, references.model_or_version(name, project)))


def _show(changed: artifact_pb2.ModelMetadata | models_pb2.Model) -> None:
    if isinstance(changed, artifact_pb2.ModelMetadata):
        facts(version=changed.name, state=words.state(changed.state), replacement=changed.replacement)
        return
    state = models_pb2.Model.State.Name(changed.state).removeprefix("STATE_").lower()
    facts(model=changed.name, state=state, replacement=changed.replacement)
