"""Makes a version of what its maker, its files, its run and the graph say."""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence

from chassis.ids import new_id
from services.registry.artifacts.model import Artifact
from services.registry.formats import FileFacts, Signature
from services.registry.formats.bundles import main_path, together
from services.registry.lineage.inputs import dataset_versions, pipeline_versions
from services.registry.lineage.model import Edge, Node, Role
from services.registry.models.model import Model
from services.registry.runs.model import Run
from services.registry.runs.parameters import merged
from services.registry.store import Transaction
from services.registry.values import Json
from services.registry.versions import contents
from services.registry.versions.inspection import Facts, model_files
from services.registry.versions.links import Links, resolve
from services.registry.versions.model import ModelVersion, NewVersion, View, Which, digest_over
from services.registry.versions.preprocessing import Preprocessing, node_of, of_data
from services.registry.versions.semantic import check_greater, check_step, semantic_version
from services.registry.versions.signature import breaking_changes

_MAX_PROBLEMS = 100


@dataclasses.dataclass(frozen=True, slots=True)
class Draft:
    """What is known of a version to be before its model is locked."""

    new: NewVersion
    user_metadata: Mapping[str, Json]
    artifacts: Mapping[str, Artifact]
    facts: Facts


@dataclasses.dataclass(frozen=True, slots=True)
class Described:
    """A version, the edges that lead to it, and the nodes that these need to be there."""

    version: ModelVersion
    nodes: Sequence[Node]
    edges: Sequence[Edge]


async def describe(tx: Transaction, model: Model, draft: Draft, now: datetime.datetime, created_by: str) -> Described:
    """The next version of ``model``, which is locked.

    Raises:
        VersionNotGreater, BreakingChange: of the semantic version that was asked for.
        RunNotFound
        ParameterConflict: a hyperparameter has another value in the run.
        MetadataConflict: also of its pipeline version, which the graph knows with another content.
    """
    new, facts = draft.new, draft.facts
    run: Run | None = await tx.runs.get(new.run) if new.run else None
    links = await resolve(tx.lineage, model.project, new.dataset_versions, draft.user_metadata)
    of_run = await dataset_versions(tx.lineage, str(run.name)) if run else []
    pipelines = await pipeline_versions(tx.lineage, str(run.name)) if run else []
    preprocessing = new.preprocessing or await of_data(tx.lineage, pipelines)
    files, whole = model_files(facts, draft.artifacts), together(facts)
    framework_name, framework_version = _framework(new, whole)
    version = ModelVersion(
        id=new_id(),
        project=model.project,
        project_id=model.project_id,
        model_id=model.id,
        model=model.model,
        model_state=model.state,
        model_replacement=model.replacement,
        version=model.latest_version + 1,
        semantic_version=semantic_version(new.semantic_version),
        description=new.description,
        architecture=new.architecture or whole.architecture,
        framework_name=framework_name,
        framework_version=framework_version,
        format=whole.format,
        digest=digest_over(files),
        primary_digest=draft.artifacts[main_path(facts)].digest,
        files=files,
        inputs=whole.inputs,
        outputs=whole.outputs,
        parameter_count=whole.parameter_count,
        weight=sum(contents.weight(told) for told in facts.values()),
        run_id=run.id if run else "",
        run=str(run.name) if run else "",
        hyperparameters=merged(run.parameters if run else {}, new.hyperparameters),
        metrics=run.latest_metrics if run else {},
        dataset_versions=sorted(links.dataset_versions.union(of_run)),
        pipeline_versions=sorted({*pipelines, *_pipelines(preprocessing)}),
        preprocessing=preprocessing,
        task=new.task,
        annotations=new.annotations,
        tags=new.tags,
        user_metadata=draft.user_metadata,
        dangling_links=links.dangling,
        problems=_few(whole.problems),
        source=new.source,
        logged_model=str(new.logged_model or ""),
        create_time=now,
        created_by=created_by,
        update_time=now,
    )
    broken = await _broken(tx, model, version)
    nodes = await node_of(tx.lineage, new.preprocessing) if new.preprocessing else []
    edges = _edges(version, links, [*of_run, *pipelines])
    return Described(dataclasses.replace(version, breaking_changes=broken), nodes, edges)


async def _broken(tx: Transaction, model: Model, version: ModelVersion) -> Sequence[str]:
    """How ``version`` breaks those who call the one before it, if it may: that is the highest semantic version for one
    that has such a version itself, and else the newest."""
    semantic, highest = version.semantic_version, model.latest_semantic_version
    if semantic is not None:
        check_greater(semantic, highest)
    before: Which = highest if semantic and highest else model.latest_version
    if not before:
        return []
    base = await tx.versions.get(model.name, before, view=View.BASIC)
    broken = breaking_changes(Signature(base.inputs, base.outputs), Signature(version.inputs, version.outputs))
    if semantic is not None and highest is not None:
        check_step(semantic, highest, broken)
    return broken


def _edges(version: ModelVersion, links: Links, of_run: Sequence[str]) -> Sequence[Edge]:
    """From the run, and from the data and the pipeline that did not come through it."""
    name = str(version.name)
    from_run = [Edge(new_id(), version.project_id, version.run, name, version.run, Role.OUTPUT)] if version.run else []
    return [
        *from_run,
        *(Edge(new_id(), version.project_id, node, name, "", Role.INPUT) for node in links.nodes if node not in of_run),
        *(
            Edge(new_id(), version.project_id, pipeline, name, "", Role.EXECUTABLE)
            for pipeline in _pipelines(version.preprocessing)
            if pipeline not in of_run
        ),
    ]


def _pipelines(preprocessing: Preprocessing | None) -> Sequence[str]:
    return [preprocessing.pipeline_version] if preprocessing and preprocessing.pipeline_version else []


def _framework(new: NewVersion, whole: FileFacts) -> tuple[str, str]:
    """As its maker says, or else as its files do, whose version is that of their framework only."""
    name = new.framework_name or whole.framework
    same = name.casefold() == whole.framework.casefold()
    return name, new.framework_version or (whole.framework_version if same else "")


def _few(problems: Sequence[str]) -> Sequence[str]:
    """The first of them: every file tells all of its own."""
    more = len(problems) - _MAX_PROBLEMS
    return problems if more <= 0 else [*problems[:_MAX_PROBLEMS], f"and {more} more"]
