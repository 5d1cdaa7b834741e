"""LightGBM models tell what they are for, and their trees are not read."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registry.formats import FileFacts, Format, InvalidModelFile
from services.registry.formats.content import MemoryContent, RangedContent
from services.registry.formats.detect import read
from tests.data.models.tree_files import REFUSED_LIGHTGBM, lightgbm_model

_MODEL = lightgbm_model()


def _read(content: bytes) -> FileFacts:
    return read(MemoryContent(content))


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_a_model_tells_objective_features_trees_and_settings(newline: bytes) -> None:
    """R-12, X-12."""
    facts = _read(_MODEL.replace(b"\n", newline))
    assert facts.format is Format.LIGHTGBM
    assert (facts.framework, facts.architecture) == ("lightgbm", "gbdt")
    assert (
        facts.properties.items()
        >= {
            "objective": "binary sigmoid:1",
            "trees": "3",
            "features": "4",
            "classes": "1",
            "feature_names": "a, b, c, d",
            "model_version": "v4",
            "parameter.min_data_in_leaf": "5",
        }.items()
    )
    assert [(each.datatype, each.shape) for each in (*facts.inputs, *facts.outputs)] == [
        ("FP64", (-1, 4)),
        ("FP64", (-1,)),
    ]


@pytest.mark.parametrize(
    ("parameters", "output", "trees"),
    [
        ({"classes": 3}, (-1, 3), "9"),
        ({"objective": "regression"}, (-1,), "3"),
        ({"boosting": "dart"}, (-1,), "3"),
    ],
)
def test_other_models_tell_what_they_give(parameters: dict[str, Any], output: tuple[int, ...], trees: str) -> None:
    facts = _read(lightgbm_model(**parameters))
    assert (tuple(facts.outputs[0].shape), facts.properties["trees"]) == (output, trees)
    assert facts.architecture == parameters.get("boosting", "gbdt")


def test_trees_of_a_file_elsewhere_are_not_fetched() -> None:
    """What it costs does not grow with the trees."""
    begin = _MODEL.index(b"Tree=0")
    size = 10 * 2**30
    head, tail = _MODEL[:begin].ljust(2**18, b"\n"), _MODEL[begin:].rjust(2**18, b"\n")
    fetched = []

    def fetch(begin: int, length: int) -> bytes:
        fetched.append(length)
        return head if begin == 0 else tail if begin + length == size else pytest.fail("what is between was fetched")

    facts = read(RangedContent(size, fetch))
    assert (facts.properties["trees"], facts.properties["parameter.boosting"]) == ("3", "gbdt")
    assert len(fetched) == 2


def test_without_settings_a_model_is_read() -> None:
    facts = _read(_MODEL[: _MODEL.index(b"\nparameters:")])
    assert facts.properties["features"] == "4"
    assert not any(key.startswith("parameter.") for key in facts.properties)


@pytest.mark.parametrize("attack", REFUSED_LIGHTGBM)
def test_what_breaks_a_rule_is_refused_with_a_sentence(attack: str) -> None:
    """Promise 12."""
    with pytest.raises(InvalidModelFile, match=r"^Not a valid LightGBM model: .+\.$"):
        _read(REFUSED_LIGHTGBM[attack]())


@given(st.data())
def test_a_changed_model_is_read_or_refused(data: st.DataObject) -> None:
    content = bytearray(_MODEL)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, 400))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(InvalidModelFile):
        _read(bytes(content[: data.draw(st.sampled_from([len(content), 300]))]))
