"""Resource names: what is one, and what never becomes one (promise 13)."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.testing.bad_inputs import BAD_NAMES
from headwater import names
from headwater.names import DatasetVersionName, InvalidName, ModelVersionName, ResourceName

KINDS = [kind for kind in vars(names).values() if isinstance(kind, type) and issubclass(kind, ResourceName)]
KINDS.remove(ResourceName)
SEGMENT = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,20}", fullmatch=True)


def test_a_name_is_parsed_into_its_parts_and_printed_back() -> None:
    text = "projects/default/datasets/digits/versions/v1.0.0"
    name = DatasetVersionName.parse(text)
    assert (name.project, name.dataset, name.version) == ("default", "digits", "v1.0.0")
    assert str(name) == text


@given(st.sampled_from(KINDS), st.data())
def test_every_name_survives_the_way_there_and_back(kind: type[ResourceName], data: st.DataObject) -> None:
    variables = [part[1:-1] for part in kind.pattern.split("/") if part.startswith("{")]
    values = {name: "v1.2.3" if name == "version" else data.draw(SEGMENT) for name in variables}
    name = kind(**values)
    assert kind.parse(str(name)) == name


@pytest.mark.parametrize("bad", BAD_NAMES.values(), ids=BAD_NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_bad_names_are_refused_wherever_they_stand(kind: type[ResourceName], bad: str) -> None:
    parts = kind.pattern.split("/")
    for index, part in enumerate(parts):
        if part.startswith("{"):
            text = "/".join(
                bad if at == index else "1" if other.startswith("{") else other for at, other in enumerate(parts)
            )
            with pytest.raises(InvalidName):
                kind.parse(text)


@given(st.text(max_size=300))
def test_what_is_taken_for_a_name_is_printed_back_as_it_was(text: str) -> None:
    with contextlib.suppress(InvalidName):
        assert str(ModelVersionName.parse(text)) == text


@pytest.mark.parametrize("version", ["1", "v1", "1.2", "v1.2.3", "0", "v0.0.1", "999999999"])
def test_versions_are_numbers_or_semantic(version: str) -> None:
    assert names.check_version(version) == version


@pytest.mark.parametrize(
    "version", ["", "v", "latest", "01", "1.02.3", "1.2.3.4", "-1", "1000000000", "20260301120000", "1.0.0\n"]
)
def test_anything_else_is_not_a_version(version: str) -> None:
    with pytest.raises(InvalidName):
        names.check_version(version)
