"""Reads the files of a version to be: what each is, and whether they fit together."""

import asyncio
import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from chassis.blobs import BlobCorrupt, BlobNotFound, Blobs
from headwater.names import ArtifactName
from services.registry.artifacts.errors import ArtifactLost
from services.registry.artifacts.model import Artifact
from services.registry.formats import FileFacts, Format
from services.registry.formats.bundles import misfits
from services.registry.formats.content import Content, FileContent, RangedContent
from services.registry.formats.detect import read
from services.registry.versions.errors import InvalidFiles
from services.registry.versions.model import ModelFile
from services.registry.versions.said import Said

_MAX_CPU_S = 60.0
_TORCH = (Format.PYTORCH, Format.PYTORCH_LEGACY, Format.TORCHSCRIPT, Format.TORCH_EXPORT)
_EXTENSIONS: Mapping[str, Sequence[Format]] = {
    ".gguf": [Format.GGUF],
    ".h5": [Format.HDF5, Format.KERAS],
    ".keras": [Format.KERAS],
    ".onnx": [Format.ONNX],
    ".pt": _TORCH,
    ".pt2": [Format.TORCH_EXPORT],
    ".pth": _TORCH,
    ".safetensors": [Format.SAFETENSORS],
    ".tar": [Format.TAR, Format.TENSORFLOW_SAVED_MODEL, Format.HUGGING_FACE],
}
"""What a file with this name may hold, the usual first."""

Facts = Mapping[str, FileFacts]
"""What each file says of itself, by path."""


class Inspector:
    """Inspects files in threads, a few at a time, so that memory stays bounded and other calls go on.

    Args:
        concurrent: how many files are read at once, of all versions to be.
        max_cpu_s: how long the files of one version may keep a processor busy. What one file costs is bounded by its
            reader; but a version may have a thousand of the most costly ones.
    """

    def __init__(self, blobs: Blobs, concurrent: int, *, max_cpu_s: float = _MAX_CPU_S) -> None:
        self._blobs = blobs
        self._turn = asyncio.Semaphore(concurrent)
        self._max_cpu_s = max_cpu_s

    async def inspect(self, artifacts: Mapping[str, Artifact]) -> Facts:
        """What the files, given by path, say of themselves; the same content is read once.

        Raises:
            InvalidModelFile, InvalidFiles
            DataLoss: the stored bytes are not there, or not as many as were stored.
        """
        by_digest: dict[str, FileFacts] = {}
        said, cpu_s = Said(), 0.0
        for path, artifact in artifacts.items():
            if artifact.digest not in by_digest:
                if cpu_s > self._max_cpu_s:
                    told = (
                        f"Its files take longer to be read than the {self._max_cpu_s:g} s that are spent on a version."
                    )
                    raise InvalidFiles(told, path=path)
                by_digest[artifact.digest], spent_s = await self._in_turn(artifact)
                cpu_s += spent_s
            said.add(by_digest[artifact.digest])
        facts = {path: by_digest[artifact.digest] for path, artifact in artifacts.items()}
        _check_fit(facts, artifacts)
        return facts

    async def _in_turn(self, artifact: Artifact) -> tuple[FileFacts, float]:
        """Read in a thread when it is our turn, which lasts until the thread has ended, also if nobody waits for it any
        more: who asks and hangs up, again and again, does not get several at once."""
        await self._turn.acquire()
        try:
            content = await self._content(artifact.digest, artifact.size_bytes)
        except BaseException:
            self._turn.release()
            raise
        reading = asyncio.ensure_future(asyncio.to_thread(_read, content))
        reading.add_done_callback(self._end_turn)
        return await asyncio.shield(reading)

    def _end_turn(self, reading: asyncio.Future[tuple[FileFacts, float]]) -> None:
        self._turn.release()
        if not reading.cancelled():
            reading.exception()  # it was told to whoever waited

    async def _content(self, digest: str, size_bytes: int) -> Content:
        """The bytes by range, wherever they are; the whole of a large file is never fetched nor digested for this."""
        try:
            file = await self._blobs.own_file(digest)
            stored_bytes = await self._blobs.size_bytes(digest)
        except BlobNotFound as error:
            raise ArtifactLost(digest=digest) from error
        if stored_bytes != size_bytes:
            raise BlobCorrupt(digest=digest)
        if file is not None:
            return await asyncio.to_thread(FileContent, file)
        loop = asyncio.get_running_loop()

        def fetch(begin: int, length: int) -> bytes:
            return asyncio.run_coroutine_threadsafe(self._blobs.read_range(digest, begin, length), loop).result()

        return RangedContent(size_bytes, fetch)


def check_paths(files: Mapping[str, ArtifactName]) -> None:
    """Go on if the paths can stand beside each other in one directory tree, on file systems of every kind.

    Raises:
        InvalidFiles
    """
    folders = {str(folder).lower() for path in files for folder in PurePosixPath(path).parents}
    lower = [path.lower() for path in files]
    if len(set(lower)) < len(lower):
        raise InvalidFiles("Two files have the same path (case does not matter).")
    for path in lower:
        if path in folders:
            raise InvalidFiles(f"{path} is a file and a folder.", path=path)


def model_files(facts: Facts, artifacts: Mapping[str, Artifact]) -> Sequence[ModelFile]:
    """The files of the version, by path."""
    files = []
    for path, artifact in sorted(artifacts.items()):
        told = facts[path]
        noted = dataclasses.replace(told, properties={**told.properties, **_note(path, told.format)})
        files.append(ModelFile(path, artifact.digest, artifact.size_bytes, noted))
    return files


def _read(content: Content) -> tuple[FileFacts, float]:
    """What the file says, and how long that kept the processor busy, in seconds."""
    begun = time.thread_time()
    return read(content), time.thread_time() - begun


def _check_fit(facts: Facts, artifacts: Mapping[str, Artifact]) -> None:
    """Every file that another takes data from must be in the version, and long enough; indexes must say what is."""
    for path, wrong in misfits(facts, {path: artifact.size_bytes for path, artifact in artifacts.items()}):
        raise InvalidFiles(wrong, path=path)


def _note(path: str, found: Format) -> Mapping[str, str]:
    expected = _EXTENSIONS.get(PurePosixPath(path).suffix.lower())
    if expected is None or found in expected:
        return {}
    content = "not recognised" if found is Format.UNSPECIFIED else found.name.lower()
    return {"note": f"named like {expected[0].name.lower()}, but the content is {content}"}
