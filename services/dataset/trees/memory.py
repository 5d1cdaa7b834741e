"""Trees in memory."""

import abc
import dataclasses
from collections.abc import Mapping, Sequence

from services.dataset.errors import Collected
from services.dataset.model import Chunk, Split, Tree
from services.dataset.trees.errors import TreeGone
from services.dataset.trees.model import Leaf, Node, child_of, nodes_above
from services.dataset.trees.walk import chunks_in

Key = tuple[bytes, bytes]
"""A digest and a layout."""


@dataclasses.dataclass
class TreeState:
    """What is remembered of trees."""

    nodes: dict[Key, Node] = dataclasses.field(default_factory=dict)
    puts: list[tuple[str, Split]] = dataclasses.field(default_factory=list)
    """The splits that uploads have recorded."""

    def keep(self, trees: Sequence[Tree]) -> set[Key]:
        """Drop what is not a part of these trees; returns the chunks that are."""
        kept: dict[Key, Node] = {}
        chunks: set[Key] = set()
        waiting = [(tree.root, tree.layout) for tree in trees]
        while waiting:
            key = waiting.pop()
            if key in kept:
                continue
            kept[key] = self.nodes[key]
            below = [(child.digest, key[1]) for child in kept[key].children]
            if kept[key].level == 1:
                chunks |= set(below)
            else:
                waiting += below
        self.nodes = kept
        return chunks


class MemoryTrees(abc.ABC):
    """See ``services.dataset.trees.store.Trees``; the other pieces of the transaction have the chunks."""

    _trees: TreeState

    @abc.abstractmethod
    def find_chunk(self, layout: bytes, digest: bytes) -> Chunk | None:
        """The chunk, if it is stored."""

    async def record_split(self, upload_uid: str, split: Split, chunks: Sequence[Leaf]) -> None:
        """See Trees."""
        await self.record_tree(upload_uid, split, nodes_above(child_of(chunk) for chunk in chunks))

    async def record_tree(self, upload_uid: str, split: Split, nodes: Sequence[Node]) -> None:
        """See Trees."""
        layout = split.tree.layout
        new = {(node.digest, layout): node for node in nodes if (node.digest, layout) not in self._trees.nodes}
        known = new.keys() | self._trees.nodes.keys()
        for node in new.values():
            for child in node.children:
                is_there = self.find_chunk(layout, child.digest) if node.level == 1 else (child.digest, layout) in known
                if not is_there:
                    raise Collected(upload=upload_uid)
        if (split.tree.root, layout) not in known:
            raise Collected(upload=upload_uid)
        self._trees.nodes |= new
        self._trees.puts.append((upload_uid, split))

    async def get_nodes(self, layout: bytes, digests: Sequence[bytes]) -> Mapping[bytes, Node]:
        """See Trees."""
        found = {digest: self._trees.nodes.get((digest, layout)) for digest in digests}
        if None in found.values():
            raise TreeGone()
        return {digest: node for digest, node in found.items() if node is not None}

    async def get_chunks(
        self, layout: bytes, digests: Sequence[bytes], *, with_statistics: bool = False
    ) -> Mapping[bytes, Chunk]:
        """See Trees."""
        found: dict[bytes, Chunk] = {}
        for digest in digests:
            chunk = self.find_chunk(layout, digest)
            if chunk is None:
                raise TreeGone()
            found[digest] = chunk if with_statistics else dataclasses.replace(chunk, statistics=b"")
        return found

    async def list_chunks(
        self, tree: Tree, first_row: int, end_row: int, limit: int | None, *, with_statistics: bool = False
    ) -> Sequence[Chunk]:
        """See Trees."""
        places = await chunks_in(self, tree, first_row, end_row, limit)
        digests = [place.child.digest for place in places]
        chunks = await self.get_chunks(tree.layout, digests, with_statistics=with_statistics)
        return [chunks[place.child.digest].at(place.first_row) for place in places]
