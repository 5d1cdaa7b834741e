"""Single tensors of a version, read by range (R-16)."""

import contextlib
from collections.abc import AsyncGenerator, Iterator

from chassis.blobs import BlobNotFound, Blobs, RangeOutside, read_in_chunks
from headwater.names import ModelName
from services.registry.artifacts.errors import ArtifactLost
from services.registry.formats import FileFacts, Tensor
from services.registry.store import Store
from services.registry.versions.errors import AmbiguousTensor, TensorNotFound, TensorNotInOnePiece
from services.registry.versions.model import ModelFile, Which


class Tensors:
    """Finds tensors in the files of versions, and reads them."""

    def __init__(self, store: Store, blobs: Blobs) -> None:
        self._store = store
        self._blobs = blobs

    async def find(self, name: ModelName, which: Which, tensor: str, path: str) -> tuple[ModelFile, Tensor]:
        """The tensor and the file that it is in; ``path`` is empty where it need not be said.

        Raises:
            ModelVersionNotFound, TensorNotFound
            AmbiguousTensor: several files have one of this name.
            TensorNotInOnePiece: its bytes do not lie in the file as they are.
        """
        async with self._store.transaction() as tx:
            version = await tx.versions.get(name, which)
        found = [
            (file, each)
            for file in version.files
            if path in ("", file.path)
            for each in _tensors(file.facts)
            if each.name == tensor
        ]
        if not found:
            raise TensorNotFound(tensor=tensor, path=path)
        paths = sorted({file.path for file, _ in found})
        if len(paths) > 1:
            raise AmbiguousTensor(f"Several files have a tensor of this name: {', '.join(paths[:10])}.", tensor=tensor)
        file, wanted = found[0]
        if wanted.begin < 0:
            raise TensorNotInOnePiece(tensor=tensor, path=file.path)
        return file, wanted

    async def read(self, file: ModelFile, tensor: Tensor, offset: int, length: int) -> AsyncGenerator[bytes]:
        """Bytes of the tensor from ``offset``: ``length`` of them, or to its end where that is 0.

        Raises:
            RangeOutside: the range does not begin within the tensor.
            DataLoss: the stored bytes are missing.
        """
        size_bytes = tensor.end - tensor.begin
        if offset > size_bytes:
            raise RangeOutside(start=offset, length=length, size_bytes=size_bytes)
        wanted = min(length or size_bytes, size_bytes - offset)
        if not wanted:
            return
        try:
            chunks = read_in_chunks(self._blobs, file.digest, tensor.begin + offset, wanted)
            async with contextlib.aclosing(chunks):
                async for chunk in chunks:
                    yield chunk
        except BlobNotFound as error:
            raise ArtifactLost(digest=file.digest) from error


def _tensors(facts: FileFacts) -> Iterator[Tensor]:
    """The tensors of a file, and of the files in it where it is an archive."""
    yield from facts.tensors
    for member in facts.members.values():
        yield from _tensors(member)
