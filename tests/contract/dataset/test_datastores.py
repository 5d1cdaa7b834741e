"""What every store of the dataset service promises of datastores."""

import dataclasses

import pytest

from chassis.clock import SystemClock
from chassis.ids import new_id
from headwater.names import BranchName, DatastoreName
from services.dataset.datasets import new_dataset
from services.dataset.datastores.errors import DatastoreAlreadyExists, DatastoreNotFound
from services.dataset.datastores.model import (
    AzureContainer,
    Datastore,
    DatastoreState,
    Dialect,
    GcsBucket,
    LocalFolder,
    Place,
    S3Bucket,
    SqlDatabase,
)
from services.dataset.history.append import append_commit
from services.dataset.history.definition import DataPath, PathKind
from services.dataset.history.model import Draft
from services.dataset.store import Store, Transaction
from tests.contract.dataset.builders import DIGITS

PLACES: dict[str, Place] = {
    "folder": LocalFolder("/data/lake"),
    "s3": S3Bucket("lake", "a/b", "eu-central-1", "https://minio.example:9000"),
    "gcs": GcsBucket("lake", "a"),
    "azure": AzureContainer("account", "container", "a", ""),
    "postgresql": SqlDatabase(Dialect.POSTGRESQL, "shop", "db.example.com", 6432),
    "sqlite": SqlDatabase(Dialect.SQLITE, "/data/lake/rows.sqlite"),
}


def named(name: str, project: str = "default") -> DatastoreName:
    return DatastoreName(project, name)


async def create(tx: Transaction, name: str, place: Place = PLACES["folder"], project: str = "default") -> Datastore:
    datastore = Datastore(new_id(), named(name, project), "Lake", place, "ann", SystemClock().now())
    return await tx.create_datastore(datastore)


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
async def test_a_datastore_is_remembered_as_it_was_made_and_found_by_name_and_by_uid(
    store: Store, place: Place
) -> None:
    """M-10."""
    async with store.transaction() as tx:
        made = await create(tx, "lake", place)
    async with store.transaction() as tx:
        found = await tx.get_datastore(named("lake"))
        assert found == made
        assert (found.place, found.display_name, found.created_by, found.revision) == (place, "Lake", "ann", 1)
        assert (found.state, found.credential_names) == (DatastoreState.ACTIVE, ())
        assert await tx.get_datastore(named(made.uid)) == found
        assert await tx.datastore_with(made.uid) == found
        for missing in (named("other"), named("lake", "elsewhere"), named("LAKE")):
            with pytest.raises(DatastoreNotFound):
                await tx.get_datastore(missing)
        with pytest.raises(DatastoreNotFound):
            await tx.datastore_with("other")


async def test_one_holder_has_a_name_whatever_its_case_and_an_archived_one_frees_it(store: Store) -> None:
    """M-11."""
    async with store.transaction() as tx:
        first = await create(tx, "lake")
        other = await create(tx, "pond")
        await create(tx, "lake", project="elsewhere")
        for taken in ("lake", "LAKE"):
            with pytest.raises(DatastoreAlreadyExists):
                await create(tx, taken)
            with pytest.raises(DatastoreAlreadyExists):
                await tx.update_datastore(dataclasses.replace(other, name=named(taken)))
    async with store.transaction() as tx:
        gone = dataclasses.replace(first, name=named(first.uid), state=DatastoreState.ARCHIVED)
        archived = await tx.update_datastore(gone)
        assert (archived.state, archived.revision) == (DatastoreState.ARCHIVED, 2)
        second = await create(tx, "Lake")
    async with store.transaction() as tx:
        assert (await tx.get_datastore(named("Lake"))).uid == second.uid
        assert (await tx.get_datastore(named(first.uid))).state is DatastoreState.ARCHIVED
        listed = await tx.list_datastores("default", "", 10, archived=False)
        assert [each.name.datastore for each in listed] == ["Lake", "pond"]
        everything = await tx.list_datastores("default", "", 10, archived=True)
        assert {each.uid for each in everything} == {first.uid, second.uid, other.uid}
        page = await tx.list_datastores("default", "Lake", 1, archived=False)
        assert [each.name.datastore for each in page] == ["pond"]


async def test_credentials_are_kept_apart_and_only_their_names_are_told(store: Store) -> None:
    async with store.transaction() as tx:
        made = await create(tx, "lake")
        assert await tx.sealed_credentials(made.uid) == b""
        changed = await tx.set_credentials(made.uid, ["b", "a"], b"sealed")
        assert (changed.credential_names, changed.revision) == (("a", "b"), 2)
    async with store.transaction() as tx:
        assert await tx.sealed_credentials(made.uid) == b"sealed"
        assert (await tx.get_datastore(named("lake"))).credential_names == ("a", "b")
        await tx.set_credentials(made.uid, ["c"], b"other")
        assert await tx.sealed_credentials(made.uid) == b"other"
        removed = await tx.set_credentials(made.uid, [], b"")
        assert removed.credential_names == ()
        assert await tx.sealed_credentials(made.uid) == b""


async def test_a_path_names_its_datastore_as_it_is_called_now(store: Store) -> None:
    """M-13: it is kept by uid, and survives a new name."""
    async with store.transaction() as tx:
        datastore = await create(tx, "lake")
        await tx.create_dataset(new_dataset(DIGITS, "ann"))
        definition = DataPath(datastore.uid, PathKind.RELATIVE_PATH, "digits/")
        draft = Draft(DIGITS, b"", (), "why", "ann", definition)
        made = (await append_commit(tx, BranchName("default", "digits", "main"), draft, [])).commit
    async with store.transaction() as tx:
        await tx.update_datastore(dataclasses.replace(datastore, name=named("pond")))
    async with store.transaction() as tx:
        found = await tx.get_commit(DIGITS, made.id)
        assert isinstance(found.definition, DataPath)
        assert found.definition == definition
        assert found.definition.datastore == "projects/default/datastores/pond"
