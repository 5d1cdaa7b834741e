"""What runs read and made, in memory."""

import dataclasses
from collections.abc import Mapping, Sequence

from headwater.names import ModelName
from services.registry.run_links.model import DataInput, ModelLink, Role, RunLinks
from services.registry.run_links.store import RunLinkStore


class MemoryRunLinks(RunLinkStore):
    """See RunLinkStore."""

    def __init__(self, links: dict[str, RunLinks]) -> None:
        self._links = links

    async def of(self, run_ids: Sequence[str], *, brief: bool = False) -> Mapping[str, RunLinks]:
        """See RunLinkStore."""
        found = {run_id: self._links[run_id] for run_id in run_ids if run_id in self._links}
        return {run_id: _brief(links) for run_id, links in found.items()} if brief else found

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

    async def rename_model(self, before: ModelName, after: ModelName) -> None:
        """See RunLinkStore."""
        old, new = f"{before}/versions/", f"{after}/versions/"

        def renamed(link: ModelLink) -> ModelLink:
            follows = new + link.model.removeprefix(old) if link.model.startswith(old) else link.model
            return dataclasses.replace(link, model=follows)

        for run_id, links in self._links.items():
            self._links[run_id] = dataclasses.replace(
                links,
                model_inputs=tuple(map(renamed, links.model_inputs)),
                model_outputs=tuple(map(renamed, links.model_outputs)),
            )


def _brief(links: RunLinks) -> RunLinks:
    inputs = [dataclasses.replace(data, source="", schema="", profile="") for data in links.data_inputs]
    return dataclasses.replace(links, data_inputs=tuple(inputs))
