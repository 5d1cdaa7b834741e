"""What depends on a version: what to look at before it is taken out of use."""

from collections.abc import Sequence

from services.registry.lineage.impact import impact
from services.registry.lineage.model import NodeKind
from services.registry.models.model import EXCLUSIVE
from services.registry.store import Transaction
from services.registry.versions.errors import InUse
from services.registry.versions.model import ModelVersion

_TOLD = 5
_PAST = (NodeKind.DEPLOYMENT, NodeKind.RECEIPT)
"""What was deployed or answered once needs nothing any more; deployments that serve now are told by name."""


async def check_unused(tx: Transaction, version: ModelVersion) -> None:
    """Go on if nothing depends on the version.

    Raises:
        InUse: saying what does.
    """
    refuse_if_used(
        version.name,
        [
            *([f"it is in {version.stage.name.lower()}"] if version.stage in EXCLUSIVE else []),
            *(f"the alias {alias} points to it" for alias in version.aliases),
            *await dependents(tx, version.name),
        ],
    )


async def dependents(tx: Transaction, name: object) -> Sequence[str]:
    """What would miss a version, or the versions of a model, in a few words each."""
    found = await impact(tx, str(name))
    return [
        *(f"{deployment} serves it" for deployment in found.serving_deployments),
        *(f"{each.words} came of it" for each in found.dependents if each.kind not in _PAST),
    ]


def refuse_if_used(name: object, uses: Sequence[str]) -> None:
    """Go on if there is no use.

    Raises:
        InUse: saying the first of them.
    """
    if uses:
        more = f"; and {len(uses) - _TOLD} more" if len(uses) > _TOLD else ""
        raise InUse(
            f"{name} is in use: {'; '.join(uses[:_TOLD])}{more}. With force it is archived all the same.", name=name
        )
