"""What depends on something: what to look at before it is taken out of use.

found = await impact(tx, "projects/default/models/digits/versions/3")
found.summary == "1 deployment and 2 model versions depend on it"
found.serving_deployments == ["projects/default/deployments/digits"]
"""

import dataclasses
from collections.abc import Collection, Sequence

from headwater.names import InvalidName, ModelName, ModelVersionName
from services.registry.lineage.errors import LineageNodeNotFound
from services.registry.lineage.model import (
    IN_ORDER,
    MAX_DEPTH,
    MAX_NODES,
    Dependents,
    Direction,
    Node,
    NodeKind,
    kind_of,
)
from services.registry.lineage.nodes import find_nodes
from services.registry.lineage.walk import count, reach
from services.registry.store import Transaction
from services.registry.versions.model import ModelVersion

_MAX_TOLD = 100


@dataclasses.dataclass(frozen=True, slots=True)
class Impact:
    """All that depends on something, over however many steps.

    ``truncated`` says that there is more than was looked at: counts are lower bounds then. ``serving_deployments`` are
    those among the dependents that stand for a version which is affected now, and have not ended.
    """

    dependents: Sequence[Dependents]
    serving_deployments: Sequence[str]
    truncated: bool

    @property
    def summary(self) -> str:
        """For example ``3 deployments and 2 pipelines depend on it``."""
        parts = [each.words for each in self.dependents]
        if not parts:
            return "nothing depends on it"
        *most, last = parts
        said = f"{', '.join(most)} and {last}" if most else last
        verb = "depends" if sum(each.count for each in self.dependents) == 1 else "depend"
        return f"{'at least ' if self.truncated else ''}{said} {verb} on it"


async def impact(tx: Transaction, name: str) -> Impact:
    """What depends on ``name``, any node of the graph; of a model, what depends on any of its versions.

    Raises:
        InvalidName
        LineageNodeNotFound, ModelNotFound
    """
    starts = await _starts(tx, name)
    found = await count(tx.lineage, starts, MAX_NODES, _MAX_TOLD)
    dependents = sorted(found.dependents, key=lambda each: IN_ORDER.index(each.kind))
    is_deployed = any(each.kind is NodeKind.DEPLOYMENT for each in dependents)
    return Impact(dependents, await _serving(tx, starts) if is_deployed else [], found.truncated)


async def _starts(tx: Transaction, name: str) -> Collection[str]:
    try:
        model = ModelName.parse(name)
    except InvalidName:
        return await with_copies(tx, name)
    return await tx.lineage.names_below(f"{(await tx.models.get(model)).name}/versions")


async def with_copies(tx: Transaction, name: str) -> Collection[str]:
    """The node and, of a dataset version, the copies of it: what was made of a copy was made of the version.

    Raises:
        InvalidName
        LineageNodeNotFound
    """
    kind = kind_of(name)
    copies = await tx.lineage.names_below(f"{name}/checkpoints") if kind is NodeKind.DATA else []
    if not copies and name not in await find_nodes(tx, [name]):
        raise LineageNodeNotFound(name=name)
    return [name, *copies]


async def _serving(tx: Transaction, starts: Collection[str]) -> Sequence[str]:
    """Those of the dependent deployments that stand for one of the affected versions now."""
    kinds = (NodeKind.DEPLOYMENT, NodeKind.MODEL_VERSION)
    reached = (await reach(tx.lineage, starts, Direction.DOWNSTREAM, MAX_DEPTH, MAX_NODES, kinds)).nodes
    versions = await tx.versions.find(
        [ModelVersionName.parse(node.name) for node in reached if node.kind is NodeKind.MODEL_VERSION]
    )
    deployments = [node.name for node in reached if node.kind is NodeKind.DEPLOYMENT] if versions else []
    living = [node for node in await tx.lineage.find_nodes(deployments) if "end_time" not in node.details]
    return sorted(node.name for node in living if any(stands_for(node, version) for version in versions))


def stands_for(deployment: Node, version: ModelVersion) -> bool:
    """Whether the version is the one that the deployment's selector means now."""
    said, model = deployment.details, ModelName(version.project, version.model)
    is_of_model = said["model_uid"] == version.model_id if "model_uid" in said else said.get("model") == str(model)
    if not is_of_model:
        return False
    return (
        said.get("stage") == f"STAGE_{version.stage.name}"
        or said.get("alias") in version.aliases
        or said.get("model_version") in (str(version.version), str(version.semantic_version or ""), str(version.name))
    )
