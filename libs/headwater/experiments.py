"""Experiments, from Python: runs that belong together."""

import uuid
from collections.abc import Iterator, Mapping

from headwater.client import Connection
from headwater.names import DEFAULT_PROJECT, ExperimentName, ProjectName
from headwater.pages import pages
from headwater.registry.v1 import experiments_pb2, experiments_pb2_grpc

_PAGE = 200


def named(text: str, project: str = DEFAULT_PROJECT) -> ExperimentName:
    """``digits``, a uid, or a full name."""
    return ExperimentName.parse(text) if "/" in text else ExperimentName(project, text)


def create(
    connection: Connection,
    experiment: ExperimentName,
    *,
    display_name: str = "",
    description: str = "",
    tags: Mapping[str, str] | None = None,
) -> experiments_pb2.Experiment:
    """Create an experiment."""
    request = experiments_pb2.CreateExperimentRequest(
        parent=str(ProjectName(experiment.project)),
        experiment_id=experiment.experiment,
        experiment=experiments_pb2.Experiment(display_name=display_name, description=description, tags=tags),
        request_id=str(uuid.uuid4()),
    )
    return _stub(connection).CreateExperiment(request)


def get(connection: Connection, experiment: ExperimentName) -> experiments_pb2.Experiment:
    """The experiment of this name or, whatever its state, of this uid."""
    return _stub(connection).GetExperiment(experiments_pb2.GetExperimentRequest(name=str(experiment)))


def list_(
    connection: Connection,
    project: ProjectName,
    *,
    where: str = "",
    order_by: str = "",
    show_inactive: bool = False,
) -> Iterator[experiments_pb2.Experiment]:
    """The experiments of a project, newest first; asked for page by page as they are read.

    Args:
        where: which ones, for example ``tags.team = "vision"`` (docs/reference/search.md).
        order_by: for example ``update_time desc``.
        show_inactive: deprecated and archived ones too.
    """
    request = experiments_pb2.ListExperimentsRequest(
        parent=str(project), page_size=_PAGE, filter=where, order_by=order_by, show_inactive=show_inactive
    )
    for page in pages(_stub(connection).ListExperiments, request):
        yield from page.experiments


def describe(
    connection: Connection,
    experiment: ExperimentName,
    *,
    display_name: str | None = None,
    description: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> experiments_pb2.Experiment:
    """Change what is said of an experiment; what is None stays."""
    said = {"display_name": display_name, "description": description, "tags": tags}
    given = {field: value for field, value in said.items() if value is not None}
    request = experiments_pb2.UpdateExperimentRequest(
        experiment=experiments_pb2.Experiment(name=str(experiment), **given),  # type: ignore[arg-type]
        update_mask={"paths": list(given)},  # type: ignore[arg-type]
    )
    return _stub(connection).UpdateExperiment(request)


def rename(connection: Connection, experiment: ExperimentName, new: str) -> experiments_pb2.Experiment:
    """Give an experiment another name; its runs stay in it, and the old name is free again."""
    request = experiments_pb2.RenameExperimentRequest(name=str(experiment), experiment_id=new)
    return _stub(connection).RenameExperiment(request)


def deprecate(
    connection: Connection, experiment: ExperimentName, replacement: ExperimentName | None = None
) -> experiments_pb2.Experiment:
    """Warn who uses an experiment from now on, and say what to use instead."""
    request = experiments_pb2.DeprecateExperimentRequest(name=str(experiment), replacement=str(replacement or ""))
    return _stub(connection).DeprecateExperiment(request)


def archive(connection: Connection, experiment: ExperimentName) -> experiments_pb2.Experiment:
    """Take an experiment out of use: its name is free, it gets no more runs, and it is found by its uid."""
    return _stub(connection).ArchiveExperiment(experiments_pb2.ArchiveExperimentRequest(name=str(experiment)))


def reactivate(connection: Connection, experiment: ExperimentName) -> experiments_pb2.Experiment:
    """Put an experiment back into use; an archived one is named by its uid."""
    return _stub(connection).ReactivateExperiment(experiments_pb2.ReactivateExperimentRequest(name=str(experiment)))


def _stub(connection: Connection) -> experiments_pb2_grpc.ExperimentServiceStub:
    return experiments_pb2_grpc.ExperimentServiceStub(connection.channel("registry"))
