"""What people type for what services name."""

import pytest

from headwater import references
from headwater.names import (
    BranchName,
    CommitName,
    DatasetName,
    DatasetVersionName,
    InvalidName,
    ModelVersionName,
    PipelineVersionName,
    TagName,
)


def test_a_version_is_named_after_an_at_sign() -> None:
    assert references.dataset_version("digits@v1.0.0") == DatasetVersionName("default", "digits", "v1.0.0")
    assert references.pipeline_version("prep@1.0.0", "vision") == PipelineVersionName("vision", "prep", "1.0.0")
    assert references.model_version("digits@3") == ModelVersionName("default", "digits", "3")


def test_a_dataset_without_a_version_is_the_dataset() -> None:
    assert references.dataset_version("digits") == DatasetName("default", "digits")


def test_full_names_are_taken_as_they_are() -> None:
    full = "projects/vision/models/digits/versions/3"
    assert str(references.model_version(full)) == full


def test_the_version_of_a_model_is_never_guessed() -> None:
    with pytest.raises(InvalidName, match="digits@1"):
        references.model_version("digits")


@pytest.mark.parametrize("text", ["", "@", "digits@", "a b", "../etc@1", "digits@latest", "projects/x"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidName):
        references.model_version(text)


DIGITS = DatasetName("default", "digits")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("digits", DIGITS),
        ("digits@v1.0.0", DatasetVersionName("default", "digits", "v1.0.0")),
        ("digits@main", references.BranchOrTag(DIGITS, "main")),
        ("digits@v1", references.BranchOrTag(DIGITS, "v1")),
        ("digits@deadbee", references.BranchOrTag(DIGITS, "deadbee")),
        ("digits@0f3c21ab", CommitName("default", "digits", "0f3c21ab")),
        ("digits@" + "0f" * 32, CommitName("default", "digits", "0f" * 32)),
        (f"{DIGITS}", DIGITS),
        (f"{DIGITS}/versions/v1.0.0", DatasetVersionName("default", "digits", "v1.0.0")),
        (f"{DIGITS}/branches/main", BranchName("default", "digits", "main")),
        (f"{DIGITS}/tags/best", TagName("default", "digits", "best")),
        (f"{DIGITS}/commits/0f3c21ab", CommitName("default", "digits", "0f3c21ab")),
    ],
)
def test_whatever_leads_to_rows_can_be_named_after_an_at_sign(text: str, name: object) -> None:
    assert references.dataset_revision(text) == name


@pytest.mark.parametrize(
    "text", ["", "@", "digits@", "@main", "a b", "../etc@main", "digits@a/b", "digits@v1.0.x", "projects/x",
             "digits@a@b", f"{DIGITS}/uploads/a", f"{DIGITS}/branches/a/b", "digits@m\u0430in", "digits@a\0"]
)  # fmt: skip
def test_what_leads_to_no_rows_is_refused(text: str) -> None:
    with pytest.raises(InvalidName):
        references.dataset_revision(text)


def test_a_revision_of_a_dataset_may_repeat_its_name_and_be_of_no_other() -> None:
    digits = references.dataset("digits")
    assert [references.revision_of(digits, text) for text in ("v1.1.0", "digits@v1.1.0")] == ["digits@v1.1.0"] * 2
    assert references.revision_of(digits, f"{DIGITS}/branches/main") == f"{DIGITS}/branches/main"
    for other in ("letters@v1.1.0", "@main", str(DIGITS), f"{DIGITS}s/branches/main"):
        with pytest.raises(InvalidName, match="of digits"):
            references.revision_of(digits, other)


def test_a_split_has_an_address() -> None:
    """R-35."""
    uri = "s3://datasets/digits/v1.0.0/train.tar"
    split = references.split(uri)
    assert split == references.SplitReference(DatasetVersionName("default", "digits", "v1.0.0"), "train")
    assert split.uri == uri
    assert references.split("s3://datasets/digits/v1.0.0/val.tar").split == "validation"


def test_a_split_is_said_by_its_address_or_beside_the_version_and_never_twice() -> None:
    """R-35."""
    uri = "s3://datasets/digits/v1.0.0/val.tar"
    version = f"{DIGITS}/versions/v1.0.0"
    assert references.split_within(uri) == references.split_within(uri, "val") == (version, "validation")
    assert references.split_within(uri, project="vision")[0].startswith("projects/vision/")
    assert references.split_within("digits@main", "test") == ("digits@main", "test")
    with pytest.raises(InvalidName, match="is the split validation and not test"):
        references.split_within(uri, "test")
    with pytest.raises(InvalidName, match="Say which split of digits"):
        references.split_within("digits")


@pytest.mark.parametrize(
    "uri",
    ["", "s3://datasets/digits/v1.0.0/train", "s3://other/digits/v1.0.0/train.tar", "s3://datasets/digits/train.tar",
     "s3://datasets/../v1.0.0/train.tar", "s3://datasets/digits/latest/train.tar", "s3://datasets/digits/v1.0.0/a/b.tar",
     "s3://datasets/digits/v1.0.0/.tar", "http://datasets/digits/v1.0.0/train.tar"],
)  # fmt: skip
def test_what_is_no_address_of_a_split_is_refused(uri: str) -> None:
    with pytest.raises(InvalidName):
        references.split(uri)
