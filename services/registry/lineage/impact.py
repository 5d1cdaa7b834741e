"""What depends on something: what to look at before it is taken out of use.

found = await impact(tx, "projects/default/models/digits/versions/3")
found.summary == "1 deployment and 2 model versions depend on it"
found.serving_deployments == ["projects/default/deployments/digits"]
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence

from headwater.names import InvalidName, ModelName, ModelVersionName
from services.registry.lineage.errors import LineageNodeNotFound
from services.registry.lineage.model import (
    MAX_DEPTH,
    MAX_NODES,
    Direction,
    Node,
    NodeKind,
    is_pipeline_version,
    kind_of,
)
from services.registry.lineage.nodes import find_nodes
from services.registry.lineage.walk import reach
from services.registry.store import Transaction
from services.registry.versions.model import ModelVersion

_MAX_TOLD = 100
_WORDS: Mapping[NodeKind, tuple[str, str]] = {  # in the order in which they are told
    NodeKind.DEPLOYMENT: ("deployment", "deployments"),
    NodeKind.MODEL_VERSION: ("model version", "model versions"),
    NodeKind.EXECUTABLE: ("executable", "executables"),
    NodeKind.DATA: ("dataset version", "dataset versions"),
    NodeKind.RUN: ("run", "runs"),
    NodeKind.RECEIPT: ("receipt", "receipts"),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Dependents:
    """What depends on it of one kind: how many, and the names of the nearest hundred."""

    kind: NodeKind
    count: int
    names: Sequence[str]

    @property
    def words(self) -> str:
        """For example ``3 deployments``."""
        one, many = _WORDS[self.kind]
        if self.kind is NodeKind.EXECUTABLE and all(map(is_pipeline_version, self.names)):
            one, many = "pipeline", "pipelines"
        return f"{self.count:,} {one if self.count == 1 else many}"


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
    reached = await reach(tx.lineage, starts, Direction.DOWNSTREAM, MAX_DEPTH, MAX_NODES)
    by_kind: dict[NodeKind, list[str]] = {kind: [] for kind in _WORDS}
    for node in reached.nodes:
        if node.distance:
            by_kind[node.kind].append(node.name)
    serving = await _serving(tx, by_kind[NodeKind.DEPLOYMENT], [*starts, *by_kind[NodeKind.MODEL_VERSION]])
    dependents = [Dependents(kind, len(names), names[:_MAX_TOLD]) for kind, names in by_kind.items() if names]
    return Impact(dependents, serving, reached.truncated)


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


async def _serving(tx: Transaction, deployments: Sequence[str], affected: Sequence[str]) -> Sequence[str]:
    """Those of the deployments that stand for one of the affected versions now."""
    living = [node for node in await tx.lineage.find_nodes(deployments) if "end_time" not in node.details]
    names = [ModelVersionName.parse(name) for name in affected if kind_of(name) is NodeKind.MODEL_VERSION]
    versions = await tx.versions.find(names) if living else []
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
