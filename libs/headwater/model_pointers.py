"""Stages and aliases of models from Python: which version they point to, now or at a time, who moved them, and why.

resolve(connection, "digits@production").name == "projects/default/models/digits/versions/3"
"""

import datetime
import heapq
import warnings
from collections.abc import Iterable, Iterator

from headwater import models, references
from headwater.artifact.v1 import artifact_pb2
from headwater.client import Connection
from headwater.errors import InvalidArgument
from headwater.names import DEFAULT_PROJECT, ModelName, ModelVersionName
from headwater.pages import pages
from headwater.registry.v1 import model_versions_pb2, models_pb2, models_pb2_grpc

_BASIC = model_versions_pb2.MODEL_VERSION_VIEW_BASIC
_FULL = model_versions_pb2.MODEL_VERSION_VIEW_FULL
_PAGE = 200
_STAGES = ("staging", "production")


class ModelDeprecated(UserWarning):
    """A version is used that should not be used for new work."""


def resolve(
    connection: Connection,
    reference: str,
    *,
    at: datetime.datetime | None = None,
    project: str = DEFAULT_PROJECT,
    full: bool = False,
) -> artifact_pb2.ModelMetadata:
    """The version that ``digits@production`` or ``digits@champion`` points to, or did at the time ``at``; ``digits@3``
    and ``digits@v1.2.3`` are versions by themselves. Who gets a deprecated one is warned (ModelDeprecated).

    Args:
        at: a time without a zone is one of this machine's.
        full: with all that the files hold.

    Raises:
        NotFound: reason MODEL_NOT_FOUND, MODEL_VERSION_NOT_FOUND, STAGE_IS_EMPTY or ALIAS_NOT_FOUND.
        InvalidArgument: the time lies ahead, or the reference names a version, which is the same at all times.
    """
    wanted = references.model_revision(reference, project)
    view = _FULL if full else _BASIC
    if isinstance(wanted, ModelVersionName):
        if at is not None:
            raise InvalidArgument(f"{reference} is a version: it is the same at all times.", field="at")
        request = models_pb2.GetModelVersionRequest(name=str(wanted), view=view)
        found = _stub(connection).GetModelVersion(request)
    else:
        found = _pointed_to(connection, wanted, view, at)
    if found.warning:
        warnings.warn(found.warning, ModelDeprecated, stacklevel=2)
    return found


def named(connection: Connection, reference: str, *, project: str = DEFAULT_PROJECT) -> ModelVersionName:
    """The name of the version that a reference leads to; nothing is asked where it says the version.

    Nobody is warned of a deprecated one: to name a version is not to use it.
    """
    wanted = references.model_revision(reference, project)
    if isinstance(wanted, ModelVersionName):
        return wanted
    return ModelVersionName.parse(_pointed_to(connection, wanted, _BASIC).name)


def version_name(connection: Connection, reference: str, *, project: str = DEFAULT_PROJECT) -> str:
    """As :func:`named`, as text."""
    return str(named(connection, reference, project=project))


def set_alias(
    connection: Connection,
    model: ModelName,
    alias: str,
    version: str,
    *,
    comment: str = "",
    evidence: Iterable[model_versions_pb2.Evidence] = (),
) -> models_pb2.Model:
    """Point an alias at a version, by number or semantic version; an empty version removes the alias.

    Raises:
        InvalidArgument: reason INVALID_ALIAS for the name of a stage or what looks like a version.
    """
    request = models_pb2.SetModelAliasRequest(
        name=str(model), alias=alias, version=version, comment=comment, evidence=evidence
    )
    return _stub(connection).SetModelAlias(request)


def evidence(text: str) -> model_versions_pb2.Evidence:
    """``evaluation report=https://example.com/report``, or one of the two alone."""
    description, separator, uri = text.partition("=")
    if not separator and ("://" in text or text.startswith("projects/")):
        description, uri = "", text
    return model_versions_pb2.Evidence(description=description, uri=uri)


def history(connection: Connection, model: ModelName) -> Iterator[models_pb2.StageTransition | models_pb2.AliasChange]:
    """Every move of the stages and aliases of a model, newest first; asked for page by page as it is read."""
    return heapq.merge(
        _transitions(connection, model),
        _alias_changes(connection, model),
        key=lambda move: move.time.ToNanoseconds(),
        reverse=True,
    )


def _pointed_to(
    connection: Connection,
    wanted: references.StageOrAlias,
    view: model_versions_pb2.ModelVersionView.ValueType,
    at: datetime.datetime | None = None,
) -> artifact_pb2.ModelMetadata:
    request = models_pb2.ResolveModelVersionRequest(name=str(wanted.model), view=view)
    if wanted.word.lower() in _STAGES:
        request.stage = models.stage(wanted.word)
    else:
        request.alias = wanted.word
    if at is not None:
        request.time.FromDatetime(at.astimezone(datetime.UTC))
    return _stub(connection).ResolveModelVersion(request)


def _transitions(connection: Connection, model: ModelName) -> Iterator[models_pb2.StageTransition]:
    request = models_pb2.ListStageTransitionsRequest(parent=str(model), page_size=_PAGE)
    for page in pages(_stub(connection).ListStageTransitions, request):
        yield from page.stage_transitions


def _alias_changes(connection: Connection, model: ModelName) -> Iterator[models_pb2.AliasChange]:
    request = models_pb2.ListAliasChangesRequest(parent=str(model), page_size=_PAGE)
    for page in pages(_stub(connection).ListAliasChanges, request):
        yield from page.alias_changes


def _stub(connection: Connection) -> models_pb2_grpc.ModelServiceStub:
    return models_pb2_grpc.ModelServiceStub(connection.channel("registry"))
