"""What loads models, and where their files are."""

import asyncio
import functools
import tempfile
from pathlib import Path

from chassis import Service
from chassis.blobs import LocalBlobs
from services.inference.engines.code import parse_code
from services.inference.engines.loader import Bounds, Engines
from services.inference.engines.metrics import EngineCollector
from services.inference.engines.triton.remotes import Remotes
from services.inference.models.cache import ModelCache
from services.inference.models.source import ModelSource
from services.inference.settings import Settings


def engines_of(service: Service, settings: Settings) -> Engines:
    """What computes, within the bounds that the settings say; its processes end with ``service``."""
    bounds = Bounds(
        settings.engine_threads, settings.engine_memory_bytes, settings.engine_timeout_s, settings.engine_load_timeout_s
    )
    engines = Engines(
        bounds,
        isolation=settings.engine_isolation,
        code=parse_code(settings.engine_code),
        remotes=Remotes.from_settings(settings.triton_hosts, settings.triton_ca_file, settings.engine_timeout_s),
    )
    service.on_close(functools.partial(asyncio.to_thread, engines.close))
    service.metrics.registry.register(EngineCollector(engines))
    return engines


def model_cache(service: Service, settings: Settings, models: ModelSource) -> ModelCache:
    """Verified copies of the models' files, in a folder that goes with the process unless a setting names one."""
    directory = settings.model_cache_dir
    if not directory:
        temporary = tempfile.TemporaryDirectory(prefix="headwater-models-")
        directory = temporary.name
        service.on_close(functools.partial(asyncio.to_thread, temporary.cleanup))
    return ModelCache(models, LocalBlobs(Path(directory)), max_file_bytes=settings.max_model_bytes)
