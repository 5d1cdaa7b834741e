"""Finds nodes of every kind by name: runs, model versions and artifacts have tables of their own."""

from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

from headwater.names import ArtifactName, InvalidName, ModelVersionName
from services.registry.artifacts.model import Artifact, digest_in
from services.registry.lineage.model import Node, NodeKind, Reached, kind_of
from services.registry.pages import CHARACTERS, MAX_PAGE_WEIGHT
from services.registry.runs.model import BriefRun
from services.registry.store import Transaction
from services.registry.versions.model import ModelVersion, View
from services.registry.versions.paging import weigh

AnyNode: TypeAlias = Node | BriefRun | ModelVersion
_AT_ONCE = 1000
_WEIGHT = 5
"""Of a node of which nothing is said."""


async def find_nodes(tx: Transaction, names: Collection[str]) -> Mapping[str, AnyNode]:
    """Those of the nodes that exist, by name; model versions without the tensors of their files."""
    return await find_reached(tx, {name: kind_of(name) for name in names})


async def find_reached(tx: Transaction, kinds: Mapping[str, NodeKind]) -> Mapping[str, AnyNode]:
    """As ``find_nodes``, where it is known what each name names."""
    runs = [name for name, kind in kinds.items() if kind is NodeKind.RUN]
    versions = [ModelVersionName.parse(name) for name, kind in kinds.items() if kind is NodeKind.MODEL_VERSION]
    added = [name for name, kind in kinds.items() if kind not in (NodeKind.RUN, NodeKind.MODEL_VERSION)]
    found: dict[str, AnyNode] = {run.name: run for run in await tx.runs.find(runs)}
    found |= {str(version.name): version for version in await tx.versions.find(versions)}
    found |= {node.name: node for node in await tx.lineage.find_nodes(added)}
    artifacts = [name for each in added if each not in found for name in _artifact(each)]
    return found | {str(artifact.name): _node(artifact) for artifact in await tx.artifacts.find(artifacts)}


async def find_in_order(tx: Transaction, nodes: Sequence[Reached]) -> tuple[Sequence[AnyNode], bool]:
    """Those of the nodes that exist, in their order, as far as one answer can hold what is said of them, at least one;
    and whether they are all. A node may have 64 KiB of details, and an answer ten thousand nodes.
    """
    told: list[AnyNode] = []
    room = MAX_PAGE_WEIGHT
    for start in range(0, len(nodes), _AT_ONCE):
        chunk = nodes[start : start + _AT_ONCE]
        found = await find_reached(tx, {node.name: node.kind for node in chunk})
        for node in (found[each.name] for each in chunk if each.name in found):
            room -= _weight(node)
            if told and room < 0:
                return told, False
            told.append(node)
    return told, True


def _weight(node: AnyNode) -> int:
    """How much is said of it. Runs have few texts that may be long, and most nodes have none at all."""
    if isinstance(node, BriefRun):
        return _WEIGHT + (len(node.description) + len(node.failure)) // CHARACTERS
    if isinstance(node, Node):
        said = node.details.values()
        return _WEIGHT + sum(len(each if isinstance(each, str) else str(each)) for each in said) // CHARACTERS
    return weigh(node, View.BASIC)


def _artifact(name: str) -> list[ArtifactName]:
    try:
        artifact = ArtifactName.parse(name)
        digest_in(artifact)
    except InvalidName:
        return []
    return [artifact]


def _node(artifact: Artifact) -> Node:
    return Node(str(artifact.name), NodeKind.EXECUTABLE, artifact.id, artifact.digest)
