"""What must be remembered of trees, as a Protocol.

A node is kept once for each layout and shared by all trees that it is a part of. A tree that is found stays for as long
as a commit or an open upload refers to its root; whoever adds nodes above stored ones holds on to those by that.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from services.dataset.model import Chunk, Split, Tree
from services.dataset.trees.model import Leaf, Node


class Trees(Protocol):
    """Nodes, and the chunks below them."""

    async def record_split(self, upload_uid: str, split: Split, chunks: Sequence[Leaf]) -> None:
        """Note the split's rows as the upload's, in place of those it had under that name.

        Raises:
            Collected: one of the chunks is not stored.
        """
        ...

    async def record_tree(self, upload_uid: str, split: Split, nodes: Sequence[Node]) -> None:
        """As ``record_split``, for a tree of which only ``nodes`` may be new.

        Raises:
            Collected: a chunk or a node below them is not stored.
        """
        ...

    async def get_nodes(self, layout: bytes, digests: Sequence[bytes]) -> Mapping[bytes, Node]:
        """These nodes.

        Raises:
            TreeGone: one is not stored.
        """
        ...

    async def get_chunks(
        self, layout: bytes, digests: Sequence[bytes], *, with_statistics: bool = False
    ) -> Mapping[bytes, Chunk]:
        """These chunks, with 0 for their first rows, which are a matter of the tree.

        Raises:
            TreeGone: one is not stored.
        """
        ...

    async def list_chunks(
        self, tree: Tree, first_row: int, end_row: int, limit: int | None, *, with_statistics: bool = False
    ) -> Sequence[Chunk]:
        """The chunks that hold rows from ``first_row`` up to but not including ``end_row``, in row order.

        Raises:
            TreeGone: nothing has referred to the tree for a while.
        """
        ...
