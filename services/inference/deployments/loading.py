"""From a model version to something that answers."""

import asyncio
import functools

from chassis.threads import opened_in_thread
from headwater import parity
from services.inference.batching.batcher import Batcher
from services.inference.batching.options import Batching, Limits
from services.inference.deployments.loaded import Loaded
from services.inference.deployments.model import Deployment
from services.inference.engines.engine import Engine, EngineTimedOut
from services.inference.engines.loader import Engines
from services.inference.models.cache import ModelCache
from services.inference.models.source import ModelFile, ModelVersion
from services.inference.preparing.parity import check_parity
from services.inference.preparing.preparation import Preparation

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
            NothingToServe, ModelTooLarge, ModelRefused, InvalidBatching, NoPipeline, PipelineDamaged: it cannot be
                served; trying again does not help.
            ParityInvalid, ParityMismatch, EngineTimedOut: it does not answer here as it did where it was registered.
            Unavailable: the file cannot be fetched now.
        """
        file = version.servable_file(self._engines.formats_for(deployment.options.engine))
        limits = self.limits(deployment.options.batching)
        engines: list[Engine] = []
        try:
            async with self._turns:
                for _ in range(deployment.options.engine.instances):
                    engines.append(await self._engine(deployment, version, file))  # noqa: PERF401 - closed if one fails
            preparation = await self._prepared(deployment, version, engines[0], limits)
            batcher = Batcher(deployment.served_name, engines, limits, timeout_s=self._engine_timeout_s)
        except BaseException:
            for engine in engines:
                engine.close()
            raise
        return Loaded(deployment, version, file, batcher, preparation)

    async def _engine(self, deployment: Deployment, version: ModelVersion, file: ModelFile) -> Engine:
        options = deployment.options.engine
        if options.triton is not None:  # the server has the file
            load = functools.partial(
                self._engines.connect, options.triton, digest=version.digest, signature=version.signature
            )
        else:
            opened = await self._cache.open(deployment.model, file)
            load = functools.partial(
                self._engines.load,
                file.format,
                opened,
                options,
                signature=version.signature,
                digest=file.digest,
                name=str(deployment.name),
                version=version.name.version,
            )
        return await opened_in_thread(load, lambda engine: engine.close())

    async def _prepared(
        self, deployment: Deployment, version: ModelVersion, engine: Engine, limits: Limits
    ) -> Preparation:
        """What prepares raw bytes for the engine, once both have been found to do what they did at registration."""
        preparation = Preparation.of(
            version,
            engine.signature,
            deployment.options.preparing.takes,
            max_requests=limits.max_queue_requests,
            max_bytes=self._max_queue_bytes,
        )
        record = version.parity_record
        if record is not None:
            content = await self._cache.read(deployment.model, record)
            await self._cache.forget(record.digest)  # it is read once
            samples = await asyncio.to_thread(parity.read, content)
            await self._replay(samples, engine, preparation)
        return preparation

    async def _replay(self, samples: parity.Parity, engine: Engine, preparation: Preparation) -> None:
        """Each sample may take as long as a request."""
        try:
            async with asyncio.timeout(self._engine_timeout_s * len(samples.samples)):
                await asyncio.to_thread(check_parity, samples, engine, preparation)
        except (TimeoutError, asyncio.CancelledError) as error:
            engine.stop()
            if isinstance(error, TimeoutError):
                raise EngineTimedOut("The model took too long on its parity record.") from error
            raise

    def limits(self, batching: Batching) -> Limits:
        """The bounds of a queue with this configuration."""
        return Limits.of(batching, self._max_queue_bytes)

    async def forget(self, loaded: Loaded) -> None:
        """Remove the local copy of the file of ``loaded``."""
        await self._cache.forget(loaded.file.digest)
