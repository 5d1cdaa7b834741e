"""What runs read and made, in memory."""

import dataclasses
from collections.abc import Mapping, Sequence

from services.registry.run_links.model import DataInput, ModelLink, Role, RunLinks
from services.registry.run_links.store import RunLinkStore


class MemoryRunLinks(RunLinkStore):
    """See RunLinkStore."""

    def __init__(self, links: dict[str, RunLinks]) -> None:
        self._links = links

    async def of(self, run_ids: Sequence[str]) -> Mapping[str, RunLinks]:
        """See RunLinkStore."""
        return {run_id: self._links[run_id] for run_id in run_ids if run_id in self._links}

    async def put_data(self, run_id: str, data: DataInput) -> None:
        """See RunLinkStore."""
        links = self._links.get(run_id, RunLinks())
        known = {(each.name, each.digest): each for each in links.data_inputs}
        known[data.name, data.digest] = data
        self._links[run_id] = dataclasses.replace(links, data_inputs=tuple(known.values()))

    async def put_models(self, run_id: str, role: Role, models: Sequence[ModelLink]) -> None:
        """See RunLinkStore."""
        links = self._links.get(run_id, RunLinks())
        field = "model_inputs" if role is Role.INPUT else "model_outputs"
        known = {each.model: each for each in getattr(links, field)}
        for each in models:
            known.setdefault(each.model, each)
        self._links[run_id] = dataclasses.replace(links, **{field: tuple(known.values())})
