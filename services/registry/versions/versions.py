"""The use cases of versions: registering and finding."""

import dataclasses
from collections.abc import Mapping

from chassis.clock import Clock
from chassis.paging import Page, page_size, query_digest
from headwater.names import ArtifactName, ModelName, ProjectName, RunName
from services.registry.artifacts.errors import ArtifactNotFound
from services.registry.artifacts.model import Artifact
from services.registry.events import event
from services.registry.lineage.model import MAX_EDGES, Direction, Role
from services.registry.models.models import ensure_model
from services.registry.origin import Origin, once
from services.registry.search.filters import parse_filter
from services.registry.search.orders import parse_order
from services.registry.store import Store, Transaction
from services.registry.versions.describing import Draft, describe
from services.registry.versions.document import document_of
from services.registry.versions.errors import MetadataConflict
from services.registry.versions.inspection import Inspector, check_paths
from services.registry.versions.model import ModelVersion, NewVersion, View, Which
from services.registry.versions.paging import page_of_versions, position
from services.registry.versions.searching import FIELDS, Search
from services.registry.versions.semantic import semantic_version
from services.registry.versions.user_metadata import described


class Versions:
    """Registers, finds and lists versions."""

    def __init__(self, store: Store, inspector: Inspector, clock: Clock) -> None:
        self._store = store
        self._inspector = inspector
        self._clock = clock

    async def create(self, parent: ModelName, new: NewVersion, origin: Origin) -> ModelVersion:
        """Register the next version of a model, which is created when it is new.

        Raises:
            ProjectNotFound, ProjectArchived, ModelArchived, ArtifactNotFound, RunNotFound, LoggedModelNotFound
            InvalidFiles, InvalidModelFile: what the files hold or name.
            InvalidUserMetadata, MetadataConflict, ParameterConflict: what is said of it, and what contradicts it.
            InvalidSemanticVersion, VersionNotGreater, BreakingChange: of the semantic version.
            RequestIdReused: the request id came before with another body.
        """
        check_paths(new.files)
        semantic_version(new.semantic_version)  # refused before anything large is read
        new, user_metadata = described(new)
        async with self._store.transaction() as tx:
            new = await _with_run(tx, new)
            artifacts = await _artifacts(tx, parent, new)
        draft = Draft(new, user_metadata, artifacts, await self._inspector.inspect(artifacts))
        async with self._store.transaction() as tx:
            made: list[ModelVersion] = []

            async def add() -> str:
                made.append(await self._add(tx, parent, draft, origin))
                return f"{made[0].model_id}/{made[0].version}"  # the model may have another name when a retry comes

            # The release before kept no id of the model.
            model_id, _, number = (await once(tx, origin, add)).rpartition("/")
            name = ModelName(parent.project, model_id or parent.model)
            return made[0] if made else await tx.versions.get(name, int(number))

    async def get(self, name: ModelName, which: Which, view: View = View.FULL) -> ModelVersion:
        """The version, or raise ModelVersionNotFound."""
        async with self._store.transaction() as tx:
            return await tx.versions.get(name, which, view=view)

    async def document(self, name: ModelName, which: Which) -> str:
        """The version as the JSON document that people exchange (R-18), or raise ModelVersionNotFound."""
        async with self._store.transaction() as tx:
            version = await tx.versions.get(name, which)
            return document_of(version, await training_script(tx, version.run))

    async def page(
        self,
        scope: ModelName | ProjectName,
        size: int,
        token: str,
        *,
        where: str = "",
        order_by: str = "",
        show_inactive: bool = False,
        view: View = View.FULL,
    ) -> Page[ModelVersion]:
        """The versions of a model, or of all models of a project, that meet a filter, in the order asked for.

        Raises:
            ModelNotFound, ProjectNotFound, InvalidFilter, InvalidOrder, InvalidPageToken
        """
        query = query_digest("versions", scope, where, order_by, show_inactive)
        condition, order = parse_filter(where, FIELDS), parse_order(order_by, FIELDS)
        after = position(token, query, order, scope)
        search = Search(page_size(size), condition, order, after, show_inactive)
        async with self._store.transaction() as tx:
            if isinstance(scope, ProjectName):
                await tx.projects.get(scope.project)
                return await page_of_versions(tx, scope, search, query, view)
            return await page_of_versions(tx, await tx.models.get(scope), search, query, view)

    async def _add(self, tx: Transaction, parent: ModelName, draft: Draft, origin: Origin) -> ModelVersion:
        model = await ensure_model(tx, parent, self._clock, origin)
        found = await describe(tx, model, draft, self._clock.now(), origin.actor)
        version = found.version
        await tx.versions.add(version)
        await tx.models.update(model.with_version(version.version, version.create_time, version.semantic_version))
        await tx.lineage.add_nodes(found.nodes)
        await tx.lineage.add_edges(found.edges)
        told = event(origin.actor, "version.create", version.name, None, version.basic(), version.create_time)
        await tx.events.append(told)
        return version


async def _with_run(tx: Transaction, new: NewVersion) -> NewVersion:
    """A version that is a logged model comes from that one's run."""
    run = (await tx.logged_models.get(new.logged_model)).run if new.logged_model else ""
    if run and new.run and run != str(new.run):
        raise MetadataConflict(f"The run is {new.run}, and that of the logged model {run}.", key="run")
    return dataclasses.replace(new, run=RunName.parse(run)) if run else new


async def _artifacts(tx: Transaction, parent: ModelName, new: NewVersion) -> Mapping[str, Artifact]:
    """The artifacts of the files, by path; the run is looked up early, before anything large is read."""
    if new.run:
        await tx.runs.get(new.run)
    found = {artifact.name: artifact for artifact in await tx.artifacts.find(list(new.files.values()))}
    for path, name in new.files.items():
        if name not in found:
            await tx.projects.get(parent.project)  # a project that is not there has no artifacts
            raise ArtifactNotFound(artifact=name, path=path)
    return {path: found[name] for path, name in new.files.items()}


async def training_script(tx: Transaction, run: str) -> str:
    """The file name of the code that the run executed, as it was uploaded; empty where nobody knows it."""
    edges = await tx.lineage.edges([run], Direction.UPSTREAM, MAX_EDGES) if run else []
    codes = [edge.first for edge in edges if edge.role is Role.EXECUTABLE and "/artifacts/" in edge.first]
    found = await tx.artifacts.find([ArtifactName.parse(code) for code in sorted(codes)])
    return next((artifact.filename for artifact in found if artifact.filename), "")
