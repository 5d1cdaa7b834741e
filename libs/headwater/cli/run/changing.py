"""Changing what is said of a run."""

from headwater import runs
from headwater.cli.experiment import pairs
from headwater.cli.model.words import Several
from headwater.cli.render import facts
from headwater.cli.run.app import app
from headwater.cli.run.showing import show_run
from headwater.client import Connection
from headwater.names import DEFAULT_PROJECT


@app.command
def tag(run: str, *tags: str, remove: Several = (), project: str = DEFAULT_PROJECT) -> None:
    """Set tags of a run, and remove others; the rest stay.

    Parameters
    ----------
    run
        Its id, or its full name.
    tags
        team=vision, for example.
    remove
        The key of a tag that goes; may be given several times.
    project
        The project.
    """
    with Connection.discover() as connection:
        there = runs.tag(connection, runs.named(run, project), pairs(tags), remove)
    if there:
        facts(**dict(sorted(there.items())))


@app.command
def update(
    run: str,
    *,
    display_name: str | None = None,
    description: str | None = None,
    experiment: str | None = None,
    reference: Several | None = None,
    project: str = DEFAULT_PROJECT,
) -> None:
    """Change what is said of a run; what is left out stays.

    Parameters
    ----------
    run
        Its id, or its full name.
    display_name
        A name for people.
    description
        What it is about.
    experiment
        The experiment that it belongs to from now on.
    reference
        What it refers to, all of it, by resource names; may be given several times.
    project
        The project.
    """
    with Connection.discover() as connection:
        show_run(
            runs.describe(
                connection,
                runs.named(run, project),
                display_name=display_name,
                description=description,
                experiment=experiment,
                references=reference,
            )
        )


@app.command
def archive(run: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Take a run out of default lists. It can be read, and takes no more metrics.

    Parameters
    ----------
    run
        Its id, or its full name.
    project
        The project.
    """
    with Connection.discover() as connection:
        show_run(runs.archive(connection, runs.named(run, project)))


@app.command
def reactivate(run: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Put an archived run back into default lists.

    Parameters
    ----------
    run
        Its id, or its full name.
    project
        The project.
    """
    with Connection.discover() as connection:
        show_run(runs.reactivate(connection, runs.named(run, project)))
