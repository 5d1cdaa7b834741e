"""``headwater dataset describe``: what is said about a dataset."""

from collections.abc import Sequence
from typing import Annotated

import cyclopts

from headwater import datasets
from headwater.cli.dataset.app import app
from headwater.cli.render import facts, output
from headwater.client import Connection
from headwater.errors import InvalidArgument
from headwater.names import DEFAULT_PROJECT


@app.command
def describe(
    name: str,
    *,
    display_name: str | None = None,
    description: str | None = None,
    key_columns: str | None = None,
    tag: list[str] | None = None,
    hidden: bool | None = None,
    document: Annotated[str, cyclopts.Parameter(name="--format")] = "",
    project: str = DEFAULT_PROJECT,
) -> None:
    """Say something about a dataset, and show what is said. What is not given stays as it is.

    Parameters
    ----------
    name
        The dataset.
    display_name
        A name for people.
    description
        About it.
    key_columns
        The columns whose values name a row, with commas between them; an empty text: rows go by their place.
    tag
        key=value; may be given many times. They replace the tags that it has.
    hidden
        Do not list it unless asked for.
    document
        metadata.json or dataset.yml: print that document of a version, digits@v1.0.0, and change nothing.
    project
        The project of the dataset.
    """
    if document:
        _print_document(name, document, project, [display_name, description, key_columns, tag, hidden])
        return
    with Connection.discover() as connection:
        after = datasets.update(
            connection,
            name,
            display_name=display_name,
            description=description,
            key_columns=None if key_columns is None else [column for column in key_columns.split(",") if column],
            tags=None if tag is None else dict(_tag(each) for each in tag),
            hidden=hidden,
            project=project,
        )
    facts(
        dataset=after.name,
        display_name=after.display_name,
        description=after.description,
        latest=after.latest_version,
        key_columns=", ".join(after.key_columns),
        tags=", ".join(f"{key}={value}" for key, value in sorted(after.tags.items())),
        hidden="yes" if after.hidden else "",
    )


def _print_document(name: str, document: str, project: str, changes: Sequence[object]) -> None:
    if any(change is not None for change in changes):
        raise InvalidArgument("A document is printed, or something is said; not both at once.", field="document")
    with Connection.discover() as connection:
        output.print(datasets.document(connection, name, document, project=project), markup=False, end="")


def _tag(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise InvalidArgument(f"A tag must look like key=value, not {text}.", field="tag")
    return key, value
