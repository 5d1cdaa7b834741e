"""What an inference service needs from outside of its process, in memory."""

from chassis.blobs import MemoryBlobs
from services.inference.__main__ import Outside
from services.inference.deployments.lineage import MemoryLineage
from services.inference.deployments.memory import MemoryDeployments
from services.inference.guard.standing import MemoryStandings
from services.inference.incidents.memory import MemoryIncidents
from services.inference.models.memory import MemoryModels
from services.inference.records.feedback.memory import MemoryFeedback
from services.inference.records.memory import MemoryRecords


def outside_in_memory(
    models: MemoryModels, deployments: MemoryDeployments | None = None, records: MemoryRecords | None = None
) -> Outside:
    """Stores that start empty, but for those that are given."""
    return Outside(
        deployments or MemoryDeployments(),
        records or MemoryRecords(),
        models,
        MemoryLineage(),
        MemoryIncidents(),
        MemoryStandings(),
        MemoryFeedback(),
        MemoryBlobs(),
    )
