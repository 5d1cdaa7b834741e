"""The history as a state machine, compared step by step with a model of a few sets and dictionaries."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from chassis.etags import EtagMismatch, etag_of
from chassis.testing import ManualClock
from headwater.names import BranchName, CommitName, DatasetName, TagName
from services.dataset.datasets import new_dataset
from services.dataset.history.append import append_commit
from services.dataset.history.errors import (
    BranchAlreadyExists,
    BranchMoved,
    CommitHasVersion,
    TagAlreadyExists,
)
from services.dataset.history.history import History
from services.dataset.history.model import Draft
from services.dataset.history.versions import Versions
from services.dataset.memory import MemoryStore
from services.dataset.model import SemVer

T = TypeVar("T")
DIGITS = DatasetName("default", "digits")
TTL_S = 14 * 86_400.0
WORDS = st.sampled_from(["a", "b", "c", "A"])
CONTENTS = st.integers(0, 3)


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def branch_named(word: str) -> BranchName:
    return BranchName("default", "digits", word)


class HistoryMachine(RuleBasedStateMachine):
    """Commits, branches, tags and versions come and go; the collector runs in between."""

    seen = Bundle("seen")

    @initialize(target=seen)
    def begin(self) -> bytes:
        self.clock = ManualClock()
        self.store = MemoryStore(self.clock)
        self.history, self.versions = History(self.store), Versions(self.store)
        self.parents: dict[bytes, tuple[bytes, ...]] = {}
        self.content: dict[bytes, int] = {}
        self.branches: dict[str, bytes] = {}
        self.tags: dict[str, bytes] = {}
        self.named: dict[bytes, SemVer] = {}
        run(self._create())
        return self._append("main", 0, [])

    async def _create(self) -> None:
        async with self.store.transaction() as tx:
            await tx.create_dataset(new_dataset(DIGITS, "ann"))

    def _append(self, branch: str, content: int, parents: list[bytes]) -> bytes:
        async def append() -> bytes:
            async with self.store.transaction() as tx:
                draft = Draft(DIGITS, bytes([content]) * 32, (), "", "ann")
                made = await append_commit(tx, branch_named(branch), draft, parents)
            if made.created:
                self.parents[made.commit.id] = tuple(parents)
                self.content[made.commit.id] = content
                self.branches[branch] = made.commit.id
            if made.version is not None:
                self.named[made.commit.id] = made.version.version
            return made.commit.id

        self.clock.advance(1)
        return run(append())

    @rule(target=seen, data=st.data(), content=CONTENTS)
    def commit(self, data: st.DataObject, content: int) -> bytes:
        branch = data.draw(st.sampled_from(sorted(self.branches)))
        head = self.branches[branch]
        made = self._append(branch, content, [head])
        assert (made == head) == (self.content[head] == content)
        return made

    @rule(target=seen, data=st.data(), content=CONTENTS)
    def merge(self, data: st.DataObject, content: int) -> bytes:
        ours, theirs = (data.draw(st.sampled_from(sorted(self.branches))) for _ in range(2))
        parents = [self.branches[ours], self.branches[theirs]]
        if parents[0] == parents[1]:
            return parents[0]
        made = self._append(ours, content, parents)
        assert made not in parents
        return made

    @rule(data=st.data(), stale=seen, content=CONTENTS)
    def commit_upon_something_else(self, data: st.DataObject, stale: bytes, content: int) -> None:
        branch = data.draw(st.sampled_from(sorted(self.branches)))
        head = self.branches[branch]
        if stale != head and self.content[head] != content:
            with pytest.raises(BranchMoved) as refusal:
                self._append(branch, content, [stale])
            assert refusal.value.metadata["head"] == head.hex()

    @rule(word=WORDS, at=seen)
    def create_branch(self, word: str, at: bytes) -> None:
        if at not in self._reachable():
            return
        create = self.history.create_branch(branch_named(word), _name(at), author="ann", request_id="", body="")
        if self._taken(word):
            with pytest.raises(BranchAlreadyExists):
                run(create)
        else:
            run(create)
            self.branches[word] = at

    @rule(word=WORDS, at=seen)
    def create_tag(self, word: str, at: bytes) -> None:
        if at not in self._reachable():
            return
        name = TagName("default", "digits", word)
        create = self.history.create_tag(name, _name(at), "", author="ann", request_id="", body="")
        if self._taken(word):
            with pytest.raises(TagAlreadyExists):
                run(create)
        else:
            run(create)
            self.tags[word] = at

    @rule(data=st.data(), to=seen, stale=st.booleans())
    def reset_branch(self, data: st.DataObject, to: bytes, stale: bool) -> None:
        if to not in self._reachable():
            return
        word = data.draw(st.sampled_from(sorted(self.branches)))
        branch = run(self.history.get_branch(branch_named(word)))
        if stale:
            with pytest.raises(EtagMismatch):
                run(self.history.reset_branch(branch.name, _name(to), etag_of(branch.revision + 1)))
        else:
            run(self.history.reset_branch(branch.name, _name(to), etag_of(branch.revision)))
            self.branches[word] = to

    @precondition(lambda self: len(self.branches) > 1)
    @rule(data=st.data())
    def delete_branch(self, data: st.DataObject) -> None:
        word = data.draw(st.sampled_from(sorted(set(self.branches) - {"main"})))
        run(self.history.delete_branch(branch_named(word), ""))
        del self.branches[word]

    @precondition(lambda self: self.tags)
    @rule(data=st.data())
    def delete_tag(self, data: st.DataObject) -> None:
        word = data.draw(st.sampled_from(sorted(self.tags)))
        run(self.history.delete_tag(TagName("default", "digits", word)))
        del self.tags[word]

    @rule(at=seen)
    def create_version(self, at: bytes) -> None:
        if at not in self._reachable():
            return
        create = self.versions.create(DIGITS, _name(at), None, request_id="", body="")
        if at in self.named:
            with pytest.raises(CommitHasVersion):
                run(create)
        else:
            latest = max(self.named.values())
            self.named[at] = run(create).version
            assert self.named[at] > latest

    @rule()
    def collect_too_early(self) -> None:
        """What has become unreachable just now stays for a while."""
        self.clock.advance(1)
        before = self._stored()
        self._collect(TTL_S)
        assert self._stored() == before

    @rule()
    def collect(self) -> None:
        self.clock.advance(TTL_S + 1)
        self._collect(TTL_S)
        assert self._stored() == self._reachable()
        self.parents = {id_: parents for id_, parents in self.parents.items() if id_ in self._reachable()}

    @invariant()
    def branches_and_tags_are_where_they_should_be(self) -> None:
        async def look() -> None:
            branches = (await self.history.list_branches(DIGITS, 1000, "")).items
            assert {branch.name.branch: branch.head for branch in branches} == self.branches
            tags = (await self.history.list_tags(DIGITS, 1000, "")).items
            assert {tag.name.tag: tag.target for tag in tags} == self.tags
            async with self.store.transaction() as tx:
                versions = await tx.list_versions(DIGITS, None, 1000)
                assert {version.commit.id: version.version for version in versions} == self.named
                assert (await tx.get_dataset(DIGITS)).latest == max(self.named.values())

        run(look())

    @invariant()
    def all_that_anything_leads_to_can_be_listed(self) -> None:
        async def look() -> None:
            for word, head in self.branches.items():
                page = await self.history.list_commits(DIGITS, str(branch_named(word)), 1000, "")
                assert {commit.id for commit in page.items} == self._ancestors(head)

        run(look())

    def _collect(self, ttl_s: float) -> None:
        async def collect() -> None:
            dropped = True
            while dropped:
                async with self.store.transaction() as tx:
                    dropped = await tx.drop_unreachable_commit(ttl_s)

        run(collect())

    def _stored(self) -> set[bytes]:
        async def find() -> set[bytes]:
            async with self.store.transaction() as tx:
                return set(await tx.find_commits(DIGITS, bytes(32), b"\xff" * 32, 10_000))

        return run(find())

    def _reachable(self) -> set[bytes]:
        return set().union(
            *(self._ancestors(id_) for id_ in (*self.branches.values(), *self.tags.values(), *self.named))
        )

    def _ancestors(self, id_: bytes) -> set[bytes]:
        return {id_}.union(*(self._ancestors(parent) for parent in self.parents[id_]))

    def _taken(self, word: str) -> bool:
        return word.lower() in {taken.lower() for taken in (*self.branches, *self.tags)}


def _name(id_: bytes) -> str:
    return str(CommitName("default", "digits", id_.hex()))


HistoryMachine.TestCase.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestHistory = HistoryMachine.TestCase
