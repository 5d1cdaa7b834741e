"""``headwater trace``: from one prediction back to the files it comes from."""

from rich.markup import escape
from rich.tree import Tree

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
        output.print(tree(walk(connection, request_id, max_files=files, project=project)))


def tree(node: Node) -> Tree:
    """The node and all that went into it, as text with branches."""
    branch = Tree(_label(node), guide_style="dim")
    for origin in node.origins:
        branch.children.append(tree(origin))
    return branch


def _label(node: Node) -> str:
    details = "  ".join(f"{key} {value}" for key, value in node.details.items())
    colour = _COLOURS.get(node.kind, "red")
    first = f"[bold {colour}]{node.kind}[/] {escape(node.name)}"
    return "\n".join(
        line for line in (first, f"[dim]{escape(node.digest)}[/]" if node.digest else "", escape(details)) if line
    )
