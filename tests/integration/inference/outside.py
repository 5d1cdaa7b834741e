"""What an inference service needs from outside of its process, in memory."""

from services.inference.deployments.memory import MemoryDeployments
from services.inference.models.memory import MemoryModels
from services.inference.records.memory import MemoryRecords
from services.inference.wiring.outside import Outside
from tests.integration.inference.conftest import in_memory


def outside_in_memory(
    models: MemoryModels, deployments: MemoryDeployments | None = None, records: MemoryRecords | None = None
) -> Outside:
    """Stores that start empty, but for those that are given."""
    return in_memory(models, records or MemoryRecords(), deployments or MemoryDeployments())
