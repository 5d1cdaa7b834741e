"""What the contract tests of the dataset store put into it."""

import hashlib
from collections.abc import Awaitable, Callable

from chassis.ids import new_id
from headwater import tree
from headwater.names import DatasetName
from headwater.tree import digest_text
from services.dataset.datasets import new_dataset
from services.dataset.errors import DatasetNotFound
from services.dataset.history.model import Draft, Version, commit_of
from services.dataset.model import Placement, SemVer, Split, Tree, Upload, UploadState
from services.dataset.store import NewChunk, PlacedChunk, Store, Transaction

DIGITS = DatasetName("default", "digits")
LAYOUT = b"l" * 32
HOUR_S = 3600.0


class World:
    """A store and the means to let time pass in it."""

    def __init__(self, store: Store, pass_time: Callable[[float], Awaitable[None]]) -> None:
        self.store = store
        self.pass_time = pass_time


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def pack_named(text: str) -> str:
    return digest_text(digest(text))


def chunks_named(*names: str) -> list[NewChunk]:
    return [NewChunk(digest(name), 10, 100, ends_naturally=True, first_row_bytes=9) for name in names]


def split_of(*names: str, name: str = "train") -> Split:
    root = tree.split_root(tree.Node(chunk.digest, chunk.row_count) for chunk in chunks_named(*names))
    return Split(name, Tree(root.digest, LAYOUT, root.row_count, 100 * len(names), len(names)), b"schema")


async def begin_upload(tx: Transaction, ttl_s: float = HOUR_S) -> Upload:
    try:
        await tx.get_dataset(DIGITS)
    except DatasetNotFound:
        await tx.create_dataset(new_dataset(DIGITS, "ann"))
    return await tx.create_upload(new_id(), DIGITS, "ann", ttl_s)


async def put_pack(tx: Transaction, upload: Upload, pack: str, *names: str) -> None:
    await tx.begin_pack(upload.uid, pack_named(pack), 1000)
    placed = [
        PlacedChunk(chunk, Placement(pack_named(pack), 0, 10 * row)) for row, chunk in enumerate(chunks_named(*names))
    ]
    await tx.finish_pack(upload.uid, LAYOUT, pack_named(pack), placed)


async def put_split(tx: Transaction, upload: Upload, *names: str, split: str = "train") -> Split:
    put = split_of(*names, name=split)
    await tx.record_split(upload.uid, put, chunks_named(*names))
    return put


async def commit(tx: Transaction, upload: Upload, version: SemVer, *splits: Split) -> Version:
    draft = Draft(
        dataset=DIGITS,
        digest=digest(str(version)),
        splits=splits,
        message="because",
        author="ann",
        derived_from=("projects/default/pipelines/prep/versions/1",),
        upload_uid=upload.uid,
    )
    dataset = await tx.get_dataset(DIGITS, lock=True)
    added = await tx.add_commit(commit_of(draft, dataset.uid, [], await tx.now()))
    await tx.close_upload(upload.uid, UploadState.COMMITTED)
    return await tx.add_version(Version(new_id(), added, version, None))


async def collect(store: Store, unreachable_ttl_s: float = 14 * 86_400) -> list[str]:
    """Everything that is condemned once no dead upload and no unreachable commit is left."""
    async with store.transaction() as tx:
        await tx.expire_uploads()
    released = True
    while released:
        async with store.transaction() as tx:
            released = await tx.release_dead_upload(600)
    dropped = True
    while dropped:
        async with store.transaction() as tx:
            dropped = await tx.drop_unreachable_commit(unreachable_ttl_s)
    async with store.transaction() as tx:
        condemned = list(await tx.condemned_packs(100))
        await tx.forget_packs(condemned)
    return condemned
