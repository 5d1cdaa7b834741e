"""``headwater dataset view``: filters on versions that have a name."""

from typing import Annotated

import cyclopts

from headwater.cli.dataset.app import app
from headwater.cli.render import facts, table
from headwater.client import Connection
from headwater.datasets import views
from headwater.names import DEFAULT_PROJECT

view = cyclopts.App(name="view", help="Views: filters on versions that have a name.")
app.command(view)


@view.command
def create(
    name: str,
    new: str,
    *,
    condition: Annotated[str, cyclopts.Parameter(name="--filter")],
    description: str = "",
    project: str = DEFAULT_PROJECT,
) -> None:
    """Give a filter on a version a name.

    Parameters
    ----------
    name
        The version: digits@v1.0.0, or digits for the latest.
    new
        The name of the view.
    condition
        What a row must satisfy: "label = 3 AND size > 10".
    description
        About it.
    project
        The project of the dataset.
    """
    with Connection.discover() as connection:
        made = views.create(connection, name, new, condition, description, project=project)
    facts(view=made.name, filter=made.filter, description=made.description)


@view.command(name="list")
def list_(name: str, *, project: str = DEFAULT_PROJECT) -> None:
    """List the views of a version: digits@v1.0.0, or digits for the latest."""
    with Connection.discover() as connection:
        found = [
            (each.name.rpartition("/")[2], each.filter, each.created_by, each.description)
            for each in views.list_views(connection, name, project=project)
        ]
    table(("view", "filter", "by", "description"), found)


@view.command
def delete(name: str, which: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Delete a view of a version, not a row."""
    with Connection.discover() as connection:
        deleted = views.view_name(connection, name, which, project=project)
        views.delete(connection, name, which, project=project)
    facts(deleted=deleted)
