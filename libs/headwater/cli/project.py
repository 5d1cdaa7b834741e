"""Projects: workspaces, the scope of every other name."""

from typing import Annotated

import cyclopts

from headwater import projects, references
from headwater.artifact.v1 import artifact_pb2
from headwater.cli.model.words import Several, pairs
from headwater.cli.render import as_json, facts, table, when
from headwater.client import Connection
from headwater.registry.v1 import projects_pb2

app = cyclopts.App(name="project", help="Projects: workspaces, the scope of every other name.")
AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="")]


@app.command
def create(project: str, *, display_name: str = "", description: str = "", annotation: Several = ()) -> None:
    """Create a project.

    Parameters
    ----------
    project
        vision, for example: its name for good.
    display_name
        A name for people, with whatever characters.
    description
        What it is about.
    annotation
        A pair, as in cost-centre=12; may be given several times.
    """
    with Connection.discover() as connection:
        made = projects.create(
            connection,
            references.project(project),
            display_name=display_name,
            description=description,
            annotations=pairs(annotation, "annotation"),
        )
    _show(made)


@app.command(name="list")
def list_(
    *,
    show_inactive: Annotated[bool, cyclopts.Parameter(name="--all", negative="")] = False,
    in_json: AsJson = False,
) -> None:
    """List the projects, oldest first.

    Parameters
    ----------
    show_inactive
        Archived ones too.
    in_json
        Print everything as JSON, in the shape of the proto ListProjectsResponse.
    """
    with Connection.discover() as connection:
        found = list(projects.list_(connection, show_inactive=show_inactive))
    if in_json:
        as_json(projects_pb2.ListProjectsResponse(projects=found))
        return
    rows = [(one.name, one.display_name, _state(one), when(one.create_time)) for one in found]
    table(("project", "called", "state", "created"), rows)


@app.command
def show(project: str, *, in_json: AsJson = False) -> None:
    """Show one project.

    Parameters
    ----------
    project
        Its name.
    in_json
        Print everything as JSON, in the shape of the proto Project.
    """
    with Connection.discover() as connection:
        found = projects.get(connection, references.project(project))
    if in_json:
        as_json(found)
    else:
        _show(found)


@app.command
def update(
    project: str,
    *,
    display_name: str | None = None,
    description: str | None = None,
    annotation: Several | None = None,
) -> None:
    """Change what is said of a project; what is left out stays.

    Parameters
    ----------
    project
        Its name.
    display_name
        A name for people.
    description
        What it is about.
    annotation
        All its pairs from now on, as in cost-centre=12; may be given several times.
    """
    with Connection.discover() as connection:
        changed = projects.describe(
            connection,
            references.project(project),
            display_name=display_name,
            description=description,
            annotations=None if annotation is None else pairs(annotation, "annotation"),
        )
    _show(changed)


@app.command
def archive(project: str) -> None:
    """Take a project out of use: nothing new begins in it, all of it is read as before, and what is served goes on.

    Parameters
    ----------
    project
        Its name.
    """
    with Connection.discover() as connection:
        _show(projects.archive(connection, references.project(project)))


@app.command
def reactivate(project: str) -> None:
    """Put an archived project back into use.

    Parameters
    ----------
    project
        Its name.
    """
    with Connection.discover() as connection:
        _show(projects.reactivate(connection, references.project(project)))


def _show(project: artifact_pb2.Project) -> None:
    facts(
        project=project.name,
        called=project.display_name,
        description=project.description,
        state=_state(project),
        created=when(project.create_time),
        annotations=", ".join(f"{key}={value}" for key, value in sorted(project.annotations.items())),
    )


def _state(project: artifact_pb2.Project) -> str:
    return artifact_pb2.Project.State.Name(project.state).removeprefix("STATE_").lower()
