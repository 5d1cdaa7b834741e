"""What follows from the history's values alone: ids of commits, and which state may follow which."""

import datetime
import hashlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import services.dataset.history
from headwater.names import DatasetName
from services.dataset.history.definition import Dataflow, DataPath, Definition, PathKind, definition_from
from services.dataset.history.errors import TransitionNotAllowed
from services.dataset.history.model import Draft, Version, VersionState, check_transition, commit_id, commit_of
from services.dataset.model import SemVer

README = Path(services.dataset.history.__file__).parent / "README.md"
DIGITS = DatasetName("default", "digits")
NOON = datetime.datetime(2026, 7, 5, 12, 34, 56, 789012, tzinfo=datetime.UTC)


def a_commit_id(**changes: object) -> bytes:
    facts: dict[str, object] = {
        "dataset_uid": "0197c2f0a1b2c3d4e5f60718293a4b5c",
        "digest": b"\xab" * 32,
        "definition": None,
        "source_digest": b"",
        "parents": [b"\x01" * 32],
        "author": "ann",
        "message": 'Löse "alles"\n',
        "derived_from": ["projects/default/datasets/raw/versions/v1.0.0"],
        "create_time": NOON,
    }
    return commit_id(**(facts | changes))  # type: ignore[arg-type]


def test_the_id_of_a_commit_is_what_the_specification_says() -> None:
    """The example is read from the page itself."""
    text = README.read_text()
    (example,) = re.findall(r'^    (\{"author".*\})$', text, re.MULTILINE)
    (expected,) = re.findall(r"^is `([0-9a-f]{64})`", text, re.MULTILINE)
    assert hashlib.sha256(example.encode()).hexdigest() == expected
    assert a_commit_id().hex() == expected
    assert set(json.loads(example)) == set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))


def test_everything_about_a_commit_counts() -> None:
    """N-11 for history: nothing can be changed behind an id."""
    changes: list[dict[str, object]] = [
        {"dataset_uid": "0197c2f0a1b2c3d4e5f60718293a4b5d"},
        {"digest": b""},
        {"definition": Dataflow("{}", ()).document()},
        {"definition": DataPath("d", PathKind.SQL_TABLE, "t").document()},
        {"definition": DataPath("d", PathKind.SQL_QUERY, "t").document()},
        {"source_digest": b"\xab" * 32},
        {"parents": []},
        {"parents": [b"\x01" * 32, b"\x02" * 32]},
        {"parents": [b"\x02" * 32, b"\x01" * 32]},
        {"author": "bob"},
        {"message": 'Lo\u0308se "alles"\n'},
        {"derived_from": []},
        {"create_time": NOON + datetime.timedelta(microseconds=1)},
    ]
    ids = [a_commit_id(**change) for change in changes]
    assert len({a_commit_id(), *ids}) == 1 + len(changes)


def test_the_time_zone_of_a_time_does_not_count() -> None:
    assert a_commit_id(create_time=NOON.astimezone(datetime.timezone(datetime.timedelta(hours=5)))) == a_commit_id()


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_no_two_texts_are_taken_for_each_other(message: str, author: str) -> None:
    """A text cannot be written so that it looks like the member after it."""
    assert (a_commit_id(message=message, author=author) == a_commit_id(message=author, author=message)) == (
        message == author
    )


_TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=50)
_DEFINITIONS = st.none() | st.one_of(
    st.builds(DataPath, _TEXTS, st.sampled_from(PathKind), _TEXTS, _TEXTS),
    st.builds(Dataflow, _TEXTS, st.lists(_TEXTS, max_size=3).map(tuple)),
)


@given(_DEFINITIONS)
def test_a_definition_comes_back_from_its_document(definition: Definition | None) -> None:
    document = definition.document() if definition else None
    assert definition_from(json.loads(json.dumps(document))) == definition


@pytest.mark.parametrize("state", VersionState)
@pytest.mark.parametrize("wanted", VersionState)
def test_a_version_changes_its_state_only_as_the_table_says(state: VersionState, wanted: VersionState) -> None:
    """M-19 to M-21."""
    rows = dict(re.findall(r"^\| (\w+) \| ([\w, ]+) \|$", README.read_text(), re.MULTILINE))
    allowed = wanted.value in rows[state.value].split(", ")
    commit = commit_of(Draft(DIGITS, b"d" * 32, (), "", "ann"), "uid", [], NOON)
    version = Version("uid", commit, SemVer(1, 0, 0), None, state=state)
    if allowed:
        check_transition(version, wanted)
    else:
        with pytest.raises(TransitionNotAllowed):
            check_transition(version, wanted)
