"""Finds nodes of every kind by name: runs, model versions and artifacts have tables of their own."""

from collections.abc import Collection, Mapping
from typing import TypeAlias

from headwater.names import ArtifactName, InvalidName, ModelVersionName
from services.registry.artifacts.model import Artifact, digest_in
from services.registry.lineage.model import Node, NodeKind, kind_of
from services.registry.runs.model import BriefRun
from services.registry.store import Transaction
from services.registry.versions.model import ModelVersion

AnyNode: TypeAlias = Node | BriefRun | ModelVersion


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


def _artifact(name: str) -> list[ArtifactName]:
    try:
        artifact = ArtifactName.parse(name)
        digest_in(artifact)
    except InvalidName:
        return []
    return [artifact]


def _node(artifact: Artifact) -> Node:
    return Node(str(artifact.name), NodeKind.EXECUTABLE, artifact.id, artifact.digest)
