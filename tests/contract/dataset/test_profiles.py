"""What every store of the dataset service promises of profiles."""

import math

import pytest

from chassis.db.lease import LeaseLost
from chassis.ids import new_id
from headwater.names import DatasetVersionName, ProfileName
from services.dataset.errors import VersionNotFound
from services.dataset.model import SemVer
from services.dataset.profiles.errors import ProfileNotFound
from services.dataset.profiles.model import (
    Bin,
    Claim,
    ColumnProfile,
    ImageProfile,
    NumberProfile,
    Outcome,
    Profile,
    ProfileState,
    ProfileSubject,
    SplitProfile,
    ValueCount,
)
from services.dataset.store import Store, Transaction
from tests.contract.dataset.builders import World, begin_upload, commit, put_pack, put_split

FIRST = DatasetVersionName("default", "digits", "v1.0.0")
TTL_S = 30.0

NUMBERS = NumberProfile(-math.inf, 2.5, 1.0, 0.5, ((0.5, 1.0), (0.99, 2.5)), (Bin(0.0, 2.5, 7),), 1)
IMAGES = ImageProfile(3, 1, NUMBERS, None, (ValueCount("RGB", 3),), (ValueCount("PNG", 3),))
COLUMN = ColumnProfile("a.b[]", "double", 8, 2, 1, 5, NUMBERS, NUMBERS, (ValueCount("é\0", 3),), True, IMAGES)
TRAIN = SplitProfile("train", 10, 100, (COLUMN, ColumnProfile("c", "null", 0, 10)))
READY = Outcome(ProfileState.READY, rows_done=10, splits=(TRAIN,), fingerprint="etag")


async def begin(tx: Transaction) -> None:
    upload = await begin_upload(tx)
    await put_pack(tx, upload, "p", "c")
    await commit(tx, upload, SemVer(1, 0, 0), await put_split(tx, upload, "c"))


async def create(tx: Transaction, subject: ProfileSubject = ProfileSubject(FIRST)) -> Profile:  # noqa: B008
    return await tx.create_profile(Profile(new_id(), subject, "ann", await tx.now()))


async def claim(store: Store, owner: str = "one") -> Claim:
    async with store.transaction() as tx:
        claimed = await tx.claim_profile(owner, TTL_S)
    assert claimed is not None
    return claimed


async def test_a_profile_is_running_until_it_has_its_one_end(store: Store) -> None:
    """Promise 6."""
    async with store.transaction() as tx:
        await begin(tx)
        subject = ProfileSubject(FIRST, f"{FIRST}/views/threes", "label = 3", ("a", "c"), f"{FIRST}/checkpoints/x")
        made = await create(tx, subject)
    assert (made.state, made.rows_done, made.splits) == (ProfileState.RUNNING, 0, ())
    claimed = await claim(store)
    assert claimed.profile == made
    async with store.transaction() as tx:
        await tx.renew_profile(claimed, TTL_S, 7)
        assert (await tx.get_profile(made.name)).rows_done == 7
        await tx.end_profile(claimed, READY)
    async with store.transaction() as tx:
        found = await tx.get_profile(made.name)
        for late in (READY, Outcome(ProfileState.FAILED, "too late")):
            with pytest.raises(LeaseLost):
                await tx.end_profile(claimed, late)
        assert await tx.claim_profile("two", TTL_S) is None
    assert (found.subject, found.state, found.rows_done, found.fingerprint) == (
        subject,
        ProfileState.READY,
        10,
        "etag",
    )
    assert found.splits == (TRAIN,)


async def test_a_profile_is_computed_by_one_owner_at_a_time(store: Store) -> None:
    async with store.transaction() as tx:
        await begin(tx)
        first, second = await create(tx), await create(tx)
    one, two = await claim(store, "one"), await claim(store, "two")
    assert [one.profile, two.profile] == [first, second]
    async with store.transaction() as tx:
        assert await tx.claim_profile("three", TTL_S) is None


async def test_who_was_silent_for_too_long_is_taken_over_and_writes_nothing_more(world: World) -> None:
    """Promise 6: a stale worker's writes are refused."""
    async with world.store.transaction() as tx:
        await begin(tx)
        made = await create(tx)
    stale = await claim(world.store, "one")
    await world.pass_time(TTL_S + 1)
    fresh = await claim(world.store, "two")
    assert fresh.profile == made
    assert fresh.token > stale.token
    async with world.store.transaction() as tx:
        with pytest.raises(LeaseLost):
            await tx.renew_profile(stale, TTL_S, 9)
        with pytest.raises(LeaseLost):
            await tx.end_profile(stale, READY)
        await tx.release_profile(stale)  # changes nothing
        await tx.end_profile(fresh, Outcome(ProfileState.FAILED, "no"))
        found = await tx.get_profile(made.name)
    assert (found.state, found.error, found.rows_done) == (ProfileState.FAILED, "no", 0)


async def test_a_claim_that_was_given_back_is_free_at_once(store: Store) -> None:
    async with store.transaction() as tx:
        await begin(tx)
        await create(tx)
    first = await claim(store)
    async with store.transaction() as tx:
        await tx.release_profile(first)
    assert (await claim(store, "two")).token == first.token + 1


async def test_profiles_are_listed_newest_first_without_their_columns(store: Store) -> None:
    """M-22: each profile is one of a history."""
    async with store.transaction() as tx:
        await begin(tx)
        made = [await create(tx) for _ in range(3)]
    async with store.transaction() as tx:
        await tx.end_profile(await _claim(tx), READY)
        listed = await tx.list_profiles(FIRST, None, 2)
        assert [profile.uid for profile in listed] == [made[2].uid, made[1].uid]
        (oldest,) = await tx.list_profiles(FIRST, listed[-1].number, 2)
        assert (oldest.uid, oldest.splits) == (made[0].uid, (SplitProfile("train", 10, 100),))


async def test_a_profile_of_nothing_names_what_is_missing(store: Store) -> None:
    async with store.transaction() as tx:
        await begin(tx)
        made = await create(tx)
        with pytest.raises(ProfileNotFound):
            await tx.get_profile(ProfileName("default", "digits", "v1.0.0", "none"))
        with pytest.raises(VersionNotFound):
            await tx.get_profile(ProfileName("default", "digits", "v2.0.0", made.uid))
        with pytest.raises(VersionNotFound):
            await tx.list_profiles(DatasetVersionName("default", "digits", "v2.0.0"), None, 10)


async def _claim(tx: Transaction) -> Claim:
    claimed = await tx.claim_profile("one", TTL_S)
    assert claimed is not None
    return claimed
