"""``headwater dataset describe``: what is said about a dataset."""

from headwater import datasets
from headwater.cli.dataset.app import app
from headwater.cli.render import facts
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
    project
        The project of the dataset.
    """
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


def _tag(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise InvalidArgument(f"A tag must look like key=value, not {text}.", field="tag")
    return key, value
