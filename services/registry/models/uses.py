"""What depends on a model: what to look at before it is taken out of use."""

from collections.abc import Sequence

from services.registry.lineage.model import MAX_EDGES, Direction
from services.registry.models.model import Model
from services.registry.store import Transaction
from services.registry.versions.errors import InUse

_TOLD = 5


async def uses(tx: Transaction, model: Model) -> Sequence[str]:
    """Each use in a few words; empty when nothing depends on the model."""
    names = {f"{model.name}/versions/{number}" for number in range(1, model.latest_version + 1)}
    edges = await tx.lineage.edges(names, Direction.DOWNSTREAM, MAX_EDGES)
    dependents = {edge.second: edge.first for edge in edges if edge.first in names}
    return [
        *(f"version {number} is in {stage.name.lower()}" for stage, number in model.stages.items()),
        *(f"the alias {alias} points to version {number}" for alias, number in model.aliases.items()),
        *(f"{dependent} came from {version}" for dependent, version in sorted(dependents.items())),
    ]


async def check_unused(tx: Transaction, model: Model) -> None:
    """Go on if nothing depends on the model.

    Raises:
        InUse: saying what does.
    """
    found = await uses(tx, model)
    if found:
        more = f"; and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
        raise InUse(f"{model.name} is in use: {'; '.join(found[:_TOLD])}{more}.", model=model.name)
