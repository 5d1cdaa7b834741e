"""Objectives, and moving versions between stages."""

from headwater import model_pointers, models, references
from headwater.cli.model import words
from headwater.cli.model.app import app
from headwater.cli.render import facts
from headwater.client import Connection
from headwater.names import DEFAULT_PROJECT
from headwater.registry.v1 import models_pb2


@app.command
def promote(
    version: str,
    *,
    stage: str,
    comment: str = "",
    evidence: words.Several = (),
    project: str = DEFAULT_PROJECT,
) -> None:
    """Move a version to a stage; refused, with the criterion, when an objective of that stage is not met.

    Parameters
    ----------
    version
        digits@3 or digits@champion, for example.
    stage
        development, staging, production or archived, in any case.
    comment
        Why, for the history.
    evidence
        What it rests on, for the history: "report=https://example.com/report"; may be given several times.
    project
        The project of the model.
    """
    with Connection.discover() as connection:
        name = model_pointers.named(connection, version, project=project)
        told = [model_pointers.evidence(text) for text in evidence]
        model = models.promote(connection, name, models.stage(stage), comment=comment, evidence=told)
    facts(version=model.name, stage=words.stage(model.stage), digest=model.digest)


@app.command
def require(
    model: str,
    *,
    metric: str,
    at_least: float | None = None,
    at_most: float | None = None,
    stage: str = "production",
    objective: str = "",
    project: str = DEFAULT_PROJECT,
) -> None:
    """Add an objective: from now on a version enters the stage only when the metric keeps the bound.

    Parameters
    ----------
    model
        digits, for example; the model may be new.
    metric
        As logged by the run that makes the version: test/accuracy, for example.
    at_least
        The least value that is good enough.
    at_most
        The greatest value that is good enough.
    stage
        The stage that the objective guards.
    objective
        A name for it; made from metric and stage when empty.
    project
        The project of the model.
    """
    with Connection.discover() as connection:
        added = models.require(
            connection,
            references.model(model, project),
            objective_id=objective or f"{stage}-{metric.replace('/', '-')}",
            metric=metric,
            stage=models.stage(stage),
            at_least=at_least,
            at_most=at_most,
        )
    sign = "≥" if added.comparison == models_pb2.Objective.COMPARISON_AT_LEAST else "≤"
    facts(objective=added.name, rule=f"{added.metric} {sign} {added.bound:g} to enter {words.stage(added.stage)}")
