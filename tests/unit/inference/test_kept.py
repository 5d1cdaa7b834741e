"""What one release keeps, another one reads and changes (promise 17)."""

import dataclasses

from services.inference.kept import Kept


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """Of this release."""

    share: int = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """Of this release."""

    name: str = ""
    first: Step = dataclasses.field(default_factory=Step)
    steps: tuple[Step, ...] = ()
    revision: int = 0


PLANS = Kept(Plan, without=frozenset({"revision"}))
LATER = {
    "name": "a",
    "first": {"share": 2, "pause": 9},
    "steps": [{"share": 3, "pause": 9}, {"share": 4}],
    "owner": "ada",
}
"""As a later release keeps it."""


def test_what_is_kept_comes_back_but_for_what_is_kept_elsewhere() -> None:
    plan = Plan("a", Step(2), (Step(3),), 7)
    assert PLANS.load(PLANS.dump(plan)) == dataclasses.replace(plan, revision=0)


def test_what_an_older_release_did_not_know_has_its_default() -> None:
    assert PLANS.load({"name": "a"}) == Plan("a")


def test_what_a_later_release_has_added_stays_when_something_else_changes() -> None:
    read = PLANS.load(LATER)
    assert PLANS.over(LATER, read) == LATER
    assert PLANS.over(LATER, dataclasses.replace(read, name="b")) == {**LATER, "name": "b"}
    assert PLANS.over(LATER, dataclasses.replace(read, first=Step(5))) == {**LATER, "first": {"share": 5, "pause": 9}}
    grown = dataclasses.replace(read, steps=(*read.steps, Step(6)))
    assert PLANS.over(LATER, grown) == {**LATER, "steps": [*LATER["steps"], {"share": 6}]}


def test_of_a_list_that_changes_only_what_is_the_same_stays_as_it_was() -> None:
    read = PLANS.load(LATER)
    changed = dataclasses.replace(read, steps=(Step(3), Step(8)))
    assert PLANS.over(LATER, changed)["steps"] == [{"share": 3, "pause": 9}, {"share": 8}]
    assert PLANS.over(LATER, dataclasses.replace(read, steps=()))["steps"] == []


def test_what_was_not_kept_yet_is_added() -> None:
    assert PLANS.over({"name": "a"}, Plan("a", Step(2))) == {"name": "a", "first": {"share": 2}, "steps": []}
