"""``headwater model resolve|alias|history``: which version a stage or an alias points to, since when, and why."""

import datetime
import itertools
from typing import Annotated

import cyclopts
from google.protobuf.json_format import MessageToDict

from headwater import model_pointers, references
from headwater.cli import render
from headwater.cli.model import words
from headwater.cli.model.app import app
from headwater.cli.render import facts, output, table, when
from headwater.client import Connection
from headwater.errors import InvalidArgument
from headwater.names import DEFAULT_PROJECT
from headwater.registry.v1 import models_pb2

alias = cyclopts.App(name="alias", help="Aliases: names that point to one version each, and can be moved.")
app.command(alias)

AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="")]


@app.command
def resolve(reference: str, *, at: str = "", as_json: AsJson = False, project: str = DEFAULT_PROJECT) -> None:
    """Say which version a stage or an alias points to, or pointed to at a time.

    Parameters
    ----------
    reference
        digits@production, digits@staging or digits@champion, for example.
    at
        2026-03-01T12:00:00Z, for example: the version that it pointed to then. Without a zone, a time of this machine.
    as_json
        Print everything, as JSON.
    project
        The project of the model.
    """
    with Connection.discover() as connection:
        found = model_pointers.resolve(connection, reference, at=_time(at), project=project, full=as_json)
    if as_json:
        render.as_json(found)
        return
    facts(
        version=found.name,
        semantic=found.semantic_version,
        digest=found.digest,
        stage=words.stage(found.stage),
        aliases=", ".join(found.aliases),
    )


@alias.command(name="set")
def set_(
    model: str,
    name: str,
    version: str,
    *,
    comment: str = "",
    evidence: words.Several = (),
    project: str = DEFAULT_PROJECT,
) -> None:
    """Point an alias at a version.

    Parameters
    ----------
    model
        digits, for example.
    name
        The alias: champion, for example.
    version
        3 or v1.2.3, for example.
    comment
        Why, for the history.
    evidence
        What it rests on, for the history: "report=https://example.com/report"; may be given several times.
    project
        The project of the model.
    """
    told = [model_pointers.evidence(text) for text in evidence]
    with Connection.discover() as connection:
        changed = model_pointers.set_alias(
            connection, references.model(model, project), name, version, comment=comment, evidence=told
        )
    facts(alias=name.lower(), version=f"{changed.name}/versions/{changed.aliases[name.lower()]}")


@alias.command
def remove(model: str, name: str, *, comment: str = "", project: str = DEFAULT_PROJECT) -> None:
    """Remove an alias; its history stays.

    Parameters
    ----------
    model
        digits, for example.
    name
        The alias.
    comment
        Why, for the history.
    project
        The project of the model.
    """
    with Connection.discover() as connection:
        model_pointers.set_alias(connection, references.model(model, project), name, "", comment=comment)


@app.command
def history(model: str, *, limit: int = 50, as_json: AsJson = False, project: str = DEFAULT_PROJECT) -> None:
    """List the moves of a model's stages and aliases, newest first.

    Parameters
    ----------
    model
        digits, for example.
    limit
        How many.
    as_json
        Print them as JSON, one object a line.
    project
        The project of the model.
    """
    with Connection.discover() as connection:
        moves = model_pointers.history(connection, references.model(model, project))
        found = list(itertools.islice(moves, limit))
    if as_json:
        for move in found:
            output.print_json(data=MessageToDict(move, preserving_proto_field_name=True), indent=None)
        return
    table(("time", "what", "from", "to", "by", "why"), [_row(move) for move in found])


def _row(move: models_pb2.StageTransition | models_pb2.AliasChange) -> tuple[str, ...]:
    evidence = [f"{each.description} {each.uri}".strip() for each in move.evidence]
    why = "; ".join(filter(None, [move.comment, *evidence]))
    if isinstance(move, models_pb2.StageTransition):
        sides = words.stage(move.from_stage), words.stage(move.to_stage)
        return when(move.time), f"version {_last(move.model_version)}", *sides, move.actor, why
    versions = _last(move.from_version) or "nothing", _last(move.to_version) or "nothing"
    return when(move.time), f"alias {move.alias}", *versions, move.actor, why


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _time(text: str) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromisoformat(text) if text else None
    except ValueError as error:
        raise InvalidArgument(f"{text} is no time like 2026-03-01T12:00:00Z.", field="at") from error
