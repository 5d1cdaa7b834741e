"""What depends on something: what to look at before it is taken out of use.

found = await impact(tx, "projects/default/models/digits/versions/3")
found.summary == "1 deployment and 2 model versions depend on it"
found.serving_deployments == ["projects/default/deployments/digits"]
"""

import dataclasses
from collections.abc import Collection, Iterator, Sequence
from typing import TypeAlias

from headwater.names import InvalidName, ModelName, ModelVersionName
from services.registry.lineage.errors import LineageNodeNotFound
from services.registry.lineage.model import (
    IN_ORDER,
    MAX_NODES,
    Dependents,
    Node,
    NodeKind,
    kind_of,
)
from services.registry.lineage.nodes import find_nodes
from services.registry.lineage.walk import count
from services.registry.store import Transaction
from services.registry.values import Json
from services.registry.versions.model import ModelVersion

_MAX_TOLD = 100
# Of deployments and versions all are needed, to tell which of them serve now.
_COUNTED = {
    **dict.fromkeys(NodeKind, _MAX_TOLD),
    NodeKind.DEPLOYMENT: MAX_NODES,
    NodeKind.MODEL_VERSION: MAX_NODES,
}


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
    found = await count(tx.lineage, starts, MAX_NODES, _COUNTED)
    reached = {each.kind: each.names for each in found.dependents}
    versions = [*filter(_is_version, starts), *reached.get(NodeKind.MODEL_VERSION, ())]
    serving = await _serving(tx, reached.get(NodeKind.DEPLOYMENT, ()), versions)
    dependents = sorted(found.dependents, key=lambda each: IN_ORDER.index(each.kind))
    return Impact([each.with_names(_MAX_TOLD) for each in dependents], serving, found.truncated)


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


async def _serving(tx: Transaction, deployments: Collection[str], versions: Collection[str]) -> Sequence[str]:
    """Those of the dependent deployments that stand for one of the affected versions now."""
    living = [node for node in await tx.lineage.find_nodes(deployments) if "end_time" not in node.details]
    affected = await tx.versions.find(list(map(ModelVersionName.parse, versions))) if living else []
    meant = {selector for version in affected for selector in _selectors_of(version)}
    return sorted(node.name for node in living if not meant.isdisjoint(_selectors(node)))


_Selector: TypeAlias = tuple[str, str, Json]
"""A model, by uid or name; the field that says which version of it; what it says."""


def _selectors(deployment: Node) -> Iterator[_Selector]:
    """What the deployment says of the version that it stands for."""
    said = deployment.details
    model = str(said.get("model_uid") or said.get("model"))
    return ((model, field, said[field]) for field in ("stage", "alias", "model_version") if field in said)


def _selectors_of(version: ModelVersion) -> Iterator[_Selector]:
    """All by which a deployment may mean this version now."""
    numbers = (str(version.version), str(version.semantic_version or version.version), str(version.name))
    for model in (version.model_id, str(ModelName(version.project, version.model))):
        yield model, "stage", f"STAGE_{version.stage.name}"
        yield from ((model, "alias", alias) for alias in version.aliases)
        yield from ((model, "model_version", number) for number in numbers)


def _is_version(name: str) -> bool:
    return kind_of(name) is NodeKind.MODEL_VERSION
