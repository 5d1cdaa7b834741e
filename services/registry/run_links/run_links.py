"""The use cases of what runs read and made."""

import dataclasses
from collections.abc import Sequence

from chassis.clock import Clock
from chassis.ids import new_id
from headwater.names import LoggedModelName, ModelVersionName, RunName
from services.registry.events import event
from services.registry.lineage.model import Edge, NodeKind, kind_of
from services.registry.lineage.model import Role as EdgeRole
from services.registry.origin import Origin
from services.registry.run_links.errors import DataInputConflict, TooManyLinks
from services.registry.run_links.model import MAX_DESCRIBED_BYTES, MAX_LINKS, DataInput, ModelLink, Role, RunLinks
from services.registry.runs.model import Run
from services.registry.store import Store, Transaction
from services.registry.versions.errors import ModelVersionNotFound


class LinksOfRuns:
    """Records what runs read and made. Also of a run that has ended: what it read may be known later."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def log(
        self,
        name: RunName,
        *,
        data_inputs: Sequence[DataInput] = (),
        model_inputs: Sequence[ModelLink] = (),
        model_outputs: Sequence[ModelLink] = (),
        origin: Origin,
    ) -> tuple[Run, RunLinks]:
        """Record inputs and outputs; what is there already stays. Dataset versions that lineage knows, and model
        versions, are joined to the run in it.

        Raises:
            RunNotFound, LoggedModelNotFound, ModelVersionNotFound
            DataInputConflict: an input of the same name and digest is described otherwise. Nothing is recorded.
            TooManyLinks: more than MAX_LINKS, or described at more than MAX_DESCRIBED_BYTES.
        """
        async with self._store.transaction() as tx:
            run = await tx.runs.get(name, lock=True)
            before = (await tx.run_links.of([run.id])).get(run.id, RunLinks())
            await _check_models(tx, [*model_inputs, *model_outputs])
            for data in _merged(before.data_inputs, data_inputs):
                await tx.run_links.put_data(run.id, data)
            await tx.run_links.put_models(run.id, Role.INPUT, model_inputs)
            await tx.run_links.put_models(run.id, Role.OUTPUT, model_outputs)
            after = (await tx.run_links.of([run.id])).get(run.id, RunLinks())
            if max(map(len, (after.data_inputs, after.model_inputs, after.model_outputs))) > MAX_LINKS:
                raise TooManyLinks(limit=MAX_LINKS)
            if sum(data.described_bytes for data in after.data_inputs) > MAX_DESCRIBED_BYTES:
                raise TooManyLinks("The inputs of the run would be too long.", limit_bytes=MAX_DESCRIBED_BYTES)
            if after != before:
                await _connect(tx, run, after)
                told = event(origin.actor, "run.links", name, before, after, self._clock.now())
                await tx.events.append(told)
            return run, after


def _merged(known: Sequence[DataInput], new: Sequence[DataInput]) -> Sequence[DataInput]:
    """The inputs to put: those that are new, with the tags of all that say the same."""
    inputs = {(data.name, data.digest): data for data in known}
    for data in new:
        there = inputs.get((data.name, data.digest), data)
        if dataclasses.replace(there, tags=data.tags) != data:
            raise DataInputConflict(name=data.name, digest=data.digest)
        inputs[data.name, data.digest] = dataclasses.replace(there, tags={**there.tags, **data.tags})
    return [inputs[key] for key in dict.fromkeys((data.name, data.digest) for data in new)]


async def _check_models(tx: Transaction, links: Sequence[ModelLink]) -> None:
    for link in links:
        if "/loggedModels/" in link.model:
            await tx.logged_models.get(LoggedModelName.parse(link.model))
        else:
            version = ModelVersionName.parse(link.model)
            if not await tx.versions.find([version]):
                raise ModelVersionNotFound(model_version=version)


async def _connect(tx: Transaction, run: Run, links: RunLinks) -> None:
    """Joins the run in lineage to what it knows: an edge that is there stays."""
    versions = [data.dataset_version for data in links.data_inputs if data.dataset_version]
    known = {node.name for node in await tx.lineage.find_nodes(versions)} if versions else set()
    read = [*sorted(known), *(link.model for link in links.model_inputs if _is_version(link))]
    edges = [Edge(new_id(), run.project_id, first, str(run.name), str(run.name), EdgeRole.INPUT) for first in read]
    edges += [
        Edge(new_id(), run.project_id, str(run.name), link.model, str(run.name), EdgeRole.OUTPUT)
        for link in links.model_outputs
        if _is_version(link)
    ]
    await tx.lineage.add_edges(edges)


def _is_version(link: ModelLink) -> bool:
    return "/loggedModels/" not in link.model and kind_of(link.model) is NodeKind.MODEL_VERSION
