"""``headwater dataset profile``: what the columns of a version are like."""

from typing import Annotated

import cyclopts
from google.protobuf.json_format import MessageToJson
from rich.progress import Progress, TaskID

from headwater import datasets
from headwater.cli.dataset.app import app
from headwater.cli.dataset.charts import show
from headwater.cli.render import facts, output, progress, when
from headwater.client import Connection
from headwater.datasets import profiles
from headwater.names import DEFAULT_PROJECT


@app.command
def profile(
    name: str,
    *,
    view: str = "",
    columns: str = "",
    new: bool = False,
    as_json: Annotated[bool, cyclopts.Parameter(name="--json", negative="")] = False,
    project: str = DEFAULT_PROJECT,
) -> None:
    """Show what the columns of a version are like: counts, nulls, quantiles, histograms, classes, images.

    Shows the newest profile of the version that is still true; makes one if there is none.

    Parameters
    ----------
    name
        The version: digits@v1.0.0, or digits for the latest.
    view
        A view of the version: only its rows are looked at.
    columns
        Only these columns, with commas between them; always makes a new profile.
    new
        Make a new profile.
    as_json
        Print the profile as JSON, in the shape of the proto DatasetProfile.
    project
        The project of the dataset.
    """
    chosen = [column for column in columns.split(",") if column]
    with Connection.discover() as connection:
        version = datasets.get_version(connection, name, project=project)
        found = None if new or chosen else profiles.newest(connection, version.name, view=view)
        if found is None:
            begun = profiles.begin(connection, version.name, view=view, columns=chosen)
            with progress("rows") as bars:
                bar = bars.add_task("Profiling", total=version.row_count or None)
                found = profiles.wait(
                    connection, begun.name, on_progress=lambda known: _tell(bars, bar, known.rows_done)
                )
                _tell(bars, bar, found.rows_done)
    if as_json:
        output.print(to_json(found), markup=False, end="")
    else:
        _show(found)


def to_json(found: profiles.DatasetProfile) -> str:
    """The profile as JSON with the names of the proto, and a newline."""
    return MessageToJson(found, preserving_proto_field_name=True, always_print_fields_with_no_presence=True) + "\n"


def _tell(bars: Progress, bar: TaskID, rows: int) -> None:
    bars.update(bar, completed=rows)


def _show(found: profiles.DatasetProfile) -> None:
    freshness = profiles.DatasetProfile.Freshness.Name(found.freshness).removeprefix("FRESHNESS_").lower()
    facts(
        profile=found.name,
        view=found.view.rpartition("/")[2],
        filter=found.filter,
        made=f"{when(found.create_time)} by {found.created_by}",
        freshness=freshness.replace("unspecified", "not known"),
    )
    for split in found.splits:
        show(split)
