"""From a model version to something that answers."""

import asyncio

from headwater.errors import HeadwaterError
from services.inference.batching.batcher import Batcher
from services.inference.batching.options import Batching, Limits
from services.inference.deployments.loaded import Loaded
from services.inference.deployments.model import Deployment
from services.inference.engines.loader import Engines
from services.inference.models.cache import ModelCache
from services.inference.models.source import ModelVersion

_LOADS_AT_ONCE = 2  # a load needs the file's size in memory, and a core


class Loading:
    """Fetches files and makes engines of them."""

    def __init__(self, cache: ModelCache, engines: Engines, *, engine_timeout_s: float, max_queue_bytes: int) -> None:
        self._cache = cache
        self._engines = engines
        self._engine_timeout_s = engine_timeout_s
        self._max_queue_bytes = max_queue_bytes
        self._turns = asyncio.Semaphore(_LOADS_AT_ONCE)

    async def load(self, deployment: Deployment, version: ModelVersion) -> Loaded:
        """``version``, ready to answer for ``deployment``.

        Raises:
            NothingToServe, ModelTooLarge, ModelRefused, InvalidBatching: it cannot be served; trying again does not
                help.
            Unavailable: the file cannot be fetched now.
        """
        file = version.servable_file(self._engines.formats)
        async with self._turns:
            content = await self._cache.read(deployment.model, file)
            engine = await asyncio.to_thread(self._engines.load, file.format, content)
        limits = self.limits(deployment.options.batching)
        try:
            batcher = Batcher(deployment.served_name, [engine], limits, timeout_s=self._engine_timeout_s)
        except HeadwaterError:
            engine.close()
            raise
        return Loaded(deployment, version, file, batcher)

    def limits(self, batching: Batching) -> Limits:
        """The bounds of a queue with this configuration."""
        return Limits.of(batching, self._max_queue_bytes)

    async def forget(self, loaded: Loaded) -> None:
        """Remove the local copy of the file of ``loaded``."""
        await self._cache.forget(loaded.file.digest)
