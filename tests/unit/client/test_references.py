"""What people type for what services name."""

import pytest

from headwater import references
from headwater.names import DatasetName, DatasetVersionName, InvalidName, ModelVersionName, PipelineVersionName


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
