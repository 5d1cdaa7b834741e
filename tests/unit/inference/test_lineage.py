"""What is told of deployments, and when."""

import dataclasses
import datetime

import pytest

from chassis.ids import new_id
from headwater.errors import Unavailable
from headwater.names import DeploymentName, ModelName, ModelVersionName
from services.inference.deployments.lineage import Announcer, MemoryLineage
from services.inference.deployments.memory import MemoryDeployments
from services.inference.deployments.model import Deployment, Use
from services.inference.deployments.options import Options
from services.inference.models.source import Selector, SelectorKind

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


class Moody(MemoryLineage):
    """Refuses to hear of some deployments, for a while."""

    def __init__(self, *refused: str) -> None:
        super().__init__()
        self.refused = set(refused)

    async def tell(self, deployment: Deployment) -> None:
        """See Lineage."""
        if deployment.served_name in self.refused:
            raise Unavailable("not now")
        await super().tell(deployment)


def _deployment(name: str) -> Deployment:
    model, selector = ModelName("p", "model"), Selector(SelectorKind.ALIAS, "champion")
    return Deployment(DeploymentName("p", name), new_id(), model, selector, Options(), NOW, NOW, "tester")


async def test_what_could_not_be_told_is_told_later_and_holds_up_nothing_else() -> None:
    """R-25: the registry may be away when a deployment begins or ends."""
    store, lineage = MemoryDeployments(), Moody("first")
    announcer = Announcer(store, lineage, interval_s=1)
    first, second = _deployment("first"), _deployment("second")
    use = Use(second, ModelVersionName("p", "model", "1"))
    async with store.transaction() as tx:
        await tx.insert(first)
        await tx.insert(second)
        await tx.add_use(use)
    with pytest.raises(Unavailable):
        await announcer.step()
    assert (list(lineage.deployments.values()), lineage.uses) == ([second], [use])
    lineage.refused.clear()
    await announcer.step()
    assert list(lineage.deployments.values()) == [second, first]

    ended = dataclasses.replace(first, archive_time=NOW)
    async with store.transaction() as tx:
        await tx.replace(ended)
    await announcer.step()
    assert lineage.deployments[first.uid] == ended
    async with store.transaction() as tx:
        assert (await tx.unannounced(10), await tx.unannounced_uses(10)) == ([], [])
