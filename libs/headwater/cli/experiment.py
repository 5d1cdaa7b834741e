"""Experiments: runs that belong together."""

from typing import Annotated

import cyclopts

from headwater import experiments, references
from headwater.cli.model.words import Several
from headwater.cli.render import as_json, facts, table, when
from headwater.client import Connection
from headwater.errors import InvalidArgument
from headwater.names import DEFAULT_PROJECT
from headwater.registry.v1 import experiments_pb2

app = cyclopts.App(name="experiment", help="Experiments: runs that belong together.")
AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="")]


@app.command
def create(
    experiment: str,
    *,
    display_name: str = "",
    description: str = "",
    tag: Several = (),
    project: str = DEFAULT_PROJECT,
) -> None:
    """Create an experiment.

    Parameters
    ----------
    experiment
        digits, for example.
    display_name
        A name for people, with whatever characters.
    description
        What it is about.
    tag
        For grouping and filtering, as in team=vision; may be given several times.
    project
        The project.
    """
    with Connection.discover() as connection:
        name = experiments.named(experiment, project)
        made = experiments.create(connection, name, display_name=display_name, description=description, tags=pairs(tag))
    _show(made)


@app.command(name="list")
def list_(
    *,
    where: Annotated[str, cyclopts.Parameter(name="--filter")] = "",
    order_by: str = "",
    show_inactive: Annotated[bool, cyclopts.Parameter(name="--all", negative="")] = False,
    in_json: AsJson = False,
    project: str = DEFAULT_PROJECT,
) -> None:
    """List the experiments of a project, newest first.

    Parameters
    ----------
    where
        Which ones: tags.team = "vision" AND name LIKE "dig%", for example (docs/reference/search.md).
    order_by
        In which order: update_time desc, for example.
    show_inactive
        Deprecated and archived ones too.
    in_json
        Print everything as JSON, in the shape of the proto ListExperimentsResponse.
    project
        The project.
    """
    with Connection.discover() as connection:
        name = references.project(project)
        found = list(experiments.list_(connection, name, where=where, order_by=order_by, show_inactive=show_inactive))
    if in_json:
        as_json(experiments_pb2.ListExperimentsResponse(experiments=found))
        return
    rows = [(one.name, one.display_name, _state(one), when(one.create_time)) for one in found]
    table(("experiment", "called", "state", "created"), rows)


@app.command
def show(experiment: str, *, in_json: AsJson = False, project: str = DEFAULT_PROJECT) -> None:
    """Show one experiment.

    Parameters
    ----------
    experiment
        Its name or, of an archived one, its uid.
    in_json
        Print everything as JSON, in the shape of the proto Experiment.
    project
        The project.
    """
    with Connection.discover() as connection:
        found = experiments.get(connection, experiments.named(experiment, project))
    if in_json:
        as_json(found)
    else:
        _show(found)


@app.command
def update(
    experiment: str,
    *,
    display_name: str | None = None,
    description: str | None = None,
    tag: Several | None = None,
    project: str = DEFAULT_PROJECT,
) -> None:
    """Change what is said of an experiment; what is left out stays.

    Parameters
    ----------
    experiment
        Its name.
    display_name
        A name for people.
    description
        What it is about.
    tag
        All its tags from now on, as in team=vision; may be given several times.
    project
        The project.
    """
    with Connection.discover() as connection:
        name = experiments.named(experiment, project)
        tags = None if tag is None else pairs(tag)
        changed = experiments.describe(connection, name, display_name=display_name, description=description, tags=tags)
    _show(changed)


@app.command
def rename(experiment: str, new: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Give an experiment another name; its runs stay in it, and the old name is free again.

    Parameters
    ----------
    experiment
        Its name.
    new
        The new one.
    project
        The project.
    """
    with Connection.discover() as connection:
        _show(experiments.rename(connection, experiments.named(experiment, project), new))


@app.command
def deprecate(experiment: str, *, replacement: str = "", project: str = DEFAULT_PROJECT) -> None:
    """Warn who uses an experiment from now on.

    Parameters
    ----------
    experiment
        Its name.
    replacement
        What to use instead.
    project
        The project.
    """
    with Connection.discover() as connection:
        instead = experiments.named(replacement, project) if replacement else None
        _show(experiments.deprecate(connection, experiments.named(experiment, project), instead))


@app.command
def archive(experiment: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Take an experiment out of use: its name is free, it gets no more runs, and it is found by its uid.

    Parameters
    ----------
    experiment
        Its name.
    project
        The project.
    """
    with Connection.discover() as connection:
        _show(experiments.archive(connection, experiments.named(experiment, project)))


@app.command
def reactivate(experiment: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Put an experiment back into use.

    Parameters
    ----------
    experiment
        Its name or, of an archived one, its uid.
    project
        The project.
    """
    with Connection.discover() as connection:
        _show(experiments.reactivate(connection, experiments.named(experiment, project)))


def pairs(texts: Several) -> dict[str, str]:
    """``key=value`` texts as a mapping.

    Raises:
        InvalidArgument: one has no ``=``.
    """
    for text in texts:
        if "=" not in text:
            raise InvalidArgument(f"{text} must look like key=value.")
    return dict(text.split("=", 1) for text in texts)


def _show(experiment: experiments_pb2.Experiment) -> None:
    facts(
        experiment=experiment.name,
        uid=experiment.uid,
        called=experiment.display_name,
        description=experiment.description,
        state=_state(experiment),
        use_instead=experiment.replacement,
        created=f"{when(experiment.create_time)} by {experiment.created_by}",
        tags=", ".join(f"{key}={value}" for key, value in sorted(experiment.tags.items())),
    )


def _state(experiment: experiments_pb2.Experiment) -> str:
    return experiments_pb2.Experiment.State.Name(experiment.state).removeprefix("STATE_").lower()
