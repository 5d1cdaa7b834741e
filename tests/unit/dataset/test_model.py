"""Version numbers, shards, source paths: what follows from values alone."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dataset.errors import InvalidSourcePath, InvalidVersion, VersionNotGreater
from services.dataset.model import (
    RowRange,
    SemVer,
    SourceDigest,
    SourceFile,
    check_source_path,
    next_version,
    shards,
)

NUMBERS = st.integers(0, 10**9 - 1)
VERSIONS = st.builds(SemVer, NUMBERS, NUMBERS, NUMBERS)


@given(VERSIONS)
def test_a_version_is_read_as_it_is_written(version: SemVer) -> None:
    assert SemVer.parse(str(version)) == version


@given(VERSIONS, st.booleans())
def test_the_next_version_is_greater(head: SemVer, schema_changed: bool) -> None:
    following = next_version(head, None, schema_changed=schema_changed)
    assert following > head
    assert (following.major > head.major) is schema_changed
    with pytest.raises(VersionNotGreater):
        next_version(following, head, schema_changed=schema_changed)


def test_versions_are_ordered_by_number() -> None:
    assert SemVer.parse("v1.10.0") > SemVer.parse("v1.9.9") > SemVer.parse("v1.9.0")


@pytest.mark.parametrize(
    "text", ["", "1.2.3", "v1", "v1.2", "v1.2.3.4", "v01.0.0", "v1.0.0 ", "v1.0.-1", "v1.0\n", "v１.0.0"]
)
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(InvalidVersion):
        SemVer.parse(text)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 100))
def test_shards_are_contiguous_balanced_and_all_there_is(first: int, count: int, shard_count: int) -> None:
    cut = shards(RowRange(first, count), shard_count)
    assert len(cut) == shard_count
    position = first
    for shard in cut:
        assert shard.first == position
        position += shard.count
    assert position == first + count
    assert max(shard.count for shard in cut) - min(shard.count for shard in cut) <= 1


@pytest.mark.parametrize("path", ["a", "a/b.png", "ä/ß.csv", "a b", "...", "a/.hidden", "a:b"])
def test_a_relative_path_is_a_source_path(path: str) -> None:
    assert check_source_path(path) == path


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a\\b", "a\0", "a\nb", "\x7f"])
def test_a_path_that_leads_elsewhere_is_none(path: str) -> None:
    with pytest.raises(InvalidSourcePath):
        check_source_path(path)


def test_the_source_digest_is_that_of_its_lines() -> None:
    """DatasetVersion.source_digest: sorted ``path NUL digest LF`` lines."""
    files = [SourceFile("a", b"\1" * 32, 1), SourceFile("b", b"\2" * 32, 2)]
    digest = SourceDigest()
    digest.update(files[:1])
    digest.update(files[1:])
    lines = b"a\0sha256:" + b"01" * 32 + b"\nb\0sha256:" + b"02" * 32 + b"\n"
    assert digest.digest() == hashlib.sha256(lines).digest()
    assert digest.count == 2


def test_no_files_have_no_digest() -> None:
    assert SourceDigest().digest() == b""
