"""What depends on a version: what to look at before it is taken out of use."""

from collections.abc import Sequence

from services.registry.lineage.model import MAX_EDGES, Direction
from services.registry.models.model import EXCLUSIVE
from services.registry.store import Transaction
from services.registry.versions.errors import InUse
from services.registry.versions.model import ModelVersion


async def uses(tx: Transaction, version: ModelVersion) -> Sequence[str]:
    """Each use in a few words; empty when nothing depends on the version."""
    name = str(version.name)
    edges = await tx.lineage.edges([name], Direction.DOWNSTREAM, MAX_EDGES)
    dependents = sorted({edge.second for edge in edges if edge.first == name})
    return [
        *([f"it is in {version.stage.name.lower()}"] if version.stage in EXCLUSIVE else []),
        *(f"the alias {alias} points to it" for alias in version.aliases),
        *(f"{dependent} came from it" for dependent in dependents),
    ]


async def check_unused(tx: Transaction, version: ModelVersion) -> None:
    """Go on if nothing depends on the version.

    Raises:
        InUse: saying what does.
    """
    found = await uses(tx, version)
    if found:
        more = f"; and {len(found) - 5} more" if len(found) > 5 else ""
        raise InUse(f"{version.name} is in use: {'; '.join(found[:5])}{more}.", model_version=version.name)
