"""The deployments that a version answers for, as the registry was told: also while nothing is served anywhere."""

import dataclasses
from collections.abc import Sequence

from headwater import lineage
from headwater.client import Connection

_MOST = 50


@dataclasses.dataclass(frozen=True, slots=True)
class AnswersFor:
    """Deployments that have loaded a version, by what would become of them without it."""

    chosen: Sequence[str]
    """It is what their stage, alias or number stands for: they would stop working without it. Resource names."""
    loaded: Sequence[str]
    """They have loaded it as a variant, a fallback or for a rollout, or once went by it."""
    ended: Sequence[str]
    """They were archived."""
    more: bool = False
    """Whether there are some that are not named."""


def answers_for(connection: Connection, version: str) -> AnswersFor:
    """What the registry knows of it."""
    graph = lineage.get(connection, version, downstream=True, depth=1, kinds=["deployment"], max_nodes=_MOST)
    found = [each.deployment for each in graph.artifacts if each.WhichOneof("metadata") == "deployment"]
    if not found:
        return AnswersFor((), (), ())
    serving = set(lineage.impact(connection, version).serving_deployments)
    return AnswersFor(
        [each.name for each in found if each.name in serving],
        [each.name for each in found if each.name not in serving and not each.HasField("end_time")],
        [each.name for each in found if each.name not in serving and each.HasField("end_time")],
        len(graph.artifacts) >= _MOST,
    )
