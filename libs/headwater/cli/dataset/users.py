"""``headwater dataset who-used``: which models were trained on this row?"""

from headwater import references
from headwater.cli.dataset.app import app
from headwater.cli.lineage import USE_COLUMNS, use_row
from headwater.cli.render import facts, table
from headwater.client import Connection
from headwater.names import DEFAULT_PROJECT
from headwater.row_users import row_users
from headwater.tree import parse_digest


@app.command(name="who-used")
def who_used(name: str = "", *, row: str, project: str = DEFAULT_PROJECT) -> None:
    """List the models that were trained on a row: what they were, when, and what served them.

    Parameters
    ----------
    name
        The dataset; without it, all datasets of the project.
    row
        The row's digest, sha256:…, as row-digests prints it.
    project
        The project of the datasets.
    """
    parent = str(references.dataset(name, project) if name else references.project(project))
    with Connection.discover() as connection:
        found = row_users(connection, parent, parse_digest(row, "row"))
    if not found:
        facts(result="no model was trained on this row")
        return
    table(("dataset version", *USE_COLUMNS), [(user.dataset_version, *use_row(user.use)) for user in found])
