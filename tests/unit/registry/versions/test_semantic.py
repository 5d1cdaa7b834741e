"""Semantic versions of models: R-20, K-02, M-80."""

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.semver import SemVer
from services.registry.versions.errors import BreakingChange, InvalidSemanticVersion, VersionNotGreater
from services.registry.versions.semantic import check_greater, check_step, may_break, semantic_version

SMALL = st.integers(0, 50)
VERSIONS = st.builds(SemVer, SMALL, SMALL, SMALL)


@given(VERSIONS)
def test_a_version_is_read_with_its_v_and_without(version: SemVer) -> None:
    """K-02."""
    assert semantic_version(str(version)) == version
    assert semantic_version(str(version).removeprefix("v")) == version


def test_no_version_is_asked_for_by_an_empty_text() -> None:
    assert semantic_version("") is None


@given(st.dates(datetime.date(1970, 1, 1), datetime.date(2100, 12, 31)), st.sampled_from(["", "v"]))
def test_a_date_is_no_version_however_it_is_written(day: datetime.date, prefix: str) -> None:
    """R-20."""
    for text in (
        f"{day:%Y%m%d}",
        f"{day:%Y.%m.%d}",
        f"{day.year}.{day.month}.{day.day}",
        f"{day:%Y-%m-%d}",
        f"{day:%Y%m%d}103000",
        f"1.0.{day:%Y%m%d}",
        f"{day:%Y%m%d}.0.0",
    ):
        with pytest.raises(InvalidSemanticVersion, match="date or a time"):
            semantic_version(prefix + text)


@pytest.mark.parametrize("text", ["1700000000", "v1700000000000", "1700000000.0.0", "v2024.0.0"])
def test_a_unix_time_or_a_year_is_no_version(text: str) -> None:
    with pytest.raises(InvalidSemanticVersion, match="date or a time"):
        semantic_version(text)


@pytest.mark.parametrize("text", ["1.2.3-rc1", "v1.2.3+build.5", "1.0.0-alpha.1"])
def test_a_part_behind_the_numbers_is_refused_and_said_to_be(text: str) -> None:
    with pytest.raises(InvalidSemanticVersion, match="pre-release"):
        semantic_version(text)


def _read(text: str) -> SemVer | InvalidSemanticVersion | None:
    try:
        return semantic_version(text)
    except InvalidSemanticVersion as error:
        return error


@given(st.text(min_size=1, max_size=32))
def test_a_text_is_a_version_or_is_refused(text: str) -> None:
    match _read(text):
        case InvalidSemanticVersion() as error:
            assert error.metadata["semantic_version"] == text
        case version:
            assert str(version).removeprefix("v") == text.removeprefix("v")


@pytest.mark.parametrize("text", ["1", "v1", "1.2", "01.2.3", "1.2.3.4", "V1.2.3", "1.2.3 ", "latest", "१.२.३"])
def test_what_is_not_like_a_version_is_refused(text: str) -> None:
    with pytest.raises(InvalidSemanticVersion):
        semantic_version(text)


@given(VERSIONS, VERSIONS)
def test_only_a_higher_version_follows(version: SemVer, highest: SemVer) -> None:
    check_greater(version, None)
    if version > highest:
        check_greater(version, highest)
        return
    with pytest.raises(VersionNotGreater, match=f"{highest}, the highest so far"):
        check_greater(version, highest)


@settings(max_examples=50)
@given(VERSIONS, VERSIONS)
def test_a_break_needs_a_major_step_and_below_one_a_minor_step(one: SemVer, other: SemVer) -> None:
    base, version = sorted([one, other])
    check_step(version, base, [])
    large = (version.major, version.minor if base.major == 0 == version.major else 0) > (
        base.major,
        base.minor if base.major == 0 == version.major else 0,
    )
    assert may_break(version, base) is large
    if large:
        check_step(version, base, ["input x is gone"])
        return
    with pytest.raises(BreakingChange, match="input x is gone") as refused:
        check_step(version, base, ["input x is gone"])
    least = SemVer.match(refused.value.metadata["least"])
    assert least is not None
    check_step(least, base, ["input x is gone"])
