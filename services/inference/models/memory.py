"""Model versions held in memory; passes the same contract suite as the registry's."""

import dataclasses
import hashlib
from collections.abc import AsyncIterator, Mapping

from chassis.ids import new_id
from headwater.errors import NotFound
from headwater.names import ModelName, ModelVersionName
from services.inference.models.source import (
    ModelFile,
    ModelSource,
    ModelVersion,
    NoSuchVersion,
    Preprocessing,
    Selector,
    SelectorKind,
    SourceAway,
)
from services.inference.tensors.model import Signature

_CHUNK = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class NewFile:
    """A file to be: its format and its bytes."""

    format: str
    content: bytes


class MemoryModels(ModelSource):
    """A registry for tests and experiments in one process. ``away`` makes it unreachable."""

    def __init__(self) -> None:
        self.away = False
        self._versions: dict[ModelName, list[ModelVersion]] = {}
        self._pointers: dict[tuple[ModelName, Selector], ModelVersion] = {}
        self._content: dict[str, bytes] = {}
        self._uids: dict[ModelName, str] = {}

    def add(
        self,
        model: ModelName,
        files: Mapping[str, NewFile],
        by: Preprocessing | None = None,
        *,
        primary: str = "",
        signature: Signature | None = None,
        dataset_versions: tuple[str, ...] = (),
    ) -> ModelVersion:
        """The next version of ``model`` with these files by path, of which ``primary`` stands for it."""
        listed = []
        for path, file in sorted(files.items()):
            digest = f"sha256:{hashlib.sha256(file.content).hexdigest()}"
            self._content[digest] = file.content
            listed.append(ModelFile(path, digest, len(file.content), file.format))
        lines = "".join(f"{file.path}\0{file.digest}\n" for file in listed)
        versions = self._versions.setdefault(model, [])
        version = ModelVersion(
            ModelVersionName(model.project, model.model, str(len(versions) + 1)),
            f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}",
            tuple(listed),
            next((file.digest for file in listed if file.path == primary), ""),
            signature=signature,
            model_uid=self._uids.setdefault(model, new_id()),
            preprocessing=by,
            dataset_versions=dataset_versions,
        )
        versions.append(version)
        return version

    def point(self, model: ModelName, selector: Selector, version: ModelVersion | None) -> None:
        """Let a stage or an alias hold ``version``, or nothing."""
        if version is None:
            self._pointers.pop((model, selector), None)
        else:
            self._pointers[model, selector] = version

    def rename(self, model: ModelName, name: str) -> None:
        """Give ``model`` another name; its uid stays."""
        renamed = ModelName(model.project, name)

        def moved(version: ModelVersion) -> ModelVersion:
            return dataclasses.replace(version, name=ModelVersionName(model.project, name, version.name.version))

        self._uids[renamed] = self._uids.pop(model)
        self._versions[renamed] = [moved(version) for version in self._versions.pop(model)]
        self._pointers = {
            (renamed, selector) if each == model else (each, selector): moved(version) if each == model else version
            for (each, selector), version in self._pointers.items()
        }

    def mark(
        self, version: ModelVersion, *, problems: tuple[str, ...] = (), archived: bool = False, warning: str = ""
    ) -> None:
        """Let ``version`` be unsafe, archived or deprecated, wherever it is pointed to."""
        marked = dataclasses.replace(version, problems=problems, archived=archived, warning=warning)
        model = ModelName(version.name.project, version.name.model)
        self._versions[model] = [marked if each.name == marked.name else each for each in self._versions[model]]
        self._pointers = {
            pointer: marked if each.name == marked.name else each for pointer, each in self._pointers.items()
        }

    def damage(self, digest: str, content: bytes) -> None:
        """Let the bytes under ``digest`` be others."""
        self._content[digest] = content

    async def resolve(self, model: ModelName, selector: Selector) -> ModelVersion:
        """See ModelSource."""
        self._reach()
        model = next((name for name, uid in self._uids.items() if uid == model.model), model)
        if selector.kind is SelectorKind.VERSION:
            for version in self._versions.get(model, ()):
                if version.name.version == selector.value:
                    return version
        elif found := self._pointers.get((model, selector)):
            return found
        raise NoSuchVersion(model=model, selector=selector)

    async def download(self, model: ModelName, digest: str) -> AsyncIterator[bytes]:
        """See ModelSource."""
        self._reach()
        if digest not in self._content:
            raise NotFound("No such bytes.", model=model, digest=digest)
        content = self._content[digest]
        for start in range(0, len(content), _CHUNK):
            yield content[start : start + _CHUNK]

    async def check(self) -> None:
        """See ModelSource."""
        self._reach()

    def _reach(self) -> None:
        if self.away:
            raise SourceAway
