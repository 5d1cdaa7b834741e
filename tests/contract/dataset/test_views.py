"""What every store of the dataset service promises of views."""

import datetime

import pytest

from headwater.names import DatasetVersionName, ViewName
from services.dataset.errors import DatasetNotFound, InvalidVersion, VersionNotFound
from services.dataset.model import SemVer
from services.dataset.store import Store, Transaction
from services.dataset.views.errors import ViewAlreadyExists, ViewNotFound
from services.dataset.views.model import View, view_name
from tests.contract.dataset.builders import begin_upload, commit, put_pack, put_split

FIRST = DatasetVersionName("default", "digits", "v1.0.0")
SECOND = DatasetVersionName("default", "digits", "v1.1.0")


async def begin(tx: Transaction) -> None:
    """Two versions."""
    for version in (SemVer(1, 0, 0), SemVer(1, 1, 0)):
        upload = await begin_upload(tx)
        await put_pack(tx, upload, str(version), str(version))
        await commit(tx, upload, version, await put_split(tx, upload, str(version)))


async def create(tx: Transaction, name: str, version: DatasetVersionName = FIRST) -> View:
    now = await tx.now()
    return await tx.create_view(View(view_name(version, name), "label = 3", "the threes", "ann", now))


async def test_a_view_is_remembered_as_it_was_made(store: Store) -> None:
    """M-27."""
    async with store.transaction() as tx:
        await begin(tx)
        made = await create(tx, "threes")
    async with store.transaction() as tx:
        found = await tx.get_view(made.name)
    assert found == made
    assert (found.filter, found.description, found.created_by) == ("label = 3", "the threes", "ann")


async def test_the_name_of_a_view_is_taken_once_in_a_version_whatever_the_case(store: Store) -> None:
    async with store.transaction() as tx:
        await begin(tx)
        await create(tx, "threes")
        with pytest.raises(ViewAlreadyExists):
            await create(tx, "Threes")
        await create(tx, "threes", SECOND)


async def test_the_time_of_a_view_is_the_stores(store: Store) -> None:
    async with store.transaction() as tx:
        await begin(tx)
        now = await tx.now()
        long_ago = now.replace(year=1999)
        made = await tx.create_view(View(view_name(FIRST, "threes"), "label = 3", "", "ann", long_ago))
    assert now - made.create_time < datetime.timedelta(minutes=1)


async def test_views_are_listed_by_name_from_the_one_after(store: Store) -> None:
    async with store.transaction() as tx:
        await begin(tx)
        for name in ("c", "a", "B"):
            await create(tx, name)
        await create(tx, "d", SECOND)
        assert [view.name.view for view in await tx.list_views(FIRST, "", 10)] == ["B", "a", "c"]
        assert [view.name.view for view in await tx.list_views(FIRST, "B", 1)] == ["a"]


async def test_a_deleted_view_is_gone_and_its_name_is_free(store: Store) -> None:
    async with store.transaction() as tx:
        await begin(tx)
        made = await create(tx, "threes")
        await tx.delete_view(made.name)
        with pytest.raises(ViewNotFound):
            await tx.get_view(made.name)
        with pytest.raises(ViewNotFound):
            await tx.delete_view(made.name)
        await create(tx, "threes")


@pytest.mark.parametrize(
    ("dataset", "version", "error"),
    [("digits", "v9.0.0", VersionNotFound), ("other", "v1.0.0", DatasetNotFound), ("digits", "1", InvalidVersion)],
)
async def test_a_view_of_nothing_names_what_is_missing(
    store: Store, dataset: str, version: str, error: type[Exception]
) -> None:
    name = ViewName("default", dataset, version, "threes")
    async with store.transaction() as tx:
        await begin(tx)
        with pytest.raises(error):
            await tx.get_view(name)
        with pytest.raises(error):
            await tx.list_views(DatasetVersionName("default", dataset, version), "", 10)
        with pytest.raises(error):
            await tx.delete_view(name)
