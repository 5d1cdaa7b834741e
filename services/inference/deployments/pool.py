"""The versions that one deployment has loaded."""

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from typing import TypeAlias

from services.inference.deployments.loaded import Loaded
from services.inference.deployments.loading import Loading
from services.inference.deployments.model import Deployment
from services.inference.engines.options import EngineOptions
from services.inference.models.source import ModelVersion

_Key: TypeAlias = tuple[str, str, str, EngineOptions]


@dataclasses.dataclass(slots=True, eq=False)
class Held:
    """A version and how many hold it. ``loaded`` is None while it is being loaded for the first of them."""

    key: _Key
    loaded: Loaded | None = None
    holders: int = 0
    loading: asyncio.Lock = dataclasses.field(default_factory=asyncio.Lock)


class Pool:
    """Each version is loaded once, however many hold it; when the last lets it go, ``retire`` gets it.

    ``configure`` gets what is about to be held, before it answers: the deployment may have changed while it was loaded.
    """

    def __init__(
        self, loading: Loading, *, configure: Callable[[Loaded], None], retire: Callable[[Loaded], None]
    ) -> None:
        self._loading = loading
        self._configure = configure
        self._retire = retire
        self._held: dict[_Key, Held] = {}

    def loaded(self) -> Sequence[Loaded]:
        """Every version that is loaded, once."""
        return [held.loaded for held in self._held.values() if held.loaded is not None]

    async def take(self, deployment: Deployment, version: ModelVersion) -> Held:
        """Hold ``version``, loaded; raises what Loading.load raises."""
        key = _key(version, deployment.options.engine)
        held = self._held.setdefault(key, Held(key))
        held.holders += 1
        try:
            async with held.loading:
                if held.loaded is None:
                    held.loaded = await self._loading.load(deployment, version)
                    self._configure(held.loaded)
        except BaseException:
            self.release(held)
            raise
        return held

    def computes(self, loaded: Loaded, deployment: Deployment) -> bool:
        """Whether what is loaded computes as the deployment says by now; if not, it is to be taken anew."""
        return loaded.deployment.options.engine == deployment.options.engine

    def renew(self, held: Held, version: ModelVersion) -> bool:
        """Let what is loaded stand for ``version``: the same version, of which other things are told by now, or another
        number with the same files. False if others hold the two and it must be taken anew."""
        key = _key(version, held.key[-1])
        if held.loaded is None or held.loaded.version.content != version.content:
            return False
        if key != held.key:
            if held.holders > 1 or key in self._held:
                return False
            del self._held[held.key]
            held.key, self._held[key] = key, held
        held.loaded = dataclasses.replace(held.loaded, version=version)
        self._configure(held.loaded)
        return True

    def release(self, held: Held) -> None:
        """Hold it no longer."""
        held.holders -= 1
        if held.holders == 0:
            del self._held[held.key]
            if held.loaded is not None:
                self._retire(held.loaded)


def _key(version: ModelVersion, engine: EngineOptions) -> _Key:
    return version.model_uid or version.name.model, version.name.version, version.content, engine
