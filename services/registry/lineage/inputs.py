"""What a run was given, read from the graph."""

from collections.abc import Sequence

from services.registry.lineage.model import (
    DEFAULT_DEPTH,
    DEFAULT_NODES,
    MAX_EDGES,
    Direction,
    is_dataset_version,
    is_pipeline_version,
)
from services.registry.lineage.store import LineageStore
from services.registry.lineage.walk import reach


async def dataset_versions(store: LineageStore, run: str) -> Sequence[str]:
    """The dataset versions that went into the run itself, by name; of a checkpoint, the version that it is of."""
    edges = await store.edges([run], Direction.UPSTREAM, MAX_EDGES)
    return sorted({edge.first.partition("/checkpoints/")[0] for edge in edges if is_dataset_version(edge.first)})


async def pipeline_versions(store: LineageStore, run: str) -> Sequence[str]:
    """The pipeline versions anywhere upstream of the run: those that prepared its data. By name."""
    reached = await reach(store, [run], Direction.UPSTREAM, DEFAULT_DEPTH, DEFAULT_NODES)
    return sorted(node.name for node in reached.nodes if is_pipeline_version(node.name))
