"""Whether there is the deployment at all whose records are asked for."""

from collections.abc import Awaitable, Callable

from headwater.errors import HeadwaterError, NotFound
from headwater.names import DeploymentName
from services.inference.records.model import RecordQuery
from services.inference.records.recorder import Recorder


class KnownDeployments:
    """Tells a deployment that was asked nothing from one that there never was, of which ``look_up`` raises NotFound.

    Records outlast deployments, archived ones and such as another database knew: where there is a record, its
    deployment is known.
    """

    def __init__(self, recorder: Recorder, look_up: Callable[[DeploymentName], Awaitable[object]]) -> None:
        self._recorder = recorder
        self._look_up = look_up

    async def check(self, query: RecordQuery) -> None:
        """Return if there is, or ever was, the deployment that the query names, or nobody can say now.

        Raises:
            NotFound: there never was.
        """
        if not query.deployment:
            return
        try:
            await self._look_up(DeploymentName(query.project, query.deployment))
        except NotFound:
            if not await self._recorder.page(RecordQuery(query.project, query.deployment), None, 1):
                raise
        except HeadwaterError:
            return  # what is recorded is shown also while the deployments cannot be read
