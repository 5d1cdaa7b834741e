"""Which model versions were trained on something, however many steps away, and what became of them (R-25, N-02)."""

import dataclasses
from collections.abc import Mapping, Sequence

from chassis.paging import Page, decode_token, page_of, page_size, query_digest
from headwater.names import ModelVersionName
from services.registry.lineage.errors import LineageTooLarge
from services.registry.lineage.impact import with_copies
from services.registry.lineage.model import MAX_DEPTH, Direction, NodeKind, Reached
from services.registry.lineage.walk import reach
from services.registry.moves.model import History
from services.registry.moves.tenures import Tenure, tenures
from services.registry.store import Transaction

_MAX_NODES = 200_000
_MAX_DEPLOYMENTS = 10_000


@dataclasses.dataclass(frozen=True, slots=True)
class Use:
    """A model version that was trained on it: by which run, how many edges away, where it pointed, what served it."""

    model_version: str
    run: str
    distance: int
    tenures: Sequence[Tenure]
    deployments: Sequence[str]


async def uses(tx: Transaction, name: str, size: int, token: str) -> Page[Use]:
    """The model versions that came of ``name``, a dataset version and its copies, or of what was made of it; the
    nearest first. Exact: nothing is left out.

    Raises:
        InvalidName
        LineageNodeNotFound
        LineageTooLarge: more depends on it than is looked at.
    """
    size, query = page_size(size), query_digest("uses", name)
    after = decode_token(token, query, (int, str))
    starts = await with_copies(tx, name)
    found = await reach(tx.lineage, starts, Direction.DOWNSTREAM, MAX_DEPTH, _MAX_NODES, [NodeKind.MODEL_VERSION])
    if found.truncated:
        raise LineageTooLarge(name=name)
    rest = [node for node in found.nodes if node.distance and (after is None or (node.distance, node.name) > after)]
    page = page_of(rest[: size + 1], size, key=lambda node: (node.distance, node.name), query=query)
    return Page(await _described(tx, page.items), page.next_page_token)


async def _described(tx: Transaction, nodes: Sequence[Reached]) -> Sequence[Use]:
    versions = {
        str(each.name): each for each in await tx.versions.find([ModelVersionName.parse(n.name) for n in nodes])
    }
    histories = await tx.moves.histories({version.model_id for version in versions.values()})
    deployments = await _deployments(tx, nodes)
    described = []
    for node in nodes:
        version = versions[node.name]
        history = histories.get(version.model_id, History())
        held = tenures(version.version, history.transitions, history.alias_changes)
        described.append(Use(node.name, version.run, node.distance, held, deployments.get(node.name, ())))
    return described


async def _deployments(tx: Transaction, versions: Sequence[Reached]) -> Mapping[str, Sequence[str]]:
    """What served each of the versions, now or once."""
    names = [node.name for node in versions]
    found = await reach(
        tx.lineage, names, Direction.DOWNSTREAM, 1, len(names) + _MAX_DEPLOYMENTS, [NodeKind.DEPLOYMENT]
    )
    edges = await tx.lineage.edges_among([*versions, *found.nodes], _MAX_DEPLOYMENTS)
    deployments: dict[str, set[str]] = {}
    served = {node.name for node in found.nodes}
    for edge in edges:
        if edge.second in served:
            deployments.setdefault(edge.first, set()).add(edge.second)
    return {name: sorted(each) for name, each in deployments.items()}
