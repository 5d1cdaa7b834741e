"""Where what a job has made goes: the registry, or its twin in memory."""

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Protocol

from headwater.names import ArtifactName, ModelName, ModelVersionName
from services.inference.conversions.model import Made
from services.inference.models.memory import MemoryModels, NewFile
from services.inference.models.source import ModelVersion


@dataclasses.dataclass(frozen=True, slots=True)
class NewVersion:
    """A version to be, of the model of ``source``, whose pipeline it takes over. ``job`` is the uid of the job that
    made it: publishing it twice makes one version."""

    job: str
    source: ModelVersion
    made: Made


class Publisher(Protocol):
    """Registers versions."""

    async def upload(self, project: str, path: str, content: bytes) -> str:
        """Keep the bytes of a file; returns what it is called there.

        Raises:
            Unavailable: the registry cannot be asked now.
        """

    async def publish(self, new: NewVersion) -> ModelVersionName:
        """The name of the version, a new one of the source's model; of the same job always the same.

        Raises:
            Unavailable: the registry cannot be asked now; the same call may succeed later.
            HeadwaterError: it refuses the version.
        """


class MemoryPublisher(Publisher):
    """Into models that are held in memory."""

    def __init__(self, models: MemoryModels) -> None:
        self._models = models
        self._content: dict[str, bytes] = {}
        self._published: dict[str, ModelVersionName] = {}
        self.metadata: dict[ModelVersionName, Mapping[str, str]] = {}

    async def upload(self, project: str, path: str, content: bytes) -> str:
        """See Publisher."""
        name = str(ArtifactName(project, hashlib.sha256(content).hexdigest()))
        self._content[name] = content
        return name

    async def publish(self, new: NewVersion) -> ModelVersionName:
        """See Publisher."""
        model = ModelName(new.source.name.project, new.source.name.model)
        await self._models.check()
        if new.job not in self._published:
            files = {
                path: NewFile(new.made.format if path == new.made.primary else "", self._content[name])
                for path, name in new.made.files.items()
            }
            version = self._models.add(
                model, files, new.source.preprocessing, primary=new.made.primary, signature=new.source.signature
            )
            self._published[new.job] = version.name
            self.metadata[version.name] = new.made.metadata
        return self._published[new.job]
