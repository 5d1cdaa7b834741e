"""XGBoost models tell what they are for, in every form that XGBoost ever saved, and their trees are not read."""

import contextlib
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registry.formats import FileFacts, Format, InvalidModelFile
from services.registry.formats.content import MemoryContent, RangedContent
from services.registry.formats.detect import read
from tests.data.models.tree_files import REFUSED_XGBOOST, old_xgboost, xgboost_model

_FORMS = ("json", "ubj")


def _read(content: bytes) -> FileFacts:
    return read(MemoryContent(content))


@pytest.mark.parametrize("form", _FORMS)
def test_a_model_tells_objective_features_and_trees(form: str) -> None:
    """R-12, X-12."""
    facts = _read(xgboost_model(kind=form))
    assert facts.format is Format.XGBOOST
    assert (facts.framework, facts.architecture) == ("xgboost", "gbtree")
    assert facts.framework_version.split(".")[0] == "3"
    assert (
        facts.properties.items()
        >= {
            "objective": "binary:logistic",
            "trees": "3",
            "features": "4",
            "feature_names": "a, b, c, d e",
            "feature_types": "q, q, i, q",
            "attribute.best": "1",
        }.items()
    )
    assert [(each.datatype, each.shape) for each in (*facts.inputs, *facts.outputs)] == [
        ("FP32", (-1, 4)),
        ("FP32", (-1,)),
    ]


@pytest.mark.parametrize("form", _FORMS)
@pytest.mark.parametrize(
    ("parameters", "output", "trees"),
    [
        ({"objective": "multi:softprob", "classes": 3}, (-1, 3), "9"),
        ({"objective": "multi:softmax", "classes": 3}, (-1,), "9"),
        ({"booster": "dart"}, (-1,), "3"),
        ({"booster": "gblinear"}, (-1,), None),
    ],
)
def test_other_models_tell_what_they_give(
    form: str, parameters: dict[str, Any], output: tuple[int], trees: str
) -> None:
    facts = _read(xgboost_model(kind=form, **parameters))
    assert tuple(facts.outputs[0].shape) == output
    assert facts.properties.get("trees") == trees
    assert facts.architecture == parameters.get("booster", "gbtree")


@pytest.mark.parametrize("indent", [None, 2])
def test_json_that_was_written_again_is_read(indent: int | None) -> None:
    content = xgboost_model()
    assert _read(json.dumps(json.loads(content), indent=indent).encode()).properties == _read(content).properties


@pytest.mark.parametrize("form", _FORMS)
def test_trees_of_a_file_elsewhere_are_not_fetched(form: str) -> None:
    """What it costs does not grow with the trees."""
    content, fetched = xgboost_model(rounds=2000, kind=form), 0

    def fetch(begin: int, length: int) -> bytes:
        nonlocal fetched
        fetched += length
        return content[begin : begin + length]

    facts = read(RangedContent(len(content), fetch))
    assert (facts.properties["trees"], facts.properties["objective"]) == ("2000", "binary:logistic")
    assert len(content) > 4 * RangedContent.BLOCK_BYTES
    assert fetched <= 3 * RangedContent.BLOCK_BYTES


def test_without_its_usual_tail_a_model_tells_what_its_head_says() -> None:
    content = xgboost_model()
    facts = _read(content[: content.index(b'"trees"') + 400])
    assert facts.properties.items() >= {"trees": "3", "feature_names": "a, b, c, d e"}.items()
    assert facts.inputs == ()


@pytest.mark.parametrize("magic", [b"", b"binf"])
def test_the_old_binary_form_tells_what_is_at_its_head(magic: bytes) -> None:
    facts = _read(old_xgboost(magic=magic))
    assert facts.format is Format.XGBOOST
    assert (
        facts.properties.items()
        >= {"objective": "multi:softprob", "booster": "gbtree", "features": "13", "classes": "3", "trees": "7"}.items()
    )
    assert tuple(facts.outputs[0].shape) == (-1, 3)


@pytest.mark.parametrize(
    "content", [old_xgboost(objective=b"evil:x"), old_xgboost(booster=b"tree"), old_xgboost()[:150]]
)
def test_what_only_resembles_the_old_form_is_none(content: bytes) -> None:
    assert _read(content).format is Format.UNSPECIFIED


@pytest.mark.parametrize("attack", REFUSED_XGBOOST)
def test_what_breaks_a_rule_is_refused_with_a_sentence(attack: str) -> None:
    """Promise 12."""
    with pytest.raises(InvalidModelFile, match=r"^Not a valid XGBoost model: .+\.$"):
        _read(REFUSED_XGBOOST[attack]())


@pytest.mark.parametrize("form", _FORMS)
def test_a_changed_model_is_read_or_refused(form: str) -> None:
    content = xgboost_model(rounds=1, kind=form)

    @given(st.data())
    def changed(data: st.DataObject) -> None:
        bytes_ = bytearray(content)
        for _ in range(data.draw(st.integers(1, 4))):
            bytes_[data.draw(st.integers(0, 400) | st.integers(len(content) - 400, len(content) - 1))] = data.draw(
                st.integers(0, 255)
            )
        with contextlib.suppress(InvalidModelFile):
            _read(bytes(bytes_[: data.draw(st.sampled_from([len(content), len(content) - 7, 300]))]))

    changed()


@pytest.mark.parametrize("form", _FORMS)
def test_names_of_features_that_would_fill_the_memory_are_refused(form: str) -> None:
    """Promise 8: each may be long, and there may be many, but not both."""
    names = [b"n" * 60_000] * 300
    if form == "json":
        content = b'{"learner":{"feature_names":["' + b'","'.join(names) + b'"]}}'
    else:
        begun = b"{L" + struct.pack(">Q", 7) + b"learner{L" + struct.pack(">Q", 13) + b"feature_names["
        content = begun + b"".join(b"SL" + struct.pack(">Q", len(name)) + name for name in names) + b"]}}"
    with pytest.raises(InvalidModelFile, match="longer ones than are read"):
        _read(content)
