"""``headwater model``: registered models, their objectives and stages."""

import cyclopts

from headwater import models, references
from headwater.artifact.v1 import artifact_pb2
from headwater.cli.render import facts, table
from headwater.client import Connection
from headwater.names import DEFAULT_PROJECT, ModelVersionName, ProjectName
from headwater.registry.v1 import models_pb2, models_pb2_grpc

app = cyclopts.App(name="model", help="Registered models: versions, objectives, stages.")


@app.command(name="list")
def list_(*, project: str = DEFAULT_PROJECT) -> None:
    """List the models of a project."""
    with Connection.discover() as connection:
        stub = models_pb2_grpc.ModelServiceStub(connection.channel("registry"))
        request = models_pb2.ListModelsRequest(parent=str(ProjectName(project)), page_size=1000)
        rows = [
            (model.name, model.latest_version, ", ".join(f"{stage} → {held}" for stage, held in model.stages.items()))
            for model in stub.ListModels(request).models
        ]
    table(("model", "latest", "stages"), rows)


@app.command
def show(version: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Show one version: what the registry read from its files, and where it comes from.

    Parameters
    ----------
    version
        digits@3, for example.
    project
        The project of the model.
    """
    with Connection.discover() as connection:
        stub = models_pb2_grpc.ModelServiceStub(connection.channel("registry"))
        name = references.model_version(version, project)
        model = stub.GetModelVersion(models_pb2.GetModelVersionRequest(name=str(name)))
    facts(
        version=model.name,
        digest=model.digest,
        stage=_stage(model.stage),
        architecture=model.kind,
        parameters=f"{model.parameter_count:,}",
        inputs=", ".join(map(_tensor, model.inputs)),
        outputs=", ".join(map(_tensor, model.outputs)),
        run=model.run_name,
        data=", ".join(model.dataset_versions),
        pipelines=", ".join(model.pipeline_versions),
        metrics=", ".join(f"{key} {value:.4g}" for key, value in sorted(model.metrics.items())),
    )
    formats = artifact_pb2.ModelFile.Format
    table(
        ("file", "format", "bytes", "digest"),
        [
            (file.path, formats.Name(file.format).removeprefix("FORMAT_").lower(), f"{file.size_bytes:,}", file.digest)
            for file in model.files
        ],
    )


@app.command
def promote(version: str, *, stage: str, comment: str = "", project: str = DEFAULT_PROJECT) -> None:
    """Move a version to a stage; refused, with the criterion, when an objective of that stage is not met.

    Parameters
    ----------
    version
        digits@3, for example.
    stage
        development, staging, production or archived.
    comment
        Why, for the history.
    project
        The project of the model.
    """
    with Connection.discover() as connection:
        name: ModelVersionName = references.model_version(version, project)
        model = models.promote(connection, name, models.stage(stage), comment=comment)
    facts(version=model.name, stage=_stage(model.stage), digest=model.digest)


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
    facts(objective=added.name, rule=f"{added.metric} {sign} {added.bound:g} to enter {_stage(added.stage)}")


def _stage(stage: models.Stage) -> str:
    return artifact_pb2.ModelMetadata.Stage.Name(stage).removeprefix("STAGE_").lower()


def _tensor(tensor: artifact_pb2.TensorSpec) -> str:
    return f"{tensor.name} {tensor.datatype}[{', '.join(map(str, tensor.shape))}]"
