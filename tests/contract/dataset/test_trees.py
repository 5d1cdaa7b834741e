"""What every store promises of trees: nodes are kept once, found again, and go when nothing leads to them."""

import dataclasses

import pytest

from services.dataset.errors import Collected
from services.dataset.model import SemVer, Split, Upload, UploadState
from services.dataset.store import NewChunk, Store, Transaction
from services.dataset.trees.differing import differing
from services.dataset.trees.errors import TreeGone
from services.dataset.trees.model import Node, child_of, nodes_above
from services.dataset.trees.replace import Change, replace
from tests.contract.dataset.builders import (
    LAYOUT,
    begin_upload,
    chunks_named,
    collect,
    commit,
    digest,
    pack_named,
    put_pack,
    put_split,
    split_of,
)

NAMES = [str(number) for number in range(400)]
"""So many chunks that their tree has two levels at least."""


def nodes_of(chunks: list[NewChunk]) -> list[Node]:
    return nodes_above(child_of(chunk) for chunk in chunks)


async def put_many(tx: Transaction, upload: Upload) -> Split:
    await put_pack(tx, upload, "many", *NAMES)
    return await put_split(tx, upload, *NAMES)


async def put_changed(tx: Transaction, upload: Upload, split: Split) -> Split:
    """The split with its 200th chunk replaced by one of another pack; only the nodes on the path are given."""
    await put_pack(tx, upload, "changed", "new")
    tree, nodes = await replace(tx, split.tree, [Change(1990, 2000, (child_of(chunks_named("new")[0]),))])
    changed = dataclasses.replace(split, tree=tree)
    assert len(nodes) <= 4
    await tx.record_tree(upload.uid, changed, nodes)
    return changed


async def test_nodes_are_found_as_they_were_recorded(store: Store) -> None:
    nodes = nodes_of(chunks_named(*NAMES))
    assert nodes[-1].level >= 2
    async with store.transaction() as tx:
        upload = await begin_upload(tx)
        await put_many(tx, upload)
        found = await tx.get_nodes(LAYOUT, [node.digest for node in nodes])
    assert found == {node.digest: node for node in nodes}
    async with store.transaction() as tx:
        again = await tx.get_nodes(LAYOUT, [nodes[-1].digest, nodes[0].digest])
        with pytest.raises(TreeGone):
            await tx.get_nodes(LAYOUT, [nodes[0].digest, digest("no node")])
        with pytest.raises(TreeGone):
            await tx.get_nodes(b"m" * 32, [nodes[0].digest])
    assert again == {nodes[-1].digest: nodes[-1], nodes[0].digest: nodes[0]}


async def test_a_split_without_rows_is_a_split(store: Store) -> None:
    async with store.transaction() as tx:
        upload = await begin_upload(tx)
        empty = await put_split(tx, upload)
        assert (await tx.get_upload(upload.name)).splits == (empty,)
        assert list(await tx.list_chunks(empty.tree, 0, 10, None)) == []
        assert (await tx.get_nodes(LAYOUT, [empty.tree.root]))[empty.tree.root].children == ()


async def test_a_changed_tree_needs_only_its_new_nodes(store: Store) -> None:
    async with store.transaction() as tx:
        upload = await begin_upload(tx)
        split = await put_many(tx, upload)
        changed = await put_changed(tx, upload, split)
        assert (await tx.get_upload(upload.name)).splits == (changed,)
        names = [*NAMES[:199], "new", *NAMES[200:]]
        assert changed.tree == split_of(*names).tree
        listed = await tx.list_chunks(changed.tree, 0, 4000, None)
        assert [chunk.digest for chunk in listed] == [digest(name) for name in names]
        assert [chunk.first_row for chunk in listed] == list(range(0, 4000, 10))
        (region,) = await differing(tx, split.tree, changed.tree)
        assert (region.base.digests, region.other.digests) == ([digest("199")], [digest("new")])


async def test_pages_of_chunks_follow_one_another(store: Store) -> None:
    async with store.transaction() as tx:
        upload = await begin_upload(tx)
        tree = (await put_many(tx, upload)).tree
        found: list[bytes] = []
        while len(found) < len(NAMES):
            page = await tx.list_chunks(tree, 10 * len(found), tree.row_count, 7)
            assert len(page) == min(7, len(NAMES) - len(found))
            found += [chunk.digest for chunk in page]
    assert found == [digest(name) for name in NAMES]


@pytest.mark.parametrize("missing", ["a chunk", "a node", "the root"])
async def test_a_tree_above_what_is_not_stored_is_refused(store: Store, missing: str) -> None:
    nodes = nodes_of(chunks_named(*NAMES))
    given = {"a chunk": nodes, "a node": nodes[-1:], "the root": nodes[:-1]}[missing]
    async with store.transaction() as tx:
        upload = await begin_upload(tx)
        await put_pack(tx, upload, "many", *(NAMES if missing != "a chunk" else NAMES[1:]))
        with pytest.raises(Collected):
            await tx.record_tree(upload.uid, split_of(*NAMES), given)


async def test_what_dead_trees_share_with_living_ones_stays_and_the_rest_goes(store: Store) -> None:
    async with store.transaction() as tx:
        first, second = await begin_upload(tx), await begin_upload(tx)
        split = await put_many(tx, first)
        await commit(tx, first, SemVer(1, 0, 0), split)
        changed = await put_changed(tx, second, split)
        await tx.close_upload(second.uid, UploadState.ABORTED)
    assert await collect(store) == [pack_named("changed")]
    async with store.transaction() as tx:
        assert len(await tx.list_chunks(split.tree, 0, 4000, None)) == len(NAMES)
        with pytest.raises(TreeGone):
            await tx.list_chunks(changed.tree, 0, 4000, None)
        # As the nodes are gone as well, a tree cannot be built above them again.
        third = await begin_upload(tx)
        with pytest.raises(Collected):
            await tx.record_tree(third.uid, changed, ())


async def test_an_edited_tree_holds_the_chunks_of_the_one_it_came_from(store: Store) -> None:
    """Its upload has pinned none of them: the nodes that both trees have keep them."""
    async with store.transaction() as tx:
        first, second = await begin_upload(tx), await begin_upload(tx)
        split = await put_many(tx, first)
        changed = await put_changed(tx, second, split)
        await commit(tx, second, SemVer(1, 0, 0), changed)
        await tx.close_upload(first.uid, UploadState.ABORTED)
    assert await collect(store) == []
    async with store.transaction() as tx:
        assert len(await tx.list_chunks(changed.tree, 0, 4000, None)) == len(NAMES)
        with pytest.raises(Collected):
            await tx.record_tree((await begin_upload(tx)).uid, split, ())


async def test_two_uploads_that_record_one_tree_share_it(store: Store) -> None:
    async with store.transaction() as tx:
        first, second = await begin_upload(tx), await begin_upload(tx)
        split = await put_many(tx, first)
        assert await put_split(tx, second, *NAMES) == split
        await tx.close_upload(first.uid, UploadState.ABORTED)
    # The second has found none of the chunks, but has put a tree above them.
    assert await collect(store) == []
    async with store.transaction() as tx:
        assert len(await tx.list_chunks(split.tree, 0, 4000, None)) == len(NAMES)
        await tx.close_upload(second.uid, UploadState.ABORTED)
    assert await collect(store) == [pack_named("many")]
