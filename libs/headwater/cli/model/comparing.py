"""``headwater model compare``: how versions differ."""

import math
from collections.abc import Sequence
from typing import Annotated

import cyclopts

from headwater import model_comparisons
from headwater.cli import render
from headwater.cli.model.app import app
from headwater.cli.render import output, table, warn
from headwater.client import Connection
from headwater.names import DEFAULT_PROJECT
from headwater.registry.v1 import model_versions_pb2

_Section = model_versions_pb2.ModelVersionComparison.Section


@app.command
def compare(
    *versions: str,
    every: Annotated[bool, cyclopts.Parameter(name="--all", negative="")] = False,
    as_json: Annotated[bool, cyclopts.Parameter(name="--json", negative="")] = False,
    project: str = DEFAULT_PROJECT,
) -> None:
    """Show how versions differ from the first of them: metrics, hyperparameters, signature, size, lineage.

    Parameters
    ----------
    versions
        From two to ten: digits@production digits@7, for example.
    every
        What they have in common too.
    as_json
        Print everything, as JSON.
    project
        The project of the models.
    """
    with Connection.discover() as connection:
        found = model_comparisons.compare(connection, versions, project=project)
    if as_json:
        render.as_json(found)
        return
    rows = [_row(row) for row in found.comparisons if every or row.differs]
    if rows:
        table(("", "", *_headings([version.name for version in found.model_versions])), rows)
    else:
        output.print("The versions do not differ.")
    warn(f"breaks callers: {change}" for change in found.breaking_changes)


def _headings(names: Sequence[str]) -> Sequence[str]:
    """``digits@3``."""
    return [f"{name.split('/')[3]}@{name.split('/')[5]}" for name in names]


def _row(row: model_versions_pb2.ModelVersionComparison) -> Sequence[str]:
    section = _Section.Name(row.section).removeprefix("SECTION_").lower()
    differences = list(row.differences) or [0.0] * len(row.values)
    return section, row.key, *(_cell(*cell) for cell in zip(row.values, differences, strict=True))


def _cell(value: str, difference: float) -> str:
    if not value:
        return "–"
    return f"{value} ({difference:+.4g})" if difference and not math.isnan(difference) else value
