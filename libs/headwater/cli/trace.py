"""``headwater trace``: from one prediction back to the files it comes from."""

from collections.abc import Iterator

from rich.markup import escape

from headwater.cli.render import output
from headwater.client import Connection
from headwater.names import DEFAULT_PROJECT
from headwater.trace import Node
from headwater.trace import trace as walk

_COLOURS = {
    "request": "magenta",
    "model": "green",
    "run": "yellow",
    "data": "cyan",
    "executable": "blue",
    "deployment": "magenta",
    "answers": "magenta",
    "file": "white",
}


def trace(request_id: str, *, files: int = 10, project: str = DEFAULT_PROJECT) -> None:
    """Show where a prediction comes from: model version, run, dataset versions, pipelines, files, each with its digest.

    Parameters
    ----------
    request_id
        The id that came with the answer (`headwater_request_id`).
    files
        How many of the source files of a dataset version to list.
    project
        The project of the deployment that answered.
    """
    with Connection.discover() as connection:
        root = walk(connection, request_id, max_files=files, project=project)
    for line in lines(root):
        output.print(line)


def lines(node: Node, first: str = "", below: str = "") -> Iterator[str]:
    """The node and all that went into it, as lines with branches; a digest is never cut, however narrow the screen."""
    for index, text in enumerate(_texts(node)):
        yield f"[dim]{first if index == 0 else below + ('│   ' if node.origins else '    ')}[/]{text}"
    for origin in node.origins:
        last = origin is node.origins[-1]
        yield from lines(origin, below + ("└── " if last else "├── "), below + ("    " if last else "│   "))


def _texts(node: Node) -> Iterator[str]:
    yield f"[bold {_COLOURS.get(node.kind, 'red')}]{node.kind}[/] {escape(node.name)}"
    if node.digest:
        yield f"[dim]{node.digest}[/]"
    if node.details:
        yield escape("  ".join(f"{key} {value}" for key, value in node.details.items()))
