"""What must be remembered of what runs read and made."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from headwater.names import ModelName
from services.registry.run_links.model import DataInput, ModelLink, Role, RunLinks


class RunLinkStore(Protocol):
    """What runs read and made, as one transaction sees it. Runs are meant by their ids; who adds has locked the run."""

    async def of(self, run_ids: Sequence[str], *, brief: bool = False) -> Mapping[str, RunLinks]:
        """What the runs read and made, by id; a run without any is left out. ``brief``: without sources, schemas and
        profiles of data."""

    async def put_data(self, run_id: str, data: DataInput) -> None:
        """Add an input, or give the one of the same name and digest the tags of this one."""

    async def put_models(self, run_id: str, role: Role, models: Sequence[ModelLink]) -> None:
        """Add models; one that is there in this role keeps its step."""

    async def rename_model(self, before: ModelName, after: ModelName) -> None:
        """Let every link to a version of the model ``before`` be one to that of ``after``."""
