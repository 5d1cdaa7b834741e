"""What depends on a model: what to look at before it is taken out of use."""

from services.registry.models.model import Model
from services.registry.store import Transaction
from services.registry.versions.uses import dependents, refuse_if_used


async def check_unused(tx: Transaction, model: Model) -> None:
    """Go on if nothing depends on the model.

    Raises:
        InUse: saying what does.
    """
    refuse_if_used(
        model.name,
        [
            *(f"version {number} is in {stage.name.lower()}" for stage, number in model.stages.items()),
            *(f"the alias {alias} points to version {number}" for alias, number in model.aliases.items()),
            *await dependents(tx, model.name),
        ],
    )
