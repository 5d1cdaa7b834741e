"""Use cases of proofs: prove where a row is or that it is not, and tell which versions hold it (N-02)."""

import dataclasses
from collections.abc import AsyncIterator, Sequence

from chassis.paging import Page, decode_token, page_of, page_size, query_digest
from headwater import tree
from headwater.names import DatasetName, ProjectName
from headwater.tree.proofs import Claim, Inclusion, prove_inclusion
from services.dataset.checkpoints.resolve import readable
from services.dataset.datasets import read_schema
from services.dataset.errors import NoRowsStored
from services.dataset.history.model import Version
from services.dataset.history.resolve import commit_named
from services.dataset.model import Chunk, SemVer, Split
from services.dataset.proofs.model import ChunkRows, RowUse, Statement
from services.dataset.rows.digests import digests_of, find
from services.dataset.rows.mapped import MappedPacks
from services.dataset.store import Store

_LISTED_ROWS = 100
_PAGE = 100


class RowProofs:
    """Proofs of rows. For one event loop."""

    def __init__(self, store: Store, packs: MappedPacks) -> None:
        self._store = store
        self._packs = packs

    async def prove(self, version: str, row_digest: bytes) -> AsyncIterator[Statement | ChunkRows]:
        """What is proved; after a statement without a way to the row, the digests of all rows. Of a place it is
        about the newest copy.

        Args:
            version: the name of a version, commit, branch or tag.

        Raises:
            NotFound: there is no such version.
            NoRowsStored: its rows are in a place, and no checkpoint holds them.
        """
        async with self._store.transaction() as tx:
            commit = await commit_named(tx, version, archived=True, field="version")
            found = await readable(tx, commit)
        if not found.splits:
            raise NoRowsStored(version=version)
        splits = tuple(tree.Split(split.name, split.tree.root, split.tree.row_count) for split in found.splits)
        claim = Claim(found.digest, tree.schema_digest(read_schema(found.splits[0])), splits)
        for split in found.splits:
            inclusion = await self._way(split, row_digest)
            if inclusion is not None:
                yield Statement(version, claim, row_digest, inclusion)
                return
        yield Statement(version, claim, row_digest, None)
        for split in found.splits:
            async for window in digests_of(await self._chunks(split), self._packs):
                for digested in window:
                    yield ChunkRows(split.name, digested.row_digests)

    async def uses(self, parent: DatasetName | ProjectName, row_digest: bytes, size: int, token: str) -> Page[RowUse]:
        """The versions that hold a row: dataset by dataset, newest first.

        Raises:
            DatasetNotFound
        """
        limit, query = page_size(size), query_digest("row-uses", parent, row_digest.hex())
        key = decode_token(token, query, (str, int, int, int, str))
        after = None if key is None else _Place(str(key[0]), SemVer(*map(int, key[1:4])), str(key[4]))
        places = _Places(row_digest, self._packs)
        uses: list[RowUse] = []
        async for version in self._versions(parent, after):
            for split in version.commit.splits:
                place = _Place(version.dataset.dataset, version.version, split.name)
                if after is not None and place.not_behind(after):
                    continue
                chunks = await self._chunks(split)
                rows = await places.of(chunks)
                if rows:
                    uses.append(RowUse(version.name, split.name, tuple(rows[:_LISTED_ROWS]), len(rows)))
            if len(uses) > limit:
                break
        return page_of(uses[: limit + 1], limit, key=lambda use: _place_of(use).key(), query=query)

    async def _versions(self, parent: DatasetName | ProjectName, after: "_Place | None") -> AsyncIterator[Version]:
        """Versions with rows in the order of the list, from that of ``after`` on."""
        async for dataset in self._datasets(parent, after.dataset if after else ""):
            same = after is not None and dataset.dataset == after.dataset
            below = dataclasses.replace(after.version, patch=after.version.patch + 1) if same and after else None
            while True:
                async with self._store.transaction() as tx:
                    versions = await tx.list_versions(dataset, below, _PAGE)
                for version in versions:
                    yield version
                if len(versions) < _PAGE:
                    break
                below = versions[-1].version

    async def _datasets(self, parent: DatasetName | ProjectName, begin: str) -> AsyncIterator[DatasetName]:
        if isinstance(parent, DatasetName):
            async with self._store.transaction() as tx:
                yield (await tx.get_dataset(parent)).name
            return
        if begin:
            yield DatasetName(parent.project, begin)
        while True:
            async with self._store.transaction() as tx:
                datasets = await tx.list_datasets(parent.project, begin, _PAGE, hidden=True)
            for dataset in datasets:
                yield dataset.name
            if len(datasets) < _PAGE:
                return
            begin = datasets[-1].name.dataset

    async def _way(self, split: Split, row_digest: bytes) -> Inclusion | None:
        chunks = await self._chunks(split)
        async for digested, position in find(chunks, row_digest, self._packs):
            nodes = [tree.Node(chunk.digest, chunk.row_count) for chunk in chunks]
            return prove_inclusion(split.name, nodes, digested.number, digested.row_digests, position)
        return None

    async def _chunks(self, split: Split) -> list[Chunk]:
        async with self._store.transaction() as tx:
            return list(await tx.list_chunks(split.tree, 0, split.tree.row_count, None))


@dataclasses.dataclass(frozen=True, slots=True)
class _Place:
    """Where a use stands in the list."""

    dataset: str
    version: SemVer
    split: str

    def not_behind(self, other: "_Place") -> bool:
        """Whether it is of the same version, and not behind the other."""
        same = (self.dataset, self.version) == (other.dataset, other.version)
        return same and self.split <= other.split

    def key(self) -> tuple[str, int, int, int, str]:
        return self.dataset, *dataclasses.astuple(self.version), self.split


def _place_of(use: RowUse) -> _Place:
    return _Place(use.version.dataset, SemVer.parse(use.version.version), use.split)


class _Places:
    """Where a row is in chunks; one that many versions share is looked into once."""

    def __init__(self, row_digest: bytes, packs: MappedPacks) -> None:
        self._row_digest = row_digest
        self._packs = packs
        self._known: dict[bytes, tuple[int, ...]] = {}

    async def of(self, chunks: Sequence[Chunk]) -> list[int]:
        """The row's numbers within the split that these are the chunks of."""
        unknown = {chunk.digest: chunk for chunk in chunks if chunk.digest not in self._known}
        found: dict[bytes, list[int]] = {digest: [] for digest in unknown}
        async for digested, position in find(list(unknown.values()), self._row_digest, self._packs):
            found[digested.chunk.digest].append(position)
        self._known |= {digest: tuple(places) for digest, places in found.items()}
        return [chunk.first_row + place for chunk in chunks for place in self._known[chunk.digest]]
