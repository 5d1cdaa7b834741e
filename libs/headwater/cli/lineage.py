"""``headwater lineage show|impact|uses|import|export``: what came from what, and what depends on it."""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import cyclopts
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from headwater import lineage
from headwater.cli.render import facts, output, table, warn
from headwater.cli.trace import lines
from headwater.client import Connection
from headwater.errors import InvalidArgument
from headwater.names import DEFAULT_PROJECT
from headwater.registry.v1 import lineage_pb2
from headwater.trace import artifact_name, describe, tree

app = cyclopts.App(name="lineage", help="Lineage: what came from what, and what depends on it.")

AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="")]
Flag = Annotated[bool, cyclopts.Parameter(negative="")]


@app.command
def show(
    name: str,
    *,
    up: Flag = False,
    down: Flag = False,
    depth: int = 0,
    kind: Annotated[Sequence[str], cyclopts.Parameter(negative="")] = (),
    max_nodes: int = 0,
    as_json: AsJson = False,
    project: str = DEFAULT_PROJECT,
) -> None:
    """Show what something comes from or, with --down, what came of it.

    Parameters
    ----------
    name
        datasets/digits@v1.0.0, models/digits@production, pipelines/prep@2, runs/…, deployments/digits, or a full name.
    up
        To what went in; so it is unless you say --down.
    down
        To what came of it.
    depth
        How many steps at most; 0 means 20.
    kind
        Only these, as a list: data, executable, model, run, deployment, receipt. The way may go through others.
    max_nodes
        How many at most; 0 means 1,000.
    as_json
        Print everything, as JSON.
    project
        The project of what is named.
    """
    if up and down:
        raise InvalidArgument("Say --up or --down, not both.")
    with Connection.discover() as connection:
        start = lineage.named(connection, name, project=project)
        found = lineage.get(connection, start, downstream=down, depth=depth, kinds=kind, max_nodes=max_nodes)
    if as_json:
        _print_json(found)
        return
    if kind:
        nodes = [describe(artifact_name(artifact), artifact) for artifact in found.artifacts]
        table(("kind", "name", "digest"), [(node.kind, node.name, node.digest) for node in nodes])
    else:
        for line in lines(tree(found, start, downstream=down)):
            output.print(line)
    _warn_if(found.truncated)


@app.command
def impact(name: str, *, as_json: AsJson = False, project: str = DEFAULT_PROJECT) -> None:
    """Say what depends on something: what to look at before it is archived.

    Parameters
    ----------
    name
        models/digits for all its versions, models/digits@3, datasets/digits@v1.0.0, pipelines/prep@2, or a full name.
    as_json
        Print everything, as JSON.
    project
        The project of what is named.
    """
    with Connection.discover() as connection:
        found = lineage.impact(connection, lineage.named(connection, name, project=project))
    if as_json:
        _print_json(found)
        return
    output.print(found.summary, markup=False)
    names = {kind: word for word, kind in lineage.KINDS.items()}
    rows = [(names[each.kind], name) for each in found.dependents for name in each.names]
    if rows:
        table(("kind", "name"), rows)
    left = sum(each.count - len(each.names) for each in found.dependents)
    facts(not_listed=f"{left:,} more" if left else "", serving_now=", ".join(found.serving_deployments))
    _warn_if(found.truncated)


@app.command
def uses(name: str, *, as_json: AsJson = False, project: str = DEFAULT_PROJECT) -> None:
    """List the model versions that were trained on a dataset version, or on what was made of it.

    Parameters
    ----------
    name
        datasets/digits@v1.0.0, or a full name.
    as_json
        Print everything, as JSON, an object a line.
    project
        The project of the dataset.
    """
    with Connection.discover() as connection:
        found = list(lineage.uses(connection, lineage.named(connection, name, project=project)))
    if as_json:
        for use in found:
            _print_json(use, indent=None)
        return
    if not found:
        facts(result="no model version was trained on it")
        return
    table(USE_COLUMNS, map(use_row, found))


@app.command(name="import")
def import_(
    file: Annotated[Path, cyclopts.Parameter(allow_leading_hyphen=True)], *, project: str = DEFAULT_PROJECT
) -> None:
    """Add what OpenLineage events tell. What is there already stays as it is.

    Parameters
    ----------
    file
        Events as JSON: one, one a line, all in a list, or as Marquez lists them; - reads standard input.
    project
        The project that gets them.
    """
    events = _events(_text(sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()))
    with Connection.discover() as connection:
        answer = lineage.import_openlineage(connection, events, project=project)
    facts(events=f"{len(events):,}", runs=f"{len(set(answer.runs)):,}", new_edges=f"{answer.created_count:,}")


@app.command
def export(
    name: str,
    *,
    form: Annotated[str, cyclopts.Parameter(name="--format")] = "openlineage",
    down: Flag = False,
    depth: int = 0,
    max_nodes: int = 0,
    project: str = DEFAULT_PROJECT,
) -> None:
    """Print a part of the graph in a format that others read.

    Parameters
    ----------
    name
        As for show.
    form
        openlineage: events, one a line; prov: W3C PROV-JSON.
    down
        What came of it, instead of what went in.
    depth
        How many steps at most; 0 means 20.
    max_nodes
        How many nodes at most; 0 means 1,000.
    project
        The project of what is named.
    """
    with Connection.discover() as connection:
        start = lineage.named(connection, name, project=project)
        found = lineage.export(connection, start, form, downstream=down, depth=depth, max_nodes=max_nodes)
    output.print(found.document, markup=False, end="")
    _warn_if(found.truncated)


USE_COLUMNS = ("model version", "steps", "was", "served by")


def use_row(use: lineage_pb2.ModelVersionUse) -> tuple[str, ...]:
    """A model version with what it was and when, as cells under ``USE_COLUMNS``."""
    return use.model_version, str(use.distance), "; ".join(_tenures(use)), ", ".join(use.deployments)


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"The file is not UTF-8: {error.reason} at byte {error.start}.") from error


def _events(text: str) -> list[str]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        if text.lstrip().startswith("["):
            raise InvalidArgument(f"The file is not JSON: {error}.") from error
        return [line for line in text.split("\n") if line.strip()]
    if isinstance(value, dict) and isinstance(value.get("events"), list):
        value = value["events"]
    return [json.dumps(event) for event in (value if isinstance(value, list) else [value])]


def _tenures(use: lineage_pb2.ModelVersionUse) -> Iterable[str]:
    for each in use.tenures:
        start = f"{each.start_time.ToDatetime():%Y-%m-%d}"
        until = f"until {each.end_time.ToDatetime():%Y-%m-%d}" if each.HasField("end_time") else "until now"
        yield f"{each.pointer} from {start} {until}"


def _print_json(message: Message, indent: int | None = 2) -> None:
    output.print(MessageToJson(message, preserving_proto_field_name=True, indent=indent), markup=False)


def _warn_if(truncated: bool) -> None:
    if truncated:
        warn(["the graph goes on; ask with a larger --depth or --max-nodes, or for fewer kinds, for more"])
