"""The use cases of versions: registering, finding, resolving."""

from collections.abc import Mapping

from chassis.clock import Clock
from chassis.ids import new_id
from chassis.paging import Page, decode_token, page_size, query_digest
from headwater.names import ModelName
from services.registry.artifacts.errors import ArtifactNotFound
from services.registry.artifacts.model import Artifact
from services.registry.events import event
from services.registry.lineage.inputs import dataset_versions, pipeline_versions
from services.registry.lineage.model import Edge, Role
from services.registry.models.model import Model, Stage
from services.registry.models.models import ensure_model
from services.registry.origin import Origin, once
from services.registry.pages import weighed_page
from services.registry.runs.model import Run
from services.registry.runs.parameters import merged
from services.registry.store import Store, Transaction
from services.registry.versions.errors import AliasNotFound, StageIsEmpty
from services.registry.versions.inspection import (
    Facts,
    Inspector,
    check_paths,
    model_files,
    parameter_count,
    primary_path,
)
from services.registry.versions.model import ModelVersion, NewVersion, View, Which, digest_over


class Versions:
    """Registers, finds, lists and resolves versions."""

    def __init__(self, store: Store, inspector: Inspector, clock: Clock) -> None:
        self._store = store
        self._inspector = inspector
        self._clock = clock

    async def create(self, parent: ModelName, new: NewVersion, origin: Origin) -> ModelVersion:
        """Register the next version of a model, which is created when it is new.

        Raises:
            ProjectNotFound, ArtifactNotFound, RunNotFound
            InvalidFiles, InvalidModelFile: what the files hold or name.
            ParameterConflict: a hyperparameter has another value in the run.
            ModelAlreadyExists: there is a model whose name differs in case only.
            RequestIdReused: the request id came before with another body.
        """
        check_paths(new.files)
        async with self._store.transaction() as tx:
            artifacts = await _artifacts(tx, parent, new)
        facts = await self._inspector.inspect(artifacts)
        async with self._store.transaction() as tx:

            async def add() -> str:
                model = await ensure_model(tx, parent, self._clock, origin)
                version = await self._described(tx, model, new, artifacts, facts, origin)
                await tx.versions.add(version)
                await tx.models.update(model.with_version(version.version))
                if version.run:
                    edge = Edge(new_id(), model.project_id, version.run, str(version.name), version.run, Role.OUTPUT)
                    await tx.lineage.add_edges([edge])
                await tx.events.append(
                    event(origin.actor, "version.create", version.name, None, version, version.create_time)
                )
                return str(version.version)

            return await tx.versions.get(parent, int(await once(tx, origin, add)))

    async def get(self, name: ModelName, which: Which, view: View = View.FULL) -> ModelVersion:
        """The version, or raise ModelVersionNotFound."""
        async with self._store.transaction() as tx:
            return await tx.versions.get(name, which, view=view)

    async def page(
        self, name: ModelName, size: int, token: str, *, show_inactive: bool = False, view: View = View.FULL
    ) -> Page[ModelVersion]:
        """The versions of a model that are in use, or all, newest first; or raise ModelNotFound."""
        size, query = page_size(size), query_digest("versions", name, show_inactive)
        before = decode_token(token, query, (int,))
        async with self._store.transaction() as tx:
            model = await tx.models.get(name)
            rows = await tx.versions.page(
                model,
                before=int(before[0]) if before else None,
                limit=size + 1,
                show_inactive=show_inactive,
                view=view,
            )
        return weighed_page(
            rows,
            size,
            key=lambda row: (row.version,),
            query=query,
            weight=lambda row: 10 + len(row.metrics) + sum(1 + len(file.facts.tensors) for file in row.files),
        )

    async def in_stage(self, name: ModelName, stage: Stage) -> ModelVersion:
        """The version that holds staging or production now, or raise ModelNotFound or StageIsEmpty."""
        async with self._store.transaction() as tx:
            number = (await tx.models.get(name)).stages.get(stage)
            if number is None:
                raise StageIsEmpty(model=name, stage=stage.name.lower())
            return await tx.versions.get(name, number)

    async def with_alias(self, name: ModelName, alias: str) -> ModelVersion:
        """The version that the alias points to now, or raise ModelNotFound or AliasNotFound."""
        async with self._store.transaction() as tx:
            number = (await tx.models.get(name)).aliases.get(alias.lower())
            if number is None:
                raise AliasNotFound(model=name, alias=alias)
            return await tx.versions.get(name, number)

    async def _described(
        self,
        tx: Transaction,
        model: Model,
        new: NewVersion,
        artifacts: Mapping[str, Artifact],
        facts: Facts,
        origin: Origin,
    ) -> ModelVersion:
        run: Run | None = await tx.runs.get(new.run) if new.run else None
        files, primary = model_files(facts, artifacts), primary_path(facts)
        now = self._clock.now()
        return ModelVersion(
            id=new_id(),
            project=model.project,
            project_id=model.project_id,
            model_id=model.id,
            model=model.model,
            version=model.latest_version + 1,
            description=new.description,
            architecture=new.architecture,
            framework_name=new.framework_name,
            framework_version=new.framework_version,
            digest=digest_over(files),
            primary_digest=artifacts[primary].digest,
            files=files,
            inputs=facts[primary].inputs,
            outputs=facts[primary].outputs,
            parameter_count=parameter_count(facts),
            run_id=run.id if run else "",
            run=str(run.name) if run else "",
            hyperparameters=merged(run.parameters if run else {}, new.hyperparameters),
            metrics=run.latest_metrics if run else {},
            dataset_versions=await dataset_versions(tx.lineage, str(run.name)) if run else [],
            pipeline_versions=await pipeline_versions(tx.lineage, str(run.name)) if run else [],
            create_time=now,
            created_by=origin.actor,
            update_time=now,
            format=facts[primary].format,
        )


async def _artifacts(tx: Transaction, parent: ModelName, new: NewVersion) -> Mapping[str, Artifact]:
    """The artifacts of the files, by path; run and project are looked up early, before anything large is read."""
    await tx.projects.get(parent.project)
    if new.run:
        await tx.runs.get(new.run)
    found = {artifact.name: artifact for artifact in await tx.artifacts.find(list(new.files.values()))}
    for path, name in new.files.items():
        if name not in found:
            raise ArtifactNotFound(artifact=name, path=path)
    return {path: found[name] for path, name in new.files.items()}
