"""Reads the files of a version to be: what each is, and whether they fit together."""

import asyncio
import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from chassis.blobs import BlobCorrupt, BlobNotFound, Blobs
from headwater.names import ArtifactName
from services.registry.artifacts.errors import ArtifactLost
from services.registry.artifacts.model import Artifact
from services.registry.formats import MAX_TENSORS, FileFacts, Format
from services.registry.formats.bundles import misfits
from services.registry.formats.content import Content, FileContent, RangedContent
from services.registry.formats.detect import read
from services.registry.versions.errors import InvalidFiles
from services.registry.versions.model import ModelFile

_MAX_DESCRIBED_BYTES = 16 * 2**20
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
    """Inspects files in threads, a few at a time, so that memory stays bounded and other calls go on."""

    def __init__(self, blobs: Blobs, concurrent: int) -> None:
        self._blobs = blobs
        self._turn = asyncio.Semaphore(concurrent)

    async def inspect(self, artifacts: Mapping[str, Artifact]) -> Facts:
        """What the files, given by path, say of themselves; the same content is read once.

        Raises:
            InvalidModelFile, InvalidFiles
            DataLoss: the stored bytes are not there, or not as many as were stored.
        """
        by_digest: dict[str, FileFacts] = {}
        for digest, size_bytes in {(artifact.digest, artifact.size_bytes) for artifact in artifacts.values()}:
            async with self._turn:
                content = await self._content(digest, size_bytes)
                by_digest[digest] = await asyncio.to_thread(read, content)
        facts = {path: by_digest[artifact.digest] for path, artifact in artifacts.items()}
        _check_size(facts)
        _check_fit(facts, artifacts)
        return facts

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


def _check_size(facts: Facts) -> None:
    tensors = [tensor for told in facts.values() for tensor in told.tensors]
    described_bytes = sum(len(tensor.name.encode()) + 10 * len(tensor.shape) for tensor in tensors)
    if len(tensors) > MAX_TENSORS or described_bytes > _MAX_DESCRIBED_BYTES:
        raise InvalidFiles(
            f"A version may have at most {MAX_TENSORS} tensors, whose names and shapes take at most 16 MiB.",
            tensors=len(tensors),
        )
    if math.log2(1 + sum(told.parameter_count for told in facts.values())) >= 63:
        raise InvalidFiles("A version may have fewer than 2^63 parameters.")


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
